"""What known_hosts says about an address: host keys, and text to what is known of an endpoint.

Must not know files, locks or paramiko: text and plain data in, plain data out. The format is sshd(8)'s "SSH_KNOWN_HOSTS
FILE FORMAT"; where the manual is silent, OpenSSH's hostfile.c and sshconnect.c (check_host_key) are followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import socket
import string
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

from hostshell.core.model import DEFAULT_PORT, Place
from hostshell.core.records import dataclass

# ssh lowers ASCII only, so that no other letter (the Kelvin sign, say) can pass for one of a host's name
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")  # signatures that one and the same ssh-rsa key makes
# what a name must not hold to be written: ssh's own list, and what would make it two names, a pattern or two lines
_UNWRITABLE = re.compile(r"[\x00-\x20\x7f\s@?*#\[\]|'\"\\,!]")


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key: ``type`` as in ``ssh-ed25519``, ``blob`` the key itself in base64."""

    type: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    def line(self, address: str, port: int) -> str:
        """The line of known_hosts (without its newline) that makes this key known for an endpoint.

        Raises ValueError for an address or a key that cannot stand in such a line.
        """
        if not address or _UNWRITABLE.search(address):
            raise ValueError("this address cannot stand in known_hosts")
        if _read_key(_encode(str(self))) != self:
            raise ValueError("this is no host key")
        return f"{known_name(address, port)} {self}"

    def __str__(self) -> str:
        return f"{self.type} {self.blob}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key in known_hosts and where it stands. ``by_pattern``: its line names the host by wildcards, not by name."""

    key: HostKey
    place: Place
    by_pattern: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What known_hosts says about one endpoint.

    ``entries`` are its keys, ``revoked`` the keys it must never show. ``plain`` are the keys of the address without its
    port, when nothing is known with the port: as with ssh, one of them is trusted when it is offered, but they make no
    other key look changed. ``authorities`` are ``@cert-authority`` lines, those of the address without its port where
    nothing is known with it.
    """

    address: str
    port: int
    entries: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()
    plain: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()

    @property
    def keys(self) -> tuple[HostKey, ...]:
        """The keys known for exactly this endpoint, in the order of the files."""
        return tuple(entry.key for entry in self.entries)


def known_name(address: str, port: int) -> str:
    """The name under which ssh looks an endpoint up: ``[address]:port``, or the address alone for port 22."""
    name = _canonical(address.translate(_LOWER))
    return name if port in (0, DEFAULT_PORT) else f"[{name}]:{port}"


def _canonical(address: str) -> str:
    """An IPv6 literal in its shortest form, as ssh does before it looks a host up; anything else as it is."""
    literal, percent, zone = address.partition("%")
    if ":" not in literal:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, literal)
    except (OSError, ValueError):
        return address
    return socket.inet_ntop(socket.AF_INET6, packed) + percent + zone


_Marker: TypeAlias = Literal["", "revoked", "cert-authority"]
_MARKERS: dict[bytes | None, _Marker] = {None: "", b"@revoked": "revoked", b"@cert-authority": "cert-authority"}
_LINE = re.compile(rb"[ \t]*(?:(@[^ \t]+)[ \t]+)?([^ \t@#][^ \t]*)[ \t]+([^ \t#].*)", re.DOTALL)
_WILD = re.compile(rb"[*?!]")

_SHA1_BLOCK, _SHA1_SIZE = 64, 20
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_sha1 = partial(hashlib.sha1, usedforsecurity=False)  # the format's choice, not ours: it protects nothing here


@dataclass(slots=True)
class _Line:
    """A line whose key is not looked at before the line is wanted: most never are."""

    number: int
    marker: _Marker
    rest: bytes
    by_pattern: bool = False


class _Hashed(NamedTuple):
    """A hashed name. The salt is kept as HMAC's two padded blocks (RFC 2104): half the cost of a look-up."""

    inner: bytes
    outer: bytes
    digest: bytes
    line: _Line


@dataclass(frozen=True, slots=True)
class _Patterns:
    """A list of names with wildcards or negations: ``(negated, pattern)`` each."""

    patterns: tuple[tuple[bool, bytes], ...]
    line: _Line

    def matches(self, name: bytes) -> bool:
        found = False
        for negated, pattern in self.patterns:
            if _glob(name, pattern):
                if negated:
                    return False
                found = True
        return found


