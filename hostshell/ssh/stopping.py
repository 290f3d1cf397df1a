"""The word to stop, from one thread to another that may be waiting anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopper:
    """False when called, until `stop` was; then true for ever. What must wake up registers with `calling`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._callbacks: list[Callable[[], None]] = []

    def __call__(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Say stop, and wake what waits."""
        with self._lock:
            self._stopped = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `stop` calls ``callback`` (at once when it has been called already)."""
        with self._lock:
            self._callbacks.append(callback)
            late = self._stopped
        if late:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
