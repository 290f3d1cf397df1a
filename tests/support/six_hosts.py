"""Six hosts that differ in address, port, user and credential, with the inventory that describes them.

Must not know hostshell, but for the format of hosts.ini.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd, loopback_address
from tests.support.standin import StandIn

# Host → the kind of its client key, or None for a password.
CREDENTIALS = {"h1": "ed25519", "h2": "ecdsa", "web01": "rsa", "h3": None, "web02": None, "db01": None}
GROUPS = {"web_clusters": "web[01-02]", "db_servers": "db01"}
HOST_KEYS = {"h2": ("ecdsa",), "db01": ("rsa", "ed25519")}  # the others have ed25519 only


@dataclass(frozen=True)
class SixHost:
    """One of the six: ``key`` is None where a password is used. Without root, password hosts are stand-ins."""

    name: str
    server: Sshd | StandIn
    account: Account
    key: Key | None

    @property
    def key_path(self) -> Path | None:
        """The private key's file, or None where a password is used."""
        return self.key.path if self.key else None


@dataclass(frozen=True)
class SixHosts:
    """The six hosts. ``hosts_ini`` (0600) and ``known_hosts`` lie in ``folder``; ``hosts`` is by name.

    ``-h h1,h2,h3 -g web_clusters,db_servers`` names all of them.
    """

    folder: Path
    hosts_ini: Path
    known_hosts: Path
    hosts: dict[str, SixHost]

    def __getitem__(self, name: str) -> SixHost:
        return self.hosts[name]


@contextlib.contextmanager
def six_hosts_in(folder: Path, accounts: list[Account], client_keys: dict[str, Key]) -> Iterator[SixHosts]:
    """Start the six servers, with their files below ``folder``."""
    hosts: dict[str, SixHost] = {}
    with contextlib.ExitStack() as stack:
        for number, (name, kind) in enumerate(CREDENTIALS.items()):
            account = accounts[number]
            key = client_keys[kind] if kind else None
            address = loopback_address(11 + number)
            server: Sshd | StandIn
            if key is None and not account.real:
                server = StandIn(folder / name, [account], address=address)
            else:
                server = Sshd(folder / name, address=address, host_key_types=HOST_KEYS.get(name, ("ed25519",)))
            stack.enter_context(server)
            if key is not None:
                server.authorize(account, key.public)
            hosts[name] = SixHost(name, server, account, key)
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("".join(f"{host.server.known_hosts_line}\n" for host in hosts.values()))
        hosts_ini = folder / "hosts.ini"
        hosts_ini.touch(mode=0o600)
        hosts_ini.write_text(inventory_text(hosts, folder), encoding="utf-8")
        yield SixHosts(folder, hosts_ini, known_hosts, hosts)


def inventory_text(hosts: dict[str, SixHost], folder: Path) -> str:
    """The hosts.ini of these hosts; passphrases go to files of their own in ``folder``, for `cmd:` to read."""
    lines = ["# Six hosts with different addresses, ports, users and credentials.", ""]
    for name, host in sorted(hosts.items()):
        lines += [f"[host:{name}]", f"address = {host.server.address}", f"port = {host.server.port}"]
        lines.append(f"user = {host.account.name}")
        if host.key is None:
            lines.append(f"password = {host.account.password}")
        else:
            lines.append(f"key = {host.key.path}")
            if host.key.passphrase:
                passphrase = folder / f"{name}.passphrase"
                passphrase.touch(mode=0o600)
                passphrase.write_text(f"{host.key.passphrase}\n")
                lines.append(f"passphrase_from = cmd:cat {passphrase}")
        lines.append("")
    for group, members in GROUPS.items():
        lines += [f"[group:{group}]", f"hosts = {members}", ""]
    return "\n".join(lines)