@dataclass(slots=True)
class _Searched:
    """What the lists that must be searched one by one gave for a name so far, and how far they were searched."""

    lines: list[_Line]
    patterns: int = 0
    hashed: int = 0


class KnownHosts:
    """The lines of one known_hosts file, shown to people as ``file``. Not for several threads at a time.

    Names are found in a dictionary; wildcards and hashes must be searched one by one, but only once for each name.
    """

    def __init__(self, file: str = "known_hosts") -> None:
        self.file = file
        self._read = 0  # lines so far
        self._plain: dict[bytes, list[_Line]] = {}
        self._patterns: list[_Patterns] = []
        self._hashed: list[_Hashed] = []
        self._searched: dict[bytes, _Searched] = {}

    def extend(self, text: str | bytes) -> None:
        """Take in more lines, as if they had stood at the end: what was read before must have ended with a newline."""
        lines = _encode(text).split(b"\n")
        for number, line in enumerate(lines, self._read + 1):
            match = _LINE.match(line)
            if match is not None and match[1] in _MARKERS:
                self._take(match[2], _Line(number, _MARKERS[match[1]], match[3]))
        self._read += len(lines) - 1

    def _take(self, names: bytes, line: _Line) -> None:
        if names.startswith(b"|"):
            hashed = _read_hash(names, line)
            if hashed is not None:
                self._hashed.append(hashed)
        elif _WILD.search(names):
            line.by_pattern = True
            patterns = tuple((each[:1] == b"!", each.removeprefix(b"!")) for each in names.lower().split(b","))
            self._patterns.append(_Patterns(patterns, line))
        else:
            for name in set(names.lower().split(b",")):
                self._plain.setdefault(name, []).append(line)

    def find(self, name: str) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Keys, revoked keys and authorities of ``name`` (as `known_name` gives it), each in the file's order."""
        wanted = _encode(name)
        lines = self._plain.get(wanted, []) + self._search(wanted)
        keys: list[Entry] = []
        revoked: list[Entry] = []
        authorities: list[Entry] = []
        kinds = {"": keys, "revoked": revoked, "cert-authority": authorities}
        for line in sorted(lines, key=lambda line: line.number):
            key = _read_key(line.rest)
            if key is not None:
                kinds[line.marker].append(Entry(key, Place(self.file, line.number), line.by_pattern))
        return keys, revoked, authorities

    def _search(self, name: bytes) -> list[_Line]:
        if not self._patterns and not self._hashed:
            return []
        searched = self._searched.setdefault(name, _Searched([]))
        searched.lines += [each.line for each in self._patterns[searched.patterns :] if each.matches(name)]
        for inner, outer, digest, line in self._hashed[searched.hashed :]:
            if _sha1(outer + _sha1(inner + name).digest()).digest() == digest:
                searched.lines.append(line)
        searched.patterns, searched.hashed = len(self._patterns), len(self._hashed)
        return searched.lines

    def lookup(self, address: str, port: int) -> Known:
        """What this file says about an endpoint."""
        return lookup([self], address, port)


def parse(text: str | bytes, file: str = "known_hosts") -> KnownHosts:
    """Read known_hosts. Never raises: as with ssh, a line that cannot be understood is ignored and the others count."""
    book = KnownHosts(file)
    book.extend(text)
    return book


def lookup(books: Iterable[KnownHosts], address: str, port: int) -> Known:
    """What several files say about an endpoint together, in their order.

    Where the plain address stands in for a port of which nothing is known, keys that are revoked for it count too; ssh
    would take such a key for a new one.
    """
    books = list(books)
    entries, revoked, authorities = _gather(books, known_name(address, port))
    plain: list[Entry] = []
    if not entries and not authorities and port not in (0, DEFAULT_PORT):
        plain, plain_revoked, authorities = _gather(books, known_name(address, DEFAULT_PORT))
        revoked += plain_revoked
    return Known(address, port, tuple(entries), tuple(revoked), tuple(plain), tuple(authorities))


