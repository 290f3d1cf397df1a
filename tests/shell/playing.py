"""A shell whose hosts answer as a test says: a pool that plays news instead of connecting anywhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from hostshell.core.events import Failure, Finished, Started
from hostshell.core.model import Job
from hostshell.core.outcome import Tally
from hostshell.engine.pool import Chunk, News, Pool
from hostshell.engine.questions import AskKeys, AskPrompts
from hostshell.session import Session
from hostshell.shell.commands import Shell
from hostshell.shell.screen import Screen

INVENTORY = "[group:web]\nhosts = web[1-3]\n[host:db1]\n[host:db2]\n"
OK = Finished(0, "", "ok", 0)


def failed(code: int) -> Finished:
    """An end with an exit code other than 0."""
    return Finished(0, "", "failed", code, error=Failure("exit", f"exit code {code}"))


@dataclass
class Play:
    """What the hosts of the next commands do. ``ends`` are by host, the others end well."""

    news: list[News] = field(default_factory=list)
    ends: dict[str, Finished] = field(default_factory=dict)


class PlayingPool(Pool):
    """Plays; remembers the jobs, and whether the last one was broken off."""

    def __init__(self, play: Play) -> None:
        super().__init__(1)
        self.play = play
        self.jobs: list[Job] = []
        self.broken_off = False

    def run(
        self, job: Job, ask: AskKeys | None = None, ask_prompts: AskPrompts | None = None, **_: object
    ) -> Generator[News, None, None]:
        self.jobs.append(job)
        self.broken_off = True
        tally = Tally()
        names = [host.name for host in job.hosts]
        yield Started(job.number, job.label, tuple(names))
        for item in self.play.news:
            if not isinstance(item, Chunk) or item.host in names:
                yield item
        for name in names:
            end = self.play.ends.get(name, OK)
            finished = Finished(
                job.number, name, end.status, end.exit_code, error=end.error, may_still_run=end.may_still_run
            )
            tally.add(finished)
            yield finished
        self.broken_off = False
        yield tally.summary(job.number, 0.5)


class Stage:
    """A shell on five hosts, and what it says."""

    def __init__(self, folder: Path, play: Play, *, as_json: bool = False) -> None:
        path = folder / "hosts.ini"
        path.touch(mode=0o600)
        path.write_text(INVENTORY, encoding="utf-8")
        self.play = play
        self.pool = PlayingPool(play)
        self.session = Session(str(path), pool=self.pool)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.shell = Shell(self.session, Screen(self.out, self.err, environ={}), json=as_json)

    def said(self, run: Callable[[Shell], int]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of what ``run`` does."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        code = run(self.shell)
        return code, self.out.getvalue(), self.err.getvalue()

    def __call__(self, line: str) -> tuple[int, str, str]:
        return self.said(lambda shell: shell.line(line))

    def ran_on(self) -> list[str]:
        """The hosts of the last job."""
        return [host.name for host in self.pool.jobs[-1].hosts]
