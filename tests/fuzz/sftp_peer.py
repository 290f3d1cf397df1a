"""The other end of an SFTP channel, as bytes: a small server whose answers hypothesis may spoil.

`Wire` is what our code has of paramiko's Channel: it takes bytes and gives bytes, and knows nothing of ours.
"""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import paramiko

from hostshell.ssh.sftpwire import Kind

DIRECTORY, FILE, LINK = 0o040755, 0o100644, 0o120777
MOST_REQUESTS = 20_000  # a client that asks more than this for trees and files as small as ours does not end


class Endless(AssertionError):
    """The client never stops asking."""


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def attributes(size: int | None, mode: int | None, times: tuple[int, int] | None = (1, 2), owner: bool = True) -> bytes:
    flags, body = 0, b""
    if size is not None:
        flags, body = flags | 1, body + struct.pack(">Q", size)
    if owner:
        flags, body = flags | 2, body + struct.pack(">II", 1000, 1000)
    if mode is not None:
        flags, body = flags | 4, body + struct.pack(">I", mode)
    if times is not None:
        flags, body = flags | 8, body + struct.pack(">II", *times)
    return struct.pack(">I", flags) + body


@dataclass
class Node:
    """A file, folder or link of the server: ``names`` is a folder's listing, which may well lie."""

    mode: int | None = FILE
    content: bytes = b""
    names: list[tuple[bytes, Node]] = field(default_factory=list)
    size: int | None = None  # what is said about it; None: the truth
    times: tuple[int, int] | None = (1_000_000_000, 1_000_000_000)

    def packed(self) -> bytes:
        return attributes(len(self.content) if self.size is None else self.size, self.mode, self.times)


class Server:
    """Answers requests from a tree of `Node`, in any order. Paths are looked up from the root by their parts.

    ``spoil`` may change the bytes of an answer; answers to reads are ``short``, or hold ``more`` bytes than were asked.
    """

    def __init__(
        self,
        root: Node,
        *,
        spoil: Callable[[bytes], bytes] = lambda packet: packet,
        seed: int = 0,
        short: bool = False,
        more: int = 0,
        extensions: bytes = b"",
    ) -> None:
        self.root = root
        self.spoil = spoil
        self.random = random.Random(seed)
        self.short = short
        self.more = more
        self.extensions = extensions
        self.requests: list[tuple[int, bytes]] = []
        self.handles: dict[bytes, tuple[Node, list[tuple[bytes, Node]]]] = {}
        self.gone: set[bytes] = set()
        self.made: dict[bytes, Node] = {}

    def find(self, path: bytes) -> Node | None:
        if path in self.gone:
            return None
        if path in self.made:
            return self.made[path]
        node = self.root
        for part in [part for part in path.split(b"/") if part not in (b"", b".")]:
            for name, child in node.names:
                if name == part:
                    node = child
                    break
            else:
                return None
        return node

    def reply(self, kind: int, body: bytes) -> bytes:
        """The answer to one request, as a whole packet."""
        self.requests.append((kind, body))
        if len(self.requests) > MOST_REQUESTS:
            raise Endless
        if kind == Kind.INIT:
            return self._frame(bytes([Kind.VERSION]) + struct.pack(">I", 3) + self.extensions)
        (number,) = struct.unpack_from(">I", body)
        answer_kind, rest = self._answer(kind, body[4:])
        return self._frame(bytes([answer_kind]) + struct.pack(">I", number) + rest)

    def _frame(self, packet: bytes) -> bytes:
        return self.spoil(text(packet))

    def _status(self, code: int) -> tuple[int, bytes]:
        return Kind.STATUS, struct.pack(">I", code) + text(b"") + text(b"")

    def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
        (length,) = struct.unpack_from(">I", body)
        first, rest = body[4 : 4 + length], body[4 + length :]
        match kind:
            case Kind.STAT | Kind.LSTAT:
                node = self.find(first)
                return self._status(2) if node is None else (Kind.ATTRS, node.packed())
            case Kind.OPEN | Kind.OPENDIR:
                node = self.find(first)
                if kind == Kind.OPEN and struct.unpack_from(">I", rest)[0] & 8:  # CREATE
                    node = self.made[first] = Node(content=b"")
                    self.gone.discard(first)
                if node is None:
                    return self._status(2)
                handle = b"%d" % len(self.handles)
                self.handles[handle] = (node, list(node.names))
                return Kind.HANDLE, text(handle)
            case Kind.FSTAT:
                return (Kind.ATTRS, self.handles[first][0].packed()) if first in self.handles else self._status(4)
            case Kind.READ if first in self.handles:
                content = self.handles[first][0].content
                offset, wanted = struct.unpack_from(">QI", rest)
                piece = content[offset : offset + wanted + self.more]
                if self.short and piece:
                    piece = piece[: self.random.randint(1, len(piece))]
                return (Kind.DATA, text(piece)) if piece else self._status(1)
            case Kind.READDIR if first in self.handles:
                waiting = self.handles[first][1]
                if not waiting:
                    return self._status(1)
                count = self.random.randint(1, len(waiting))
                names = [text(name) + text(b"") + node.packed() for name, node in waiting[:count]]
                del waiting[:count]
                return Kind.NAME, struct.pack(">I", count) + b"".join(names)
            case Kind.READLINK:
                node = self.find(first)
                return self._status(2) if node is None else (Kind.NAME, struct.pack(">I", 1) + text(node.content) * 2)
            case Kind.WRITE if first in self.handles:
                offset, length = struct.unpack_from(">QI", rest)
                node = self.handles[first][0]
                content = node.content.ljust(offset, b"\0")
                node.content = content[:offset] + rest[12 : 12 + length] + content[offset + length :]
                return self._status(0)
            case Kind.REMOVE:
                self.gone.add(first)
                return self._status(0)
            case Kind.RENAME:
                (length,) = struct.unpack_from(">I", rest)
                node = self.find(first)
                if node is None:
                    return self._status(2)
                self.made[rest[4 : 4 + length]] = node
                self.gone.discard(rest[4 : 4 + length])
                self.gone.add(first)
                return self._status(0)
            case Kind.MKDIR:
                if self.find(first) is not None:
                    return self._status(4)
                self.made[first] = Node(DIRECTORY)
                self.gone.discard(first)
                return self._status(0)
            case Kind.CLOSE | Kind.SETSTAT | Kind.FSETSTAT | Kind.RMDIR | Kind.SYMLINK:
                return self._status(0)
        return self._status(8)


