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
from hostshell.core.words import quote
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
    name = one_host(session, asked.host)
    _look_for_hosts(session, screen, asked)
    terminal = Terminal(leave=session.cancel, wake=session.wake, ahead=ahead)
    rows, columns = terminal.size()
    task = Connect(asked.cmd, os.environ.get("TERM") or "dumb", rows, columns, ttymodes.encode(sys.stdin.fileno()))
    job = session.job(task, (name,), label=render(asked), connect_timeout=asked.connect_timeout, login=asked.login)
    job = replace(job, timeout=None)  # `set timeout` is for commands, not for how long a person may stay
    terminal.told((rows, columns))
    sys.stdout.flush()
    ending = _Ending(name)
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


def one_host(session: Session, word: str) -> str:
    """The host that ``word`` names. Raises `TargetError` where it is none, or several."""
    try:
        names = session.targets(Targets(hosts=(word,)))
    except TargetError as error:
        if not error.group:
            raise
        shows = f"`hosts -g {clean(error.group)}` shows its hosts"  # the error's own hint is an option we do not have
        if error.group == word:
            raise TargetError(f"connect takes one host, and {clean(word)} is a group", shows) from None
        raise TargetError(error.message, f"did you mean one of the group {clean(error.group)}? {shows}") from None
    if len(names) != 1:
        message = f"connect takes one host, and {clean(word)} is {len(names)}"
        raise TargetError(message, f"they are {clean(fold(names)[:200])}")
    return names[0]


def _look_for_hosts(session: Session, screen: Screen, asked: ConnectHost) -> None:
    """Refuse a command that is nothing but names of hosts, and warn of one that begins with such a name."""
    words = asked.cmd.split() if asked.cmd is not None else []
    named = [word for word in words if _names_hosts(session, word)]
    if not named or named[0] != words[0]:
        return
    first = quote(words[0])
    if len(named) < len(words):
        text = f"note: {words[0]} names hosts too; here it is a command for {asked.host}"
        screen.err(screen.wrapped(clean(text), "", DIM) + "\n")
        return
    groups = session.inventory.groups
    others = ",".join(f"@{word}" if word in groups else word for word in (asked.host, *words))
    what = "a group" if words[0].removeprefix("@") in groups else "another host"
    raise UsageError(
        f"connect takes one host, and {clean(words[0])} is {what} and no command",
        f"a command on all of them: batch_run -h {quote(others)} -cmd COMMAND\n"
        f"where a program there is called so: connect {quote(asked.host)} exec {first}",
    )


def _names_hosts(session: Session, word: str) -> bool:
    """Whether a word of a command is rather a host, a group or a list of hosts."""
    if word in session.inventory.host_names or word in session.inventory.groups:
        return True
    if not any(char in word for char in "@[,"):
        return False  # 10.0.0.5 and a:b are no programs either, but might be
    try:
        return bool(session.targets(Targets(hosts=(word,))))
    except HostshellError:
        return False


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
