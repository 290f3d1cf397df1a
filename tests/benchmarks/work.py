"""A work, who does it, what is measured, and the bars it is held to: rounds in turn, medians, ratios of medians.

Pure: what a contestant does is its own business; here is neither clock nor process.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Sample: TypeAlias = "Mapping[str, float]"  # what one run gave, by the name of the measure: {"wall": 0.31, "cpu": 0.2}


@dataclass(frozen=True)
class Contestant:
    """Who does the work. ``command`` is what runs, to the letter; ``once`` does it one time.

    ``rounds`` is for those that would take too long to do it as often as the others; 0 is as often as they do.
    """

    name: str
    command: str
    once: Callable[[], Sample]
    rounds: int = 0


@dataclass(frozen=True)
class Bar:
    """What is promised: the median of ``measure`` of contestant ``ours`` is at most ``limit``.

    With ``against`` it is the ratio to the median of the best (lowest) of those contestants that is at most ``limit``.
    ``unit`` is a key of `report.UNITS`, and says how an absolute figure is shown.
    """

    what: str
    ours: str
    measure: str
    limit: float
    unit: str
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """One work with all that is measured on it. ``notes`` say what a reader has to know to believe the figures.

    ``units`` has the unit of each measure that is to be shown, in order.
    """

    title: str
    contestants: tuple[Contestant, ...]
    bars: tuple[Bar, ...]
    units: Mapping[str, str]
    rounds: int = 5
    warm_up: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [contestant.name for contestant in self.contestants]
        if len(set(names)) != len(names):
            raise ValueError(f"two contestants of `{self.title}` have one name")
        for bar in self.bars:
            unknown = {bar.ours, *bar.against} - set(names)
            if unknown:
                raise ValueError(f"`{bar.what}` is about {sorted(unknown)}, who do not take part in `{self.title}`")
            if bar.measure not in self.units:
                raise ValueError(f"`{bar.what}` is about `{bar.measure}`, which `{self.title}` does not show")


@dataclass(frozen=True)
class Figure:
    """A bar and what was measured: ``value`` is what is held against the limit, ``ours`` and ``theirs`` are medians."""

    bar: Bar
    value: float
    ours: float
    theirs: float | None = None
    peer: str = ""

    @property
    def met(self) -> bool:
        """Whether the bar is met, to the digit: nothing is rounded first."""
        return self.value <= self.bar.limit


@dataclass(frozen=True)
class Done:
    """A work with all of its samples, by contestant, in the order of the rounds."""

    work: Work
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def values(self, contestant: str, measure: str) -> list[float]:
        """All that was measured of one thing."""
        return [sample[measure] for sample in self.samples[contestant] if measure in sample]

    def median(self, contestant: str, measure: str) -> float:
        """The median of what was measured of one thing."""
        return statistics.median(self.values(contestant, measure))

    def figures(self) -> list[Figure]:
        """What came of each bar."""
        return [self._figure(bar) for bar in self.work.bars]

    def _figure(self, bar: Bar) -> Figure:
        ours = self.median(bar.ours, bar.measure)
        if not bar.against:
            return Figure(bar, ours, ours)
        theirs, peer = min((self.median(name, bar.measure), name) for name in bar.against)
        return Figure(bar, ours / theirs, ours, theirs, peer)


def carry_out(work: Work, say: Callable[[str], None] = lambda _: None) -> Done:
    """Let the contestants do the work in turn (A B A B …), once for nothing if it is to be warmed up."""
    done = Done(work, {contestant.name: [] for contestant in work.contestants})
    if work.warm_up:
        say("warming up")
        for contestant in work.contestants:
            contestant.once()
    for number in range(work.rounds):
        say(f"round {number + 1} of {work.rounds}")
        for contestant in work.contestants:
            if number < (contestant.rounds or work.rounds):
                done.samples[contestant.name].append(contestant.once())
    return done


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of the values that at least ``share`` (0 to 1) of them do not pass (nearest rank)."""
    found: Sequence[float] = sorted(values)
    rank = -(-round(share * len(found) * 1_000_000) // 1_000_000)  # the ceiling, without the dust of floats
    return found[max(0, min(len(found), rank) - 1)]
