"""What servers ask at logins that are under way, and when a person is asked: one question at a time, in their order.

Pure. Must not know turns beyond their numbers. A server waits for an answer no longer than its LoginGraceTime, so these
questions do not wait until everything else has settled, as new host keys do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hostshell.core.turns import Inquiry

PATIENCE = 10.0  # seconds that a question waits for other connects to settle


@dataclass(slots=True)
class _Waiting:
    turn: int
    inquiry: Inquiry
    since: float
    urgent: bool


class Inquiries:
    """The questions of one job that are open. ``asking`` is the turn whose question a person sees now."""

    def __init__(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self.asking: int | None = None

    def __len__(self) -> int:
        return len(self._queue) + (self.asking is not None)

    def add(self, turn: int, inquiry: Inquiry, now: float, *, urgent: bool) -> None:
        """A server asks; ``urgent`` where others cannot go on before it is answered, as behind a jump host."""
        self._queue.append(_Waiting(turn, inquiry, now, urgent))

    def drop(self, turn: int) -> None:
        """The turn is over: nobody needs the answer any more."""
        self._queue = deque(one for one in self._queue if one.turn != turn)
        if self.asking == turn:
            self.asking = None

    def next(self, now: float, *, settled: bool) -> tuple[int, Inquiry] | None:
        """Whom to ask for now; None where nobody is to be asked, or somebody is being asked."""
        if self.asking is not None or not self._queue:
            return None
        due = [one for one in self._queue if settled or one.urgent or now - one.since >= PATIENCE]
        if not due:
            return None
        self._queue.remove(due[0])
        self.asking = due[0].turn
        return due[0].turn, due[0].inquiry
