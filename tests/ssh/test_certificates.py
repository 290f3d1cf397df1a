"""Host certificates that nobody should trust: as bytes, without a server. Those of real servers are in tests/wire."""

from __future__ import annotations

import base64
import random
import struct
import time
from pathlib import Path

import pytest

from hostshell.core.model import Place
from hostshell.ssh.certificates import Certificate, read_certificate
from hostshell.ssh.hostkeys import judge
from hostshell.ssh.knownhosts import Entry, HostKey, Known
from tests.support.keys import Key, make_key, sign

KINDS = ("ed25519", "ecdsa", "rsa")


def blob(text: str) -> bytes:
    return base64.b64decode(text.split()[1])


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def read(data: bytes) -> Certificate:
    found = read_certificate(data, "h1", time.time())
    assert found is not None
    return found


def trusted_by(certificate: Certificate, authority: Key) -> bool:
    kind, text = authority.public.split()
    known = Known("h1", 22, authorities=(Entry(HostKey(kind, text), Place("known_hosts", 1)),))
    judged = judge(known, certificate)
    return judged is not None and judged.verdict == "trusted"


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_certificate_is_never_trusted_and_never_a_surprise(tmp_path: Path, kind: str) -> None:
    authority, key = make_key(tmp_path / "authority", kind), make_key(tmp_path / "key", kind)
    whole = blob(sign(authority, key, host=True, principals="h1").read_text())
    assert trusted_by(read(whole), authority)
    chance = random.Random(kind)
    for _ in range(700):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        found = read_certificate(bytes(damaged), "h1", time.time())
        assert found is None or damaged == whole or not trusted_by(found, authority)


def test_a_compressed_point_is_only_unreadable(tmp_path: Path) -> None:
    authority, key = make_key(tmp_path / "authority", "ecdsa"), make_key(tmp_path / "key")
    whole = blob(sign(authority, key, host=True).read_text())
    point = blob(authority.public)[-65:]
    assert point[:1] == b"\x04"
    assert read(whole.replace(point, b"\x05" + point[1:])).wrong.startswith("it cannot be read")


def test_an_authority_is_a_key_and_never_a_certificate(tmp_path: Path) -> None:
    authority, key, between = (make_key(tmp_path / name) for name in ("authority", "key", "between"))
    inner = blob(sign(authority, between, host=True).read_text())
    whole = blob(sign(between, key, host=True).read_text())
    plain = string(blob(between.public))
    nested = whole[: whole.rfind(plain)] + string(inner) + whole[whole.rfind(plain) + len(plain) :]
    assert not trusted_by(read(whole), authority)
    assert not trusted_by(read(nested), authority)


def test_a_users_certificate_vouches_for_no_host(tmp_path: Path) -> None:
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "key")
    found = read(blob(sign(authority, key, principals="h1").read_text()))
    assert found.wrong == "it is a user's certificate, not a host's"
    assert not trusted_by(found, authority)
