"""One session channel of a demo host: what is asked for on it, and who answers.

Must not know users, listeners or how a command is run.
"""

from __future__ import annotations

from signal import Signals

import asyncssh

from hostshell.demo.commands import SIGNALS, Command, Commands
from hostshell.demo.terminal import TerminalCommand


class Session(asyncssh.SSHServerProcess[bytes]):
    """One session channel: a command or a shell, at a terminal or not, or SFTP (which asyncssh serves)."""

    def __init__(
        self,
        commands: Commands,
        home: str,
        environment: dict[str, str],
        files: asyncssh.SFTPServerFactory,
    ) -> None:
        super().__init__(_never, files, 3, False)
        self._commands = commands
        self._home = home
        self._environment = environment
        self._command: Command | None = None

    def shell_requested(self) -> bool:
        return not self._commands.closing

    def exec_requested(self, command: str) -> bool:  # noqa: ARG002 -- asyncssh's signature
        return not self._commands.closing

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp" and not self._commands.closing

    def session_started(self) -> None:
        if self._chan.get_subsystem() is not None:
            super().session_started()
        elif term := self._chan.get_terminal_type():
            environment = {**self._environment, "TERM": term}
            columns, rows, _, _ = self._chan.get_terminal_size()
            self._command = TerminalCommand(self._chan, self._commands, self._home, environment, (columns, rows))
        else:
            self._command = Command(self._chan, self._commands, self._home, self._environment)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:  # noqa: ARG002  # asyncssh's signature
        if isinstance(self._command, TerminalCommand):
            self._command.resize(width, height)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._command is not None:
            self._command.feed(data)
        else:
            super().data_received(data, datatype)

    def eof_received(self) -> bool:
        if self._command is not None:
            self._command.feed_eof()
            return True  # our own direction stays open
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._command is not None:
            self._command.client_gone()
        else:
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        if self._command is not None:
            self._command.pause()
        else:
            super().pause_writing()

    def resume_writing(self) -> None:
        if self._command is not None:
            self._command.resume()
        else:
            super().resume_writing()

    def signal_received(self, signal: str) -> None:
        if self._command is not None and signal in SIGNALS:
            self._command.signal(Signals[f"SIG{signal}"])

    def break_received(self, msec: int) -> bool:  # noqa: ARG002 -- asyncssh's signature
        return False


def _never(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """asyncssh wants a handler for commands; `Session` starts them itself."""
    raise AssertionError(f"unexpected: {process}")
