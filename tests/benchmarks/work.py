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

    ``rounds`` is for those that would take too long to do it as often as the others; 0 is as often as they do. A
    ``peer`` may fail: then it takes part no more, and the rest goes on.
    """

    name: str
    command: str
    once: Callable[[], Sample]
    rounds: int = 0
    peer: bool = False


@dataclass(frozen=True)
class Bar:
    """What is promised: the median of ``measure`` of contestant ``ours`` is at most ``limit``.

    With ``against`` it is the ratio to the median of the best (lowest) of those contestants that is at most ``limit``.
    ``worst``: not the median of ours but the highest of all rounds. ``unit`` is a key of `report.UNITS`, and says how
    an absolute figure is shown.
    """

    what: str
    ours: str
    measure: str
    limit: float
    unit: str
    against: tuple[str, ...] = ()
    worst: bool = False


@dataclass(frozen=True)
class Work:
    """One work with all that is measured on it. ``notes`` say what a reader has to know to believe the figures.

    ``units`` has the unit of each measure that is to be shown, in order; ``chart`` names those that are to be drawn.
    Those who are ``absent`` may stand in a bar's ``against``, as if they took part.
    """

    title: str
    contestants: tuple[Contestant, ...]
    bars: tuple[Bar, ...]
    units: Mapping[str, str]
    rounds: int = 5
    warm_up: bool = True
    notes: tuple[str, ...] = ()
    chart: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [contestant.name for contestant in self.contestants]
        if len(set(names)) != len(names):
            raise ValueError(f"two contestants of `{self.title}` have one name")
        for bar in self.bars:
            unknown = {bar.ours, *bar.against} - set(names) - set(self.absent)
            if unknown:
                raise ValueError(f"`{bar.what}` is about {sorted(unknown)}, who do not take part in `{self.title}`")
            if bar.measure not in self.units:
                raise ValueError(f"`{bar.what}` is about `{bar.measure}`, which `{self.title}` does not show")


@dataclass(frozen=True)
class Figure:
    """A bar and what was measured: ``value`` is what is held against the limit, ``ours`` and ``theirs`` are medians.

    ``rounds`` has what each round of ours gives, held against the peer's of the same round, or against its median where
    it has fewer: how firm the verdict is.
    """

    bar: Bar
    value: float
    ours: float
    theirs: float | None = None
    peer: str = ""
    rounds: tuple[float, ...] = ()

    @property
    def met(self) -> bool:
        """Whether the bar is met, to the digit: nothing is rounded first."""
        return self.value <= self.bar.limit

    @property
    def rounds_met(self) -> int:
        """In how many rounds it was met."""
        return sum(value <= self.bar.limit for value in self.rounds)


@dataclass(frozen=True)
class Done:
    """A work with all of its samples, by contestant, in the order of the rounds.

    ``failed`` has the peers that failed on it, with what they said.
    """

    work: Work
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def values(self, contestant: str, measure: str) -> list[float]:
        """All that was measured of one thing."""
        return [sample[measure] for sample in self.samples[contestant] if measure in sample]

    def median(self, contestant: str, measure: str) -> float:
        """The median of what was measured of one thing."""
        return statistics.median(self.values(contestant, measure))

    def figures(self) -> list[Figure]:
        """What came of each bar, but for those that nobody was left to be held against."""
        return [self._figure(bar) for bar in self.work.bars if not bar.against or self._left(bar)]

    def unheld(self) -> list[Bar]:
        """The bars that nobody was left to be held against."""
        return [bar for bar in self.work.bars if bar.against and not self._left(bar)]

    def _left(self, bar: Bar) -> list[str]:
        return [name for name in bar.against if name in self.samples and self.values(name, bar.measure)]

    def _figure(self, bar: Bar) -> Figure:
        values = self.values(bar.ours, bar.measure)
        ours = max(values) if bar.worst else statistics.median(values)
        if not bar.against:
            return Figure(bar, ours, ours, rounds=tuple(values))
        theirs, peer = min((self.median(name, bar.measure), name) for name in self._left(bar))
        beside = self.values(peer, bar.measure)
        if len(beside) < len(values):
            beside = [theirs] * len(values)
        rounds = tuple(value / other for value, other in zip(values, beside, strict=False))
        return Figure(bar, ours / theirs, ours, theirs, peer, rounds)


def carry_out(work: Work, say: Callable[[str], None] = lambda _: None) -> Done:
    """Let the contestants do the work in turn (A B A B …), once for nothing if it is to be warmed up."""
    done = Done(work, {contestant.name: [] for contestant in work.contestants})
    if work.warm_up:
        say("warming up")
        for contestant in work.contestants:
            _once(contestant, done, say)
    for number in range(work.rounds):
        say(f"round {number + 1} of {work.rounds}")
        for contestant in work.contestants:
            if number < (contestant.rounds or work.rounds):
                done.samples[contestant.name] += _once(contestant, done, say)
    return done


def _once(contestant: Contestant, done: Done, say: Callable[[str], None]) -> list[Sample]:
    if contestant.name in done.failed:
        return []
    try:
        return [contestant.once()]
    except (RuntimeError, OSError, EOFError) as error:
        if not contestant.peer:
            raise
        done.failed[contestant.name] = str(error)
        say(f"{contestant.name} failed: {error}")
        return []


def without_absent(contestants: Iterable[Contestant | None]) -> tuple[Contestant, ...]:
    """Those who are here, for a work that makes None of a peer that is absent."""
    return tuple(contestant for contestant in contestants if contestant is not None)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of the values that at least ``share`` (0 to 1) of them do not pass (nearest rank)."""
    found: Sequence[float] = sorted(values)
    rank = -(-round(share * len(found) * 1_000_000) // 1_000_000)  # the ceiling, without the dust of floats
    return found[max(0, min(len(found), rank) - 1)]
