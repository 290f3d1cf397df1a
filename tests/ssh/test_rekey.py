"""Keys that are exchanged anew at the very moment at which a command is sent: it runs once, and its end is told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hostshell.core.model import Host
from hostshell.ssh.connect import Connection, Connector
from hostshell.ssh.execute import Execution
from hostshell.ssh.sessions import Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.transport import Transport
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import write_known_hosts
from tests.support.sshd import Sshd

PAUSE = 0.1  # seconds for which the exchange has begun and has sent nothing yet


class SlowExchange:
    """Begins to exchange keys, and loses the CPU right after it has told all others to wait."""

    def __init__(self, connection: Connection, patch: pytest.MonkeyPatch) -> None:
        self._connection = connection
        self._begun = threading.Event()
        plain = Transport._send_kex_init

        def slow(transport: Transport) -> None:
            transport.clear_to_send.clear()
            self._begun.set()
            threading.Event().wait(PAUSE)
            plain(transport)

        patch.setattr(Transport, "_send_kex_init", slow)

    def begin(self) -> None:
        """Begin in another thread; returns when the others have to wait."""
        threading.Thread(target=self._connection.transport.renegotiate_keys, daemon=True).start()
        assert self._begun.wait(20)


@pytest.mark.parametrize("when", ["before the command", "behind the command"])
def test_keys_exchanged_while_a_command_is_sent(
    tmp_path: Path,
    clean_home: Path,
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    host = Host(
        "a",
        sshd.address,
        sshd.port,
        user=accounts[0].name,
        key=str(client_key.path),
        known_hosts=known,
        connect_timeout=5.0,
    )
    connection = Connector().connect(host, Stopper())
    heard = bytearray()

    def run(command: str) -> int | None:
        execution = Execution(
            connection.sessions, command, lambda _stream, data: heard.extend(data), Stopper(), patience=5
        )
        return execution.run().exit_code

    try:
        exchange = SlowExchange(connection, monkeypatch)
        if when == "before the command":
            exchange.begin()
        else:
            plain = Sessions.ahead

            def ahead(sessions: Sessions) -> None:
                monkeypatch.setattr(Sessions, "ahead", plain)
                exchange.begin()
                plain(sessions)

            monkeypatch.setattr(Sessions, "ahead", ahead)
        assert run("echo once >> rekeyed; exit 3") == 3
        assert run("cat rekeyed; rm rekeyed") == 0
    finally:
        connection.close()
    assert bytes(heard) == b"once\n"
