"""A connection from a jump host to an endpoint behind it, as a `Link` wants a socket.

Must not know who shares the jump host. Its flow is held back by SSH's windows on both sides, as with any channel.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable

import paramiko


class Tunnel:
    """An open channel of type ``direct-tcpip``. ``on_close`` is called once, when it is given back.

    ``hop_lost`` names the jump host whose link has ended, and with it this tunnel; "" where none has.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        endpoint: tuple[str, int],
        on_close: Callable[[], None],
        hop_lost: Callable[[], str] = lambda: "",
    ) -> None:
        self._channel = channel
        self.hop_lost = hop_lost
        self._endpoint = endpoint
        self._on_close: Callable[[], None] | None = on_close
        self._shut = False
        self._lock = threading.Lock()

    def recv(self, size: int, /) -> bytes:
        """At most ``size`` bytes, b"" at the end. Waits; `shutdown` wakes it."""
        try:
            return self._channel.recv(size)
        except (paramiko.SSHException, EOFError) as error:  # reading widens the window, and so it sends
            raise OSError(errno.ECONNRESET, str(error) or "the connection to the jump host ended") from None

    def sendall(self, data: bytes, /) -> None:
        """Send all of it. Raises OSError where the tunnel has ended."""
        rest = memoryview(data)
        while rest:
            if self._shut:
                raise OSError(errno.EPIPE, "the tunnel is closed")
            try:
                rest = rest[self._channel.send(bytes(rest)) :]
            except (paramiko.SSHException, EOFError) as error:
                raise OSError(errno.ECONNRESET, str(error) or "the connection to the jump host ended") from None

    def shutdown(self, how: int = 0, /) -> None:  # noqa: ARG002  # both ways, always
        """Wake whoever reads or writes. Sends nothing, and so it never waits: the other side is told by `close`."""
        self._shut = True
        channel = self._channel
        with channel.lock:
            channel.eof_sent = True  # what lets a writer go that waits for the window
            channel.out_buffer_cv.notify_all()
        channel.in_buffer.close()

    def close(self) -> None:
        """End it on both sides and give it back."""
        self.shutdown()
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()
        with self._lock:
            on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    # --- what only a socket has ---

    def setblocking(self, flag: bool, /) -> None:
        """It always waits."""

    def setsockopt(self, level: int, name: int, value: int, /) -> None:
        """TCP's options belong to the connection to the jump host."""

    def fileno(self) -> int:
        """None of its own."""
        return -1

    def getpeername(self) -> object:
        return self._endpoint
