"""A name and a port to a socket: each host has its own wait, whatever the resolver does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hostshell.core.diagnosis import advise
from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.core.steps import Step
from hostshell.ssh.dial import dial, resolve
from hostshell.ssh.failures import ConnectFailed, TurnStopped


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A resolver that answers for no name until the event is set, as when the DNS server does not answer."""
    answered = threading.Event()
    plain = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: object) -> object:
        if host.endswith(".example"):
            answered.wait(30)
        return plain("127.0.0.1", *rest)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield answered
    answered.set()


def test_a_name_that_the_resolver_never_answers_ends_at_the_deadline(hanging: threading.Event) -> None:  # row 8
    with pytest.raises(ConnectFailed) as caught:
        dial("web01.example", 22, time.monotonic() + 0.2, lambda: False)
    assert caught.value.failure.kind == "dns"
    assert "not resolved in time" in caught.value.failure.message
    assert not hanging.is_set()


def test_a_hanging_name_can_be_stopped(hanging: threading.Event) -> None:
    with pytest.raises(TurnStopped):
        dial("web01.example", 22, time.monotonic() + 30, lambda: True)


def test_a_hanging_name_holds_up_no_other(hanging: threading.Event) -> None:
    ended: list[str] = []

    def hang() -> None:
        with contextlib.suppress(ConnectFailed, TurnStopped):
            dial("web01.example", 22, time.monotonic() + 30, hanging.is_set)
        ended.append("web01")

    thread = threading.Thread(target=hang)
    thread.start()
    assert resolve("web02.test", 22, time.monotonic() + 30, lambda: False)[0][1][:2] == ("127.0.0.1", 22)
    assert not ended
    hanging.set()
    thread.join()


def test_an_address_literal_asks_no_resolver(hanging: threading.Event) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        dial("127.0.0.1", port, time.monotonic() + 5, lambda: False).close()


def _failure(address: str, port: int, **more: Any) -> Failure:
    with pytest.raises(ConnectFailed) as caught:
        dial(address, port, time.monotonic() + 5, lambda: False, **more)
    return caught.value.failure


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("203.0.113.77", "cannot assign requested address"),
        ("::1", "the host has an IPv4 address, and this is none"),
        ("eth0", "the host has an IPv4 address, and this is none"),
    ],
)
def test_a_local_address_that_cannot_be_had_is_named(address: str, why: str) -> None:
    failure = _failure("127.0.0.1", 1, bind=address)
    assert (failure.kind, failure.message) == ("unreachable", f"BindAddress {address} cannot be used: {why}")
    assert "ssh_config" in failure.hint


def test_what_the_far_side_says_counts_more_than_a_local_address_of_the_other_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = socket.getaddrinfo

    def both(host: str, port: int, *rest: Any, **more: Any) -> object:
        if host != "both.test":
            return plain(host, port, *rest, **more)
        return [*plain("127.0.0.1", port, type=socket.SOCK_STREAM), *plain("::1", port, type=socket.SOCK_STREAM)]

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert _failure("both.test", port, bind="127.0.0.1").kind == "refused"


@pytest.mark.parametrize(("family", "kind", "address"), [("inet6", "IPv6", "127.0.0.1"), ("inet", "IPv4", "::1")])
def test_a_name_without_an_address_of_the_family_that_is_set_is_told_so(
    monkeypatch: pytest.MonkeyPatch, family: str, kind: str, address: str
) -> None:
    plain = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: plain(address if host == "one.test" else host, *rest, **more)
    )
    for name in ("one.test", address):
        failure = _failure(name, 22, family=family)
        assert failure.kind == "dns"
        assert failure.message == f"it has no {kind} address, and AddressFamily {family} allows no other"
        host = Host("h1", name, address_family="inet6")
        assert advise(failure, [Step("name", "failed")], host) is failure


def test_a_name_without_any_address_is_no_matter_of_the_family() -> None:
    assert _failure("nothing.invalid", 22, family="inet").message.startswith("its address cannot be resolved")
