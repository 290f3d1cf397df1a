"""A TCP relay that loses the link after so many bytes or on command, and that can freeze.

Must not know what it relays.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading

from tests.support.faulty import CHUNK, Faulty, reset_on_close


class _Direction:
    """Bytes on their way from ``source`` to ``sink``. ``up`` is the way from the client to the target."""

    def __init__(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        self.source = source
        self.sink = sink
        self.up = up
        self.waiting = b""
        self.last = False  # the link is to be cut once ``waiting`` is gone
        self.ended = False  # the source has said its end of file

    def write(self) -> None:
        """Pass on what waits, as far as the sink takes it."""
        self.waiting = self.waiting[self.sink.send(self.waiting) :]


class CutRelay(Faulty):
    """A relay to ``target`` (address, port), itself at ``address`` and ``port``.

    It cuts all links once ``after_up`` bytes have gone to the target, or ``after_down`` bytes to the client, all links
    together: not one byte more passes. A limit is spent when reached; later connections are relayed as before.
    ``reset`` cuts with RST, else with FIN. ``up``, ``down`` and ``cuts`` count.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        after_up: int | None = None,
        after_down: int | None = None,
        reset: bool = False,
    ) -> None:
        super().__init__()
        self.up = 0
        self.down = 0
        self.cuts = 0
        self._target = target
        self._reset = reset
        self._limit_up = after_up
        self._limit_down = after_down
        self._state = threading.Lock()
        self._frozen = False
        self._freeze_up: int | None = None
        self._freeze_down: int | None = None
        self._abandoned: set[socket.socket] = set()
        self._wakers: dict[socket.socket, bool] = {}  # one a link: its waker, and whether the link is to be cut

    def cut_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """Cut all links as soon as ``up`` more bytes from now have gone to the target, or ``down`` to the client."""
        with self._state:
            self._limit_up = None if up is None else self.up + up
            self._limit_down = None if down is None else self.down + down

    def cut(self) -> None:
        """Cut all links now."""
        with self._state:
            self.cuts += bool(self._wakers)
            for waker in self._wakers:
                self._wakers[waker] = True
        self._wake()

    def freeze(self) -> None:
        """Pass nothing on any more. The links stay open: to both sides, the other one has stopped to answer."""
        self._frozen = True
        self._wake()

    def abandon(self) -> None:
        """Freeze the links that there are, for ever; later ones work, as when a host was started anew."""
        with self._state:
            self._abandoned.update(self._wakers)
        self._wake()

    def freeze_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """Freeze as soon as at least so many more bytes from now have come from one side or the other."""
        with self._state:
            self._freeze_up = None if up is None else self.up + up
            self._freeze_down = None if down is None else self.down + down

    def thaw(self) -> None:
        """Pass bytes on again."""
        self._frozen = False
        self._wake()

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        self.ended.set()
        self._wake()
        super().stop()

    def play(self, link: socket.socket) -> None:
        """Relay one connection until both ends are done or it is cut."""
        with socket.create_connection(self._target) as target:
            hearer, waker = socket.socketpair()
            with hearer, waker:
                with self._state:
                    self._wakers[waker] = False
                try:
                    self._relay(link, target, hearer, waker)
                finally:
                    with self._state:
                        cut = self._wakers.pop(waker)
                    if cut and self._reset:
                        reset_on_close(link)
                        reset_on_close(target)

    def _relay(self, link: socket.socket, target: socket.socket, hearer: socket.socket, waker: socket.socket) -> None:
        for end in (link, target):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [_Direction(link, target, True), _Direction(target, link, False)]
        while not self.ended.is_set() and not self._wakers[waker]:
            open_ways = [] if self._frozen or waker in self._abandoned else ways
            readers = [way.source for way in open_ways if not way.ended and not way.waiting]
            writers = [way.sink for way in open_ways if way.waiting]
            readable, writable, _ = select.select([hearer, *readers], writers, [])
            if hearer in readable:
                hearer.recv(CHUNK)
                continue
            for way in ways:
                if way.source in readable:
                    self._read(way)
                if way.sink in writable:
                    with contextlib.suppress(BlockingIOError):
                        way.write()
                if way.last and not way.waiting:
                    self.cut()
            if all(way.ended and not way.waiting for way in ways):
                return

    def _read(self, way: _Direction) -> None:
        piece = way.source.recv(CHUNK)
        if not piece:
            way.ended = True
            way.sink.shutdown(socket.SHUT_WR)  # the other direction may still flow
            return
        with self._state:
            passed, limit = (self.up, self._limit_up) if way.up else (self.down, self._limit_down)
            if limit is not None and passed + len(piece) >= limit:
                piece = piece[: max(0, limit - passed)]
                way.last = True
                self._limit_up = self._limit_down = None
            way.waiting = piece
            if way.up:
                self.up += len(piece)
            else:
                self.down += len(piece)
            reached = self._freeze_up if way.up else self._freeze_down
            if reached is not None and (self.up if way.up else self.down) >= reached:
                self._frozen = True
                self._freeze_up = self._freeze_down = None

    def _wake(self) -> None:
        with self._state:
            for waker in self._wakers:
                with contextlib.suppress(OSError):
                    waker.send(b"!")
