"""What one inventory of Ansible's says, whatever its form: hosts, groups, variables with their lines.

Must not know any of the forms, nor what a variable means to us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.core.names import MOST_NAMES, check_name
from hostshell.core.recent import STATUS_GROUPS
from hostshell.inventory.notes import Notes
from hostshell.inventory.settings import bad, shown

ALL = "all"
UNGROUPED = "ungrouped"
PRIORITY = "ansible_group_priority"

Variables: TypeAlias = dict[str, tuple[object, int]]  # name to (value, line)


class PluginSetup(InventoryError):
    """A file that sets up one of Ansible's inventory plugins, which are not run here."""


class Vault:
    """In place of a value that is encrypted with Ansible's vault."""


class Plain(str):
    """A text in which ``{{`` is no template (YAML's ``!unsafe``)."""

    __slots__ = ()


@dataclass(slots=True)
class AnsibleGroup:
    """``hosts`` and ``children`` are its own; a child has the line that names it first."""

    name: str
    line: int
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, int] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    priority: int | None = None


class AnsibleInventory:
    """One source. ``all`` and ``ungrouped`` are always there. Names are checked when they are added."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.notes = Notes(file)
        self.hosts: dict[str, Variables] = {}
        self.groups = {ALL: AnsibleGroup(ALL, 0), UNGROUPED: AnsibleGroup(UNGROUPED, 0)}

    def group(self, name: str, line: int) -> AnsibleGroup:
        """The group of that name, made if there is none yet. Raises `InventoryError` for a name that cannot be."""
        found = self.groups.get(name)
        if found is None:
            place = Place(self.file, line)
            if name in STATUS_GROUPS:
                raise bad(place, f"no group may be called `{name}`", f"@{name} is how hosts of the last command ended")
            try:
                check_name(name)
            except ValueError as error:
                raise bad(place, f"bad group name `{shown(name)}`: {error}") from None
            found = self.groups[name] = AnsibleGroup(name, line)
        return found

    def child(self, group: AnsibleGroup, name: str, line: int) -> AnsibleGroup:
        """Put a group, made if need be, into another."""
        if name == ALL:
            raise bad(Place(self.file, line), f"`{ALL}` is every host already, and in no other group")
        child = self.group(name, line)
        if name == group.name:
            raise bad(Place(self.file, line), f"the group {shown(name)} in itself")
        if group.name != ALL:
            group.children.setdefault(name, line)
        return child

    def host(self, name: str, group: AnsibleGroup, line: int, port: int | None = None) -> Variables:
        """The variables of a host, which becomes one of ``group``. ``port`` counts where the host is new."""
        variables = self.hosts.get(name)
        if variables is None:
            try:
                check_name(name)
            except ValueError as error:
                place = Place(self.file, line)
                raise bad(place, f"bad host name `{shown(name)}`: {error}" if name else "no host name") from None
            if len(self.hosts) >= MOST_NAMES:
                raise InventoryError(f"{self.file}: more than {MOST_NAMES:,} hosts")
            variables = self.hosts[name] = {}
            if port is not None:
                variables["ansible_port"] = (port, line)
        if group.name != ALL:
            group.hosts[name] = None
        return variables

    def set_priority(self, group: AnsibleGroup, value: object, line: int) -> None:
        """``ansible_group_priority``. Raises `InventoryError` for what is no number."""
        try:
            group.priority = int(value)  # type: ignore[call-overload]  # what it cannot take is what we ask
        except (TypeError, ValueError, OverflowError):
            raise bad(Place(self.file, line), f"`{PRIORITY}` is no whole number") from None
