"""A name and a port to a socket: each host has its own wait, whatever the resolver does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

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
