"""Requests on their way out: all of them arrive, in packets that every server takes, and a stop is soon heeded."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator

import paramiko
import pytest

from hostshell.ssh import exchange
from hostshell.ssh.exchange import POLL, Exchange
from hostshell.ssh.link import Link
from hostshell.ssh.remotefiles import SftpGone, SftpStopped
from hostshell.ssh.sftpwire import Kind
from hostshell.ssh.transport import Transport
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd

from .conftest import connect

WRITE = 255 * 1024  # bytes of one request
PACKET = 32 * 1024  # bytes of one packet, at the most


@pytest.fixture
def transport(sshd: Sshd, accounts: list[Account], client_key: Key) -> Iterator[Transport]:
    transport = connect(sshd.address, sshd.port, accounts[0].name, client_key.path)
    assert isinstance(transport, Transport)
    yield transport
    transport.close()


@pytest.fixture
def segments(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each write to the socket, from here on."""
    lengths: list[int] = []
    plain = Link._send

    def send(link: Link, pieces: list[bytes]) -> None:
        lengths.append(sum(map(len, pieces)))
        plain(link, pieces)

    monkeypatch.setattr(Link, "_send", send)
    return lengths


def to(
    transport: paramiko.Transport, command: str, stopped: Callable[[], bool] = lambda: False
) -> tuple[paramiko.Channel, Exchange]:
    """An exchange with a command that takes bytes and has no idea of SFTP."""
    channel = transport.open_session()
    channel.settimeout(20)
    channel.exec_command(command)
    channel.settimeout(POLL)
    return channel, Exchange(channel, stopped)


def ended(channel: paramiko.Channel) -> bytes:
    """What the command said after the end of its input."""
    channel.settimeout(20)
    channel.shutdown_write()
    said = b"".join(iter(lambda: channel.recv(65536), b""))
    assert channel.recv_exit_status() == 0
    return said


def send_all(requests: Exchange, count: int, after: int = 0) -> str:
    """Send so many requests, ``after`` others; the digest of what has to arrive."""
    digest = hashlib.sha256()
    for number in range(after + 1, after + count + 1):
        data = number.to_bytes(3, "big") * (WRITE // 3)
        sent = requests.send(Kind.WRITE, b"head", data)
        assert sent == number
        digest.update((13 + len(data)).to_bytes(4, "big") + bytes([Kind.WRITE]) + number.to_bytes(4, "big") + b"head")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


def test_a_large_request_travels_in_packets_that_every_server_takes(transport: Transport, segments: list[int]) -> None:
    channel, requests = to(transport, "sleep 0.3; sha256sum")
    segments.clear()
    digest = send_all(requests, 24)  # three windows of OpenSSH's server
    assert ended(channel).startswith(digest.encode())
    assert sum(segments) > 24 * WRITE
    assert max(segments) < PACKET + 1024


def test_what_a_stop_cut_goes_on_with_the_last_words(transport: Transport) -> None:
    stopped: list[bool] = []
    channel, requests = to(transport, "wc -c", lambda: bool(stopped))
    send_all(requests, 1)
    stopped.append(True)
    with pytest.raises(SftpStopped):
        requests.send(Kind.WRITE, b"head", bytes(WRITE))
    requests.send(Kind.WRITE, b"head", bytes(WRITE))
    assert int(ended(channel)) == 3 * (WRITE + 17)


def test_after_a_host_that_takes_nothing_the_same_is_said_of_what_is_asked_next(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error holds on to what was being sent; the next request has to find its place behind that all the same."""
    monkeypatch.setattr(exchange, "PATIENCE", 0.3)
    _, requests = to(transport, "exec sleep 20")
    with pytest.raises(SftpGone, match="took no data") as first:
        send_all(requests, 40)
    with pytest.raises(SftpGone, match="took no data"):
        requests.send(Kind.CLOSE, b"head")
    assert first.value.message


def test_keys_that_are_exchanged_in_the_midst_hold_nothing_up(transport: Transport) -> None:
    channel, requests = to(transport, "sha256sum")
    plain, sent = transport._send_user_message, []
    exchange_of_keys = threading.Thread(target=transport.renegotiate_keys, daemon=True)

    def send(message: paramiko.Message) -> None:
        if len(sent) == 3:  # in the middle of a request
            exchange_of_keys.start()
            while transport.clear_to_send.is_set() and exchange_of_keys.is_alive():
                time.sleep(0.001)
        sent.append(None)
        plain(message)

    transport._send_user_message = send  # type: ignore[method-assign]
    digest = send_all(requests, 3)
    exchange_of_keys.join(20)
    assert not exchange_of_keys.is_alive()
    assert ended(channel).startswith(digest.encode())
