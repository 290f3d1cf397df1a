"""Key files that a job will need, looked at before it runs: is one encrypted, and is this its passphrase?

Must not know hosts. The private halves are opened only to try a passphrase that a person has just typed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from hostshell.core.keyformat import AGENT_LIST, OPENSSH, agent_keys, describe, public_of

LARGEST = 256 * 1024  # bytes of a key file
AGENT_PATIENCE = 2.0  # seconds for the agent to list its keys
MOST_LISTED = 1024 * 1024  # bytes of that list


def needs_passphrase(path: str, agent: str | None) -> bool:
    """Whether the key in ``path`` is encrypted and not in the agent's hands (its socket; None: $SSH_AUTH_SOCK)."""
    look = describe(_read(path))
    if look is None or not look.encrypted:
        return False
    public = look.public or public_of(_read(f"{path}.pub"))
    return public is None or public not in _listed(agent)


def locked_alone(paths: Iterable[str], agent: str | None) -> list[str]:
    """The encrypted keys of ``paths``, where those are all that there is: not one is plain, and the agent has none."""
    looks = [(path, look) for path in paths if (look := describe(_read(path))) is not None and look.private]
    if not looks or not all(look.encrypted for _, look in looks) or _listed(agent):
        return []
    return [path for path, _ in looks]


def opens(path: str, passphrase: str) -> bool:
    """Whether ``passphrase`` opens the key in ``path``."""
    # a tenth of a second that nobody pays who has no encrypted key
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    data, secret = _read(path), passphrase.encode("utf-8", "surrogateescape")
    load = load_ssh_private_key if OPENSSH in data else load_pem_private_key
    try:
        load(data, secret)
    except (ValueError, InvalidTag):
        return False
    except Exception:  # a kind of key that it does not know: whoever logs in will say so
        return True
    return True


def _read(path: str) -> bytes:
    try:
        with Path(os.path.expanduser(path)).open("rb") as file:
            return file.read(LARGEST)
    except OSError:
        return b""


def _listed(agent: str | None) -> set[bytes]:
    """The public keys of the agent; none where it cannot be had."""
    path = os.environ.get("SSH_AUTH_SOCK", "") if agent in (None, "SSH_AUTH_SOCK") else agent
    if not path or path == "none":
        return set()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(AGENT_PATIENCE)
            sock.connect(os.path.expanduser(path))
            sock.sendall(AGENT_LIST)
            size = int.from_bytes(_receive(sock, 4), "big")
            return {blob for blob, _ in agent_keys(_receive(sock, min(size, MOST_LISTED)))}
    except (OSError, ValueError):
        return set()


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ValueError("it ended too early")
        data += piece
    return data