def matches(name: str, patterns: Collection[bytes]) -> bool:
    """Whether a host's name is one of ``patterns``, with wildcards; ASCII letters in any case."""
    wanted = _encode(_canonical(name.translate(_LOWER)))
    return any(_glob(wanted, pattern.lower()) for pattern in patterns)


def _gather(books: Sequence[KnownHosts], name: str) -> tuple[list[Entry], list[Entry], list[Entry]]:
    found: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
    for book in books:
        for kind, more in zip(found, book.find(name), strict=True):
            kind += more
    return found


def _encode(text: str | bytes) -> bytes:
    """Bytes, because ssh compares bytes: ``?`` is one of them, and no text is too broken to be looked for."""
    return text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text


def _read_hash(names: bytes, line: _Line) -> _Hashed | None:
    """``|1|SALT|HASH``: HMAC-SHA1 of the name, keyed with the salt; None when it is anything else."""
    parts = names.split(b"|")
    if len(parts) != 4 or parts[1] != b"1":
        return None
    salt, digest = _decode(parts[2]), _decode(parts[3])
    if salt is None or digest is None or len(salt) != _SHA1_SIZE or len(digest) != _SHA1_SIZE:
        return None
    block = salt.ljust(_SHA1_BLOCK, b"\0")
    return _Hashed(block.translate(_INNER), block.translate(_OUTER), digest, line)


def _glob(name: bytes, pattern: bytes) -> bool:
    """Does ``name`` match ``pattern`` with ``*`` and ``?``? Never worse than the product of their lengths."""
    at = start = 0  # in name: where we are, and where the last star's share began
    here, star = 0, -1  # in pattern: where we are, and the last star
    while at < len(name):
        if here < len(pattern) and pattern[here] == 0x2A:  # *
            star, start = here, at
            here += 1
        elif here < len(pattern) and pattern[here] in (0x3F, name[at]):  # ? or the byte itself
            here += 1
            at += 1
        elif star >= 0:
            start += 1
            here, at = star + 1, start
        else:
            return False
    return not pattern[here:].strip(b"*")


# --- keys, read -------------------------------------------------------------------------------------------------------

# how many strings a blob of each type holds, its type's name among them (RFC 4253 6.6, 5656 3.1, 8709 4, PROTOCOL.u2f)
_SHAPES = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
    "ssh-dss": 5,
}
_POINT_SIZES = {b"nistp256": 65, b"nistp384": 97, b"nistp521": 133}  # bytes of an uncompressed point
_MIN_RSA_BITS = 1024  # ssh refuses to read a smaller one


def _read_key(rest: bytes) -> HostKey | None:
    """The key at the beginning of ``TYPE BASE64 [COMMENT]``; None unless it is whole, because a line may be torn."""
    words = [word for word in rest.rstrip(b"\r").replace(b"\t", b" ").split(b" ") if word]
    blob = _decode(words[1]) if len(words) > 1 else None
    fields = _fields(blob) if blob is not None else None
    if blob is None or not fields:
        return None
    kind = fields[0].decode("ascii", "replace")
    named = words[0].decode("ascii", "replace")
    if _SHAPES.get(kind) != len(fields) or (named != kind and (kind != "ssh-rsa" or named not in RSA_ALGORITHMS)):
        return None
    if "ed25519" in kind and len(fields[1]) != 32:
        return None
    if "ecdsa" in kind and (len(fields[2]) != _POINT_SIZES.get(fields[1]) or fields[1].decode("ascii") not in kind):
        return None
    if kind == "ssh-rsa" and int.from_bytes(fields[2], "big").bit_length() < _MIN_RSA_BITS:
        return None
    return HostKey(kind, base64.b64encode(blob).decode("ascii"))


def _fields(blob: bytes) -> list[bytes] | None:
    """A blob's strings (RFC 4251 5: four bytes of length, then as many bytes); None when it does not end with one."""
    fields = []
    at = 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        if end > len(blob):
            return None
        fields.append(blob[at + 4 : end])
        at = end
    return fields


def _decode(text: bytes) -> bytes | None:
    """Base64 as it is written, padding and all; None for anything else, because Python skips what it does not know."""
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        return None
    return data if binascii.b2a_base64(data, newline=False) == text else None
