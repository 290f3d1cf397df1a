"""What is due when: alarms of turns, in the order of their times. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Alarms:
    """(when, turn, kind) each; one of a turn that is over is no harm."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []

    def set(self, when: float, turn: int, kind: str) -> None:
        """One more."""
        heapq.heappush(self._heap, (when, turn, kind))

    def next(self) -> float | None:
        """When the first is due; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[int, str]]:
        """Those whose time has come, each once."""
        while self._heap and self._heap[0][0] <= now:
            _, turn, kind = heapq.heappop(self._heap)
            yield turn, kind

    def hold(self, seconds: float) -> None:
        """All of them so much later."""
        self._heap = [(when + seconds, turn, kind) for when, turn, kind in self._heap]

    def drop(self, turn: int, kind: str) -> None:
        """None of this kind for a turn."""
        self._heap = [alarm for alarm in self._heap if alarm[1:] != (turn, kind)]
        heapq.heapify(self._heap)
