"""Inventories of Ansible's to sections as the rest of the room knows them.

Must not know the forms they had. ``ungrouped`` holds the hosts that are in no group of any of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from hostshell.core.model import Place
from hostshell.inventory.ansible.data import ALL, UNGROUPED, AnsibleGroup, AnsibleInventory
from hostshell.inventory.ansible.variables import first_secret, settings_of
from hostshell.inventory.sections import FileSections, GroupSection, HostSection, Layer, Rank
from hostshell.inventory.settings import Converted


def assemble(inventories: Sequence[AnsibleInventory]) -> list[FileSections]:
    """Each as sections, in order. Raises `InventoryError` for a variable whose value cannot be."""
    grouped = {
        host
        for found in inventories
        for group in found.groups.values()
        if group.name != UNGROUPED
        for host in group.hosts
    }
    return [_sections(found, grouped) for found in inventories]


def _sections(found: AnsibleInventory, grouped: set[str]) -> FileSections:
    made = FileSections(found.file)
    for name, variables in found.hosts.items():
        values = settings_of(variables, found.file, "", found.notes)
        made.literal = made.literal or first_secret(values)
        made.sections.append(HostSection((name,), Layer(found.file, "", values, ansible=True)))
    found.groups[UNGROUPED].hosts = {name: None for name in found.hosts if name not in grouped}
    for group in found.groups.values():
        values = settings_of(group.variables, found.file, group.name, found.notes)
        made.literal = made.literal or first_secret(values)
        if group.name == ALL:
            made.defaults = Layer(found.file, ALL, values, ansible=True)
        elif group.name != UNGROUPED or group.hosts or values:
            made.sections.append(_group(found.file, group, values))
    return made


def _group(file: str, group: AnsibleGroup, values: dict[str, tuple[Converted, int]]) -> GroupSection:
    section = group.name
    place = Place(file, next(iter(group.children.values()), group.line), section)
    return GroupSection(
        group.name,
        Place(file, group.line, section),
        Layer(file, section, values, ansible=True),
        tuple(group.hosts),
        tuple(group.children),
        place if group.children else None,
        Rank(group.priority),
    )
