"""Who is next: the hosts of a job that wait, for a worker (affinity) or for the endpoint that they connect to (pacing).

Pure. Must not know the fan-out, alarms, or how a turn ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hostshell.core.events import Failure
from hostshell.core.homes import Homes
from hostshell.core.model import Host
from hostshell.core.pacing import Endpoint, Pacing, endpoint_of
from hostshell.core.turns import NewKey

LEAST_CONNECT = 0.1  # seconds that a try of a connect has at least


@dataclass(slots=True)
class Entry:
    """One host of the job, over all its tries. Moments are on the scheduler's clock."""

    host: Host
    order: int
    begun: float | None = None  # its first connect, moved on by what it then waited for a worker: for its patience
    attempts: int = 0
    spent: float = 0.0  # seconds of its turn in the tries that are over; waiting counts for nothing
    waited: float = 0.0  # seconds that it has waited for its endpoint
    since: float = 0.0  # when it began to wait where it waits now
    has_place: bool = False  # its endpoint counts it
    warm: bool = False  # it had a connection when its try began
    failure: Failure | None = None  # why its last try came to nothing

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.host)

    def accept(self, offer: NewKey) -> None:
        """A person has accepted this key, of the host itself or of one of its jump hosts."""
        if offer.host == self.host.name:
            self.host = replace(self.host, accepted_key=offer.key)
        else:
            way = (replace(hop, accepted_key=offer.key) if hop.name == offer.host else hop for hop in self.host.jump)
            self.host = replace(self.host, jump=tuple(way))


class Lineup:
    """The hosts of one job that are not under way, in the order in which they get their turn.

    A host that waits for its endpoint stands in nobody's way: it is in no worker's queue.
    """

    def __init__(self, workers: int) -> None:
        self.homes = Homes(workers)
        self.pacing = Pacing()
        self._queues: dict[int, deque[Entry]] = {worker: deque() for worker in self.homes.workers}
        self._waiting: dict[str, Entry] = {}  # for their endpoint

    def new_job(self) -> None:
        """An empty line."""
        self.stop()
        self.pacing.new_job()

    @property
    def anybody(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting) or any(self._queues.values())

    def add(self, entry: Entry, now: float) -> bool:
        """Put a host in the line of its worker; False when there is no worker for anybody."""
        worker = self.homes.place(entry.host.name, entry.endpoint if entry.host.jump else None)
        if worker is None:
            self.leave(entry, now)
            return False
        if entry.has_place:
            self._queues[worker].appendleft(entry)  # its endpoint waits for it, and with it others do
        else:
            self._queues[worker].append(entry)
        return True

    def put_off(self, entry: Entry, pause: float, now: float) -> None:
        """A host waits for its endpoint, ``pause`` seconds at least."""
        entry.since = now
        self._waiting[entry.host.name] = entry
        self.pacing.wait(entry.endpoint, entry.host.name, pause, now)

    def again(self, entry: Entry, seed: str, timeout: float | None, now: float) -> bool:
        """Let a host that was pushed back wait and connect again; False when its patience ends before.

        ``timeout`` as `Job` has it. ``seed`` gives the jitter.
        """
        pause = self.pacing.pause(entry.endpoint, seed)
        if now + pause >= self.patience(entry, timeout):
            return False
        self.put_off(entry, pause, now)
        return True

    def patience(self, entry: Entry, timeout: float | None) -> float:
        """Until when a host that is pushed back goes on trying.

        As long as one connect may take, from its first try on, or from the last time that its endpoint let anybody in:
        where others get in, its turn comes.
        """
        assert entry.begun is not None
        limit = entry.host.connect_timeout if timeout is None else min(timeout, entry.host.connect_timeout)
        return max(entry.begun, self.pacing.let_in_at(entry.endpoint)) + limit

    def connect_limit(self, entry: Entry, now: float) -> float:
        """Seconds for a try that begins now: all tries together have one limit, unless others got in meanwhile."""
        assert entry.begun is not None
        whole = entry.host.connect_timeout
        if entry.attempts == 1 or self.pacing.let_in_at(entry.endpoint) > entry.begun:
            return whole
        return max(LEAST_CONNECT, entry.begun + whole - now)

    def released(self, now: float) -> Iterator[Entry]:
        """Those who need not wait for their endpoint any longer. `add` or `leave` them one by one."""
        for name in self.pacing.released(now):
            entry = self._waiting.pop(name)
            entry.has_place = True
            entry.waited += now - entry.since
            entry.since = now
            self.pacing.waited(entry.endpoint, name, entry.waited)
            yield entry

    def leave(self, entry: Entry, now: float, *, let_in: bool = False) -> None:
        """A host does not connect any more; ``let_in`` when its endpoint took the connect."""
        if entry.has_place:
            entry.has_place = False
            self.pacing.give_back(entry.endpoint, now, let_in=let_in and not entry.warm)

    def next(self, now: float) -> tuple[Entry, int] | None:
        """Whose turn it is and in which worker; None when nobody can begin."""
        while True:
            ready = [worker for worker in self.homes.ready if self._queues[worker]]
            if not ready:
                return None
            # in the order that the person gave, which also takes the workers in turn
            worker = min(ready, key=lambda w: self._queues[w][0].order)
            entry = self._queues[worker].popleft()
            if entry.has_place and self.pacing.overfull(entry.endpoint):
                self.leave(entry, now)  # it has been slowed down meanwhile
            entry.warm = self.homes.is_warm(entry.host.name, now)
            if entry.has_place or self.pacing.take(entry.endpoint, warm=entry.warm):
                entry.has_place = True
                return entry, worker
            self.put_off(entry, 0.0, now)

    def died(self, worker: int) -> list[Entry]:
        """Those who waited for a worker that has ended; `add` them again."""
        waiting, self._queues[worker] = self._queues[worker], deque()
        return list(waiting)

    def stop(self) -> None:
        """Nobody waits any more, and nobody begins before the next job."""
        for queue in self._queues.values():
            queue.clear()
        self._waiting.clear()
        self.pacing.stop()
