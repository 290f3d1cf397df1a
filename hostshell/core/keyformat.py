"""What is to be known of a key without its secret: whether its file is encrypted, its public half, an agent's list.

Pure: bytes in, plain data out. The formats are OpenSSH's PROTOCOL.key and draft-ietf-sshm-ssh-agent. No files.
"""

from __future__ import annotations

import base64
import binascii
import re

from hostshell.core.records import dataclass

CERTIFICATE = "-cert-v01@openssh.com"  # how the type of a certificate ends
AGENT_LIST = b"\0\0\0\x01\x0b"  # SSH_AGENTC_REQUEST_IDENTITIES
AGENT_KEYS = 12  # SSH_AGENT_IDENTITIES_ANSWER
MOST_KEYS = 2048  # in an agent; more than anybody has
OPENSSH = b"OPENSSH PRIVATE KEY"  # between the dashes, in the format of ssh-keygen
# where nothing names a key; ssh's own order, less what needs hardware or is retired
DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_MAGIC = b"openssh-key-v1\0"
_ARMOUR = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_PUBLIC = re.compile(rb"\s*(?:[a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file: ``private`` (else it holds a public key alone), ``encrypted``, and the ``public`` key where known.

    ``cipher``: with which it is encrypted, where the file says so by one name. ``retired``: DSA, which nobody takes.
    """

    private: bool
    encrypted: bool
    public: bytes | None
    cipher: str = ""
    retired: bool = False


def describe(data: bytes) -> KeyFile | None:
    """What stands in a key file; None when it is none."""
    found = _ARMOUR.search(data)
    if found is None:
        blob = public_of(data)
        return KeyFile(False, False, blob) if blob is not None else None
    kind, body = found[1].strip(), found[2]
    if kind != b"OPENSSH":
        locked = kind == b"ENCRYPTED" or b"Proc-Type: 4,ENCRYPTED" in body
        return KeyFile(True, locked, None, retired=kind == b"DSA")
    try:
        raw = base64.b64decode(b"".join(body.split()), validate=True)
        if not raw.startswith(_MAGIC):
            return None
        cipher, _kdf, _options, rest = strings(raw[len(_MAGIC) :], 3)
        public = strings(rest[4:], 1)[0]  # after the count of keys
        kind_of_key = type_of(public)
    except (binascii.Error, ValueError):
        return None
    locked = cipher != b"none"
    return KeyFile(True, locked, public, cipher.decode("ascii", "replace") if locked else "", kind_of_key == "ssh-dss")


def public_of(text: bytes) -> bytes | None:
    """The key of a line ``TYPE BASE64 [COMMENT]``, as in a ``.pub`` file; None for anything else."""
    found = _PUBLIC.match(text)
    if found is None:
        return None
    try:
        blob = base64.b64decode(found[1], validate=True)
        type_of(blob)
    except (binascii.Error, ValueError):
        return None
    return blob


def type_of(blob: bytes) -> str:
    """The type with which a public key or certificate begins. Raises ValueError."""
    return strings(blob, 1)[0].decode("ascii")


def agent_keys(answer: bytes) -> list[tuple[bytes, str]]:
    """The (public key, comment) of an agent's answer to `AGENT_LIST`, without its length. Raises ValueError."""
    if len(answer) < 5 or answer[0] != AGENT_KEYS:
        raise ValueError("the agent did not list its keys")
    count, rest = int.from_bytes(answer[1:5], "big"), answer[5:]
    if count > MOST_KEYS:
        raise ValueError("the agent has more keys than anybody")
    found = []
    for _ in range(count):
        blob, comment, rest = strings(rest, 2)
        found.append((blob, comment.decode("utf-8", "replace")))
    return found


def strings(data: bytes, count: int) -> list[bytes]:
    """``count`` strings (RFC 4251, section 5) and what follows them. Raises ValueError where they are not there."""
    found = []
    at = 0
    for _ in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if len(data) < at + 4 or end > len(data):
            raise ValueError("it ends too early")
        found.append(data[at + 4 : end])
        at = end
    return [*found, data[at:]]
