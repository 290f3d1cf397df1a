"""Sessions of one connection where the server opens a single one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.ssh.received import Received
from hostshell.ssh.sessions import Sessions
from hostshell.ssh.transport import WINDOW, Transport
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd

from .conftest import connect

PATIENCE = 20.0  # seconds; far more than anything here takes
NARROW = WINDOW // 4  # bytes: what an interactive session has


@pytest.fixture
def transport(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Transport]:
    with Sshd(tmp_path / "sshd", options={"MaxSessions": "1"}) as sshd:
        sshd.authorize(accounts[0], client_key.public)
        transport = connect(sshd.address, sshd.port, accounts[0].name, client_key.path)
        assert isinstance(transport, Transport)
        yield transport
        transport.close()


@pytest.mark.parametrize("window", [NARROW, WINDOW])
def test_a_session_that_was_refused_ahead_is_not_asked_for_again(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    asked: list[int] = []
    ask = transport.ask_session
    monkeypatch.setattr(transport, "ask_session", lambda size=WINDOW: asked.append(size) or ask(size))  # type: ignore[func-returns-value]
    sessions = Sessions(transport, PATIENCE)
    first = sessions.open_session(window, PATIENCE)  # and one ahead, which this server refuses
    first.close()
    second = sessions.open_session(window, PATIENCE)
    assert transport.get_exception() is None  # or it would be told as the reason of another end
    asked.clear()
    second.close()
    third = sessions.open_session(window, PATIENCE)
    assert isinstance(third.in_buffer, Received)
    third.exec_command("echo here")
    assert third.recv(10) == b"here\n"
    assert set(asked) == {window}
