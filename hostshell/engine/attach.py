"""The person's keyboard on its way to the one turn that it belongs to; not read while the host takes nothing.

Decides nothing, and must not know a terminal: whoever owns it gives a `Keyboard`.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Protocol

from hostshell.core.traffic import Input, Resize

MOST_WAITING = 64 * 1024  # bytes typed (or pasted) that the host has not taken yet


class Keyboard(Protocol):
    """What a person types, once the session stands. All of it is called in the thread that runs the job."""

    def fileno(self) -> int:
        """What to wait for."""

    def read(self) -> bytes:
        """What has been typed for the host; may be empty. Called when there is something to read."""

    def ahead(self) -> bytes:
        """What was typed before the session stood, and has been read already. Asked once."""

    def resized(self) -> tuple[int, int] | None:
        """The terminal's rows and columns where they have changed since this was last asked."""


class Attachment:
    """Between a `Keyboard` and a worker. ``send`` takes a worker's number and an order."""

    def __init__(
        self, keyboard: Keyboard, selector: selectors.BaseSelector, send: Callable[[int, object], None]
    ) -> None:
        self._keyboard = keyboard
        self._selector = selector
        self._send = send
        self._worker = self._turn = -1
        self._waiting = 0
        self._listening = False

    def opened(self, worker: int, turn: int) -> None:
        """The turn's session stands: listen from now on."""
        self._worker, self._turn, self._waiting = worker, turn, 0
        self._pass_on(self._keyboard.ahead())
        self._listen(self._waiting < MOST_WAITING)

    def typed(self) -> None:
        """There is something to read."""
        self._pass_on(self._keyboard.read())
        self._listen(self._waiting < MOST_WAITING)

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._waiting += len(data)
            self._send(self._worker, Input(self._turn, data))

    def took(self, turn: int, size: int) -> None:
        """The host has taken so many bytes."""
        if turn == self._turn:
            self._waiting -= size
            self._listen(self._waiting < MOST_WAITING)

    def look(self) -> None:
        """Tell the host where the terminal has another size."""
        if self._turn >= 0 and (size := self._keyboard.resized()) is not None:
            self._send(self._worker, Resize(self._turn, *size))

    def end(self) -> None:
        """The job is over: what is typed belongs to somebody else."""
        self._turn = -1
        self._listen(False)

    def _listen(self, wanted: bool) -> None:
        wanted = wanted and self._turn >= 0
        if wanted and not self._listening:
            self._selector.register(self._keyboard, selectors.EVENT_READ, self)
        elif self._listening and not wanted:
            self._selector.unregister(self._keyboard)
        self._listening = wanted
