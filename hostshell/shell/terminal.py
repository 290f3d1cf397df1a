"""Our own terminal, lent to a host for `connect`: raw while it lasts, and given back as it was whatever happens.

What the host sends reaches it unfiltered, as with ssh; only here. Must not know sessions.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable
from types import FrameType, TracebackType

from hostshell.core.escapes import HELP, Escapes
from hostshell.core.leftovers import Leftovers
from hostshell.shell.interrupts import on_signal

_READ = 4096  # bytes read at once: what a person types, or a part of what is pasted


class Terminal:
    """The terminal of standard input and output; a context that may be entered once.

    ``leave`` is called when the person types ``~.``, or when the terminal itself has gone. ``wake`` is called by a
    signal handler when the terminal has another size. ``ahead`` gives what the prompt has read and not used.
    """

    def __init__(
        self, leave: Callable[[], None], wake: Callable[[], None], ahead: Callable[[], bytes] = lambda: b""
    ) -> None:
        self._ahead = ahead
        self._in = sys.stdin.fileno()
        self._out = sys.stdout.fileno()
        self._leave = leave
        self._wake = wake
        self._escapes = Escapes()
        self._leftovers = Leftovers()
        self._before: list[object] | None = None  # its modes before it was raw
        self._line_ended = True  # whether the last byte written was a newline, at whatever column
        self._told: tuple[int, int] | None = None
        self._looked = True
        self.drop_typed = True  # what was typed for a host that has gone must not be read as a line of ours
        self._stack = contextlib.ExitStack()

    @staticmethod
    def there() -> bool:
        """Whether standard input and output are a terminal."""
        return os.isatty(sys.stdin.fileno()) and os.isatty(sys.stdout.fileno())

    # --- life ---

    def __enter__(self) -> Terminal:
        self._stack.enter_context(on_signal(signal.SIGWINCH, self._resized))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._before is None:
            return
        # a terminal that has gone cannot be restored; nor need it be
        with contextlib.suppress(OSError, termios.error):
            self.write(self._leftovers.undo() + (b"\r" if self._line_ended else b"\r\n"))
        with contextlib.suppress(OSError, termios.error):
            when = termios.TCSAFLUSH if self.drop_typed else termios.TCSADRAIN
            termios.tcsetattr(self._in, when, self._before)  # type: ignore[arg-type]  # what tcgetattr gave
        self._before = None

    def make_raw(self) -> None:
        """From now on every key goes to the host; what was typed ahead as well."""
        if self._before is None:
            self._before = termios.tcgetattr(self._in)
            tty.setraw(self._in, termios.TCSADRAIN)

    # --- size ---

    def size(self) -> tuple[int, int]:
        """Rows and columns; 24 by 80 where it does not say."""
        try:
            found = os.get_terminal_size(self._out)
        except OSError:
            return 24, 80
        return found.lines or 24, found.columns or 80

    def told(self, size: tuple[int, int]) -> None:
        """The host has been told this size."""
        self._told = size
        self._looked = False  # it may have changed since

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        self._looked = False
        self._wake()

    # --- a `Keyboard` of the engine ---

    def fileno(self) -> int:
        return self._in

    def ahead(self) -> bytes:
        """What was typed for the host while the prompt still read."""
        return self._escaped(self._ahead())

    def read(self) -> bytes:
        """What has been typed for the host."""
        try:
            data = os.read(self._in, _READ)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:  # hung up
            self._leave()
            return b""
        return self._escaped(data)

    def _escaped(self, data: bytes) -> bytes:
        typed = self._escapes.feed(data)
        if typed.help:
            self.write("".join(f"\r\n{line}" for line in HELP).encode() + b"\r\n")
        if typed.leave:
            self._leave()
        return typed.data

    def resized(self) -> tuple[int, int] | None:
        """Rows and columns where they are not those that the host was told."""
        if self._looked:
            return None
        self._looked = True
        size = self.size()
        if size == self._told:
            return None
        self._told = size
        return size

    # --- output ---

    def show(self, data: bytes) -> None:
        """What the host sent, as it came. Raises OSError when the terminal has gone."""
        self._leftovers.feed(data)
        self.write(data)

    def write(self, data: bytes) -> None:
        """Write all of it."""
        if data:
            self._line_ended = data.endswith(b"\n")
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:  # somebody has made the terminal non-blocking
                select.select([], [self._out], [])
