"""A command on a demo host at a terminal of its own: a pseudo-terminal of this machine behind an SSH session.

Must not know users, files or listeners.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios

import asyncssh

from hostshell.demo.commands import SHELL, Command, Commands

_MOST_WAITING = 64 * 1024  # bytes typed that the command has not taken
_READ = 32 * 1024  # bytes


class TerminalCommand(Command):
    """One command, or the login shell, whose three streams are a terminal of ``size`` (columns, rows)."""

    def __init__(
        self,
        channel: asyncssh.SSHServerChannel[bytes],
        commands: Commands,
        home: str,
        environment: dict[str, str],
        size: tuple[int, int],
    ) -> None:
        super().__init__(channel, commands, home, environment)
        self._size = size
        self._terminal: int | None = None
        self._typed = bytearray()

    async def _start(self) -> None:
        command = self._channel.get_command()
        words = [SHELL] if command is None else [SHELL, "-c", command]
        try:
            self._terminal, theirs = pty.openpty()
        except OSError as error:
            self._refuse(error)
            return
        os.set_blocking(self._terminal, False)
        self.resize(*self._size)
        try:
            await self._loop.subprocess_exec(
                lambda: self,
                *words,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                cwd=self._home,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_own_terminal,
            )
        except (OSError, ValueError) as error:
            self._close()
            self._refuse(error)
            return
        finally:
            os.close(theirs)
        if self._finished:
            return
        if not self._paused:
            self._loop.add_reader(self._terminal, self._read)
        self._write()

    def resize(self, columns: int, rows: int) -> None:
        """The client's terminal has another size."""
        self._size = columns, rows
        if self._terminal is not None:
            size = struct.pack("HHHH", min(rows, 0xFFFF), min(columns, 0xFFFF), 0, 0)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def feed(self, data: bytes) -> None:
        """What the client types."""
        self._typed += data
        if len(self._typed) > _MOST_WAITING:
            self._channel.pause_reading()
        self._write()

    def feed_eof(self) -> None:
        """A terminal has no end of input but the character for it."""

    def pause(self) -> None:
        """The client takes no more for now: the terminal fills, and the command waits."""
        self._paused = True
        if self._terminal is not None:
            self._loop.remove_reader(self._terminal)

    def resume(self) -> None:
        """The client takes more."""
        self._paused = False
        if self._terminal is not None and self._process is not None:
            self._loop.add_reader(self._terminal, self._read)

    def _read(self) -> None:
        assert self._terminal is not None
        try:
            data = os.read(self._terminal, _READ)
        except BlockingIOError:
            return
        except OSError:  # Linux says so when nobody has the other side open any more
            data = b""
        if data:
            self.pipe_data_received(1, data)
        else:
            self._close()
            self._outputs.clear()
            self._finish_when_drained()

    def _write(self) -> None:
        if self._terminal is None or self._process is None:
            return
        self._loop.remove_writer(self._terminal)
        try:
            del self._typed[: os.write(self._terminal, self._typed)]
        except BlockingIOError:
            pass
        except OSError:
            self._typed.clear()
        if self._typed:
            self._loop.add_writer(self._terminal, self._write)
        if len(self._typed) <= _MOST_WAITING:
            self._channel.resume_reading()

    def _close(self) -> None:
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            self._loop.remove_reader(terminal)
            self._loop.remove_writer(terminal)
            os.close(terminal)

    def _finish(self) -> None:
        self._close()
        super()._finish()


def _own_terminal() -> None:
    """In the child, which leads a session of its own: standard input becomes its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
