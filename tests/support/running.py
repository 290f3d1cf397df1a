"""Running jobs in tests: an inventory in memory for a server, and what its hosts said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import jsonschema

from hostshell.core.events import Block, Event, Finished, Output, Summary
from hostshell.core.model import Ping, Run
from hostshell.core.targets import Targets
from hostshell.core.turns import Note
from hostshell.session import Session
from hostshell.shell.render import dump
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd

SCHEMA = Path(__file__).parents[2] / "docs" / "events.schema.json"


@dataclass
class Outcome:
    """What one job gave: lines and results by host."""

    out: dict[str, list[str]] = field(default_factory=dict)
    err: dict[str, list[str]] = field(default_factory=dict)
    raw: dict[str, bytearray] = field(default_factory=dict)
    finished: dict[str, Finished] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    summary: Summary | None = None

    def kind(self, host: str) -> str:
        """The kind of a host's failure; "" for none."""
        error = self.finished[host].error
        return error.kind if error else ""

    def status(self) -> dict[str, str]:
        """Each host's status."""
        return {host: event.status for host, event in self.finished.items()}


def collect(events: Iterable[Event | Note], after: Callable[[Event | Note], None] | None = None) -> Outcome:
    """Take a whole stream of events. ``after`` is called with each."""
    found = Outcome()
    for event in events:
        match event:
            case Block():
                for line in event.lines():
                    _line(found, line)
            case Output():
                _line(found, event)
            case Finished():
                found.finished[event.host] = event
            case Note():
                found.notes.append(event)
            case Summary():
                found.summary = event
        _hold_to_schema(event)
        if after is not None:
            after(event)
    return found


@cache
def _schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


_held: set[tuple[str, ...]] = set()


def _hold_to_schema(event: Event | Note) -> None:
    """Whatever happens in a test is also good JSON: the first of each kind of event and failure is looked at."""
    for one in event.lines() if isinstance(event, Block) else [event]:
        if isinstance(one, Note):
            continue
        error = one.error if isinstance(one, Finished) else None
        kind = (type(one).__name__, getattr(one, "status", ""), error.kind if error else "")
        if kind not in _held:
            _held.add(kind)
            problems = [problem.message for problem in _schema().iter_errors(json.loads(dump(one)))]
            assert not problems, (one, problems)


def _line(found: Outcome, line: Output) -> None:
    where = found.out if line.stream == "stdout" else found.err
    where.setdefault(line.host, []).append(line.data)
    if line.stream == "stdout":
        found.raw.setdefault(line.host, bytearray()).extend(line.raw + (b"\n" if line.eol else b""))


def run(session: Session, command: str, hosts: str, **options: float | None) -> Outcome:
    """Run ``command`` on ``hosts`` to the end."""
    names = session.targets(Targets(hosts=(hosts,)))
    return collect(session.stream(session.job(Run(command), names, label=command, **options)))


def ping(session: Session, hosts: str, **options: float | None) -> Outcome:
    """Log in to ``hosts``."""
    return collect(
        session.stream(session.job(Ping(), session.targets(Targets(hosts=(hosts,))), label="ping", **options))
    )


def host_section(name: str, server: Sshd, account: Account, key: Key | None, **more: str) -> str:
    """One host of an inventory, at a server of ours."""
    settings = {"address": server.address, "port": str(server.port), "user": account.name}
    settings |= {"key": str(key.path)} if key is not None else {"password": account.password}
    settings |= more
    return f"[host:{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()) + "\n"


def write_inventory(folder: Path, *sections: str) -> str:
    """A hosts.ini (0600) of these sections; its path."""
    path = folder / "hosts.ini"
    path.touch(mode=0o600)
    path.write_text("".join(sections), encoding="utf-8")
    return str(path)


def write_known_hosts(folder: Path, *lines: str) -> str:
    """A known_hosts of these lines; its path."""
    path = folder / "known_hosts"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


@contextmanager
def session_on(
    folder: Path, server: Sshd, account: Account, key: Key | None, hosts: Iterable[str]
) -> Iterator[Session]:
    """A session whose ``hosts`` all stand for one account at ``server``, with its host key known."""
    inventory = write_inventory(folder, *(host_section(name, server, account, key) for name in hosts))
    known = write_known_hosts(folder, server.known_hosts_line)
    with Session(inventory, known_hosts=known) as session:
        yield session
