"""Ctrl-Z at the prompt: all of hostshell stops until a shell continues it, or ends it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

from hostshell.shell.interrupts import on_signal


def suspend(leave: Callable[[SystemExit], object]) -> None:
    """Stop, as a terminal stops who it is: the whole process group, with the workers, and a ``make`` above them.

    ``leave`` is called afterwards if a signal came meanwhile that ends us (``kill %1``).
    """
    ended: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended.append(number)
        _let_go()

    with on_signal(signal.SIGTERM, end), on_signal(signal.SIGHUP, end):
        os.kill(0, signal.SIGTSTP)
    if ended:
        leave(SystemExit(128 + ended[0]))


def _let_go() -> None:
    """Give up a terminal that another program has now: who sets its modes then is stopped (SIGTTOU), for ever here."""
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):  # closed, or hung up
            if os.isatty(descriptor) and os.tcgetpgrp(descriptor) != os.getpgrp():
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
