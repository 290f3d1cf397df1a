"""A private key out of what stands in its file, in every format and cipher that the cryptography package reads.

paramiko alone reads fewer of them, and derives the key from the passphrase twice. Must not know files.
"""

from __future__ import annotations

import io

import paramiko
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from hostshell.core.keyformat import OPENSSH, describe

_KINDS = (
    (Ed25519PrivateKey, paramiko.Ed25519Key),
    (EllipticCurvePrivateKey, paramiko.ECDSAKey),
    (RSAPrivateKey, paramiko.RSAKey),
)


class Unreadable(Exception):
    """Why no key comes of it, in words, and what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def load(data: bytes, passphrase: bytes | None) -> paramiko.PKey:
    """The key in ``data``. A ``passphrase`` that it does not need is left aside. Raises `Unreadable`."""
    look = describe(data)
    if look is None or not look.private or look.retired:
        raise _unusable()
    if look.encrypted and passphrase is None:
        raise Unreadable("it is encrypted", "add `passphrase_from = ask`")
    read = load_ssh_private_key if OPENSSH in data else load_pem_private_key
    try:
        key = read(data, passphrase if look.encrypted else None)
    except UnsupportedAlgorithm:
        if not look.encrypted:
            raise _unusable() from None
        what = f"it is encrypted with {look.cipher}" if look.cipher else "it is encrypted in a way"
        raise Unreadable(
            f"{what}, which the cryptography package does not read",
            "ssh-keygen -p -Z aes256-ctr -f KEY encrypts it anew",
        ) from None
    except (ValueError, TypeError, InvalidTag):
        if look.encrypted:
            raise Unreadable("the passphrase does not open it", "check `passphrase_from`") from None
        raise _unusable() from None
    for kind, made in _KINDS:
        if isinstance(key, kind):
            try:
                plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
                return made.from_private_key(io.StringIO(plain))
            except (ValueError, paramiko.SSHException):  # a curve that SSH does not have
                break
    raise _unusable()


def _unusable() -> Unreadable:
    return Unreadable("it holds no usable private key", "Ed25519, ECDSA and RSA keys work")
