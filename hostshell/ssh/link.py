"""The socket-like object under a paramiko Transport: buffered reads that wait patiently, one absolute deadline.

Must not know about hosts, keys or commands. paramiko asks for ``send``, ``recv``, ``close`` and ``settimeout``.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from typing import Protocol

from hostshell.ssh import heap
from hostshell.ssh.deadlines import DEADLINES, Alarm

READ_SIZE = 128 * 1024  # bytes asked of the kernel at once; paramiko itself reads a packet in two small pieces
FIRST = 256  # bytes of the connection's beginning that are kept: what a server that will not have us says there
SHAKE_BUDGET = 512 * 1024  # bytes that a server may send before the handshake is over

# milliseconds that sent data may stay unacknowledged before the kernel calls the link dead (Linux, RFC 5482)
USER_TIMEOUT_MS = 30_000
# the most that Linux takes of TCP_KEEPIDLE and TCP_KEEPINTVL (seconds), TCP_KEEPCNT and TCP_USER_TIMEOUT
_LONGEST_IDLE, _MOST_PROBES, _LONGEST_PATIENCE_MS = 32767, 127, 2**31 - 1

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux, tcp(7): it wears off, so it is set anew each time

# while a laptop sleeps the monotonic clock of Linux stands still, but the server's does not
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Wire(Protocol):
    """What a `Link` needs of what carries it: a TCP socket, or a tunnel through another SSH connection."""

    def setblocking(self, flag: bool, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def setsockopt(self, level: int, name: int, value: int, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...
    def getpeername(self) -> object: ...


class LinkFlood(OSError):
    """The server sent more before the end of the handshake than any honest one does."""


class Link:
    """One TCP connection (or what stands for one), as a Transport wants it.

    ``deadline`` (seconds on `time.monotonic`, None: no limit) ends the connection when it comes, however slowly bytes
    drip in: paramiko's own time-outs bound each step, never the sum. ``expired`` tells afterwards that it was the
    deadline. ``budget`` is how many bytes may come before it is set to None. ``first``: how the connection began.
    ``hurry``: acknowledge at once what comes. Until its first session sshd lets Nagle's algorithm hold back each answer
    until the one before is acknowledged, and a client that sends nothing meanwhile would let it wait for 40 ms.
    """

    def __init__(self, sock: Wire, deadline: float | None = None, budget: int | None = SHAKE_BUDGET) -> None:
        # a blocking read costs one system call, and idle it costs nothing; `close` wakes it
        sock.setblocking(True)
        self._sock = sock
        self._closed = False
        self._buffer = b""
        self._at = 0  # what of the buffer has been read
        self._alarm: Alarm | None = None
        self._sending = threading.Lock()  # what was kept goes before what is sent next, or no packet can be read
        self._corked_by: int | None = None  # the thread whose packets are kept
        self._kept: list[bytes] = []
        self.budget = budget
        self.hurry = True
        self.expired = False
        self.received = 0
        self._sent = 0
        self.first = b""
        self._heard = time.clock_gettime(_CLOCK)
        self.deadline = deadline

    @property
    def deadline(self) -> float | None:
        """When the connection ends by itself, in seconds on `time.monotonic`; None: never."""
        return self._alarm.when if self._alarm is not None else None

    @deadline.setter
    def deadline(self, when: float | None) -> None:
        if self._alarm is not None:
            self._alarm.drop()
        self._alarm = None if when is None else DEADLINES.set(when, self._expire)

    def _expire(self) -> None:
        self.expired = True
        self.close()

    @property
    def idle(self) -> float:
        """Seconds since the server was last heard, those of a machine that sleeps included (Linux)."""
        return time.clock_gettime(_CLOCK) - self._heard

    # --- reading: the transport's thread alone ---

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; b"" at the end of the stream."""
        if self._at == len(self._buffer):
            self._buffer, self._at = self._receive(), 0
        return self._take(min(size, len(self._buffer) - self._at))

    def read_exactly(self, size: int) -> bytes:
        """``size`` bytes. Raises `EOFError` when the stream ends before."""
        have = len(self._buffer) - self._at
        if have < size:
            parts = [self._buffer[self._at :]]
            while have < size:
                data = self._receive()
                if not data:
                    raise EOFError
                parts.append(data)
                have += len(data)
            self._buffer, self._at = b"".join(parts), 0
        return self._take(size)

    def read_line(self) -> bytes:
        """All up to the next LF, which is not returned. Raises `EOFError` when the stream ends before."""
        searched = self._at
        while (end := self._buffer.find(b"\n", searched)) < 0:
            data = self._receive()
            if not data:
                raise EOFError
            rest = self._buffer[self._at :]
            self._buffer, self._at, searched = rest + data, 0, len(rest)
        line = self._take(end - self._at)
        self._at += 1
        return line

    def _take(self, size: int) -> bytes:
        piece = self._buffer[self._at : self._at + size]
        self._at += size
        return piece

    def _receive(self) -> bytes:
        try:
            data = self._sock.recv(READ_SIZE)
        except OSError:
            if self._closed:
                return b""
            raise
        if self.received < FIRST:
            self.first += data[: FIRST - self.received]
        self.received += len(data)
        if self.received > heap.MUCH:
            heap.keep()
        self._heard = time.clock_gettime(_CLOCK)
        if self.hurry and _QUICKACK is not None:
            with contextlib.suppress(OSError):  # no TCP, or closed meanwhile
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        if self.budget is not None:
            self.budget -= len(data)
            if self.budget < 0:
                raise LinkFlood(errno.EPROTO, "the server sent too much before the end of the handshake")
        return data

    # --- writing: any thread ---

    def send(self, data: bytes) -> int:
        """Send ``data``; its length. Waits while the peer takes nothing."""
        with self._sending:
            if self._corked_by == threading.get_ident():
                self._kept.append(bytes(data))
            else:
                self._send([*self._kept, data])
        return len(data)

    def cork(self) -> None:
        """Keep what this thread sends until it calls `uncork`: what travels together costs one system call and segment.

        What another thread sends goes at once, behind what was kept by then: the transport may have to exchange keys,
        and whoever keeps packets back may be waiting for just that.
        """
        with self._sending:
            self._corked_by = threading.get_ident()

    def uncork(self) -> None:
        """Send what was kept. Raises OSError as `send` does."""
        with self._sending:
            self._corked_by = None
            if self._kept:
                self._send(self._kept)

    def _send(self, pieces: list[bytes]) -> None:
        self._kept = []
        data = b"".join(pieces)
        self._sent += len(data)
        if self._sent > heap.MUCH:
            heap.keep()
        self._sock.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """paramiko asks for short waits so that it can look around; ours are woken by `close` instead."""

    # --- the end ---

    def close(self) -> None:
        """End the connection and wake a waiting read: shut down first, or a patient read never returns."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the descriptor and the memory back. Only when no thread can be waiting on it any more."""
        self.deadline = None
        self.close()
        self._sock.close()
        self._buffer, self._at = b"", 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def getpeername(self) -> object:
        return self._sock.getpeername()


def tune(sock: socket.socket, keepalive: float, count: int | None = None) -> None:
    """Set what every connection of ours wants: no Nagle delay, and a kernel that notices a dead peer.

    Nagle's delay slows every small warm command. paramiko's keepalive asks for no answer and so never
    notices a dead peer; TCP's own does, and wakes no thread. ``keepalive`` is seconds of silence, 0 for none.
    ``count`` unanswered probes, ``keepalive`` seconds apart, end the connection, as ssh's ServerAliveCountMax has it;
    None: the kernel gives up sooner.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    patience = USER_TIMEOUT_MS
    if keepalive > 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = min(max(1, int(keepalive)), _LONGEST_IDLE)
        between, probes = (max(1, idle // 3), 3) if count is None else (idle, min(max(1, count), _MOST_PROBES))
        if count is not None:
            # beside it the kernel does not look at TCP_KEEPCNT (tcp(7)), so both have to say the same
            patience = idle * (probes + 1) * 1000
        for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", between), ("TCP_KEEPCNT", probes)):
            option = getattr(socket, name, None)  # not every system has each
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        sock.setsockopt(socket.IPPROTO_TCP, user_timeout, min(patience, _LONGEST_PATIENCE_MS))
