"""Which worker a host is at home with: affinity, so that its connection is warm for the next command; and who is warm.

Pure. Must not know turns.
"""

from __future__ import annotations

SURELY_WARM = 60.0  # seconds after its last use in which a connection is taken for open
START_TRIES = 3  # times that a worker may die before it was ever ready


class Homes:
    """The workers of one pool: which are ready, which are given up, and who lives where."""

    def __init__(self, workers: int) -> None:
        self.ready: set[int] = set()
        self._killed: set[int] = set()  # told to end, and not yet heard of
        self._broken: dict[int, str] = {}  # workers that do not start, and why
        self._failed_starts = dict.fromkeys(range(workers), 0)
        self._home: dict[str, int] = {}  # host name → worker
        self._behind: dict[object, int] = {}  # jump host → the worker of all that are behind it
        self._load = dict.fromkeys(range(workers), 0)  # worker → hosts at home there
        self._warm: dict[str, float] = {}  # hosts that had a connection at home, and when

    @property
    def workers(self) -> list[int]:
        """All of them, whatever their state."""
        return list(self._load)

    @property
    def why_none(self) -> str:
        """Why there is no worker for anybody."""
        return next(iter(self._broken.values()), "no worker")

    def started(self, worker: int) -> None:
        """A worker is ready."""
        self.ready.add(worker)
        self._failed_starts[worker] = 0

    def place(self, name: str, behind: object = None) -> int | None:
        """The worker for a host: its home, else the one with the fewest hosts. None when every worker is given up.

        All that are ``behind`` one jump host share a worker: it is logged in to once, so that a code is asked for once,
        and a wrong password is tried once.
        """
        worker = self._home.get(name)
        if worker is not None and worker not in self._broken:
            return worker
        usable = [w for w in self._load if w not in self._broken]
        if not usable:
            return None
        shared = self._behind.get(behind) if behind is not None else None
        worker = shared if shared in usable else min(usable, key=lambda w: (self._load[w], w))
        if behind is not None:
            self._behind[behind] = worker
        self._home[name] = worker
        self._load[worker] += 1
        return worker

    def is_warm(self, name: str, now: float) -> bool:
        """Whether a host most likely has a connection: nobody tells when one is closed for being idle."""
        return now - self._warm.get(name, float("-inf")) <= SURELY_WARM

    def warmed(self, name: str, now: float) -> None:
        """A host has its connection."""
        self._warm[name] = now

    def cooled(self, name: str) -> None:
        """A host has lost its connection."""
        self._warm.pop(name, None)

    def killed(self, worker: int) -> bool:
        """A worker is to be killed; False when it has been told already. It gets nothing more to do."""
        if worker not in self.ready:
            return False
        self.ready.discard(worker)
        self._killed.add(worker)
        return True

    def died(self, worker: int, how: str) -> bool:
        """A worker has ended and its connections with it; whether another is to be started in its place."""
        if worker in self._killed:
            self._killed.discard(worker)
        elif worker not in self.ready:
            self._failed_starts[worker] += 1
        self.ready.discard(worker)
        for name in [name for name, home in self._home.items() if home == worker]:
            del self._home[name]
            self._warm.pop(name, None)
        self._behind = {way: home for way, home in self._behind.items() if home != worker}
        self._load[worker] = 0
        if self._failed_starts[worker] >= START_TRIES:
            self._broken[worker] = how
            return False
        return True
