"""One thread that ends what has run out of time, so that no read has to look at the clock.

Must not know links: it is told what to call, and when.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Alarm:
    """Something to be called at ``when`` (seconds on `time.monotonic`), unless it is dropped before."""

    __slots__ = ("_body", "when")

    def __init__(self, when: float, body: Callable[[], None]) -> None:
        self.when = when
        self._body: Callable[[], None] | None = body

    def drop(self) -> None:
        """Do not call; what would have been called can go."""
        self._body = None

    def ring(self) -> None:
        """Call what is to be called, at most once."""
        body, self._body = self._body, None
        if body is not None:
            body()


class Deadlines:
    """Alarms in the order of their times. Its thread starts with the first: a process may be forked before that."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._count = itertools.count()
        self._thread: threading.Thread | None = None

    def set(self, when: float, body: Callable[[], None]) -> Alarm:
        """Have ``body`` called at ``when``, in a thread of our own: it must not wait."""
        alarm = Alarm(when, body)
        with self._changed:
            heapq.heappush(self._alarms, (when, next(self._count), alarm))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            elif self._alarms[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._alarms:
                    self._changed.wait()
                left = self._alarms[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                alarm = heapq.heappop(self._alarms)[2]
            alarm.ring()


DEADLINES = Deadlines()  # one thread for all links of a process
