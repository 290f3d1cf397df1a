"""Which cipher our connections have with a server that takes many: the quick one."""

from __future__ import annotations

from pathlib import Path

from hostshell.core.model import Host
from hostshell.ssh.connect import Connector
from hostshell.ssh.stopping import Stopper
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import write_known_hosts
from tests.support.sshd import Sshd


def test_aes_gcm_is_preferred_both_ways(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    host = Host("a", sshd.address, sshd.port, user=accounts[0].name, key=str(client_key.path), known_hosts=known)
    connection = Connector().connect(host, Stopper())
    try:
        chosen = {connection.transport.local_cipher, connection.transport.remote_cipher}
    finally:
        connection.close()
    assert chosen == {"aes128-gcm@openssh.com"}
