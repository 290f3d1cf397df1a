"""The bytes of one file, many requests at a time: to an open handle, or from one. Every answer counts.

Must not know paths or names. Bounded, whatever the size of the file: see `MAX_REQUESTS`, `MAX_BYTES` and `Flow`.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hostshell.ssh.flushing import WORTH, Flushing
from hostshell.ssh.remotefiles import FileShrank, SftpGone, SftpStopped
from hostshell.ssh.sftpwire import BAD_MESSAGE, END_OF_FILE, Answer, Attributes, Kind, SftpError, pack_string

MAX_REQUESTS = 64  # writes under way at once; OpenSSH's own client keeps to this too
MAX_BYTES = 4 * 1024 * 1024  # of writes under way; OpenSSH's server takes 2 MiB a round trip, so more would only wait
FIRST_FLOW = 2 * 1024 * 1024  # bytes of reads under way to begin with
MAX_FLOW = 16 * 1024 * 1024  # and at the most: 80 MB/s at a round trip of 200 ms
HOPED = 80 * 1024 * 1024  # bytes a second that a way may carry of which only the round trip is known yet
PATIENT = 0.002  # seconds that a server may take for an answer without being busy
SMALLEST_CHUNK = 4096


class Requests(Protocol):
    """What `Exchange` gives."""

    def send(self, kind: Kind, body: bytes, data: bytes = b"") -> int: ...

    async def answer(self, number: int) -> Answer: ...

    def forget(self, numbers: list[int]) -> None: ...


@dataclass
class Flow:
    """How many bytes of reads to have under way: as many as the way there and back holds, or memory is spent in vain.

    While answers take about as long as the fastest did, the line is not full, and it may be twice as much. Once they
    take longer, they wait behind each other, and more would only wait too.
    """

    limit: int = FIRST_FLOW
    fastest: float = field(default=float("inf"))
    _measured: int = 0
    _slow: int = 0

    def expect(self, round_trip: float) -> None:
        """Begin with what the way holds if it is as fast as hoped: doubling up to there takes several round trips."""
        self.limit = max(self.limit, min(int(round_trip * HOPED), MAX_FLOW))

    def heard(self, seconds: float, size: int) -> None:
        """An answer of ``size`` bytes came ``seconds`` after its request."""
        self.fastest = min(self.fastest, seconds)
        self._measured += size
        if seconds > 2 * self.fastest + PATIENT:
            self._slow += size
        if self._measured >= self.limit:
            if self._slow * 2 < self._measured:
                self.limit = min(2 * self.limit, MAX_FLOW)
            self._measured = self._slow = 0


class SftpUpload:
    """A file that is written through ``handle``. See `remotefiles.Upload`."""

    def __init__(
        self, requests: Requests, handle: bytes, chunk: int, *, can_sync: bool, flushing: Flushing | None = None
    ) -> None:
        self._flushing = flushing
        self._requests = requests
        self._head = pack_string(handle)
        self._chunk = chunk
        self._can_sync = can_sync
        self._under_way: deque[tuple[int, int]] = deque()  # number, length
        self._bytes = 0
        self._open = True
        self._moved: Callable[[int], None] = lambda _: None

    async def fill(
        self,
        read: Callable[[int, int], bytes],
        start: int,
        size: int,
        moved: Callable[[int], None],
        before: hashlib._Hash | None = None,  # noqa: ARG002  # for far sides that check what arrived by it
    ) -> None:
        """Write the bytes from ``start`` up to ``size``; returns once the last are on their way."""
        self._moved = moved
        offset = start
        if size - start < WORTH:
            self._flushing = None
        while not size or offset < size:
            while len(self._under_way) >= MAX_REQUESTS or self._bytes >= MAX_BYTES:
                await self._oldest()
            data = read(min(self._chunk, size - offset) if size else self._chunk, offset)
            if not data:
                if size:
                    raise FileShrank
                return
            number = self._requests.send(Kind.WRITE, self._head + struct.pack(">Q", offset), data)
            self._under_way.append((number, len(data)))
            self._bytes += len(data)
            offset += len(data)
            if self._flushing is not None:
                self._flushing.reached(offset)

    async def stat(self) -> Attributes:
        """The attributes of the file as the host made it."""
        answer = await self._requests.answer(self._requests.send(Kind.FSTAT, self._head))
        return answer.expect(Kind.ATTRS).attributes()

    async def chown(self, uid: int, gid: int) -> None:
        """Give the file away."""
        body = self._head + Attributes(uid=uid, gid=gid).pack()
        (await self._requests.answer(self._requests.send(Kind.FSETSTAT, body))).settled()

    async def finish(self, attributes: Attributes, *, sync: bool) -> None:
        """Sync, set mode and times, and close; all of it goes right behind the last bytes (draft, section 3).

        In this order, for a sync of a large file takes long: where it is cut then, the file is still ours alone, and a
        later try may go on with it.
        """
        send = self._requests.send
        last = []
        if sync and self._can_sync:
            last.append(send(Kind.EXTENDED, pack_string(b"fsync@openssh.com") + self._head))
        last.append(send(Kind.FSETSTAT, self._head + attributes.pack()))
        last.append(send(Kind.CLOSE, self._head))
        self._open = False
        try:
            while self._under_way:
                await self._oldest()
            while last:
                (await self._requests.answer(last[0])).settled()
                last.pop(0)
            if sync and self._flushing is not None:
                self._flushing.settled()
        finally:
            self._forget(last)
            if self._flushing is not None:
                self._flushing.close()

    def abandon(self) -> None:
        """Close without waiting; what is under way may still be written."""
        if self._flushing is not None:
            self._flushing.close()
        if self._open:
            self._open = False
            self._forget([])
            _drop(self._requests, self._head)

    async def _oldest(self) -> None:
        number, length = self._under_way[0]
        answer = await self._requests.answer(number)
        self._under_way.popleft()
        self._bytes -= length
        answer.settled()
        self._moved(length)

    def _forget(self, more: list[int]) -> None:
        self._requests.forget([number for number, _ in self._under_way] + more)
        self._under_way.clear()


class SftpDownload:
    """A file that is read through ``handle``. See `remotefiles.Download`.

    What it is and its first piece are asked for at once: a small file needs no more.
    """

    def __init__(self, requests: Requests, handle: bytes, chunk: int, flow: Flow) -> None:
        self._requests = requests
        self._head = pack_string(handle)
        self._chunk = chunk
        self._flow = flow
        self._open = True
        self._stat = requests.send(Kind.FSTAT, self._head)
        self._under_way: deque[tuple[int, int, int, float]] = deque()  # number, offset, length, when it was sent
        self._bytes = 0
        self._ask(0, chunk)

    async def stat(self) -> Attributes:
        """The attributes of the open file."""
        return (await self._requests.answer(self._stat)).expect(Kind.ATTRS).attributes()

    async def fetch(
        self, write: Callable[[memoryview, int], object], start: int, size: int, moved: Callable[[int], None]
    ) -> int:
        """Read from ``start`` up to ``size`` into ``write(data, offset)``, in order; the offset where it ended."""
        if start:
            self._forget()
        at = start
        ahead = start + self._bytes
        full = False
        while True:
            while size and ahead < size:
                full = self._bytes >= self._flow.limit
                if full:
                    break
                length = min(self._chunk, size - ahead)
                self._ask(ahead, length)
                ahead += length
            if not self._under_way:
                if size and at >= size:
                    return at
                self._ask(at, self._chunk)  # to its end, one request at a time
            number, offset, length, sent = self._under_way.popleft()
            self._bytes -= length
            try:
                data = (await self._requests.answer(number)).expect(Kind.DATA).data()
            except SftpError as error:
                if error.code != END_OF_FILE:
                    raise
                if size:
                    raise FileShrank from None
                return at
            came = len(data)
            if not 0 < came <= length:
                raise SftpError(BAD_MESSAGE, "the host broke the SFTP protocol: an answer of the wrong length")
            if full:
                self._flow.heard(time.monotonic() - sent, came)
            wanted = data[: size - at] if size else data
            write(wanted, at)
            at += len(wanted)
            moved(len(wanted))
            if size and at >= size:
                return at
            if came < length:
                # the others are asked for already, so what is missing comes last, and the next ones ask for less
                self._chunk = max(SMALLEST_CHUNK, came)
                if size:
                    self._ask(offset + came, length - came, first=True)

    def abandon(self) -> None:
        """Close without waiting."""
        if self._open:
            self._open = False
            self._requests.forget([self._stat])
            self._forget()
            _drop(self._requests, self._head)

    def _ask(self, offset: int, length: int, *, first: bool = False) -> None:
        number = self._requests.send(Kind.READ, self._head + struct.pack(">QI", offset, length))
        asked = (number, offset, length, time.monotonic())
        if first:
            self._under_way.appendleft(asked)
        else:
            self._under_way.append(asked)
        self._bytes += length

    def _forget(self) -> None:
        self._requests.forget([number for number, *_ in self._under_way])
        self._under_way.clear()
        self._bytes = 0


def _drop(requests: Requests, head: bytes) -> None:
    with contextlib.suppress(SftpGone, SftpStopped):  # then the session ends, and the handle with it
        requests.forget([requests.send(Kind.CLOSE, head)])
