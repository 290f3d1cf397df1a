"""Key pairs made by ssh-keygen, for hosts and for people.

Must not know which server or account a key is for.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BITS = {"rsa": "2048", "ecdsa": "256"}


@dataclass(frozen=True)
class Key:
    """A key pair: ``path`` is the private half (0600), ``public`` the text ``TYPE BASE64`` without a comment."""

    path: Path
    public: str
    passphrase: str = ""

    @property
    def type(self) -> str:
        """The key's type as it stands in its public half, such as ``ssh-ed25519``."""
        return self.public.split()[0]

    def fingerprint(self) -> str:
        """``SHA256:…``, as OpenSSH shows it."""
        listing = subprocess.run(
            ["ssh-keygen", "-l", "-E", "sha256", "-f", f"{self.path}.pub"], capture_output=True, text=True, check=True
        )
        return listing.stdout.split()[1]


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Key:
    """Make a key pair at ``path``, over an older one. ``kind`` is ``ed25519``, ``ecdsa`` (P-256) or ``rsa`` (2048)."""
    public = path.with_name(f"{path.name}.pub")
    for old in (path, public):
        old.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    bits = ["-b", BITS[kind]] if kind in BITS else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", "hostshell-tests", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return Key(path, " ".join(public.read_text().split()[:2]), passphrase)


def sign(
    authority: Key, key: Key, *, host: bool = False, principals: str = "", validity: str = "", more: Sequence[str] = ()
) -> Path:
    """Have ``authority`` certify ``key`` (ssh-keygen -s): for a host or a user; the certificate's file."""
    command = ["ssh-keygen", "-q", "-s", str(authority.path), "-I", "a test's certificate"]
    command += ["-h"] if host else []
    command += ["-n", principals] if principals else []
    command += ["-V", validity] if validity else []
    command += [*more, f"{key.path}.pub"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return key.path.with_name(f"{key.path.name}-cert.pub")
