"""Secrets that turns of one job wait for: who waits for which, and what was answered. One answer serves all.

Pure. Must not know how anybody is asked.
"""

from __future__ import annotations

from typing import Literal

from hostshell.core.model import Secret
from hostshell.core.turns import SecretWanted


class Wanted:
    """The questions of one job, by their key."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[int]] = {}
        self._answers: dict[str, Secret | None] = {}

    def wanted(self, report: SecretWanted) -> Literal["known", "asked", "new"]:
        """One more turn wants an answer: it is there, it is being waited for, or somebody has to be asked."""
        if report.key in self._answers:
            return "known"
        first = report.key not in self._waiting
        self._waiting.setdefault(report.key, []).append(report.turn)
        return "new" if first else "asked"

    def answer(self, key: str) -> Secret | None:
        """What was answered."""
        return self._answers[key]

    def given(self, key: str, secret: Secret | None) -> list[int]:
        """An answer has come; the turns that wait for it."""
        self._answers[key] = secret
        return self._waiting.pop(key, [])
