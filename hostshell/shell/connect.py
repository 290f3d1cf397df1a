"""``connect``: one host's terminal on ours, over the warm connection, and back to the prompt whatever happens.

Must not know how bytes travel: the session gives them, the `Terminal` takes them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace

from hostshell.core.clean import clean
from hostshell.core.errors import HostshellError, TargetError, UsageError
from hostshell.core.events import Event, Finished, Summary
from hostshell.core.grammar import render
from hostshell.core.invocations import ConnectHost
from hostshell.core.model import Connect
from hostshell.core.names import fold
from hostshell.core.targets import Targets
from hostshell.core.traffic import Opened
from hostshell.core.turns import Note
from hostshell.engine.pool import Chunk
from hostshell.session import Session
from hostshell.shell import ttymodes
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.jobs import Interrupts
from hostshell.shell.screen import DIM, YELLOW, OutputClosed, Screen
from hostshell.shell.terminal import Terminal


class ConnectionEnded(HostshellError):
    """The session did not come about, or did not end by itself."""

    exit_code = 4


def connect(session: Session, screen: Screen, asked: ConnectHost, ahead: Callable[[], bytes] = lambda: b"") -> int:
    """Open a terminal on a host; the exit code. Raises `HostshellError` for all that a person should read.

    ``ahead`` gives what the prompt has read of the keyboard and not used: it is for the host.
    """
    if not Terminal.there():
        raise UsageError(
            "connect needs a terminal: standard input and output are to be one",
            "to run a command without one: batch_run -h HOST -cmd COMMAND",
        )
    names = session.targets(Targets(hosts=(asked.host,)))
    if len(names) != 1:
        message = f"connect takes one host, and {clean(asked.host)} is {len(names)}"
        raise TargetError(message, f"they are {clean(fold(names)[:200])}")
    terminal = Terminal(leave=session.cancel, wake=session.wake, ahead=ahead)
    rows, columns = terminal.size()
    task = Connect(asked.cmd, os.environ.get("TERM") or "dumb", rows, columns, ttymodes.encode(sys.stdin.fileno()))
    job = session.job(task, names, label=render(asked), connect_timeout=asked.connect_timeout, login=asked.login)
    job = replace(job, timeout=None)  # `set timeout` is for commands, not for how long a person may stay
    terminal.told((rows, columns))
    sys.stdout.flush()
    ending = _Ending(names[0])
    interrupts = Interrupts(session.cancel)
    with on_interrupt(interrupts), terminal, contextlib.closing(session.interact(job, terminal)) as news:
        for item in news:
            match item:
                case Opened():
                    terminal.make_raw()
                    ending.opened = True
                case Chunk():
                    _show(terminal, item.data)
                case _:
                    ending.watch(item)
        terminal.drop_typed = not ending.by_itself
    return ending.tell(screen)


def _show(terminal: Terminal, data: bytes) -> None:
    try:
        terminal.show(data)
    except OSError:
        raise OutputClosed from None


class _Ending:
    """How the session ended, from its events."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.opened = False
        self._finished: Finished | None = None
        self._notes: list[str] = []
        self._code = 130

    @property
    def by_itself(self) -> bool:
        """Whether what ran in it came to its end."""
        return self._finished is not None and self._finished.status in ("ok", "failed")

    def watch(self, item: Event | Note) -> None:
        """One more event."""
        match item:
            case Finished():
                self._finished = item
            case Note(_, text):
                self._notes.append(text)
            case Summary():
                self._code = item.exit_code

    def tell(self, screen: Screen) -> int:
        """Say what a person should know; the exit code. Raises `ConnectionEnded`."""
        host = self._host
        for note in self._notes:
            screen.err(screen.wrapped(f"note: {host}: {clean(note)}", "") + "\n")
        finished = self._finished
        if finished is not None and finished.may_still_run:
            screen.err(screen.paint(f"may still run on {host}", YELLOW) + "\n")
        if finished is None or finished.status == "cancelled":
            what = f"left {host}; its session was hung up" if self.opened else "cancelled"
            screen.err(screen.paint(what, DIM) + "\n")
        elif finished.signal is not None or finished.exit_code:
            how = f"killed by signal {finished.signal}" if finished.signal else f"exit code {finished.exit_code}"
            screen.err(screen.paint(f"{host}: {clean(how)}", DIM) + "\n")
        elif finished.error is not None:
            error = ConnectionEnded(f"{host}: {finished.error.message}", finished.error.hint)
            error.exit_code = self._code
            raise error
        return self._code
