"""A relay that lets the two sides speak in turn, and counts: what travels together is one turn, however many messages.

Must not know SSH. Stands for distance: the number of turns is the number of round trips that a far host would cost.
"""

from __future__ import annotations

import select
import socket

from tests.support.faulty import CHUNK, Faulty

SILENCE = 0.12  # seconds without a byte after which a side has said what it has to say


class Rounds(Faulty):
    """Relays one connection after another to ``target``. ``rounds``: how often the client spoke and was answered."""

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__()
        self._target = target
        self.rounds = 0

    def play(self, link: socket.socket) -> None:
        with socket.create_connection(self._target) as target:
            while not self.ended.is_set():
                asked = self._hear(link)
                if asked is None:
                    return
                target.sendall(asked)
                answer = self._hear(target, SILENCE * 4)
                if answer is None:
                    return
                if asked and answer:
                    self.rounds += 1
                link.sendall(answer)

    def _hear(self, one: socket.socket, patience: float = SILENCE) -> bytes | None:
        """What ``one`` says until it is silent, perhaps nothing; None when a side has ended."""
        said = b""
        while not self.ended.is_set():
            ready = select.select([one], [], [], SILENCE if said else patience)[0]
            if not ready:
                return said
            data = one.recv(CHUNK)
            if not data:
                return None
            said += data
        return None
