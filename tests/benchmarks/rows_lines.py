"""Many lines of twenty hosts into a file: with the host's name before each, and gathered."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.rows_hosts import OURS, of_a_peer, words_of
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work, without_absent

HOSTS = 20
LOOK_EVERY = 0.1  # seconds
LIMIT = 300.0


def astray(out: Path, hosts: int, lines: int) -> int:
    """How many lines of ``HOST: NUMBER`` are not the next number of their host, or are missing."""
    seen: dict[bytes, int] = {}
    wrong = 0
    with out.open("rb") as file:
        for line in file:
            host, _, number = line.partition(b":")
            seen[host] = seen.get(host, 0) + 1
            wrong += number.strip() != b"%d" % seen[host]
    return wrong + abs(hosts - len(seen)) + sum(abs(lines - count) for count in seen.values())


def lopsided(busy: Sequence[float]) -> float:
    """How much more CPU the busiest process used than the second; infinite if there is no second."""
    most, second = [*busy, 0.0, 0.0][:2]
    return most / second if second else float("inf")


def _run(stage: Stage, words: list[str], count: Callable[[Path], int], workers: bool = False) -> Sample:
    out = stage.folder / "out"
    with out.open("wb") as into:
        cost = stage.cost(words, stdout=into, look_every=LOOK_EVERY, limit=LIMIT)
    sample = {"wall": cost.wall, "cpu": cost.cpu, "memory": cost.pss / 1e6, "astray": float(count(out))}
    return sample | ({"lopsided": lopsided(cost.busy)} if workers else {})


@contextlib.contextmanager
def prefixed(stage: Stage) -> Iterator[Work]:
    """Every line with the host before it."""
    lines = 100_000
    command = f"seq {lines}"
    with stage.fleet(HOSTS) as hosts:

        def count(out: Path) -> int:
            return astray(out, HOSTS, lines)

        def peer(name: str, rounds: int) -> Contestant | None:
            words = words_of(stage, hosts, name, command, HOSTS)
            return of_a_peer(stage, hosts, name, words, lambda words: _run(stage, words, count), rounds)

        words = [*OURS, "batch_run", "-a", "-f", str(HOSTS), "-q", "-cmd", command]
        title = f"{HOSTS} hosts × {lines:,} lines, prefixed, to a file"
        yield Work(
            title,
            without_absent(
                [
                    Contestant("hostshell", f"{shlex.join(words)} >out", lambda: _run(stage, words, count, True)),
                    peer("pdsh", stage.rounds(1, 3)),
                    peer("clush", 1) if stage.full else None,
                ]
            ),
            (
                Bar(title, "hostshell", "wall", 0.5, "s", ("pdsh",)),
                Bar("the same: memory of all processes, in sum (PSS)", "hostshell", "memory", 400.0, "MB"),
                Bar("the same: lines missing, cut or not in order", "hostshell", "astray", 0.0, "number"),
                Bar("the same: CPU of the busiest worker against the second", "hostshell", "lopsided", 2.0, "times"),
            ),
            {"wall": "s", "cpu": "s", "memory": "MB", "astray": "number", "lopsided": "times"},
            rounds=stage.rounds(2, 5),
            warm_up=False,
            chart=("wall",),
            absent=("pdsh", "clush"),
            notes=(
                "Each line of the file is held to be the next number of its host. memory is looked at every "
                f"{LOOK_EVERY:g} s. lopsided: CPU of the busiest worker divided by that of the second.",
                *stage.reduced("rounds; clush takes part in the full form only"),
            ),
        )


@contextlib.contextmanager
def gathered(stage: Stage) -> Iterator[Work]:
    """Lines that are the same on every host, shown once."""
    lines = 100_000 if stage.full else 20_000
    command = f"seq {lines}"
    expected = [b"%d\n" % number for number in range(1, lines + 1)]
    with stage.fleet(HOSTS) as hosts:

        def count(out: Path) -> int:
            # without the heading, and the lines round it, that each program has in its own way
            body = [line for line in out.read_bytes().splitlines(keepends=True) if line.strip().isdigit()]
            return abs(len(body) - lines) + sum(one != other for one, other in zip(body, expected, strict=False))

        ours = [*OURS, "batch_run", "-a", "-b", "-f", str(HOSTS), "-q", "-cmd", command]
        clush = words_of(stage, hosts, "clush", command, HOSTS, "-b")
        title = f"{HOSTS} hosts × {lines:,} lines, gathered, to a file"
        yield Work(
            title,
            without_absent(
                [
                    Contestant("hostshell -b", f"{shlex.join(ours)} >out", lambda: _run(stage, ours, count)),
                    of_a_peer(stage, hosts, "clush -b", clush, lambda words: _run(stage, words, count), 1),
                ]
            ),
            (
                Bar(title, "hostshell -b", "wall", 0.1, "s", ("clush -b",)),
                Bar("the same: lines missing or not in order", "hostshell -b", "astray", 0.0, "number"),
            ),
            {"wall": "s", "cpu": "s", "memory": "MB", "astray": "number"},
            rounds=stage.rounds(2, 5),
            warm_up=False,
            chart=("wall",),
            absent=("clush -b",),
            notes=(
                f"All hosts print the same. memory is looked at every {LOOK_EVERY:g} s. clush -b does it once.",
                *stage.reduced("rounds, and 20,000 lines in place of 100,000"),
            ),
        )
