"""Servers that fail in one scripted way each.

Must not know SSH beyond the first messages of RFC 4253. All bind 127.0.0.1, run in threads, and end with their context.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

IDENT = b"SSH-2.0-OpenSSH_9.2p1\r\n"
CHUNK = 65536  # bytes
F = TypeVar("F", bound="Faulty")


def packet(payload: bytes) -> bytes:
    """``payload`` as an unencrypted packet of the SSH binary protocol (RFC 4253, section 6)."""
    padding = 8 - (len(payload) + 5) % 8
    if padding < 4:
        padding += 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def kexinit(
    kex: str = "curve25519-sha256,ecdh-sha2-nistp256",
    host_key: str = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512",
    cipher: str = "aes128-ctr,aes256-ctr,aes128-gcm@openssh.com",
    mac: str = "hmac-sha2-256,hmac-sha2-512",
    compression: str = "none",
) -> bytes:
    """A server's SSH_MSG_KEXINIT packet (RFC 4253, section 7.1) that offers these algorithms."""
    lists = [kex, host_key, cipher, cipher, mac, mac, compression, compression, "", ""]
    names = b"".join(struct.pack(">I", len(item)) + item.encode("ascii") for item in lists)
    return packet(b"\x14" + os.urandom(16) + names + b"\x00" + bytes(4))


