"""Names in memory: completing one among ten thousand, and folding thousands that have nothing in common."""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable, Iterator

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from hostshell.core.names import fold
from hostshell.inventory.load import load
from hostshell.shell import garbage
from hostshell.shell.complete import HostshellCompleter
from tests.benchmarks import fleet
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work

HOSTS = 10_000
ADDRESSES = 2_000
TYPING = 0.3  # seconds that a person takes for the letters before the first Tab
SEED = 20_260  # of what is chosen at random: the same each time
_LETTERS, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"


def numbered() -> list[str]:
    """Names that differ in one number."""
    return fleet.names_of(HOSTS, 5)


def racks() -> list[str]:
    """Names with two numbers: a hundred racks of a hundred."""
    return [f"rack{rack:03}-node{node:03}" for rack in range(HOSTS // 100) for node in range(100)]


def unrelated() -> list[str]:
    """Names that have nothing in common."""
    dice = random.Random(SEED)  # names, not secrets
    found = {dice.choice(_LETTERS) + "".join(dice.choices(_LETTERS + _DIGITS, k=9)) for _ in range(HOSTS)}
    assert len(found) == HOSTS
    return sorted(found)


def words_typed(names: list[str]) -> list[str]:
    """Beginnings of six lengths of some of the names, alone and as the last of a list."""
    dice = random.Random(SEED)
    lines = ["batch_run -h "]
    for name in dice.sample(names, 40):
        for length in (1, 2, 3, len(name) // 2, len(name) - 1, len(name)):
            lines += [f"batch_run -h {name[:length]}", f"batch_run -h {names[0]},{name[:length]}"]
    return lines


def _tab(stage: Stage, kind: str, names: list[str]) -> Callable[[], Sample]:
    path = stage.folder / f"{kind}.ini"
    path.touch(mode=0o600)
    path.write_text(fleet.inventory_text(names, 22, stage.account.name))
    lines = words_typed(names)

    def once() -> Sample:
        inventory = load([str(path)])  # each time, so that the first Tab is a first one
        assert len(inventory.host_names) == HOSTS
        garbage.leave_alone_anew()  # as the prompt does
        completer = HostshellCompleter(lambda: inventory)
        completer.prepare()  # as the prompt does, once it is drawn
        time.sleep(TYPING)
        event = CompleteEvent(completion_requested=True)
        took = []
        for line in lines:
            document = Document(line)
            begun = time.perf_counter()
            found = list(completer.get_completions(document, event))
            took.append((time.perf_counter() - begun) * 1000)
            assert found, line
        return {"median": statistics.median(took), "worst": max(took), "first": took[0]}

    return once


@contextlib.contextmanager
def completion(stage: Stage) -> Iterator[Work]:
    """Tab in a host list, as the prompt asks for it, with three kinds of names."""
    kinds = {"numbered": numbered(), "racks": racks(), "unrelated": unrelated()}
    shown = "HostshellCompleter(…).get_completions(Document(line), CompleteEvent(completion_requested=True))"
    yield Work(
        f"completing a host name among {HOSTS:,}",
        tuple(Contestant(kind, shown, _tab(stage, kind, names)) for kind, names in kinds.items()),
        tuple(
            Bar(f"completing a host name among {HOSTS:,} ({kind}), {which}", kind, which, 20.0, "ms", worst=worst)
            for kind in kinds
            for which, worst in (("median", False), ("worst", True))
        ),
        {"median": "ms", "worst": "ms", "first": "ms"},
        rounds=stage.rounds(2, 9),
        warm_up=stage.full,
        notes=(
            "In process, every completion taken. numbered: n00001 …; racks: rack000-node000 …; unrelated: ten random "
            "letters and digits. 481 lines: beginnings of six lengths of 40 names, alone and as the last of a list. "
            f"first: the first Tab, {TYPING:g} s after the prompt was drawn, which then looks through the names in the "
            "background; it is one of those of which the worst is taken. What the prompt then does to draw them is not "
            "counted. worst: of each round the worst; the worst of all rounds, with which the range behind it ends, is "
            "held against the bar. The prompt keeps Python's search for garbage away from the inventory, and so does "
            "this: without that a search came in between once in some rounds, and took 25 to 170 ms.",
        ),
    )


def _fold(names: list[str]) -> Callable[[], Sample]:
    def once() -> Sample:
        begun = time.perf_counter()
        text = fold(names)
        wall = time.perf_counter() - begun
        assert text
        return {"wall": wall}

    return once


@contextlib.contextmanager
def folding(stage: Stage) -> Iterator[Work]:
    """Addresses that share nothing, and some that share much."""
    dice = random.Random(SEED)
    apart = [".".join(str(dice.randrange(1, 255)) for _ in range(4)) for _ in range(ADDRESSES)]
    near = [f"10.{dice.randrange(8)}.{dice.randrange(32)}.{dice.randrange(256)}" for _ in range(ADDRESSES)]
    yield Work(
        f"folding {ADDRESSES:,} addresses",
        (
            Contestant("unrelated", "fold(addresses)", _fold(apart)),
            Contestant("of some networks", "fold(addresses)", _fold(near)),
        ),
        (Bar(f"folding {ADDRESSES:,} unrelated addresses", "unrelated", "wall", 0.2, "s"),),
        {"wall": "s"},
        rounds=stage.rounds(7, 15),
        notes=("In process. unrelated: four numbers at random; of some networks: 10.[0-7].[0-31].[0-255] at random.",),
    )
