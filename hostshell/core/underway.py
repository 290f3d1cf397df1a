"""A turn that is under way, and what is said of one that had to stop. Pure."""

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


def why_halted(reason: HaltReason, job: Job | None) -> tuple[Status, Failure]:
    """The end of a turn that was halted."""
    if reason == "timeout" and job is not None:
        return "timeout", Failure("timeout", f"not done within {job.timeout:g} s", "-t SECONDS sets the limit")
    if reason == "connect":
        return "unreachable", Failure("timeout", "the login did not end in time", "--connect-timeout sets the limit")
    return "cancelled", Failure("cancelled", "cancelled")
