"""Events to results: the count of each status, the exit code of a job, the reasons why hosts failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from hostshell.core.events import EXIT_CODES, CopyCounts, Failure, Finished, Status, Summary


def exit_code(finished: Finished) -> int:
    """What one host's result counts for in the exit code."""
    return EXIT_CODES[finished.status]


@dataclass(slots=True)
class Reason:
    """Hosts that failed alike, in the order in which they ended. ``hints``: what to do, and on which of them."""

    status: Status
    message: str
    hosts: list[str] = field(default_factory=list)
    hints: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """Counts the ends of one job's hosts, and keeps the reasons of those that failed."""

    counts: dict[Status, int] = field(default_factory=dict)
    worst: int = 0
    reasons: dict[tuple[str, str], Reason] = field(default_factory=dict)
    may_still_run: list[str] = field(default_factory=list)
    copied: CopyCounts | None = None

    def add(self, finished: Finished) -> None:
        """Count one host's end."""
        self.counts[finished.status] = self.counts.get(finished.status, 0) + 1
        self.worst = max(self.worst, exit_code(finished))
        if finished.copied is not None:
            self.copied = finished.copied + (self.copied or CopyCounts())
        if finished.may_still_run:
            self.may_still_run.append(finished.host)
        if finished.status != "ok":
            error = finished.error or Failure("exit", finished.status)
            key = (finished.status, error.message)
            reason = self.reasons.setdefault(key, Reason(finished.status, error.message))
            reason.hosts.append(finished.host)
            reason.hints.setdefault(error.hint, []).append(finished.host)

    def summary(self, job: int, seconds: float) -> Summary:
        """The job's last event."""
        count = self.counts.get
        return Summary(
            job,
            ok=count("ok", 0),
            failed=count("failed", 0),
            unreachable=count("unreachable", 0),
            timeout=count("timeout", 0),
            lost=count("lost", 0),
            cancelled=count("cancelled", 0),
            seconds=seconds,
            exit_code=self.worst,
            copied=self.copied,
        )
