"""How far a copy is: one line for the whole job, and with few hosts a bar for each. Drawn on a terminal only.

Imports core only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from hostshell.core.clean import clean
from hostshell.core.events import Progress
from hostshell.shell.columns import columns, cut
from hostshell.shell.screen import Screen
from hostshell.shell.summary import duration, size

REDRAW = 0.1  # seconds between two drawings
MOST_BARS = 4  # hosts that have a bar each; of more one would look at the sum only
NARROW = 60  # columns below which there is no room for bars
SHARE_OF_ROWS = 3  # the bars and the line take no more than one row of so many: what hosts say is more
BAR = 20  # columns
MOST_OF_A_NAME = 20  # columns
SPAN = 5.0  # seconds over which a rate is taken: a host that slows down is to be seen soon
LEAST = 0.5  # seconds before which there is no rate worth a word


class Flow:
    """How fast a number grows, over the last seconds in which it could."""

    def __init__(self, now: float) -> None:
        self._samples = deque([(now, 0)])
        self._resting = False

    def add(self, now: float, total: int) -> None:
        """It is ``total`` by now."""
        samples = self._samples
        if self._resting:
            self._resting = False
            samples.clear()
        samples.append((now, total))
        while len(samples) > 2 and samples[1][0] <= now - SPAN:
            samples.popleft()

    def rest(self) -> None:
        """It cannot grow until it is added to again: the time until then counts for nothing."""
        self._resting = True

    def rate(self, now: float) -> float:
        """A second; 0 where that cannot be said."""
        then, before = self._samples[0]
        if self._resting or now - then <= LEAST:
            return 0.0
        return max(0.0, (self._samples[-1][1] - before) / (now - then))


class ProgressLine:
    """Adds up what the hosts of one job have done, and draws it. ``hosts`` are their names."""

    def __init__(self, screen: Screen, hosts: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._hosts = len(hosts)
        self._done = 0
        self._clock = clock
        now = clock()
        self._drawn = 0.0
        self._flow = Flow(now)
        self._bytes: dict[str, tuple[int, int]] = {}
        self._moved: dict[str, int] = {}  # without what was there already: that says nothing of the line's speed
        self._moving: set[str] = set()
        self._comparing: dict[str, int] = {}  # bytes of the hosts where nothing moves meanwhile
        self._path = ""
        self._bars = {host: _Bar(host, now) for host in hosts} if self._hosts <= MOST_BARS else {}

    def moved(self, event: Progress) -> None:
        """A copy has moved on."""
        now = self._clock()
        self._bytes[event.host] = (event.bytes, event.total)
        self._path = event.path
        self._moved[event.host] = event.bytes - event.saved
        if event.comparing:
            self._moving.discard(event.host)
            self._comparing[event.host] = event.comparing
        else:
            self._moving.add(event.host)
            self._comparing.pop(event.host, None)
            self._flow.add(now, sum(self._moved.values()))
        self._rest()
        bar = self._bars.get(event.host)
        if bar is not None:
            bar.moved(event, now)
        if now - self._drawn >= REDRAW or event.comparing:  # of a comparison there is one event, and it may be long
            self._draw(now)

    def host_done(self, host: str) -> None:
        """One host has ended: it has no bar any more."""
        self._done += 1
        self._bars.pop(host, None)
        self._moving.discard(host)
        self._comparing.pop(host, None)
        self._rest()

    def _rest(self) -> None:
        if self._comparing and not self._moving:
            self._flow.rest()

    def again(self) -> None:
        """What is left is drawn again at once, below a line that was just written."""
        if self._bytes and self._done < self._hosts:
            self._draw(self._clock())

    def _draw(self, now: float) -> None:
        self._drawn = now
        self._screen.status(*self.rows(self._screen.width - 1, self._screen.height))

    def rows(self, room: int, height: int) -> list[str]:
        """The rows for a terminal of ``height`` rows with a ``room`` of so many columns: the bars, then the sum."""
        if not self._bars or room < NARROW or (len(self._bars) + 1) * SHARE_OF_ROWS > height:
            return [self.text(room)]
        now = self._clock()
        names = max(min(MOST_OF_A_NAME, columns(host)) for host in self._bars)
        return [*(bar.text(now, names) for bar in self._bars.values()), self.text(room, path=False)]

    def text(self, room: int | None = None, *, path: bool = True) -> str:
        """``12.0 MB of 60.0 MB, 20%, 10.1 MB/s, 5 s left, 2 of 6 hosts  NAME``; less in a ``room`` of few columns.

        ``comparing 4.3 GB, 2 of 6 hosts  NAME`` while nothing moves for that reason.
        """
        done = sum(one for one, _ in self._bytes.values())
        known = sum(total for _, total in self._bytes.values())
        if self._bytes and len(self._bytes) < self._hosts:
            known = known * self._hosts // len(self._bytes)  # hosts that have not begun will have about as much to do
        rate = self._flow.rate(self._clock())
        amount = f"{size(done)} of {size(known)}"
        share = f"{min(100, done * 100 // known)}%" if known else ""
        speed = f"{size(rate)}/s" if rate else ""
        left = f"{duration((known - done) / rate)} left" if rate and known > done else ""
        hosts = f"{self._done} of {self._hosts} hosts"
        compare = f"{len(self._comparing)} comparing" if self._comparing else ""
        text = ""
        # each without what can be spared best
        forms = [
            (amount, share, speed, left, hosts, compare),
            (amount, share, speed, left, hosts),
            (amount, share, left, hosts),
            (share, left, hosts),
        ]
        if compare and not self._moving:
            share = "comparing"
            forms = [(f"{share} {size(sum(self._comparing.values()))}", hosts)]
        for parts in forms:
            text = ", ".join(filter(None, parts))
            if room is None or len(text) <= room:
                return f"{text}  {clean(self._path)}" if path else text  # of the path as much as there is room for
        return ", ".join(filter(None, (share or amount, hosts)))


class _Bar:
    """One host's row."""

    def __init__(self, host: str, now: float) -> None:
        self._host = clean(host)
        self._flow = Flow(now)
        self._last: Progress | None = None

    def moved(self, event: Progress, now: float) -> None:
        """Its copy has moved on."""
        self._last = event
        if event.comparing:
            self._flow.rest()
        else:
            self._flow.add(now, event.bytes - event.saved)

    def text(self, now: float, names: int) -> str:
        """``web01 [########............]  40%, 12.0 MB, 3.1 MB/s  NAME``; the host's name in so many columns."""
        name = cut(self._host, names)
        name += " " * (names - columns(name))
        event = self._last
        if event is None:
            return f"{name} [{'.' * BAR}]"
        done = min(1.0, event.bytes / event.total) if event.total else 0.0
        bar = ("#" * int(done * BAR)).ljust(BAR, ".")
        rate = self._flow.rate(now)
        speed = f", {size(rate)}/s" if rate else ""
        if event.comparing:
            speed = f", comparing {size(event.comparing)}"
        return f"{name} [{bar}] {int(done * 100):3d}%, {size(event.bytes)}{speed}  {clean(event.path)}"
