"""The turns that are under way, by number and phase, and what is said of one that had to stop. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hostshell.core.events import Failure, Status
from hostshell.core.lineup import Entry
from hostshell.core.model import Job
from hostshell.core.turns import HaltReason

Phase = Literal["connecting", "asking", "running", "halted"]


@dataclass(slots=True)
class UnderWay:
    """A turn between its beginning and its end."""

    number: int
    entry: Entry
    worker: int
    began: float
    phase: Phase = "connecting"
    halt: HaltReason | None = None
    connected: bool = False


class Turns:
    """The turns of a job that are under way. Numbers are never given twice, whatever job a turn belongs to."""

    def __init__(self) -> None:
        self.next = 1
        self._of: dict[int, UnderWay] = {}
        self._in: dict[Phase, int] = {}

    def clear(self) -> None:
        """Nothing is under way."""
        self._of = {}
        self._in = {"connecting": 0, "asking": 0, "running": 0, "halted": 0}

    @property
    def busy(self) -> int:
        """Those that count for the fan-out: one that waits for a person does not."""
        return len(self._of) - self._in["asking"]

    @property
    def connecting(self) -> int:
        """Those whose connect may still bring something to ask a person."""
        return self._in["connecting"]

    def begin(self, entry: Entry, worker: int, now: float) -> UnderWay:
        """A new one, which connects."""
        turn = UnderWay(self.next, entry, worker, now)
        self.next += 1
        self._of[turn.number] = turn
        self._in["connecting"] += 1
        return turn

    def get(self, number: int) -> UnderWay | None:
        """The turn of this number; None when it has ended."""
        return self._of.get(number)

    def all(self, worker: int | None = None) -> list[UnderWay]:
        """Those under way, in one worker or anywhere, in their order."""
        return [turn for turn in self._of.values() if worker in (None, turn.worker)]

    def move(self, turn: UnderWay, phase: Phase) -> None:
        """A turn enters another phase."""
        self._in[turn.phase] -= 1
        self._in[phase] += 1
        turn.phase = phase

    def end(self, turn: UnderWay) -> None:
        """A turn is over."""
        del self._of[turn.number]
        self._in[turn.phase] -= 1


def why_halted(reason: HaltReason, job: Job | None) -> tuple[Status, Failure]:
    """The end of a turn that was halted."""
    if reason == "timeout" and job is not None:
        return "timeout", Failure("timeout", f"not done within {job.timeout:g} s", "-t SECONDS sets the limit")
    if reason == "connect":
        return "unreachable", Failure("timeout", "the login did not end in time", "--connect-timeout sets the limit")
    return "cancelled", Failure("cancelled", "cancelled")
