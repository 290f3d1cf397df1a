"""Real OpenSSH servers on loopback addresses, one address a host, and the files by which any client reaches them.

A login gets /bin/sh, the fastest to start of what every system has. Must not know who the clients are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.accounts import Account
from tests.support.keys import Key, make_key
from tests.support.sshd import Sshd, free_port, known_hosts_name

MOST_SOCKETS = 16  # addresses that one sshd listens on (MAX_LISTEN_SOCKS in its sshd.c)
_ESTABLISHED = "01"  # in /proc/net/tcp (proc(5))
ATTEMPTS = 5  # at finding a port that is free on every address
INVENTORY, ADDRESSES, KNOWN_HOSTS, KEY = "hosts.ini", "hosts.txt", "known_hosts", "key"


@dataclass(frozen=True)
class Fleet:
    """Hosts ``n0001`` … on one port. ``folder`` holds hosts.ini, hosts.txt, known_hosts and key (with key.pub)."""

    folder: Path
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    port: int
    account: Account
    servers: tuple[Sshd, ...]

    def ssh_options(self, *more: str, port: int = 0) -> list[str]:
        """What every client that is OpenSSH's ssh is given: the key, the known hosts, and nothing of this machine.

        ``port`` is that of a relay.
        """
        files = ["-F", "none", "-i", KEY, "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={KNOWN_HOSTS}"]
        files += ["-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes", *more]
        return [*files, "-p", str(port or self.port), "-l", self.account.name]

    def connections(self) -> int:
        """How many connections the servers have now, as the kernel knows their ends of them."""
        end = f":{self.port:04X}"
        rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return sum(row[1].endswith(end) and row[3] == _ESTABLISHED for row in rows)


def address_of(number: int) -> str:
    """The loopback address of host ``number``, from 1 on."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def inventory_text(names: list[str], port: int, user: str) -> str:
    """A hosts.ini in which each host has a section of its own with all its settings."""
    return "".join(
        f"[host:{name}]\naddress = {address_of(number)}\nport = {port}\nuser = {user}\nkey = {KEY}\n\n"
        for number, name in enumerate(names, 1)
    )


def names_of(hosts: int, digits: int = 4) -> list[str]:
    """``n0001`` to ``n<hosts>``."""
    return [f"n{number:0{digits}}" for number in range(1, hosts + 1)]


@contextlib.contextmanager
def started(folder: Path, account: Account, key: Key, hosts: int, folders: Sequence[Path] = ()) -> Iterator[Fleet]:
    """Start servers for so many hosts, all with one host key, and write the files.

    ``folders``: where SFTP begins on each host, as if each had a home of its own; empty: at the one home of all.
    """
    addresses = [address_of(number) for number in range(1, hosts + 1)]
    host_key = make_key(folder / "host-key")
    with contextlib.ExitStack() as stack:
        servers = _on_one_port(stack, folder, addresses, host_key, folders)
        for server in servers:
            server.authorize(account, key.public)
        port = servers[0].port
        names = names_of(hosts)
        inventory = folder / INVENTORY
        inventory.touch(mode=0o600)
        inventory.write_text(inventory_text(names, port, account.name))
        (folder / ADDRESSES).write_text("".join(f"{address}\n" for address in addresses))
        known = (f"{known_hosts_name(address, port)} {host_key.public}\n" for address in addresses)
        (folder / KNOWN_HOSTS).write_text("".join(known))
        yield Fleet(folder, tuple(names), tuple(addresses), port, account, tuple(servers))


def _on_one_port(
    stack: contextlib.ExitStack, folder: Path, addresses: list[str], host_key: Key, folders: Sequence[Path]
) -> list[Sshd]:
    each = 1 if folders else MOST_SOCKETS
    for attempt in range(ATTEMPTS):
        port = free_port(addresses[0])
        with contextlib.ExitStack() as trying:
            try:
                servers = []
                for at in range(0, len(addresses), each):
                    some = addresses[at : at + each]
                    listen = [f"{address}:{port}" for address in some]
                    sftp = f"sftp internal-sftp -d {folders[at]}" if folders else "sftp internal-sftp"
                    server = Sshd(
                        folder / f"sshd-{attempt}-{at}",
                        options={"ListenAddress": listen, "LogLevel": "ERROR", "Subsystem": sftp},
                        address=some[0],
                    )
                    server.port, server.host_keys["ed25519"] = port, host_key
                    servers.append(trying.enter_context(server))
            except RuntimeError as error:
                if "taken by another program" in str(error):
                    continue
                raise
            stack.enter_context(trying.pop_all())
            return servers
    raise RuntimeError(f"no port was free on {len(addresses)} addresses after {ATTEMPTS} attempts")
