"""Secrets that turns of one job wait for: who waits for which, and what was answered. One answer serves all.

Pure. Must not know how anybody is asked.
"""

from __future__ import annotations

from hostshell.core.model import Secret
from hostshell.core.turns import AskSecret, SecretWanted, Supply


class Wanted:
    """The questions of one job, by their key."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[int, int]]] = {}  # worker and turn
        self._answers: dict[str, Secret | None] = {}

    def wanted(self, report: SecretWanted, worker: int) -> list[AskSecret | Supply]:
        """One more turn wants an answer: it is there, or somebody has to be asked, or that has been done already."""
        if report.key in self._answers:
            return [Supply(worker, report.turn, self._answers[report.key])]
        first = report.key not in self._waiting
        self._waiting.setdefault(report.key, []).append((worker, report.turn))
        return [AskSecret(report.key, report.question)] if first else []

    def given(self, key: str, secret: Secret | None) -> list[Supply]:
        """An answer has come, for all who wait for it; a worker passes over a turn that is no more."""
        self._answers[key] = secret
        return [Supply(worker, turn, secret) for worker, turn in self._waiting.pop(key, [])]
