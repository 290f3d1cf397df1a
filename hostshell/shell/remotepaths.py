"""Paths on the hosts for Tab: asked in the background, kept for a few seconds, told when they are there.

Never waits: typing must not. Must not know how hosts are asked.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeAlias

from hostshell.core.model import HOST_FIELD
from hostshell.core.records import dataclass
from hostshell.core.targets import Targets
from hostshell.core.traffic import Glanced

FRESH = 5.0  # seconds for which an answer counts
MOST_KEPT = 32  # directories

Ask: TypeAlias = Callable[[Targets, str, str], Sequence[Glanced]]


@dataclass(frozen=True, slots=True)
class RemoteName:
    """A name on some of the hosts that were asked: ``about`` says on which."""

    name: str
    is_directory: bool
    about: str


@dataclass(slots=True)
class _Answer:
    when: float
    begun: str
    names: tuple[RemoteName, ...] | None = None  # None: still being asked
    whole: bool = True  # whether longer beginnings are answered by it too


class RemotePaths:
    """What stands on the hosts. ``ask`` blocks, in a thread of ours; ``arrived`` is called there afterwards."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self.arrived: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Targets, str], _Answer] = OrderedDict()

    def forget(self) -> None:
        """A command may have changed what is there."""
        with self._lock:
            self._kept.clear()

    def names(self, targets: Targets, directory: str, begun: str) -> list[RemoteName] | None:
        """Names in ``directory`` that begin with ``begun``; None where the hosts are still being asked."""
        if HOST_FIELD in begun:
            return []  # names differ from host to host
        key = (targets, directory)
        with self._lock:
            found = self._kept.get(key)
            now = self._clock()
            if found is not None and now - found.when < FRESH and _answers(found, begun):
                return None if found.names is None else [one for one in found.names if one.name.startswith(begun)]
            self._kept[key] = answer = _Answer(now, begun)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        threading.Thread(target=self._fetch, args=(key, answer), name="remote paths", daemon=True).start()
        return None

    def _fetch(self, key: tuple[Targets, str], answer: _Answer) -> None:
        said: Sequence[Glanced] = ()
        try:
            said = self._ask(*key, answer.begun)
        finally:
            with self._lock:
                answer.when = self._clock()
                answer.names = _together(said)
                answer.whole = all(one.whole for one in said)
            self.arrived()


def _answers(found: _Answer, begun: str) -> bool:
    if found.names is None or not found.whole:
        return begun == found.begun
    # hidden names come only where they are asked for
    return begun.startswith(found.begun) and begun.startswith(".") == found.begun.startswith(".")


def _together(said: Sequence[Glanced]) -> tuple[RemoteName, ...]:
    """The names of all who answered, each with how many have it."""
    on: dict[str, int] = {}
    directories: set[str] = set()
    for one in said:
        for name, is_directory in one.names or ():
            on[name] = on.get(name, 0) + 1
            if is_directory:
                directories.add(name)
    asked = f"of {len(said)} hosts" if len(said) != 1 else ""
    return tuple(
        RemoteName(name, name in directories, f"on {on[name]} {asked}" if asked else f"on {said[0].host}")
        for name in sorted(on)
    )
