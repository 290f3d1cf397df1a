"""Requests on their way out: many packets in one segment, and all of them there, whatever the window does."""

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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way counts as quick from its first byte on."""
    monkeypatch.setattr(exchange, "CALM", 0)


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


@pytest.mark.usefixtures("quick")
def test_a_large_request_travels_in_one_segment(transport: Transport, segments: list[int]) -> None:
    channel, requests = to(transport, "sha256sum")
    segments.clear()
    digest = send_all(requests, 1)
    assert len(segments) == 1
    assert ended(channel).startswith(digest.encode())


@pytest.mark.usefixtures("quick")
def test_no_packet_is_kept_back_where_the_window_ends_in_a_request(transport: Transport, segments: list[int]) -> None:
    channel, requests = to(transport, "sleep 0.3; sha256sum")
    segments.clear()
    digest = send_all(requests, 24)  # three windows of OpenSSH's server
    assert ended(channel).startswith(digest.encode())
    assert sum(segments) > 24 * WRITE


def takes_packet_by_packet(segments: list[int], size: int = WRITE) -> bool:
    return len(segments) >= size // PACKET and max(segments) < 2 * PACKET


def test_a_way_takes_a_packet_at_a_time_until_it_is_known_to_be_quick(
    transport: Transport, segments: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel keeps for a slow way it takes at once, too; within a segment no stop is heeded."""
    monkeypatch.setattr(exchange, "QUICK", 20.0)
    channel, requests = to(transport, "sha256sum")
    segments.clear()
    send_all(requests, exchange.CALM // WRITE)
    assert takes_packet_by_packet(segments, exchange.CALM // WRITE * WRITE)
    segments.clear()
    send_all(requests, 3, after=exchange.CALM // WRITE)
    assert max(segments) > 2 * PACKET
    ended(channel)


def test_a_way_that_is_slow_takes_a_packet_at_a_time(
    transport: Transport, segments: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "QUICK", 0.0)
    monkeypatch.setattr(exchange, "CALM", 1)
    channel, requests = to(transport, "sha256sum")
    segments.clear()
    send_all(requests, 2)
    assert takes_packet_by_packet(segments, 2 * WRITE)
    ended(channel)


@pytest.mark.usefixtures("quick")
def test_the_last_words_after_a_stop_are_not_kept_back(transport: Transport, segments: list[int]) -> None:
    stopped: list[bool] = []
    channel, requests = to(transport, "sha256sum", lambda: bool(stopped))
    send_all(requests, 1)
    stopped.append(True)
    segments.clear()
    with pytest.raises(SftpStopped):
        requests.send(Kind.WRITE, b"head", bytes(WRITE))
    requests.send(Kind.WRITE, b"head", bytes(PACKET))
    assert takes_packet_by_packet(segments)
    ended(channel)


@pytest.mark.parametrize("calm", [0, 1 << 40], ids=["in one segment", "packet by packet"])
def test_after_a_host_that_takes_nothing_the_same_is_said_of_what_is_asked_next(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, calm: int
) -> None:
    """An error holds on to what was being sent; the next request has to find its place behind that all the same."""
    monkeypatch.setattr(exchange, "PATIENCE", 0.3)
    monkeypatch.setattr(exchange, "CALM", calm)
    _, requests = to(transport, "exec sleep 20")
    with pytest.raises(SftpGone, match="took no data") as first:
        send_all(requests, 40)
    with pytest.raises(SftpGone, match="took no data"):
        requests.send(Kind.CLOSE, b"head")
    assert first.value.message


@pytest.mark.usefixtures("quick")
def test_keys_that_are_exchanged_in_the_midst_hold_nothing_up(transport: Transport) -> None:
    channel, requests = to(transport, "sha256sum")
    plain, sent = transport._send_user_message, []
    exchange_of_keys = threading.Thread(target=transport.renegotiate_keys, daemon=True)

    def send(message: paramiko.Message) -> None:
        if len(sent) == 3:  # packets of a request are kept back
            exchange_of_keys.start()
            while transport.clear_to_send.is_set():
                time.sleep(0.001)
        sent.append(None)
        plain(message)

    transport._send_user_message = send  # type: ignore[method-assign]
    digest = send_all(requests, 3)
    exchange_of_keys.join(20)
    assert not exchange_of_keys.is_alive()
    assert ended(channel).startswith(digest.encode())
