"""Standard output and standard error as one screen: colour or not, a status line that comes and goes, whole writes.

Must not know events. Everything that comes from a host is cleaned before it gets here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import zlib
from collections.abc import Mapping
from typing import TextIO

from hostshell.core.errors import HostshellError
from hostshell.shell.columns import broken, columns, cut

LEAST_ROOM = 10  # columns below which there is no use in breaking lines
FEW_ROWS = 24  # of a terminal that does not tell
DUMB = ("", "dumb", "unknown")  # values of TERM for a terminal that knows no control sequence
# The status ends with the cursor at the first column of its first row: a terminal that is made narrower and breaks that
# row into several keeps the cursor at the first of them, and one that does not keeps it there too. All below is ours.
_CLEAR_STATUS = "\r\x1b[J"
_NAME_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "93", "95", "94")
BOLD, DIM, RED, YELLOW, GREEN = "1", "2", "31", "33", "32"


class OutputClosed(Exception):
    """Whoever read our output has gone (``| head``)."""


class OutputFailed(HostshellError):
    """Our own output cannot be written: a full disk, say."""

    exit_code = 1


class Screen:
    """Where views write. ``colour`` None: colour on a terminal, unless NO_COLOR is set or TERM is dumb."""

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        *,
        colour: bool | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._out = out if out is not None else sys.stdout
        self._err = err if err is not None else sys.stderr
        self._environ = environ
        self._status: tuple[str, ...] = ()
        self.choose_colour(colour)

    def choose_colour(self, colour: bool | None) -> None:
        """True, False, or None for what the terminal and the environment say."""
        plain = bool(self._environ.get("NO_COLOR")) or self.dumb
        self.out_colour = colour if colour is not None else self._out.isatty() and not plain
        self.err_colour = colour if colour is not None else self._err.isatty() and not plain

    @property
    def dumb(self) -> bool:
        """Whether TERM is unset or says that the terminal knows no control sequence: it gets none."""
        return self._environ.get("TERM", "").lower() in DUMB

    @property
    def drawable(self) -> bool:
        """Whether standard output or standard error is a terminal."""
        return self._out.isatty() or self._err.isatty()

    @property
    def interactive(self) -> bool:
        """Whether a status line can be drawn: standard error is a terminal that can move its cursor."""
        return self._err.isatty() and not self.dumb

    @property
    def width(self) -> int:
        """Columns of the terminal, asked for each time: it may be resized, and any of the streams may be a file."""
        return self._size().columns

    @property
    def height(self) -> int:
        """Rows of the terminal."""
        return self._size().lines

    def _size(self) -> os.terminal_size:
        for stream in (self._err, self._out):
            with contextlib.suppress(OSError, ValueError):  # no terminal; no file at all
                found = os.get_terminal_size(stream.fileno())
                if found.columns:
                    return os.terminal_size((found.columns, found.lines or FEW_ROWS))
        return shutil.get_terminal_size()

    def overflows(self, text: str) -> bool:
        """Whether standard error is a terminal that would break ``text``, wherever its edge is."""
        return self._err.isatty() and columns(text) > self.width

    def name(self, host: str, colour: bool) -> str:
        """A host's prefix. The same host has the same colour in every command."""
        if not colour:
            return f"{host}: "
        shade = _NAME_COLOURS[zlib.crc32(host.encode()) % len(_NAME_COLOURS)]
        return f"\x1b[{shade}m{host}:\x1b[0m "

    def paint(self, text: str, *styles: str) -> str:
        """``text`` for standard error, in ``styles`` where colour is on."""
        if not self.err_colour or not styles:
            return text
        return f"\x1b[{';'.join(styles)}m{text}\x1b[0m"

    def wrapped(self, text: str, indent: str, *styles: str) -> str:
        """``text`` for standard error as indented lines that break between words where a terminal would break them."""
        lines = [text]
        if self._err.isatty():
            room = self.width - len(indent)
            if LEAST_ROOM <= room < columns(text):
                lines = broken(text, room)
        return "\n".join(indent + self.paint(line, *styles) for line in lines)

    def out(self, text: str) -> None:
        """Write to standard output, now."""
        self._clear()
        self._write(self._out, text)

    def err(self, text: str) -> None:
        """Write to standard error, now."""
        self._clear()
        self._write(self._err, text)

    def status(self, *texts: str) -> None:
        """Show ``texts`` as the last rows until the next write; nothing where `interactive` is false."""
        if not self.interactive:
            return
        encoding = self._err.encoding or "utf-8"  # an escape for what it cannot say is longer than the character
        room = max(1, self.width - 1)
        rows = tuple(cut(text.encode(encoding, "backslashreplace").decode(encoding), room) for text in texts)
        if rows != self._status:
            self._status = rows
            back = f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else ""
            self._write(self._err, "{}{}\r{}".format(_CLEAR_STATUS, "\r\n".join(rows), back))

    def _clear(self) -> None:
        if self._status:
            self._status = ()
            self._write(self._err, _CLEAR_STATUS)

    def done(self) -> None:
        """Take the status line away."""
        self._clear()

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputFailed(f"cannot write the output: {reason}", "what was running has been stopped") from None
