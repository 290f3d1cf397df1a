"""The words of SFTP version 3: numbers, attributes and answers, to bytes and back.

Pure: sends nothing. Sources: draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL, section 4, for the extensions.
"""

from __future__ import annotations

import stat
import struct
from enum import IntEnum

from hostshell.core.clean import clean, decode
from hostshell.core.records import dataclass


class Kind(IntEnum):
    """Packet types (draft, section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


# status codes (draft, section 7)
OK, END_OF_FILE, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, _, _, UNSUPPORTED = range(9)
# how to open a file (draft, section 6.3)
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = (1 << bit for bit in range(6))

_ALL = 0x0F  # the flags of attributes that hold everything: what OpenSSH sends
_WHOLE = struct.Struct(">QIIIII")

# what servers send as text when they have nothing to add to the code
_PLAIN_TEXTS = frozenset({"", "success", "failure", "no such file", "no such file or directory", "permission denied"})
_LATEST = 0xFFFFFFFF  # seconds: the last time that version 3 can tell, in 2106


class SftpError(Exception):
    """What the server answered when a request did not go well.

    ``code`` as above; ``text`` is what the server says beyond it, cleaned, "" when that is nothing.
    """

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    @property
    def missing(self) -> bool:
        """There is nothing at that path. OpenSSH says this too where a part of the path is no directory."""
        return self.code == NO_SUCH_FILE


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is known, or to be set, about a file; None is "not said". Times are seconds since 1970."""

    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    atime: int | None = None
    mtime: int | None = None

    def pack(self) -> bytes:
        """The attributes for a request. Times outside 1970–2106 are moved to the nearest that can be told."""
        flags, body = 0, b""
        if self.size is not None:
            flags, body = flags | 1, body + struct.pack(">Q", self.size)
        if self.uid is not None and self.gid is not None:
            flags, body = flags | 2, body + struct.pack(">II", self.uid, self.gid)
        if self.mode is not None:
            flags, body = flags | 4, body + struct.pack(">I", self.mode)
        if self.atime is not None and self.mtime is not None:
            times = (min(max(seconds, 0), _LATEST) for seconds in (self.atime, self.mtime))
            flags, body = flags | 8, body + struct.pack(">II", *times)
        return struct.pack(">I", flags) + body

    @property
    def is_directory(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return self.mode is not None and stat.S_ISLNK(self.mode)

    @property
    def is_special(self) -> bool:
        """A FIFO, socket or device. What a server says nothing about counts as a plain file."""
        return self.mode is not None and stat.S_IFMT(self.mode) not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory. The server chose it."""

    name: bytes
    attributes: Attributes


class Reader:
    """Takes an answer apart. What is too short or says nonsense raises `SftpError` with ``BAD_MESSAGE``."""

    __slots__ = ("_at", "_packet")

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 0

    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._packet) - self._at

    def number(self) -> int:
        """A 32-bit number."""
        at = self._at
        self._at = end = at + 4
        if end > len(self._packet):
            raise _too_short()
        return int.from_bytes(self._packet[at:end], "big")

    def long(self) -> int:
        """A 64-bit number."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """A string of bytes."""
        return bytes(self._take(self.number()))

    def skip(self) -> None:
        """Pass over a string."""
        end = self.number() + self._at
        if end > len(self._packet):
            raise _too_short()
        self._at = end

    def data(self) -> memoryview:
        """A string of bytes, not copied."""
        return self._take(self.number())

    def attributes(self) -> Attributes:
        """File attributes (draft, section 5)."""
        flags = self.number()
        if flags == _ALL and self.left() >= _WHOLE.size:  # in one go: a listing has thousands
            whole = _WHOLE.unpack_from(self._packet, self._at)
            self._at += _WHOLE.size
            return Attributes(*whole)
        size = self.long() if flags & 1 else None
        uid, gid = (self.number(), self.number()) if flags & 2 else (None, None)
        mode = self.number() if flags & 4 else None
        atime, mtime = (self.number(), self.number()) if flags & 8 else (None, None)
        if flags & 0x80000000:
            for _ in range(self.number()):
                self._take(self.number())
                self._take(self.number())
        return Attributes(size, uid, gid, mode, atime, mtime)

    def _take(self, size: int) -> memoryview:
        end = self._at + size
        if end > len(self._packet):
            raise _too_short()
        piece = memoryview(self._packet)[self._at : end]
        self._at = end
        return piece


def _too_short() -> SftpError:
    return SftpError(BAD_MESSAGE, "the host broke the SFTP protocol: an answer ends too early")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to request ``number``: its type and the rest of the packet."""

    number: int
    kind: int
    reader: Reader

    def expect(self, kind: Kind) -> Reader:
        """What the answer holds, if it is of this kind. Raises `SftpError` with the status that came instead."""
        if self.kind == kind:
            return self.reader
        if self.kind == Kind.STATUS:
            code, text = self.status()
            if code != OK:
                raise SftpError(code, text)
        raise SftpError(BAD_MESSAGE, "the host broke the SFTP protocol: an answer of the wrong kind")

    def settled(self) -> None:
        """Raises `SftpError` unless the answer is the status "OK"."""
        if self.kind != Kind.STATUS:
            raise SftpError(BAD_MESSAGE, "the host broke the SFTP protocol: an answer of the wrong kind")
        code, text = self.status()
        if code != OK:
            raise SftpError(code, text)

    def status(self) -> tuple[int, str]:
        """The code, and what the server says beyond it."""
        code = self.reader.number()
        text = clean(decode(self.reader.string()[:200]).strip()) if self.reader.left() >= 4 else ""
        return code, "" if text.lower() in _PLAIN_TEXTS else text


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What ``statvfs@openssh.com`` tells: bytes and inodes free for this user, and whether it can only be read."""

    free: int
    inodes_free: int
    inodes: int
    read_only: bool

    @classmethod
    def read(cls, reader: Reader) -> FileSystem:
        """From the answer: bsize frsize blocks bfree bavail files ffree favail fsid flag namemax."""
        _, frsize, _, _, available, files, _, files_available, _, flags, _ = (reader.long() for _ in range(11))
        return cls(available * frsize, files_available, files, bool(flags & 1))


def pack_string(data: bytes) -> bytes:
    """A string as the protocol writes it: its length, then its bytes."""
    return struct.pack(">I", len(data)) + data
