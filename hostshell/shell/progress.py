"""One line for a whole copy: bytes, rate, time left, hosts done. Drawn on a terminal only.

Imports core only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hostshell.core.clean import clean
from hostshell.core.events import Progress
from hostshell.shell.screen import Screen
from hostshell.shell.summary import duration

REDRAW = 0.1  # seconds between two drawings


class ProgressLine:
    """Adds up what the hosts of one job have done, and draws it."""

    def __init__(self, screen: Screen, hosts: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._hosts = hosts
        self._done = 0
        self._clock = clock
        self._begun = clock()
        self._drawn = 0.0
        self._bytes: dict[str, tuple[int, int]] = {}
        self._path = ""

    def moved(self, event: Progress) -> None:
        """A copy has moved on."""
        self._bytes[event.host] = (event.bytes, event.total)
        self._path = event.path
        now = self._clock()
        if now - self._drawn >= REDRAW:
            self._drawn = now
            self._screen.status(self.text(self._screen.width - 1))

    def host_done(self) -> None:
        """One host has ended."""
        self._done += 1

    def text(self, room: int | None = None) -> str:
        """``12.0 MB of 60.0 MB, 20%, 10.1 MB/s, 5 s left, 2 of 6 hosts  NAME``; less in a ``room`` of few columns."""
        done = sum(one for one, _ in self._bytes.values())
        known = sum(total for _, total in self._bytes.values())
        if self._bytes and len(self._bytes) < self._hosts:
            known = known * self._hosts // len(self._bytes)  # hosts that have not begun will have about as much to do
        seconds = self._clock() - self._begun
        rate = done / seconds if seconds > 0.5 else 0.0
        amount = f"{size(done)} of {size(known)}"
        share = f"{min(100, done * 100 // known)}%" if known else ""
        speed = f"{size(rate)}/s" if rate else ""
        left = f"{duration((known - done) / rate)} left" if rate and known > done else ""
        hosts = f"{self._done} of {self._hosts} hosts"
        text = ""
        # each without what can be spared best
        for parts in ((amount, share, speed, left, hosts), (amount, share, left, hosts), (share, left, hosts)):
            text = ", ".join(filter(None, parts))
            if room is None or len(text) <= room:
                return f"{text}  {clean(self._path)}"  # of the path as much as there is room for
        return ", ".join(filter(None, (share or amount, hosts)))


def size(number: float) -> str:
    """Bytes as a person says them, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
