"""What a signal does for a while: one handler in place of another, in the main thread, where signals are handled."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def on_interrupt(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """While the block runs, SIGINT calls ``handler``. In any other thread than the main one, nothing changes."""
    with on_signal(signal.SIGINT, handler):
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C in this block comes at its end.

    For imports: in the midst of one Python may swallow it and keep a lock, and whatever else is to be loaded then waits
    for ever.
    """
    came: list[int] = []
    with on_interrupt(lambda number, _frame: came.append(number)):
        yield
    if came:
        raise KeyboardInterrupt


@contextmanager
def on_signal(number: int, handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """The same for another signal than SIGINT."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
