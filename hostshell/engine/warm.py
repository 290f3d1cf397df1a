"""The connections of one worker: which are in use, which wait warm for the next command, and when those are closed.

Must not know orders, turns or pipes. Closing a connection joins its thread, so one thread here does that for all.
"""

from __future__ import annotations

import contextlib
import math
import resource
import sys
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from itertools import islice
from typing import TypeAlias

from hostshell.core.model import Host, login_of
from hostshell.core.traffic import OpenConnection
from hostshell.ssh.connect import Connection
from hostshell.ssh.stopping import Stopper

_Place: TypeAlias = tuple[str, str, str, int]

# of the descriptors that this process may have, a quarter is for what is no connection, such as the files of copies
RESERVE = 0.25
LEAST_RESERVE = 24  # descriptors: pipes, the agent, known_hosts, and what Python holds
MANY = 10_240  # descriptors: macOS calls its hard limit infinite, and takes no more than this

# while a laptop sleeps the monotonic clock of Linux stands still, but servers' clocks do not
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def raise_descriptor_limit() -> int:
    """Raise this process's soft limit of descriptors to the hard one; how many connections there is room for then."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (hard, MANY):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, soft - max(LEAST_RESERVE, int(soft * RESERVE)))


class Warm:
    """Connections by the name of their host. ``most``: how many there is room for; ``clock`` gives seconds.

    A connection is in use from `take` or `open` to `give_back`, else idle. An idle one is closed when its link ends,
    when it was idle for too long (`keep`), or when there is no room for another one: the oldest first.
    """

    def __init__(self, most: int = sys.maxsize, clock: Callable[[], float] = _now) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the janitor has something to do
        self._room = threading.Condition(self._lock)  # there may be room for another connection
        self._longest: float | None = None  # seconds that a connection may be idle
        self._of: dict[_Place, Connection] = {}  # the one that a host's next turn takes
        self._uses: dict[Connection, int] = {}  # every one that is open, and how many turns it serves
        self._idle: dict[Connection, float] = {}  # since when; the oldest first
        self._waste: list[Connection] = []  # to be closed
        self._closing = 0  # of these, how many the janitor has in hand
        self._opening = 0
        self._hungry = 0  # turns that wait for room
        self._wakes = -math.inf  # when the janitor looks next; it is not there yet
        self._janitor: threading.Thread | None = None

    # --- turns ---

    def take(self, host: Host) -> Connection | None:
        """The open connection for ``host``, in use from now on; None when there is none that lives and suits."""
        with self._lock:
            connection = self._of.get(_place(host))
            if connection is None:
                return None
            if not (connection.alive and login_of(connection.host) == login_of(host)):
                self._discard(connection)
                return None
            self._idle.pop(connection, None)
            self._uses[connection] += 1
            return connection

    def open(self, host: Host, make: Callable[[], Connection], stopped: Stopper) -> Connection:
        """A new connection by ``make``, in use from now on, once there is room: waits no longer than a connect may."""
        with stopped.calling(self._look_again), self._lock:
            self._make_room(host.connect_timeout, stopped)
            self._opening += 1
        connection = None
        try:
            connection = make()
        finally:
            with self._lock:
                self._opening -= 1
                if connection is None:
                    self._room.notify()
                else:
                    self._adopt(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """A turn needs it no more. Waits for nothing, also when the link has ended."""
        with self._lock:
            if connection not in self._uses:
                return
            self._uses[connection] -= 1
            if self._uses[connection]:
                return
            if not connection.alive or self._of.get(_place(connection.host)) is not connection:
                self._discard(connection)
                return
            self._idle[connection] = self._clock()
            self._room.notify()  # whoever waits for room may have this one closed
            if self._longest is not None:
                self._wake_by(self._clock() + self._longest)

    def drop(self, connection: Connection) -> None:
        """Close it, whoever uses it."""
        with self._lock:
            self._discard(connection)

    # --- orders ---

    def keep(self, longest: float | None) -> None:
        """Close what is idle for more than ``longest`` seconds (None: never), also what is idle already."""
        with self._lock:
            self._longest = longest
            if longest is not None and self._idle:
                self._wake_by(next(iter(self._idle.values())) + longest)

    def survey(self, hosts: Collection[str] | None, close: bool) -> tuple[OpenConnection, ...]:
        """The open connections to ``hosts`` (None: all); with ``close`` those that nobody uses are closed."""
        with self._lock:
            now = self._clock()
            found = []
            for connection in list(self._of.values()):
                host, since = connection.host, self._idle.get(connection)
                if hosts is not None and host.name not in hosts:
                    continue
                idle = 0.0 if since is None else max(0.0, now - since)
                via = tuple(hop.name for hop in host.jump)
                found.append(OpenConnection(host.name, host.user, host.address, host.port, idle, since is None, via))
                if close and since is not None:
                    self._discard(connection)
            return tuple(found)

    def clear(self) -> None:
        """Close every connection, those in use as well."""
        with self._lock:
            for connection in list(self._uses):
                self._discard(connection)

    def unused(self, hosts: Collection[str], most: int) -> list[Connection]:
        """At most so many connections to ``hosts`` that nobody uses, in their order; it does not count as a use.

        Those of another user or port than the name means, such as of ``-l root``, are left out.
        """
        with self._lock:
            usual = (connection for connection in self._idle if not connection.host.of_this_job)
            idle = {connection.host.name: connection for connection in usual}  # of several logins the last one
            return list(islice((idle[name] for name in hosts if name in idle), most))

    # --- the janitor ---

    def tidy(self) -> None:
        """Close what is due; waits until it is closed. The janitor's work."""
        with self._lock:
            while (due := self._due()) is not None and due <= self._clock():
                self._discard(next(iter(self._idle)))
            waste, self._waste = self._waste, []
            self._closing += len(waste)
        while waste:
            with contextlib.suppress(Exception):  # one that cannot be closed must not keep the others open
                waste.pop().close()
            with self._lock:
                self._closing -= 1
                self._room.notify()

    def _keep_house(self) -> None:
        while True:
            with self._work:
                while not self._waste:
                    due = self._due()
                    left = None if due is None else due - self._clock()
                    if left is not None and left <= 0:
                        break
                    self._wakes = math.inf if due is None else due
                    self._work.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
                self._wakes = -math.inf  # awake: it looks again before it waits
            self.tidy()

    # --- with the lock held ---

    def _due(self) -> float | None:
        if self._longest is None or not self._idle:
            return None
        return next(iter(self._idle.values())) + self._longest

    def _wake_by(self, when: float) -> None:
        """See that the janitor looks at ``when``. Mostly it does so already: a command need not wake it."""
        if self._janitor is None:
            self._wakes = math.inf
            janitor = threading.Thread(target=self._keep_house, name="janitor", daemon=True)
            try:
                janitor.start()
            except RuntimeError:  # no thread left just now; the next one who asks tries again
                return
            self._janitor = janitor
        elif when < self._wakes:
            self._wakes = when
            self._work.notify()

    def _adopt(self, connection: Connection) -> None:
        place = _place(connection.host)
        before = self._of.get(place)
        self._of[place] = connection
        self._uses[connection] = 1
        if before is not None and before in self._idle:  # one in use is closed when its turn gives it back
            self._discard(before)
        # where the link has ended before this, `give_back` sees it
        connection.transport.on_end = partial(self._ended, connection)

    def _discard(self, connection: Connection) -> None:
        if self._uses.pop(connection, None) is None:
            return
        self._idle.pop(connection, None)
        if self._of.get(_place(connection.host)) is connection:
            del self._of[_place(connection.host)]
        connection.link.close()  # the server learns of it now; descriptor and thread go when the janitor comes
        self._waste.append(connection)
        self._wake_by(-math.inf)

    def _make_room(self, patience: float, stopped: Stopper) -> None:
        deadline = time.monotonic() + patience
        self._hungry += 1
        try:
            while not stopped():
                leaving = len(self._waste) + self._closing
                if len(self._uses) + self._opening + leaving < self._most:
                    return
                if self._idle and leaving < self._hungry:
                    self._discard(next(iter(self._idle)))
                left = deadline - time.monotonic()
                if left <= 0 or not self._room.wait(left):
                    return  # whether there is really none left, the system will say
        finally:
            self._hungry -= 1

    # --- from other threads ---

    def _look_again(self) -> None:
        with self._lock:
            self._room.notify_all()

    def _ended(self, connection: Connection) -> None:
        """The link of ``connection`` has ended; called by its own thread."""
        with self._lock:
            if connection in self._idle:  # else its turn notices, and gives it back
                self._discard(connection)


def _place(host: Host) -> _Place:
    """What tells apart the connections to one host that stay warm beside each other: `-l root` closes no other."""
    return (host.name, host.user, host.address, host.port)
