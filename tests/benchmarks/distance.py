"""Distance: a TCP relay that holds every byte for half a round trip, each way.

What a real link also takes, the round trip of TCP's own handshake, is held back too: the target hears of a connection
one and a half round trips after the client made it, and the client's first bytes wait as long as that.
Must not know what it relays.
"""

from __future__ import annotations

import collections
import contextlib
import selectors
import socket
import threading
import time
from types import TracebackType

CHUNK = 256 * 1024
MOST_HELD = 16 * 1024 * 1024  # bytes under way in one direction of one connection; then the sender has to wait
JUST_OPENED = 0.005  # seconds


class _Way:
    """One direction: pieces with the moment at which they are due at the other end. An empty piece is the end."""

    def __init__(self, source: socket.socket, sink: socket.socket, delay: float, not_before: float = 0.0) -> None:
        self.source = source
        self.sink = sink
        self.under_way: collections.deque[tuple[float, bytes]] = collections.deque()
        self.ended = False  # the source has said its end
        self.done = False  # the sink has been told so
        self._begun = False
        self._held = 0
        self._delay = delay
        self._not_before = not_before

    @property
    def reads(self) -> bool:
        """Whether more may be taken from the source."""
        return not self.ended and self._held < MOST_HELD

    def read(self, now: float) -> None:
        """Take what is there."""
        try:
            piece = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.ended = not piece
        self._held += len(piece)
        # what lay there when the way was opened has travelled with TCP's own handshake: it is there now
        waited = not self._begun and now - self._not_before < JUST_OPENED
        self._begun = True
        self.under_way.append((max(now if waited else now + self._delay, self._not_before), piece))

    def write(self, now: float) -> bool:
        """Hand over what is due. False if the sink takes no more for the moment."""
        while self.under_way and self.under_way[0][0] <= now:
            due, piece = self.under_way.popleft()
            try:
                if not piece:
                    self.done = True
                    self.sink.shutdown(socket.SHUT_WR)
                    continue
                sent = self.sink.send(piece)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.ended = self.done = True
                self.under_way.clear()
                return True
            self._held -= sent
            if sent < len(piece):
                self.under_way.appendleft((due, piece[sent:]))
                return False
        return True


class _Link:
    """One connection: its two directions, and when the target is to hear of it."""

    def __init__(self, client: socket.socket, target: tuple[str, int], round_trip: float) -> None:
        self.client = client
        self.opens = time.monotonic() + 1.5 * round_trip
        self.server: socket.socket | None = None
        self.ways: list[_Way] = []
        self._target = target
        self._delay = round_trip / 2

    def open(self) -> None:
        """Connect to the target."""
        self.server = socket.create_connection(self._target)
        for end in (self.client, self.server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ways = [
            _Way(self.client, self.server, self._delay, self.opens),
            _Way(self.server, self.client, self._delay),
        ]

    def close(self) -> None:
        """Close both ends."""
        for end in (self.client, self.server):
            if end is not None:
                end.close()


class Distance:
    """A context manager round a relay to ``target``, ``round_trip`` seconds away, itself at ``address`` and ``port``.

    One thread serves all links. ``links`` counts those that were opened.
    """

    def __init__(self, target: tuple[str, int], round_trip: float, address: str = "127.0.0.1") -> None:
        self.round_trip = round_trip
        self.links = 0
        self._target = target
        self._listener = socket.create_server((address, 0), backlog=512)
        self._listener.setblocking(False)
        self.address, self.port = self._listener.getsockname()[:2]
        self._hearer, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="distance")

    def __enter__(self) -> Distance:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waker.close()
        self._thread.join()

    def _serve(self) -> None:
        links: list[_Link] = []
        with self._listener, self._hearer:
            try:
                while self._turn(links):
                    pass
            finally:
                for link in links:
                    link.close()

    def _turn(self, links: list[_Link]) -> bool:
        """Wait for what comes first, bytes or a moment, and do it; False once the relay is to end."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._listener, selectors.EVENT_READ)
            waiting.register(self._hearer, selectors.EVENT_READ)
            moments: list[float] = []
            for link in links:
                if link.server is None:
                    moments.append(link.opens)
                    continue
                self._register(waiting, link, moments)
            patience = None if not moments else max(0.0, min(moments) - time.monotonic())
            ready = {key.fileobj: events for key, events in waiting.select(patience)}
        if self._hearer in ready:
            return False
        if self._listener in ready:
            with contextlib.suppress(BlockingIOError):
                links.append(_Link(self._listener.accept()[0], self._target, self.round_trip))
                self.links += 1
        now = time.monotonic()
        for link in list(links):
            if not self._serve_link(link, ready, now):
                link.close()
                links.remove(link)
        return True

    def _register(self, waiting: selectors.BaseSelector, link: _Link, moments: list[float]) -> None:
        wanted: dict[socket.socket, int] = {}
        now = time.monotonic()
        for way in link.ways:
            if way.reads:
                wanted[way.source] = wanted.get(way.source, 0) | selectors.EVENT_READ
            if way.under_way:
                due = way.under_way[0][0]
                if due <= now:  # it was due and the sink was full
                    wanted[way.sink] = wanted.get(way.sink, 0) | selectors.EVENT_WRITE
                else:
                    moments.append(due)
        for end, events in wanted.items():
            waiting.register(end, events)

    def _serve_link(self, link: _Link, ready: dict[object, int], now: float) -> bool:
        """Whether the link lives on."""
        if link.server is None:
            if link.opens > now:
                return True
            try:
                link.open()
            except OSError:
                return False
        for way in link.ways:
            if ready.get(way.source, 0) & selectors.EVENT_READ and way.reads:
                way.read(now)
            way.write(now)
        return not all(way.done for way in link.ways)
