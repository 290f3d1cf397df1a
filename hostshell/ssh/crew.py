"""Coroutines side by side on one thread: each waits for the answers to its own requests, and many wait at once.

So a straight story of one file ("open, write, close, rename") costs a round trip for hundreds of files, not for each.
Must not know what is asked or answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from hostshell.ssh.remotefiles import Answers, SftpStopped

MOST = 64  # coroutines beside the main one; each may hold an open file on the host
LOAD = 16 * 1024 * 1024  # bytes that they may hold together

T = TypeVar("T")
_Step = Coroutine[Any, Any, Any]


class _Reply:
    """Waits for the answer to one request."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __await__(self) -> Generator[int, Any, Any]:
        return (yield self._number)


class _Room:
    """Waits until those beside the main one hold no more than ``load`` and are fewer than ``most``."""

    __slots__ = ("load", "most")

    def __init__(self, load: int, most: int) -> None:
        self.load = load
        self.most = most

    def __await__(self) -> Generator[_Room, Any, Any]:
        return (yield self)


def reply(number: int) -> _Reply:
    """``await reply(number)``: the answer to that request, of whatever type the far side gives."""
    return _Reply(number)


class Crew:
    """Runs one main coroutine, and those that it starts beside itself."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._waiting: dict[int, _Step] = {}
        self._ready: deque[tuple[_Step, Any, BaseException | None]] = deque()
        self._loads: dict[_Step, int] = {}
        self._load = 0
        self._patient: tuple[_Step, _Room] | None = None  # the main one, waiting for room
        self._fatal: BaseException | None = None

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` and all that it starts, to their ends.

        What escapes from one of them ends all: it is raised in each where it waits, so that each can clean up, and then
        here. A stop is such a thing.
        """
        result: list[T] = []

        async def first() -> None:
            result.append(await main)
            await _Room(0, 1)

        self._ready.append((first(), None, None))
        self._until_idle()
        if self._fatal is not None:
            raise self._fatal
        return result[0]

    async def start(self, step: Coroutine[Any, Any, None], load: int = 0) -> None:
        """Let ``step`` run beside the caller, which must be the main one; waits for room for its ``load`` (bytes)."""
        if len(self._loads) >= MOST or self._load + load > LOAD:
            try:
                await _Room(max(0, LOAD - load), MOST)
            except BaseException:
                step.close()
                raise
        self._loads[step] = load
        self._load += load
        self._ready.append((step, None, None))

    @property
    def ending(self) -> bool:
        """Whether something has ended all: what has not begun must not begin any more."""
        return self._fatal is not None

    async def settled(self) -> None:
        """Wait until all that was started has ended."""
        if self._loads:
            await _Room(0, 1)

    def _until_idle(self) -> None:
        while True:
            while self._ready:
                self._advance(*self._ready.popleft())
                self._admit()
            if not self._waiting:
                return
            try:
                number, answer = self._answers.next_reply()
            except BaseException as error:
                self._end(error)
                continue
            step = self._waiting.pop(number, None)
            if step is None:
                self._answers.keep_reply(number, answer)
            else:
                self._ready.append((step, answer, None))

    def _advance(self, step: _Step, value: Any, error: BaseException | None) -> None:
        """Let ``step`` go on until it waits, or ends."""
        try:
            wanted = step.send(value) if error is None else step.throw(error)
        except StopIteration:
            self._gone(step)
        except BaseException as escaped:
            self._gone(step)
            if self._fatal is None:
                self._end(escaped)
            elif isinstance(escaped, SftpStopped):
                self._fatal = escaped  # the host that was silent while it cleaned up is not what ended it
        else:
            if isinstance(wanted, _Room):
                self._patient = (step, wanted)
            else:
                self._waiting[wanted] = step

    def _admit(self) -> None:
        if self._patient is None:
            return
        step, room = self._patient
        if not self._loads or (self._load <= room.load and len(self._loads) < room.most):
            self._patient = None
            self._ready.append((step, None, None))

    def _gone(self, step: _Step) -> None:
        self._load -= self._loads.pop(step, 0)

    def _end(self, error: BaseException) -> None:
        """Raise ``error`` wherever somebody waits."""
        if self._fatal is None:
            self._fatal = error
        waiting, self._waiting = list(self._waiting.values()), {}
        if self._patient is not None:
            waiting.append(self._patient[0])
            self._patient = None
        self._ready.extend((step, None, error) for step in waiting)
