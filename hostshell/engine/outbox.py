"""A worker's reports on their way to the parent: what makes hosts wait while the screen is slow.

Must not know what a report is about, but for its size.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe

from hostshell.core.traffic import Glanced, Glancing, Moved, Opened, Printed, Stepped, Surveyed, Took
from hostshell.core.turns import Report

OUTBOX = 256 * 1024  # bytes of output that wait for a slow reader; beyond that the hosts wait


class Outbox:
    """Reports on their way to the parent: bounded, in order, many in one write."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._waiting: list[object] = []
        self._size = 0
        self._urgent = False
        self._deaf = False
        self._changed = threading.Condition()
        threading.Thread(target=self._send, name="outbox", daemon=True).start()

    def put(
        self,
        report: Report | Printed | Moved | Surveyed | Glancing | Glanced | Opened | Took | Stepped,
        size: int = 0,
        stopped: Callable[[], bool] | None = None,
        *,
        later: bool = False,
    ) -> None:
        """Queue a report. One of some ``size`` (bytes) waits while the box is full, or is dropped once ``stopped``.

        One that can wait for ``later`` goes with the next that cannot, or at a `flush`: each write wakes two threads.
        """
        with self._changed:
            if self._deaf:
                return
            while size and self._size >= OUTBOX and not self._deaf:
                if stopped is not None and stopped():
                    return
                self._changed.wait(0.1)
            self._waiting.append(report)
            self._size += size
            if not later:
                self._urgent = True
                self._changed.notify_all()

    def flush(self) -> None:
        """Send what could wait."""
        with self._changed:
            self._urgent = bool(self._waiting)
            self._changed.notify_all()

    def _send(self) -> None:
        while True:
            with self._changed:
                while not self._urgent:
                    self._changed.wait()
                batch, self._waiting, self._urgent = self._waiting, [], False
            try:
                self._pipe.send_bytes(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL))
            except (OSError, ValueError):
                self._deaf = True  # the parent is gone; the worker's loop sees that too, and winds up
            with self._changed:
                # only now: what the pipe holds counts as waiting too
                self._size = sum(len(item.data) for item in self._waiting if isinstance(item, Printed))
                self._changed.notify_all()
