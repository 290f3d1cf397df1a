"""Hosts as the engine needs them: what the inventory says of each, with its secrets, its limits and its policy.

Must not know jobs or how anything is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hostshell.core.errors import SecretError
from hostshell.core.model import Host, HostKeyPolicy, Secret, SecretSource
from hostshell.inventory.model import Inventory
from hostshell.inventory.secrets import AskSecret, SecretDesk


class Logins:
    """Makes hosts ready to be logged in to, and remembers what was asked for and what was refused until `forget`.

    ``known_hosts`` and ``host_keys`` beat what the inventory says. ``default_host_keys`` is the policy of hosts for
    which nobody has said any. ``ask`` puts one question without echo.
    """

    def __init__(
        self,
        *,
        known_hosts: str | None = None,
        host_keys: HostKeyPolicy | None = None,
        default_host_keys: HostKeyPolicy = "strict",
        ask: AskSecret | None = None,
    ) -> None:
        self._known_hosts = known_hosts
        self._host_keys = host_keys
        self._default_host_keys = default_host_keys
        self._desk = SecretDesk(ask)
        self._refused: set[str] = set()

    def refused(self, name: str) -> None:
        """A host has said no to its password: it is not offered there again."""
        self._refused.add(name)

    def forget(self) -> None:
        """Ask again for what was asked, and offer again what was refused."""
        self._desk.forget()
        self._refused.clear()

    def secrets(self) -> Iterator[str]:
        """What has been got so far, so that none of it is ever written down."""
        for secret in self._desk.known():
            yield secret.reveal()

    def host(self, inventory: Inventory, name: str, connect_timeout: float | None = None) -> Host:
        """Everything that it takes to log in to ``name``. Raises `TargetError` and `SecretError`.

        ``connect_timeout`` (seconds) beats the inventory's.
        """
        host = self._ready(inventory.host(name), connect_timeout)
        way = tuple(self._ready(hop, connect_timeout) for hop in host.jump)
        return replace(host, jump=way) if way else host

    def _ready(self, host: Host, connect_timeout: float | None) -> Host:
        """One host, or one jump host on the way to it."""
        name = host.name
        password = passphrase = None
        withheld = host.password_from is not None and name in self._refused
        if host.password_from is not None and not withheld:
            password = self._secret(host.password_from, "password", name)
        if host.passphrase_from is not None:
            passphrase = self._secret(host.passphrase_from, "passphrase", name)
        return replace(
            host,
            password=password,
            passphrase=passphrase,
            password_withheld=withheld,
            password_from=None,
            passphrase_from=None,
            known_hosts=self._known_hosts or host.known_hosts,
            host_keys=self._host_keys or host.host_keys or self._default_host_keys,
            connect_timeout=connect_timeout if connect_timeout is not None else host.connect_timeout,
        )

    def _secret(self, source: SecretSource, what: str, name: str) -> Secret:
        try:
            return self._desk.get(source, what)
        except (EOFError, KeyboardInterrupt):
            raise SecretError(f"no {what} was given for {name}; nothing was run") from None
