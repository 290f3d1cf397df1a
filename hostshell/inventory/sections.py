"""What the sections of one file mean: hosts, groups and defaults, with checked names and converted values.

Takes text. Must not know other files, precedence or permissions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from hostshell.core.errors import InventoryError, did_you_mean, nearest
from hostshell.core.model import Place
from hostshell.core.names import check_name, expand
from hostshell.core.recent import STATUS_GROUPS
from hostshell.core.records import dataclass
from hostshell.core.targets import ALL
from hostshell.inventory.parse import Section, Value, parse
from hostshell.inventory.settings import SETTINGS, Converted, bad, shown

_MEMBERS = ("hosts", "groups")  # keys of groups beside the settings
_KINDS = ("defaults", "host", "group")


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one section: key to (value, line). Layers are laid over each other to make a host.

    ``ansible``: what it says of sudo is what Ansible calls become, and holds for the method sudo alone.
    """

    file: str
    section: str
    values: dict[str, tuple[Converted, int]]
    ansible: bool = False

    def source(self, line: int) -> str:
        """``hosts.ini:12 [group:web]``, for a person; without what the file has none of."""
        place = f"{self.file}:{line}" if line else self.file
        return f"{place} [{shown(self.section)}]" if self.section else place


@dataclass(frozen=True, slots=True)
class HostSection:
    """``[host:…]``: settings for the hosts that it names."""

    names: tuple[str, ...]
    layer: Layer


@dataclass(frozen=True, slots=True)
class Rank:
    """Ansible's rules: a group of several files has the members of all; among equally deep groups the one of higher
    ``priority`` (None: not said) counts, then the later in the alphabet; what stands in ``group_vars`` (``beside``)
    beats what stands in the inventory itself.
    """

    priority: int | None = None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class GroupSection:
    """``[group:NAME]``: its hosts and groups (None where the file does not say), where that stands, and settings.

    ``rank`` is set by inventories of Ansible's kinds, whose rules for groups are others.
    """

    name: str
    place: Place
    layer: Layer
    hosts: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    groups_place: Place | None = None
    rank: Rank | None = None


@dataclass(slots=True)
class FileSections:
    """One file: its sections in order, and the first place of a literal secret in it, if there is one.

    ``everywhere`` holds for every host and beats the groups' own settings (Ansible's ``group_vars/all``).
    """

    file: str
    sections: list[HostSection | GroupSection] = field(default_factory=list)
    defaults: Layer | None = None
    everywhere: Layer | None = None
    literal: Place | None = None


def read(text: str, file: str) -> FileSections:
    """The hosts, groups and defaults of ``text``. Raises `InventoryError` with ``FILE:LINE:`` if it is wrong."""
    found = FileSections(file)
    hosts: dict[str | frozenset[str], Section] = {}
    groups: dict[str, Section] = {}
    for section in parse(text, file):
        place = Place(file, section.line, section.header)
        kind, colon, rest = section.header.partition(":")
        kind, rest = kind.strip(), rest.strip()
        if kind == "host" and colon:
            names = _names(rest, place)
            # two texts may well name the same: web[1-2] and web[2,1]
            same = names[0] if len(names) == 1 else frozenset(names)
            if same in hosts:
                raise bad(
                    place, f"this names exactly the hosts of [{shown(hosts[same].header)}] in line {hosts[same].line}"
                )
            hosts[same] = section
            found.sections.append(HostSection(names, _layer(section, found)))
        elif kind == "group" and colon:
            _check_group(rest, place)
            if rest in groups:
                raise bad(place, f"the group {rest} stands in line {groups[rest].line} already")
            groups[rest] = section
            found.sections.append(_group(rest, section, place, found))
        elif kind == "defaults" and not colon:
            if found.defaults is not None:
                raise bad(place, "a second [defaults]")
            found.defaults = _layer(section, found)
        else:
            raise _unknown_section(section.header, place)
    return found


def _group(name: str, section: Section, place: Place, found: FileSections) -> GroupSection:
    hosts = groups = groups_place = None
    if "hosts" in section.values:
        value = section.values["hosts"]
        hosts = _names(value.text, Place(found.file, value.line, section.header))
    if "groups" in section.values:
        value = section.values["groups"]
        groups_place = Place(found.file, value.line, section.header)
        groups = _group_names(value.text, groups_place)
    return GroupSection(name, place, _layer(section, found, _MEMBERS), hosts, groups, groups_place)


def _layer(section: Section, found: FileSections, beside: tuple[str, ...] = ()) -> Layer:
    values: dict[str, tuple[Converted, int]] = {}
    for key, value in section.values.items():
        if key in beside:
            continue
        check = SETTINGS.get(key)
        if check is None:
            raise _unknown_key(key, value, section, found.file, beside)
        place = Place(found.file, value.line, section.header)
        values[key] = (check(value.text, place), value.line)
        if key in ("password", "sudo_password"):
            if f"{key}_from" in section.values:
                raise bad(place, f"both `{key}` and `{key}_from` in one section", "keep one of them")
            found.literal = found.literal or place
    return Layer(found.file, section.header, values)


def _names(text: str, place: Place) -> tuple[str, ...]:
    if text.startswith("@"):
        raise bad(place, "a group among hosts", "groups in a group are named with `groups = NAME, NAME`")
    try:
        names = expand(text)
    except ValueError as error:
        raise bad(place, f"bad host names: {error}") from None
    for name in names:
        _check(name, "host", check_name, place)
    return tuple(names)


def _group_names(text: str, place: Place) -> tuple[str, ...]:
    try:
        names = expand(text)
    except ValueError as error:
        raise bad(place, f"bad group names: {error}") from None
    for name in names:
        _check_group(name, place)
    return tuple(names)


def _check_group(name: str, place: Place) -> None:
    if name == ALL:
        raise bad(place, f"the group `{ALL}` is every host already", "settings for every host go into [defaults]")
    if name in STATUS_GROUPS:
        raise bad(place, f"no group may be called `{name}`", f"@{name} is how hosts of the last command ended")
    _check(name, "group", check_name, place)


def _check(name: str, what: str, check: Callable[[str], None], place: Place) -> None:
    try:
        check(name)
    except ValueError as error:
        hint = ""
        if any(char.isspace() for char in name):
            hint = "names are separated by commas"
        elif what == "host" and ("@" in name or ":" in name):
            hint = "a host's user and port are settings: `user = …`, `port = …`"
        raise bad(place, f"bad {what} name `{shown(name)}`: {error}" if name else f"no {what} name", hint) from None


def _unknown_key(key: str, value: Value, section: Section, file: str, beside: tuple[str, ...]) -> InventoryError:
    place = Place(file, value.line, section.header)
    if key in _MEMBERS:
        return bad(place, f"`{key}` stands in [{shown(section.header)}]", "it belongs into a [group:NAME] section")
    return bad(place, f"unknown setting `{shown(key)}`", did_you_mean(key, (*SETTINGS, *beside)))


def _unknown_section(header: str, place: Place) -> InventoryError:
    kind, colon, rest = header.partition(":")
    near = nearest(kind.strip().lower(), _KINDS)
    hint = "sections are [defaults], [host:NAME] and [group:NAME]"
    if near == "defaults":
        hint = "did you mean [defaults]?"
    elif near:
        hint = f"did you mean [{near}:{shown(rest.strip()) or 'NAME'}]?"
    elif not colon:
        hint = f"did you mean [host:{shown(header.strip())}] or [group:{shown(header.strip())}]?"
    return bad(place, f"unknown section [{shown(header)}]", hint)
