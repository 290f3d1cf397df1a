"""What a command reads on its standard input: local files, sent as fast as the far side takes them.

Memory is one piece a command. A host that is slow, or that never reads, holds up nobody but itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

import paramiko

from hostshell.core.model import LocalFile

PIECE = 32 * 1024  # bytes read from a file at once
AT_ONCE = 16  # pieces sent before somebody looks whether there is output


class InputChanged(Exception):
    """A file is no more what it was when the job was made: the hosts would not get the same bytes.

    ``started``: the command may run already, with a part of them.
    """

    def __init__(self, message: str, *, started: bool) -> None:
        super().__init__(message)
        self.started = started


class Feed:
    """The bytes of ``files``, one after the other, and then the end of the input, or ``ending`` in its place."""

    def __init__(self, files: Iterable[LocalFile] = (), ending: bytes | None = None) -> None:
        self._files = list(files)
        self._ending = ending
        self._open: int | None = None
        self._left = 0
        self._piece = memoryview(b"")
        self.done = False

    def pump(self, channel: paramiko.Channel) -> bool:
        """Send what the far side has room for; True when anything was sent. Raises `InputChanged`, and OSError."""
        for count in range(AT_ONCE):
            if self.done or channel.closed or not channel.send_ready():
                return count > 0
            self.prepare()
            try:
                if self._piece:
                    self._piece = self._piece[channel.send(self._piece) :]  # type: ignore[arg-type]  # any buffer does
                else:
                    self.done = True
                    if self._ending is None:
                        channel.shutdown_write()
            except OSError:
                if not channel.closed:
                    raise
                self.done = True  # the command has ended meanwhile
        return True

    def prepare(self) -> None:
        """Have the next piece at hand. Raises `InputChanged`."""
        if not self._piece:
            self._piece = memoryview(self._read())
            if not self._piece and self._ending:
                self._piece, self._ending = memoryview(self._ending), b""

    def close(self) -> None:
        """Give the file back that is open, if one is."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                os.close(self._open)
            self._open = None

    def _read(self) -> bytes:
        """The next piece; empty at the end of all."""
        while self._files:
            file = self._files[0]
            if self._open is None:
                self._open, self._left = _opened(file), file.size
            if self._left:
                piece = os.read(self._open, min(PIECE, self._left))
                if not piece:
                    raise InputChanged(f"{file.path} became shorter while it was being sent", started=True)
                self._left -= len(piece)
                return piece
            self.close()
            self._files.pop(0)
        return b""


def _opened(file: LocalFile) -> int:
    try:
        number = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InputChanged(f"{file.path} cannot be read any more: {error.strerror}", started=False) from None
    found = os.fstat(number)
    if (found.st_size, found.st_ino, found.st_mtime_ns) != (file.size, file.inode, file.changed):
        os.close(number)
        raise InputChanged(f"{file.path} has changed since the command began", started=False)
    return number
