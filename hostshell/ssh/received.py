"""What a channel has received and nobody has read yet: the messages as they came, joined when they are read.

paramiko keeps them in one array. With megabytes in it every read copies it twice, into blocks so large that the kernel
maps and clears each anew: with a copy of 200 MB that was a third of its CPU. Must not know what is received.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from paramiko.buffered_pipe import BufferedPipe

if TYPE_CHECKING:  # its stub is generic, and it is not
    _Pipe = BufferedPipe[Any]
else:
    _Pipe = BufferedPipe

MOST = 256 * 1024  # bytes that one read gives: a block that the C heap has at hand (see `heap`)
SMALL = 2048  # bytes of a message that are copied to those before: as an object of its own it would cost as much


class _Messages:
    """Bytes in the pieces in which they came, with what `BufferedPipe` asks of its array."""

    __slots__ = ("_pieces", "_size", "_tail")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._tail = bytearray()  # small ones, behind the pieces
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, data: bytes) -> None:
        self._size += len(data)
        if len(data) < SMALL:
            self._tail += data
            return
        self._close_tail()
        self._pieces.append(data)

    def first(self, limit: int) -> bytes:
        """At most the first ``limit`` bytes."""
        self._close_tail()
        pieces: list[bytes] = []
        for piece in self._pieces:
            if len(piece) >= limit:
                pieces.append(piece[:limit])
                break
            pieces.append(piece)
            limit -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __delitem__(self, which: slice) -> None:
        """Drop the first ``which.stop`` bytes; None is all."""
        count = self._size if which.stop is None else min(which.stop, self._size)
        self._close_tail()
        self._size -= count
        while count:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                return
            count -= len(piece)

    def _close_tail(self) -> None:
        if self._tail:
            self._pieces.append(bytes(self._tail))
            self._tail = bytearray()


class Received(_Pipe):
    """A channel's buffer: a read gives `MOST` bytes at the most, whatever it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer: Any = _Messages()

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        """As paramiko's. Raises its `PipeTimeout`."""
        data: bytes = super().read(min(nbytes, MOST), timeout)
        return data

    def _buffer_frombytes(self, data: bytes) -> None:
        self._buffer.append(data)

    def _buffer_tobytes(self, limit: int | None = None) -> bytes:
        data: bytes = self._buffer.first(len(self._buffer) if limit is None else limit)
        return data
