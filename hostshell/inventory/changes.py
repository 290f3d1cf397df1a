"""What differs between two readings of an inventory.

Must not know how it is shown. No place counts: a line that moved has changed nothing for a host.
"""

from __future__ import annotations

from dataclasses import replace

from hostshell.core.errors import HostshellError
from hostshell.core.model import Host, Place, SecretSource
from hostshell.core.records import dataclass
from hostshell.inventory.model import Inventory

_NOWHERE = Place("")


@dataclass(frozen=True, slots=True)
class Changes:
    """Names in the order of the inventory; those that are gone in the order of the old one."""

    hosts_added: tuple[str, ...]
    hosts_removed: tuple[str, ...]
    hosts_changed: tuple[str, ...]
    groups_added: tuple[str, ...]
    groups_removed: tuple[str, ...]
    groups_changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def compare(old: Inventory, new: Inventory) -> Changes:
    """From ``old`` to ``new``: a host has changed where we would reach it differently, a group where its hosts have."""
    return Changes(
        tuple(name for name in new.host_names if name not in old.host_names),
        tuple(name for name in old.host_names if name not in new.host_names),
        tuple(name for name in new.host_names if name in old.host_names and _essence(old, name) != _essence(new, name)),
        tuple(name for name in new.groups if name not in old.groups),
        tuple(name for name in old.groups if name not in new.groups),
        tuple(name for name in new.groups if name in old.groups and set(old.groups[name]) != set(new.groups[name])),
    )


def _essence(inventory: Inventory, name: str) -> Host | str:
    try:
        return _without_places(inventory.host(name))
    except HostshellError as error:
        return error.message


def _without_places(host: Host) -> Host:
    if host.password_from is None and host.passphrase_from is None and not host.jump:
        return host
    return replace(
        host,
        password_from=_moved(host.password_from),
        passphrase_from=_moved(host.passphrase_from),
        jump=tuple(_without_places(hop) for hop in host.jump),
    )


def _moved(source: SecretSource | None) -> SecretSource | None:
    return None if source is None else replace(source, place=_NOWHERE)
