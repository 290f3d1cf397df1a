"""What stands before a login: any bytes in place of a banner, a key exchange or an answer end in one short sentence."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.events import Kind
from hostshell.ssh.connect import Connector
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.link import SHAKE_BUDGET
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.transport import Transport
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.ssh_peer import PASSWORD, Peer, Says, host
from tests.support.faulty import IDENT, kexinit, packet

CONNECTOR = Connector()


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@pytest.fixture(scope="module")
def says() -> Iterator[Says]:
    with Says() as server:
        yield server


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as server:
        yield server


def refusal(server: Says | Peer, password: str = PASSWORD) -> ConnectFailed | None:
    """How a connect failed, or None when it went well. Any other exception is a fault of ours."""
    try:
        CONNECTOR.connect(host(server, password=password), Stopper()).close()
    except ConnectFailed as error:
        failure = error.failure
        assert failure.kind in get_args(Kind) and failure.kind != "worker"
        for sentence in (failure.message, failure.hint):
            assert len(sentence) < 700
            assert PASSWORD not in sentence
            assert "Traceback" not in sentence and "Error(" not in sentence
            clean(sentence).encode("utf-8")
        return error
    return None


_TEXT = st.sampled_from(
    [b"Welcome\r\n", b"\n", b"\0" * 50, b"\xff\xfe\n", b"SSH-", b"SSH-1.99-x\n", b"SSH-2.0", b"HTTP/1.1 400\r\n"]
)
_KEXINIT = kexinit()
_BEGINNING = IDENT + _KEXINIT
_REPLY = packet(
    b"\x1f"
    + text(text(b"ssh-ed25519") + text(b"k" * 32))
    + text(b"f" * 32)
    + text(text(b"ssh-ed25519") + text(b"s" * 64))
)


@effort(60)
@given(st.lists(_TEXT | st.binary(max_size=30) | st.just(IDENT), max_size=6).map(b"".join))
@example(b"SSH-2.0-\n" * 3)
@example(b"x" * (SHAKE_BUDGET + 1))
@example(b"\n" * 10_000)
@example(IDENT + b"\xff" * 100)
@example(b"SSH-2.0-" + b"v" * 300_000 + b"\r\n")
def test_any_bytes_in_place_of_a_banner_are_one_sentence(says: Says, said: bytes) -> None:
    says.payload = said
    assert refusal(says) is not None


@effort(100)
@given(
    st.lists(
        st.sampled_from(
            [_KEXINIT, _REPLY, packet(b"\x15"), kexinit(cipher="3des-cbc"), kexinit(kex="x", mac="")]
        ).flatmap(damaged)
        | st.builds(lambda kind, rest: packet(bytes([kind]) + rest), st.integers(0, 255), st.binary(max_size=40)),
        max_size=4,
    )
)
@example([_KEXINIT, packet(b"\x1f" + text(b"\xff" * 8) * 3)])
@example([packet(b"\xc8")])
@example([packet(b"")])
@example([b"\0\0\0\0" + bytes(12)])
@example([b"\xff\xff\xff\xff" + bytes(12)])
@example([packet(b"\x01" + struct.pack(">I", 2) + text(b"\x1b[2J" * 1000) + text(b""))])
@example([packet(b"\x14" + bytes(16) + text(b"\xff\xfe") * 10 + bytes(5))])
@example([kexinit(cipher="\x1b[2J," + "x" * 30_000)])
def test_any_packets_in_place_of_a_key_exchange_are_one_sentence(says: Says, packets: list[bytes]) -> None:
    says.payload = IDENT + b"".join(packets)
    assert refusal(says) is not None


@effort(60)
@given(damaged(_BEGINNING + _REPLY + packet(b"\x15")), st.integers(0, 400))
def test_a_handshake_that_is_spoiled_or_cut_anywhere_is_one_sentence(says: Says, said: bytes, at: int) -> None:
    says.payload = said[:at] if at < 300 else said
    assert refusal(says) is not None


_PROMPTS = struct.pack(">I", 1) + text(b"Password: ") + b"\0"
_LOGIN = [
    b"\x33" + text(b"password,\xff") + b"\0",  # FAILURE with a list that is no text
    b"\x33" + text(b"publickey," * 3000) + b"\1",
    b"\x33" + text(b"keyboard-interactive") + b"\0",
    b"\x35" + text(b"\x1b[2JBanner" * 100) + text(b""),  # BANNER
    b"\x3c" + text(b"title") + text(b"instruction") + text(b"") + _PROMPTS,  # INFO_REQUEST
    b"\x3c" + text(b"") + text(b"") + text(b"") + struct.pack(">I", 0),
    b"\x3c" + text(b"\xff") * 3 + struct.pack(">I", 5) + (text(b"\xff") + b"\1") * 5,
    b"\x34",  # SUCCESS
    b"\x06" + text(b"ssh-userauth"),  # SERVICE_ACCEPT
    b"\x01" + struct.pack(">I", 2) + text(b"\x1b[2Jtoo many \xff" * 100) + text(b""),  # DISCONNECT
    b"\x07" + struct.pack(">I", 1) + text(b"server-sig-algs") + text(b"x,\xff"),  # EXT_INFO
    b"\x04\0" + text(b"debug \xff") + text(b""),
    b"\x50" + text(b"hostkeys-00@openssh.com") + b"\0" + b"\xff" * 20,  # GLOBAL_REQUEST
    b"\x5b" + bytes(16),  # CHANNEL_OPEN_CONFIRMATION
    b"\x14" + bytes(30),  # KEXINIT
]


@effort(100)
@given(
    st.lists(
        st.sampled_from(_LOGIN)
        | st.sampled_from(_LOGIN).flatmap(damaged).filter(bool)
        | st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(1, 255), st.binary(max_size=30)),
        max_size=4,
    ),
    st.sampled_from(["password", "keyboard-interactive", "publickey", "password,keyboard-interactive", "", "\x1b[2J"]),
    st.booleans(),
)
@example([_LOGIN[0]], "password", True)
@example([_LOGIN[1]], "password", False)
@example([_LOGIN[6]], "keyboard-interactive", False)
@example([b"\xc8"], "password", False)
def test_any_messages_in_place_of_an_answer_to_a_login_are_one_sentence_or_a_login(
    peer: Peer, messages: list[bytes], allowed: str, right: bool
) -> None:
    peer.allowed = allowed

    def say(send: object) -> None:
        for message in messages:
            send(message)

    peer.at_login = say
    refusal(peer, PASSWORD if right else "another one")


def test_a_server_that_asks_four_billion_questions_gets_no_answer_and_no_memory(peer: Peer) -> None:
    peer.allowed = "keyboard-interactive"
    peer.at_login = lambda send: send(b"\x3c" + text(b"") * 3 + b"\xff\xff\xff\xff")
    assert refusal(peer, "another one") is not None


def test_nothing_of_all_that_leaves_a_thread(says: Says) -> None:
    for payload in (b"", IDENT, _BEGINNING, _BEGINNING + b"\xff" * 100, b"x" * 1000):
        says.payload = payload
        refusal(says)
    until = time.monotonic() + 5  # a handshake's timer would live for longer
    while left := [each for each in threading.enumerate() if isinstance(each, (threading.Timer, Transport))]:
        assert time.monotonic() < until, left
        time.sleep(0.02)
