"""The worker processes of a pool and their pipes: start, send, end.

Must not know jobs, nor what the orders mean. Each number is a place: a worker that has died is replaced by another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

from hostshell.core.traffic import Quit
from hostshell.engine import process

LEAVE_PATIENCE = 1.0  # seconds for a worker to end by itself


@dataclass(slots=True)
class Member:
    """One worker."""

    process: BaseProcess
    pipe: Pipe
    used: bool = False  # whether it was ever given a turn: else it has no connections


def start(number: int) -> Member:
    """Start a worker. Takes a while, and raises what `process.start` does."""
    return Member(*process.start(number))


class Members(Mapping[int, Member]):
    """The workers of the moment, by number."""

    def __init__(self) -> None:
        self._of: dict[int, Member] = {}

    def __getitem__(self, number: int) -> Member:
        return self._of[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def add(self, number: int, member: Member, order: object) -> None:
        """One more worker, whose first order is ``order``."""
        self._of[number] = member
        self.send(number, order)

    def send(self, number: int, order: object) -> None:
        """Give an order; to nobody where there is no such worker."""
        member = self._of.get(number)
        if member is not None:
            # a worker that is just dying is noticed by its pipe
            with contextlib.suppress(OSError, ValueError):
                member.pipe.send(order)

    def used(self) -> list[int]:
        """The workers that may have connections."""
        return [number for number, member in self._of.items() if member.used]

    def kill(self, number: int) -> None:
        """Kill a worker; its pipe tells of its end."""
        member = self._of.get(number)
        if member is not None:
            member.process.kill()

    def bury(self, number: int) -> str:
        """Take away a worker whose pipe has ended; how it ended, in words."""
        member = self._of.pop(number)
        member.pipe.close()
        _end(member, LEAVE_PATIENCE)
        code = member.process.exitcode
        return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def close(self) -> None:
        """End every worker; no process of ours is left after it."""
        for number in self._of:
            self.send(number, Quit())
        deadline = time.monotonic() + LEAVE_PATIENCE
        for member in self._of.values():
            _end(member, max(0.0, deadline - time.monotonic()))
            member.pipe.close()
        self._of.clear()


def _end(member: Member, patience: float) -> None:
    member.process.join(patience)
    if member.process.is_alive():
        member.process.kill()
        member.process.join()
