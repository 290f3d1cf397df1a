"""A program at a terminal of its own (a pty), and the moments at which things stand on it.

Must not know what the program is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>78])|\r")
_WHERE = b"\x1b[6n"  # a program asks where the cursor is; a real terminal answers at once


class Terminal:
    """Starts ``words`` at a terminal of 120 columns by 40. ``begun`` is the moment (monotonic) before that.

    What it writes is read only in `read`. Leaving the context ends the program, by force if need be.
    """

    def __init__(self, words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
        self.raw = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, patience: float = 5.0) -> None:
        """Hang up, wait, and kill the program if it does not mind."""
        with contextlib.suppress(OSError):
            os.close(self._master)
        try:
            self.process.wait(0 if self.process.poll() is not None else patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # its session is its own
            self.process.wait()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def plain(self, begin: int = 0) -> bytes:
        """What was written from offset ``begin`` of `raw` on, without control sequences."""
        return _SEQUENCE.sub(b"", self.raw[begin:])

    def read(self, deadline: float) -> tuple[bytes, float]:
        """The next piece that the program writes, and when it was there (monotonic).

        Raises `TimeoutError` at the deadline, and `EOFError` when the program has closed the terminal.
        """
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError(f"nothing more came; the last was: {self.plain()[-500:].decode(errors='replace')}")
        try:
            piece = os.read(self._master, 65536)
        except OSError:
            piece = b""  # the other side is closed
        moment = time.monotonic()
        if not piece:
            raise EOFError(f"the program ended; the last was: {self.plain()[-500:].decode(errors='replace')}")
        self.raw += piece
        if _WHERE in piece:
            self.type("\x1b[1;1R")
        return piece, moment

    def moment_of(self, text: bytes, *, begin: int = 0, patience: float = 60.0) -> float:
        """Read until ``text`` has been drawn after offset ``begin``; when the piece with its end was there."""
        return self.moment_when(lambda: text in self.plain(begin), patience)

    def moment_when(self, found: Callable[[], bool], patience: float = 60.0) -> float:
        """Read until ``found``; when the piece that made it so was there."""
        deadline = time.monotonic() + patience
        moment = time.monotonic()
        while not found():
            _, moment = self.read(deadline)
        return moment

    def leave(self, keys: str, patience: float = 10.0) -> None:
        """Press ``keys`` and read until the program has ended."""
        self.type(keys)
        with contextlib.suppress(EOFError):
            deadline = time.monotonic() + patience
            while True:
                self.read(deadline)
        self.process.wait(patience)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
