"""A program at a real terminal: what a person types, and the screen that a person sees (drawn by pyte).

Must not know what is tested.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TypeAlias

import pyte

PATIENCE = 20.0  # seconds for something to appear; far more than it takes
ROWS = 40
CTRL_C, CTRL_D, CTRL_Z, ENTER, TAB = "\x03", "\x04", "\x1a", "\r", "\t"
# a Ctrl-C that comes between two lines that are read is echoed by the terminal itself
PROMPT = re.compile(r"^(\^C)*hostshell[^>\n]*>$")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>78])|\r")
Files: TypeAlias = "tuple[IO[bytes], IO[bytes] | None] | None"  # standard output and error in its place


def _plain(raw: str) -> str:
    """What was written without control sequences; where a line is cleared, another begins."""
    return _SEQUENCE.sub("", raw.replace("\r\x1b[J", "\n"))


class Terminal:
    """A program at a terminal of ``columns`` (0: it tells no size) by `ROWS`.

    ``drawn`` is the screen; ``raw`` is all that was ever written. ``environ`` is added to what there is; None takes a
    variable away. ``files``: standard output, and standard error unless None, are not the terminal.
    """

    def __init__(
        self,
        words: list[str],
        cwd: Path,
        columns: int,
        environ: Mapping[str, str | None] | None = None,
        files: Files = None,
    ) -> None:
        self.raw = ""
        self._screen = pyte.HistoryScreen(columns or 80, ROWS, history=5000, ratio=0.5)
        self._screen.write_process_input = self._answer
        self._stream = pyte.Stream(self._screen)
        self._master, slave = pty.openpty()
        self._tell(columns)
        surroundings = {**os.environ, "TERM": "xterm-256color", **(environ or {})}
        self.process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave if files is None else files[0],
            stderr=slave if files is None else files[1] or slave,
            cwd=cwd,
            env={name: value for name, value in surroundings.items() if value is not None},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def _tell(self, columns: int) -> None:
        if columns:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))

    def _answer(self, text: str) -> None:
        os.write(self._master, text.encode())  # where the cursor is, when the program asks

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    @property
    def plain(self) -> str:
        """All that was ever written, without control sequences."""
        return _plain(self.raw)

    def drawn(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    def line(self) -> str:
        """The line of the cursor."""
        return self.drawn()[self._screen.cursor.y]

    def wait(self, found: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Read what the program writes until ``found``."""
        deadline = time.monotonic() + patience
        while not found():
            shown = "\n".join(self.drawn()).rstrip()
            assert time.monotonic() < deadline, f"{what} never came:\n{shown}"
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    piece = os.read(self._master, 65536)
                except OSError:  # the other side is closed
                    piece = b""
                if not piece:
                    raise EOFError(f"it ended before {what} came:\n{shown}")
                text = piece.decode(errors="replace")
                self.raw += text
                self._stream.feed(text)

    def wait_for(self, text: str) -> None:
        """Wait until ``text`` stands on the screen."""
        self.wait(lambda: any(text in line for line in self.drawn()), repr(text))

    def wait_for_line(self, line: str) -> None:
        """Wait until the cursor is in ``line``."""
        self.wait(lambda: self.line() == line, f"the line {line!r}")

    def reads(self) -> bool:
        """Whether the program reads a line: it switches bracketed paste on before, and off after."""
        return self.raw.rfind("\x1b[?2004h") > self.raw.rfind("\x1b[?2004l")

    def wait_for_prompt(self) -> None:
        """Wait until the program asks for a line and has nothing on it."""
        self.wait(lambda: self.reads() and bool(PROMPT.match(self.line())), "the prompt")

    def enter(self, line: str) -> None:
        """Type a line at the prompt, and wait until it is taken."""
        self.wait_for_prompt()
        before = len(self.raw)
        self.type(line + ENTER)
        self.wait(lambda: "\x1b[?2004l" in self.raw[before:], "the end of the line")

    def run(self, line: str) -> str:
        """Type a line at the prompt, and wait until it has been carried out: what was written meanwhile."""
        self.wait_for_prompt()
        before = len(self.raw)
        self.enter(line)
        self.wait_for_prompt()
        return _plain(self.raw[before:])

    def interrupt(self) -> None:
        """Press Ctrl-C at the prompt, and wait for the next one."""
        before = len(self.raw)
        self.type(CTRL_C)
        self.wait(lambda: "\x1b[?2004h" in self.raw[before:], "the next prompt")
        self.wait_for_prompt()

    def decline(self, found: Callable[[], bool], what: str) -> None:
        """Press Ctrl-C at a question until ``found``.

        More than once, as a person would: in the instant between the question and the call that waits for its answer,
        Python takes note of a signal and does not look at it before the call returns.
        """
        for _ in range(int(PATIENCE)):
            self.type(CTRL_C)
            with contextlib.suppress(AssertionError):
                self.wait(found, what, 1.0)
                return
        self.wait(found, what)

    def wait_for_end(self) -> int:
        """Wait until the program has ended; its exit code."""
        with contextlib.suppress(EOFError):
            self.wait(lambda: self.process.poll() is not None, "the end")
        return self.process.wait(PATIENCE)
