"""What is asked of workers past any job: which connections are open, and what stands in a directory of some hosts.

Must not know processes or pipes: the pool sends and reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from hostshell.core.traffic import Glance, Glanced, Glancing, OpenConnection, Survey, Surveyed

SURVEY_PATIENCE = 2.0  # seconds for a worker to say which connections it has
GLANCE_PATIENCE = 1.5  # seconds for hosts to say what is in a directory; they themselves take no longer than 1.2
GLANCED_AT = 5  # hosts: a few tell what all have, and of more one would wait for the slowest


class Asking:
    """One question at a time. ``members`` are the workers of the moment by number; in place of a dead one is another.

    ``send`` takes a worker's number and an order; ``read`` reads what comes within so many seconds, and hands
    the answers to `take`.
    """

    def __init__(
        self, members: Mapping[int, object], send: Callable[[int, object], None], read: Callable[[float], None]
    ) -> None:
        self._members = members
        self._send = send
        self._read = read
        self._number = 0
        self._surveyed: dict[int, tuple[OpenConnection, ...]] = {}  # by worker
        self._glancing: dict[int, tuple[str, ...]] = {}  # by worker: whom it asks
        self._glanced: dict[str, Glanced] = {}

    def take(self, number: int, answer: Surveyed | Glancing | Glanced) -> None:
        """An answer of worker ``number``, perhaps to an earlier question."""
        if answer.number != self._number:
            return
        match answer:
            case Surveyed():
                self._surveyed[number] = answer.connections
            case Glancing():
                self._glancing[number] = answer.hosts
            case Glanced():
                self._glanced[answer.host] = answer

    def survey(
        self, workers: Collection[int], hosts: Collection[str] | None, close: bool
    ) -> tuple[list[OpenConnection], list[int]]:
        """The open connections to ``hosts`` (None: all), and the workers that did not say in time which they have."""
        asked = self._ask(workers, lambda n: Survey(n, None if hosts is None else frozenset(hosts), close))
        deadline = time.monotonic() + SURVEY_PATIENCE
        while True:
            silent = self._silent(asked, self._surveyed)
            left = deadline - time.monotonic()
            if not silent or left <= 0:
                return [one for number in asked for one in self._surveyed.get(number, ())], silent
            self._read(left)

    def glance(
        self, workers: Collection[int], hosts: tuple[str, ...], directory: str, begun: str, hurried: Callable[[], bool]
    ) -> tuple[Glanced, ...]:
        """What a few of ``hosts`` say, in their order: those that answered in time, and before we are ``hurried``."""
        most = -(-GLANCED_AT // max(1, len(workers)))
        asked = self._ask(workers, lambda n: Glance(n, hosts, directory, begun, most))
        deadline = time.monotonic() + GLANCE_PATIENCE
        while not hurried():
            waited = [host for number in self._present(asked) for host in self._glancing.get(number, ())]
            left = deadline - time.monotonic()
            if left <= 0 or not (self._silent(asked, self._glancing) or set(waited) - self._glanced.keys()):
                break
            self._read(left)
        order = {host: place for place, host in enumerate(hosts)}
        answered = (one for one in self._glanced.values() if one.names is not None and one.host in order)
        return tuple(sorted(answered, key=lambda one: order[one.host]))

    def _ask(self, workers: Collection[int], order: Callable[[int], Survey | Glance]) -> dict[int, object]:
        self._number += 1
        self._surveyed.clear()
        self._glancing.clear()
        self._glanced.clear()
        asked = {number: self._members[number] for number in workers}
        for number in asked:
            self._send(number, order(self._number))
        return asked

    def _present(self, asked: Mapping[int, object]) -> list[int]:
        """Those that have not died since: who has has nothing to say any more."""
        return [number for number, member in asked.items() if self._members.get(number) is member]

    def _silent(self, asked: Mapping[int, object], answers: Collection[int]) -> list[int]:
        return [number for number in self._present(asked) if number not in answers]
