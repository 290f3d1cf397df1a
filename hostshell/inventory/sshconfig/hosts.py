"""The hosts that an ssh_config names: what stands in its `Host` lines without wildcards, as an inventory.

Must not know files. What holds for each host is the business of `answer`; here are only the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.names import MOST_NAMES, check_name
from hostshell.inventory.notes import Note
from hostshell.inventory.sections import FileSections, HostSection, Layer
from hostshell.inventory.settings import shown
from hostshell.inventory.sshconfig.files import Section
from hostshell.inventory.sshconfig.parse import HostLine
from hostshell.inventory.sshconfig.patterns import any_of, is_literal


def read(sections: Sequence[Section]) -> tuple[FileSections, tuple[Note, ...]]:
    """One section a host, in the order of the lines, and what was not taken. Raises `InventoryError` for no host."""
    found = FileSections("ssh")
    notes: list[Note] = []
    known: set[str] = set()
    for section in sections:
        if not isinstance(section.condition, HostLine):
            continue
        place = f"{section.file}:{section.condition.line}"
        for name in section.condition.wanted:
            if not is_literal(name) or name in known or not _can_hold(name, section, sections):
                continue
            known.add(name)
            try:
                check_name(name)
            except ValueError as error:
                notes.append(Note(f"{place}: {shown(name)} is taken for no host: {clean(str(error))}", loud=True))
                continue
            found.sections.append(HostSection((name,), Layer(section.file, "", {})))
            if len(found.sections) > MOST_NAMES:
                raise InventoryError(f"{section.file}: more than {MOST_NAMES:,} hosts")
    if not found.sections:
        hint = (
            "-F FILE names another; wildcards name no hosts"
            if sections
            else "write a ~/.ssh/config, or name a file: -F FILE"
        )
        raise InventoryError("no `Host` line of your ssh_config names a host", hint)
    return found, tuple(notes)


def _can_hold(name: str, section: Section, sections: Sequence[Section]) -> bool:
    """Whether ``section`` can say something of ``name``: a file may be included for other hosts only."""
    return all(_matches(name, line) for line in _conditions(section, sections))


def _conditions(section: Section, sections: Sequence[Section]) -> Iterator[HostLine]:
    while True:
        if isinstance(section.condition, HostLine):
            yield section.condition
        if section.parent < 0:
            return
        section = sections[section.parent]


def _matches(name: str, line: HostLine) -> bool:
    unwanted = any_of(line.unwanted)
    if unwanted is not None and unwanted(name):
        return False
    if name in line.wanted:
        return True
    wanted = any_of(line.wanted)
    return wanted is not None and bool(wanted(name))