class Faulty:
    """A TCP server on a free port of 127.0.0.1 that plays `play` on every connection, each in a thread.

    ``accepted`` counts connections. Leaving the context ends all threads: `play` sees its socket closed, `ended` set.
    """

    backlog = 64

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self.port = 0
        self.accepted = 0
        self.ended = threading.Event()
        self._listener: socket.socket | None = None
        self._links: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def __enter__(self: F) -> F:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        listener = socket.socket()
        listener.bind((self.address, 0))
        listener.listen(self.backlog)
        self._listener = listener
        self.port = listener.getsockname()[1]
        self._spawn(self._accept, listener)

    def stop(self) -> None:
        """Close everything and wait for the threads. May be called twice."""
        self.ended.set()
        with self._lock:
            open_sockets = [*self._links, *([self._listener] if self._listener else [])]
        for open_socket in open_sockets:
            shut(open_socket)
        for thread in self._threads:
            thread.join()
        if self._listener is not None:
            self._listener.close()

    def play(self, link: socket.socket) -> None:
        """What happens on one connection; the link is closed when this returns."""
        raise NotImplementedError

    def hold(self, link: socket.socket) -> None:
        """Read and discard until the other side or our end closes the link."""
        while link.recv(CHUNK):
            pass

    def _accept(self, listener: socket.socket) -> None:
        while not self.ended.is_set():
            # Not every system wakes accept() when another thread shuts the socket down, hence the time limit.
            if not select.select([listener], [], [], 0.2)[0]:
                continue
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self.ended.is_set():  # too late for `stop` to see this link
                    link.close()
                    return
                self.accepted += 1
                self._links.add(link)
            self._spawn(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client may leave at any moment, and so may we
            self.play(link)
        with self._lock:
            self._links.discard(link)
        link.close()

    def _spawn(self, body: Callable[[socket.socket], None], link: socket.socket) -> None:
        thread = threading.Thread(target=body, args=(link,), name=type(self).__name__, daemon=True)
        self._threads.append(thread)
        thread.start()


class SynDropper(Faulty):
    """Never answers a SYN, as a filtered port: its queue of connections is full, and nobody accepts them."""

    backlog = 0

    def __init__(self) -> None:
        super().__init__()
        self._fillers: list[socket.socket] = []

    def start(self) -> None:
        """Listen, and fill the queue until the next connect hangs."""
        super().start()
        for _ in range(32):
            filler = socket.socket()
            filler.setblocking(False)
            self._fillers.append(filler)
            filler.connect_ex((self.address, self.port))
            if not select.select([], [filler], [], 0.3)[1]:
                return
        raise RuntimeError("this system keeps accepting connections beyond the backlog")

    def stop(self) -> None:
        """Close everything."""
        for filler in self._fillers:
            filler.close()
        super().stop()

    def _accept(self, listener: socket.socket) -> None:
        """Accept nobody."""


class Mute(Faulty):
    """Accepts, and never says a word."""

    def play(self, link: socket.socket) -> None:
        self.hold(link)


class StallAfterKex(Faulty):
    """Begins the key exchange (its identification and KEXINIT), then says nothing more."""

    def play(self, link: socket.socket) -> None:
        link.sendall(IDENT + kexinit())
        self.hold(link)


class OnlyRetired(Faulty):
    """Offers retired algorithms only, as a server of 2008 would; whatever the client answers, it says nothing more."""

    CIPHERS = "3des-cbc,arcfour"

    def __init__(self, cipher: str = CIPHERS) -> None:
        super().__init__()
        self._cipher = cipher

    def play(self, link: socket.socket) -> None:
        link.sendall(IDENT + kexinit(cipher=self._cipher, mac="hmac-md5"))
        self.hold(link)


class EndlessBanner(Faulty):
    """Sends text before its identification, as RFC 4253 (section 4.2) allows, but without an end.

    ``line`` is repeated as fast as the client takes it; without a newline in it, it is one line for ever.
    ``sent`` counts bytes.
    """

    def __init__(self, line: bytes = b"Welcome to a server that likes to talk.\r\n") -> None:
        super().__init__()
        self.sent = 0
        self._block = line * max(1, CHUNK // len(line))

    def play(self, link: socket.socket) -> None:
        while not self.ended.is_set():
            self.sent += link.send(self._block)


class Slam(Faulty):
    """Accepts and closes. ``say`` is sent before (``IDENT + kexinit()``: a link cut in the key exchange).

    ``reset`` closes with RST in place of FIN.
    """

    def __init__(self, say: bytes = b"", *, reset: bool = False) -> None:
        super().__init__()
        self._say = say
        self._reset = reset

    def play(self, link: socket.socket) -> None:
        if self._say:
            link.sendall(self._say)
            link.recv(CHUNK)  # the client has answered: it has got what we said, and nothing unread turns FIN into RST
        if self._reset:
            reset_on_close(link)


class DripBanner(Faulty):
    """Sends ``drip`` every ``pause`` seconds for ever: each read succeeds, and the banner never ends."""

    def __init__(self, drip: bytes = b"x", pause: float = 0.05) -> None:
        super().__init__()
        self._drip = drip
        self._pause = pause

    def play(self, link: socket.socket) -> None:
        while not self.ended.wait(self._pause):
            link.sendall(self._drip)


class EscapeBanner(Faulty):
    """Says ``text``, full of terminal control, where its identification should be, and closes.

    For a banner after the handshake (SSH_MSG_USERAUTH_BANNER) give a real sshd the option ``Banner``.
    """

    TEXT = (
        b"\x1b]0;owned\x07\x1b[2J\x1b[1;1H\x1b]52;c;cm0gLXJm\x07\x1bPdevice\x1b\\\x9b31m\r\n"
        b"web01: forged\x1b[8mhidden\r\n"
        b"SSH-9.9-\x1b[31mred\x1b]8;;http://example.net\x07\r\n"
    )

    def __init__(self, text: bytes = TEXT) -> None:
        super().__init__()
        self._text = text

    def play(self, link: socket.socket) -> None:
        link.sendall(self._text)
        link.shutdown(socket.SHUT_WR)
        self.hold(link)


def shut(link: socket.socket) -> None:
    """End both directions; a thread that reads or writes wakes up."""
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)


def reset_on_close(link: socket.socket) -> None:
    """Make the next close send RST in place of FIN (a linger time of zero)."""
    with contextlib.suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
