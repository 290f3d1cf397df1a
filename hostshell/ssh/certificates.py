"""Host certificates: may this one speak for that host? paramiko checks none of it.

Must not know known_hosts or connections. OpenSSH's PROTOCOL.certkeys and sshkey.c (sshkey_cert_check_host) are
followed; the cryptography package checks the authority's signature.
"""

from __future__ import annotations

import base64
from collections.abc import Collection

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from hostshell.core.keyformat import CERTIFICATE, strings, type_of
from hostshell.core.records import dataclass
from hostshell.ssh.knownhosts import HostKey, matches

_RETIRED = "ssh-rsa"  # signatures with SHA-1: no authority may make one
# what the cryptography package raises for bytes that make no sense; a compressed point is NotImplementedError
UNREADABLE = (ValueError, UnsupportedAlgorithm, AssertionError, TypeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A host certificate: the key that it is for, and the authority that signed it. ``wrong``: why it is not good."""

    key: HostKey
    authority: HostKey
    wrong: str


def read_certificate(blob: bytes, name: str, now: float) -> Certificate | None:
    """What a host showed, judged for the host called ``name`` at ``now`` (seconds since 1970); None for a plain key.

    Never raises: what cannot be read is wrong in that.
    """
    try:
        if not type_of(blob).endswith(CERTIFICATE):
            return None
        found = loaded(blob)
        key, authority = _host_key(found.public_key()), _host_key(found.signature_key())
    except UNREADABLE as error:
        nobody = HostKey("", "")
        return Certificate(nobody, nobody, f"it cannot be read ({type(error).__name__})")
    return Certificate(key, authority, _what_is_wrong(found, blob, name, now))


def loaded(blob: bytes) -> SSHCertificate:
    """A certificate as the cryptography package reads it, its signature not checked. Raises `UNREADABLE`."""
    found = load_ssh_public_identity(type_of(blob).encode() + b" " + base64.b64encode(blob))
    assert isinstance(found, SSHCertificate)
    return found


def _what_is_wrong(found: SSHCertificate, blob: bytes, name: str, now: float) -> str:
    try:
        if strings(strings(_signature(blob), 1)[0], 1)[0] == _RETIRED.encode():
            return "its signature is of a retired kind (SHA-1)"
        found.verify_cert_signature()
    except InvalidSignature:
        return "its signature is not the authority's"
    except UNREADABLE as error:
        return f"its signature cannot be checked ({type(error).__name__})"
    if found.type is not SSHCertificateType.HOST:
        return "it is a user's certificate, not a host's"
    if now < found.valid_after:
        return "it is not valid yet"
    if now >= found.valid_before:
        return "it has expired"
    # without principals it is for every host (ssh-keygen(1), -n)
    if found.valid_principals and not matches(name, found.valid_principals):
        return f"it is for {_shown(found.valid_principals)}"
    if found.critical_options:
        return "it has a critical option that nobody here knows"
    return ""


def _signature(blob: bytes) -> bytes:
    """The last string of a certificate, with its length."""
    rest = strings(blob, 2)[2]  # after type and nonce
    plain = type_of(blob).removesuffix(CERTIFICATE)
    count = {"ssh-ed25519": 1, "ssh-rsa": 2}.get(plain, 2 if plain.startswith("ecdsa-") else 0)
    if not count:
        raise ValueError("unknown kind of certificate")
    rest = strings(rest, count)[count]
    rest = rest[8 + 4 :]  # serial, type
    rest = strings(rest, 2)[2][16:]  # key id, principals; validity
    return strings(rest, 4)[4]  # critical options, extensions, reserved, authority


def _host_key(key: object) -> HostKey:
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]  # each public key has it
    kind, blob = line.split(b" ")[:2]
    return HostKey(kind.decode("ascii"), blob.decode("ascii"))


def _shown(principals: Collection[bytes]) -> str:
    names = [name.decode("utf-8", "replace")[:60] for name in list(principals)[:3]]
    return ", ".join(names) + (" and others" if len(principals) > 3 else "")