class Line:
    """A link that lives, with one channel on it, and no room for another."""

    def __init__(self, channel: Wire) -> None:
        self._channel = channel
        self._opened = False

    def open_session(self, window_size: int, timeout: float) -> Wire:
        if self._opened:
            raise paramiko.ChannelException(1, "Administratively prohibited")
        self._opened = True
        return self._channel

    def is_active(self) -> bool:
        return True

    def is_alive(self) -> bool:
        return True

    def _send_user_message(self, message: paramiko.Message) -> None:
        assert message.asbytes().endswith(text(b"sftp"))
        self._channel.event_ready = True  # it has it
        self._channel.event.set()


class Wire:
    """A channel to ``server``. Answers wait until they are read, in an order of chance; then the channel ends.

    ``unasked`` are bytes that come before any answer; without a server they are all that ever comes.
    """

    def __init__(self, server: Server | None, *, unasked: bytes = b"", piece: int = 1 << 20) -> None:
        self.eof_received = True  # so that nobody waits for it: the link is alive, the channel has ended
        self.closed = False
        self.remote_chanid = 0
        self.event = threading.Event()
        self.event_ready = False
        self._server = server
        self._in = bytearray()
        self._answers: list[bytes] = []
        self._out = bytearray(unasked)
        self._piece = piece

    def send(self, data: bytes) -> int:
        if self._server is None:
            return len(data)
        self._in += data
        while len(self._in) >= 4:
            (length,) = struct.unpack_from(">I", self._in)
            if len(self._in) < 4 + length:
                break
            self._answers.append(self._server.reply(self._in[4], bytes(self._in[5 : 4 + length])))
            del self._in[: 4 + length]
        return len(data)

    def recv(self, size: int) -> bytes:
        if not self._out and self._answers and self._server is not None:
            self._out += self._answers.pop(self._server.random.randrange(len(self._answers)))
        piece = bytes(self._out[: min(size, self._piece)])
        del self._out[: len(piece)]
        return piece

    def get_transport(self) -> Line:
        return Line(self)

    def settimeout(self, seconds: float) -> None:
        """Nothing here ever waits."""

    def recv_ready(self) -> bool:
        return bool(self._out or self._answers)

    def recv_stderr_ready(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
