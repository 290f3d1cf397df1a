"""``group_vars`` and ``host_vars`` beside an inventory: which file belongs to whom, read for how to connect only.

Ansible's rules: NAME, NAME.yml, NAME.yaml, NAME.json, the first that is there; a folder of that name with files in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.inventory.ansible.data import ALL
from hostshell.inventory.ansible.variables import first_secret, settings_of
from hostshell.inventory.ansible.yaml import read_variables
from hostshell.inventory.files import guard_secret, read_file
from hostshell.inventory.kinds import VAULT_MARK
from hostshell.inventory.notes import MOST_NAMED, Note, Notes, Source
from hostshell.inventory.sections import FileSections, GroupSection, HostSection, Layer, Rank

GROUP_VARS = "group_vars"
HOST_VARS = "host_vars"
_EXTENSIONS = ("", ".yml", ".yaml", ".json")
_DEEPEST = 20  # folders in folders: a link may lead round


def has_folders(base: str) -> bool:
    """Whether there is one of the two in ``base``."""
    return any(os.path.isdir(os.path.join(base, name)) for name in (GROUP_VARS, HOST_VARS))


def read_folders(
    base: str, shown: str, groups: Iterable[str], hosts: Iterable[str]
) -> tuple[list[FileSections], list[Source]]:
    """The settings of both folders in ``base``, the stronger later. ``shown`` is what messages call ``base``.

    Raises `InventoryError` for a file that cannot be read or holds a password that others can read.
    """
    found: list[FileSections] = []
    sources = []
    for folder, names in ((GROUP_VARS, groups), (HOST_VARS, hosts)):
        path = os.path.join(base, folder)
        if os.path.isdir(path):
            sections, source = _folder(path, os.path.join(shown, folder), folder == GROUP_VARS, names)
            found += sections
            sources.append(source)
    return found, sources


def _folder(path: str, shown: str, of_groups: bool, names: Iterable[str]) -> tuple[list[FileSections], Source]:
    notes = Notes(clean(shown))
    entries = _listing(path, shown)
    taken: set[str] = set()
    found: list[FileSections] = []
    count = 0
    for name in names:
        entry = next((name + ending for ending in _EXTENSIONS if name + ending in entries), None)
        if entry is None:
            continue
        count += 1
        taken.add(entry)
        for file in _files(os.path.join(path, entry), 0):
            inner = os.path.join(shown, os.path.relpath(file, path))
            sections = _read(file, clean(inner), name, of_groups, notes)
            if sections is not None:
                found.append(sections)
    lines = notes.lines()
    stray = [entry for entry in entries if entry not in taken and not entry.startswith(".")]
    if stray:
        some = clean(", ".join(stray[:MOST_NAMED])) + (", …" if len(stray) > MOST_NAMED else "")
        whom = "no group" if of_groups else "no host"
        count_of = "1 entry belongs" if len(stray) == 1 else f"{len(stray):,} entries belong"
        lines = (*lines, Note(f"{clean(shown)}: {count_of} to {whom}: {some}"))
    return found, Source(clean(shown), "variables", 0 if of_groups else count, count if of_groups else 0, lines)


def _read(path: str, shown: str, name: str, of_groups: bool, notes: Notes) -> FileSections | None:
    content = read_file(path, shown)
    notes.reading(shown)
    if content.text.startswith(VAULT_MARK):
        notes.say(1, "encrypted with Ansible's vault: not read")
        return None
    values = settings_of(read_variables(content.text, shown, notes), shown, "", notes)
    guard_secret(first_secret(values), content)
    if not values:
        return None
    layer = Layer(shown, "", values, ansible=True)
    made = FileSections(shown)
    if not of_groups:
        made.sections.append(HostSection((name,), layer))
    elif name == ALL:
        made.everywhere = layer
    else:
        made.sections.append(GroupSection(name, Place(shown), layer, rank=Rank(beside=True)))
    return made


def _listing(path: str, shown: str) -> dict[str, None]:
    try:
        return dict.fromkeys(sorted(os.listdir(path)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InventoryError(f"the folder {clean(shown)} cannot be read: {reason}") from None


def _files(path: str, deep: int) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    if deep > _DEEPEST:
        raise InventoryError(f"{clean(path)}: folders nested more than {_DEEPEST} deep")
    for entry in _listing(path, path):
        inner = os.path.join(path, entry)
        ending = os.path.splitext(entry)[1]
        if entry.startswith(".") or entry.endswith("~"):
            continue
        if os.path.isdir(inner):
            if not ending:
                yield from _files(inner, deep + 1)
        elif ending in _EXTENSIONS:
            yield inner
