"""Who may use the pool's pipes: its owner always, a glance from another thread only while nobody else does.

Must not know what goes through the pipes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType


class Turnstile:
    """``with turnstile:`` is the owner's way in: it sends a glance away (``wake`` ends its wait) and keeps others out.

    The owner may go in again within. A glance asks with `slip_in`, looks at `hurried` whenever it wakes, and leaves
    with `slip_out`.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._changed = threading.Condition()
        self._inside = 0  # how many times the owner has gone in
        self._glancing = False

    def __enter__(self) -> None:
        with self._changed:
            self._inside += 1
            try:
                while self._glancing:
                    self._wake()
                    self._changed.wait()
            except BaseException:  # Ctrl-C
                self._inside -= 1
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1

    def slip_in(self) -> bool:
        """Whether a glance may go in now. It never waits."""
        with self._changed:
            if self._inside or self._glancing:
                return False
            self._glancing = True
            return True

    @property
    def hurried(self) -> bool:
        """Whether the owner waits for the glance to leave."""
        return self._inside > 0

    def slip_out(self) -> None:
        """The glance is over."""
        with self._changed:
            self._glancing = False
            self._changed.notify_all()
