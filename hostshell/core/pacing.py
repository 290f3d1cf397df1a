"""How many connects one endpoint gets at a time: many until it pushes back, then half, then slowly more.

Pure, and the same after the same calls, so that replays agree. Must not know workers, turns or how a host ended.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from hostshell.core.model import Host

# Connects at a time to an endpoint that takes all it gets. The kernel queues 128 for sshd (SSH_LISTEN_BACKLOG in its
# sshd.c) and drops what comes beyond, unseen by both sides; that is sent again after 1 s, 3 s and 7 s.
MOST_AT_ONCE = 100
PAUSE_FIRST = 0.25  # seconds before a connect that was pushed back is tried again; doubles while nobody is let in
PAUSE_MOST = 4.0
WORTH_A_NOTE = 1.0  # seconds that a host has waited for its endpoint; less matters to nobody
MOST_NAMED = 3  # endpoints that notes tell apart; beyond that one sentence is for all

Endpoint: TypeAlias = tuple[str, int]


def endpoint_of(host: Host) -> Endpoint:
    """What a connect to ``host`` meets first, and what pushes back when there are too many."""
    if host.jump:
        host = host.jump[0]
    return (host.address, host.port)


@dataclass(slots=True)
class _Gate:
    """One endpoint."""

    limit: int = MOST_AT_ONCE  # connects at a time
    held: int = 0  # connects under way, with those that have been given their place already
    pace_since: int = 0  # the first connect that was begun at the present pace
    let_in: int = 0  # connects that went well at the present limit, while it held others back
    let_in_at: float = float("-inf")
    rounds: int = 0  # in which it has pushed back since it let somebody in
    queue: list[tuple[float, int, str]] = field(default_factory=list)  # a heap: (not before, in turn, host)
    # of this job
    dropped: int = 0
    longest: float = 0.0
    slowed: dict[str, None] = field(default_factory=dict)  # hosts, in order

    @property
    def room(self) -> bool:
        return self.held < self.limit


class Pacing:
    """The endpoints of one pool, and the hosts that wait for them.

    Additive increase, multiplicative decrease, as TCP does (RFC 5681): what is pushed back in one round of connects
    halves the pace once, and a round that went well adds one. What was learned holds for the next job.
    """

    def __init__(self) -> None:
        self._gates: dict[Endpoint, _Gate] = {}
        self._due: list[tuple[float, Endpoint]] = []  # a heap of the moments at which somebody's pause is over
        self._changed: dict[Endpoint, None] = {}  # endpoints that may have got room
        self._tickets = 0

    def new_job(self) -> None:
        """Nobody is under way; what is told at the end is counted anew. `stop` comes before."""
        # who let nobody in has shown no pace that can be kept to
        kept = {at: gate for at, gate in self._gates.items() if gate.limit < MOST_AT_ONCE and not gate.rounds}
        self._gates = {at: _Gate(gate.limit, pace_since=gate.pace_since) for at, gate in kept.items()}

    def stop(self) -> None:
        """Nobody waits any more."""
        for gate in self._gates.values():
            gate.queue.clear()
        self._due.clear()
        self._changed.clear()

    def limit(self, at: Endpoint) -> int:
        """Connects at a time."""
        return self._gate(at).limit

    def held(self, at: Endpoint) -> int:
        """Connects under way, with those that may begin."""
        return self._gate(at).held

    def overfull(self, at: Endpoint) -> bool:
        """Whether more have their place than may have it by now."""
        gate = self._gate(at)
        return gate.held > gate.limit

    def let_in_at(self, at: Endpoint) -> float:
        """When it last let somebody of this job in; minus infinity for never."""
        return self._gate(at).let_in_at

    # --- one connect ---

    def take(self, at: Endpoint, *, warm: bool = False) -> bool:
        """Whether one more connect may begin, which then has its place; `give_back` ends it.

        A ``warm`` host, which hardly has to connect, may always begin, and is counted in case that it has to.
        """
        gate = self._gate(at)
        if not (gate.room or warm):
            return False
        gate.held += 1
        return True

    def give_back(self, at: Endpoint, now: float, *, let_in: bool = False) -> None:
        """A connect is over; ``let_in`` when the endpoint took it, whatever came of the login."""
        gate = self._gate(at)
        if let_in:
            gate.rounds = 0
            gate.let_in_at = now
            # more had begun at a pace that was too quick, and fewer show nothing
            if gate.held == gate.limit < MOST_AT_ONCE:
                gate.let_in += 1
                if gate.let_in >= gate.limit:
                    gate.limit += 1
                    gate.let_in = 0
        gate.held -= 1
        self._changed[at] = None

    def pushed_back(self, at: Endpoint, turn: int, next_turn: int) -> None:
        """The connect of ``turn`` was dropped; `give_back` comes on its own. ``next_turn`` is the next to begin."""
        gate = self._gate(at)
        gate.dropped += 1
        if turn < gate.pace_since:
            return  # it had begun before the endpoint was heard
        gate.limit = max(1, min(gate.limit, gate.held) // 2)
        gate.pace_since = next_turn
        gate.let_in = 0
        gate.rounds += 1

    # --- those who wait ---

    def pause(self, at: Endpoint, seed: str) -> float:
        """Seconds before a connect that was pushed back is tried again. Jitter from ``seed`` alone."""
        most = min(PAUSE_MOST, PAUSE_FIRST * 2.0 ** min(10, max(0, self._gate(at).rounds - 1)))
        return most * random.Random(seed).uniform(0.5, 1.0)  # noqa: S311  # no secret

    def wait(self, at: Endpoint, name: str, pause: float, now: float) -> None:
        """A host waits for its turn there: for ``pause`` seconds at least, and behind those who may go before it.

        Without a pause it waits for a place, so there must be none.
        """
        self._tickets += 1
        gate = self._gate(at)
        heapq.heappush(gate.queue, (now + pause, self._tickets, name))
        if pause:
            heapq.heappush(self._due, (now + pause, at))

    def next_alarm(self) -> float | None:
        """When somebody's pause is over; None when only an end of a connect can let anybody go on."""
        return self._due[0][0] if self._due else None

    def released(self, now: float) -> Iterator[str]:
        """The hosts that may begin now; each has its place from here on, as with `take`."""
        while self._due and self._due[0][0] <= now:
            self._changed[heapq.heappop(self._due)[1]] = None
        while self._changed:
            at = next(iter(self._changed))
            gate = self._gate(at)
            if not (gate.queue and gate.queue[0][0] <= now and gate.room):
                del self._changed[at]
                continue
            gate.held += 1
            yield heapq.heappop(gate.queue)[2]

    # --- what a person is told ---

    def waited(self, at: Endpoint, name: str, seconds: float) -> None:
        """A host has waited for its endpoint so long, over all its tries."""
        gate = self._gate(at)
        gate.longest = max(gate.longest, seconds)
        gate.slowed[name] = None

    def notes(self) -> Iterator[tuple[str, str]]:
        """(host, sentence) for the hosts of endpoints whose pushing back mattered in this job."""
        told = [(at, gate) for at, gate in self._gates.items() if gate.dropped and gate.longest >= WORTH_A_NOTE]
        told = [(at, gate) for at, gate in told if gate.let_in_at > float("-inf")]  # else the failures say it all
        shared = [at for at, gate in told if len(gate.slowed) > 1]
        for at, gate in told:
            text = "connections to it were dropped at first, so it was tried again more slowly"
            if at in shared and len(shared) <= MOST_NAMED:
                dropped = f"{gate.dropped} connection{'s' if gate.dropped > 1 else ''}"
                text = f"{_shown(at)} dropped {dropped}; connected to it {gate.limit} at a time"
            for name in gate.slowed:
                yield name, text

    def _gate(self, at: Endpoint) -> _Gate:
        gate = self._gates.get(at)
        if gate is None:
            gate = self._gates[at] = _Gate()
        return gate


def _shown(at: Endpoint) -> str:
    address, port = at
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
