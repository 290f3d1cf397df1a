"""The Python API: verbs whose events come one by one, over what the prompt uses too.

Knows nothing of how anything is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from hostshell.core.events import Block, Event
from hostshell.core.model import CopyOptions, Get, Job, Login, Ping, Put, Task, with_options
from hostshell.core.targets import Targets
from hostshell.core.traffic import OpenConnection
from hostshell.logins import NOTHING_SAID
from hostshell.sitting import Sitting

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in `typing` from Python 3.11 on


class Session(Sitting):
    """An inventory, a pool of workers with warm connections, and the verbs of the Python API.

    What it is made with, `Sitting` says. A context manager: its workers end with it.
    """

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: Job) -> Generator[Event, None, None]:
        """Carry out ``job``; its events, one `Output` a line. Closing the iterator cancels it."""
        with contextlib.closing(self.stream(job)) as items:
            for item in items:
                if isinstance(item, Block):
                    yield from item.lines()
                elif isinstance(item, Event):
                    yield item

    def run(
        self,
        command: str | None = None,
        *,
        hosts: str | Sequence[str] = (),
        groups: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        fanout: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
        script: str | None = None,
        arguments: Sequence[str] = (),
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        tty: bool = False,
        sudo: bool = False,
        sudo_user: str | None = None,
    ) -> Generator[Event, None, None]:
        """Run ``command``, or a local ``script``, on the hosts: events as in `hostshell.core.events`.

        ``stdin`` is a local path, or the bytes that every host gets.
        """
        task = self.inputs.command(
            command,
            script=script,
            arguments=arguments,
            stdin=stdin,
            env=env or {},
            cwd=cwd,
            tty=tty,
            sudo=sudo,
            sudo_user=sudo_user,
        )
        named = _targets(hosts, groups, exclude)
        label = command if command is not None else f"--script {script}"
        return self._carry_out(task, label, named, fanout, timeout, connect_timeout, login)

    def put(
        self,
        local: str | Sequence[str],
        remote: str,
        *,
        hosts: str | Sequence[str] = (),
        groups: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        parents: bool = False,
        fanout: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
        **options: Unpack[CopyOptions],
    ) -> Generator[Event, None, None]:
        """Copy local files or directories to every host.

        A path that does not exist under its own name is a glob. ``options`` mean what `core.model.Put` says of them;
        ``exclude_files`` are patterns of what is left out of trees.
        """
        source, *also = (local,) if isinstance(local, str) else local
        task = with_options(Put(source, remote, parents, also=tuple(also)), options)
        label = " ".join(["put", source, *also, remote])
        return self._carry_out(task, label, _targets(hosts, groups, exclude), fanout, timeout, connect_timeout, login)

    def get(
        self,
        remote: str | Sequence[str],
        local: str,
        *,
        hosts: str | Sequence[str] = (),
        groups: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        fanout: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
        **options: Unpack[CopyOptions],
    ) -> Generator[Event, None, None]:
        """Copy files or directories of every host to ``local/<host>/``, or where ``{host}`` in ``local`` says.

        A path that does not exist under its own name is a glob. ``options`` mean what `core.model.Put` says of them;
        ``exclude_files`` are patterns of what is left out of trees.
        """
        source, *also = (remote,) if isinstance(remote, str) else remote
        task = with_options(Get(source, local, also=tuple(also)), options)
        label = " ".join(["get", source, *also, local])
        return self._carry_out(task, label, _targets(hosts, groups, exclude), fanout, timeout, connect_timeout, login)

    def ping(
        self,
        *,
        hosts: str | Sequence[str] = (),
        groups: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        fanout: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
    ) -> Generator[Event, None, None]:
        """Log in to every host and run nothing."""
        named = _targets(hosts, groups, exclude)
        return self._carry_out(Ping(), "ping", named, fanout, timeout, connect_timeout, login)

    def _carry_out(
        self,
        task: Task,
        label: str,
        named: Targets,
        fanout: int | None,
        timeout: float | None,
        connect: float | None,
        login: Login,
    ) -> Generator[Event, None, None]:
        names = self.targets(named)
        job = self.job(task, names, label=label, fanout=fanout, timeout=timeout, connect_timeout=connect, login=login)
        return self.submit(job)

    def connections(
        self,
        *,
        hosts: str | Sequence[str] = (),
        groups: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
    ) -> tuple[OpenConnection, ...]:
        """The open connections to these hosts, in their order; to all where none are named.

        Raises `EngineError` when a worker does not say which it has.
        """
        found, error = self.survey(_targets(hosts, groups, exclude))
        if error is not None:
            raise error
        return tuple(found)

    def disconnect(
        self,
        *,
        hosts: str | Sequence[str] = (),
        groups: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
    ) -> tuple[OpenConnection, ...]:
        """Close the connections to these hosts on which no command is under way; those that were closed.

        Raises `EngineError`, once the others are closed, when a worker does not say which it has.
        """
        found, error = self.survey(_targets(hosts, groups, exclude), close=True)
        if error is not None:
            raise error
        return tuple(one for one in found if not one.busy)


def _targets(hosts: str | Sequence[str], groups: str | Sequence[str], exclude: str | Sequence[str]) -> Targets:
    def texts(value: str | Sequence[str]) -> tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value)

    return Targets(texts(hosts), texts(groups), texts(exclude))
