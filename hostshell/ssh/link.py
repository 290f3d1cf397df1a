"""The socket-like object under a paramiko Transport: buffered reads, patient waits, one absolute deadline.

Must not know about hosts, keys or commands. paramiko asks for ``send``, ``recv``, ``close`` and ``settimeout``.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time

READ_SIZE = 128 * 1024  # bytes asked of the kernel at once; paramiko itself reads a packet in two small pieces
PATIENCE = 30.0  # seconds that an idle read waits; paramiko's own 0.1 s wakes every idle connection ten times a second
FIRST = 256  # bytes of the connection's beginning that are kept: what a server that will not have us says there
SHAKE_BUDGET = 512 * 1024  # bytes that a server may send before the handshake is over

# milliseconds that sent data may stay unacknowledged before the kernel calls the link dead (Linux, RFC 5482)
USER_TIMEOUT_MS = 30_000


class LinkDeadline(OSError):
    """The absolute deadline of this link has passed. Has errno and text: paramiko formats both."""


class LinkFlood(OSError):
    """The server sent more before the end of the handshake than any honest one does."""


class Link:
    """One TCP connection, as a Transport wants it.

    ``deadline`` (seconds on `time.monotonic`, None: no limit) bounds every wait, however slowly bytes drip in:
    paramiko's own time-outs bound each step, never the sum. ``expired`` tells afterwards that it was the deadline that
    ended the link. ``budget`` is how many bytes may come before it is set to None. ``first``: how the connection began.
    """

    def __init__(self, sock: socket.socket, deadline: float | None = None, budget: int | None = SHAKE_BUDGET) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._closed = False
        self._buffer = memoryview(b"")
        self.deadline = deadline
        self.budget = budget
        self.expired = False
        self.received = 0
        self.first = b""
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)

    def _wait(self, poll: select.poll, patience: float) -> bool:
        """Wait for the socket; False when ``patience`` seconds went by. Raises `LinkDeadline` at the deadline."""
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.expired = True
                raise LinkDeadline(errno.ETIMEDOUT, "the time for this connection is over")
            patience = min(patience, left)
        return bool(poll.poll(patience * 1000 + 1))

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; b"" at the end of the stream. Raises `socket.timeout` after an idle while."""
        if not self._buffer:
            self._fill()
        piece = self._buffer[:size]
        self._buffer = self._buffer[size:]
        return piece.tobytes()

    def _fill(self) -> None:
        while True:
            if self._closed:
                return
            # the deadline counts even while bytes keep coming
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self.expired = True
                raise LinkDeadline(errno.ETIMEDOUT, "the time for this connection is over")
            try:
                data = self._sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                if not self._wait(self._readable, PATIENCE):
                    raise TimeoutError from None
                continue
            except OSError:
                if self._closed:
                    return
                raise
            if self.received < FIRST:
                self.first += data[: FIRST - self.received]
            self.received += len(data)
            if self.budget is not None:
                self.budget -= len(data)
                if self.budget < 0:
                    raise LinkFlood(errno.EPROTO, "the server sent too much before the end of the handshake")
            self._buffer = memoryview(data)
            return

    def send(self, data: bytes) -> int:
        """Send some of ``data``; how many bytes. Raises `socket.timeout` when the peer takes nothing for a while."""
        while True:
            try:
                return self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                if not self._wait(self._writable, 1.0):
                    raise TimeoutError from None

    def settimeout(self, seconds: float | None) -> None:
        """paramiko asks for short waits so that it can look around; ours are woken by `close` instead."""

    def close(self) -> None:
        """End the connection and wake a waiting read: shut down first, or a patient read never returns."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the descriptor back. Only when no thread can be waiting on it any more."""
        self.close()
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def getpeername(self) -> object:
        return self._sock.getpeername()


def tune(sock: socket.socket, keepalive: float) -> None:
    """Set what every connection of ours wants: no Nagle delay, and a kernel that notices a dead peer.

    Nagle's delay slows every small warm command. paramiko's keepalive asks for no answer and so never
    notices a dead peer; TCP's own does, and wakes no thread. ``keepalive`` is seconds of silence, 0 for none.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive > 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = max(1, int(keepalive))
        for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", max(1, idle // 3)), ("TCP_KEEPCNT", 3)):
            option = getattr(socket, name, None)  # not every system has each
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        sock.setsockopt(socket.IPPROTO_TCP, user_timeout, USER_TIMEOUT_MS)
