"""`-h … -g … -x … -a` to hosts: the language of host lists, with our groups in it and the order typed kept.

Pure. Must not know where hosts and groups come from, nor what a host's settings are.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Protocol, get_args

from hostshell.core.clean import clean
from hostshell.core.errors import TargetError, nearest
from hostshell.core.events import Status
from hostshell.core.names import LONGEST_NAME, check_name, check_user, expand, fold, is_ip, is_ipv6, split
from hostshell.core.records import dataclass

ALL = "all"  # the group that always exists
MOST_MASKS = 1000  # wildcards that one operand may stand for: each is held against every host
_OPERATORS = ",!&^"
_ENOUGH = 1000  # names to look for a near one in: difflib is slow
_MOST_SHOWN = 20  # parts of a folded list in a sentence
_MOST_HINTS = 5  # unknown names to look for a hint for
_WITHOUT_INVENTORY = "a host without one is written user@host, host:port or as its address"


@dataclass(frozen=True, slots=True)
class Targets:
    """What a command is aimed at, as typed: the texts of each ``-h``, ``-g``, ``-x``, and whether ``-a`` is there."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    everything: bool = False

    @property
    def named(self) -> bool:
        """Whether anything is named to run on: ``-x`` alone names nothing."""
        return bool(self.hosts or self.groups or self.everything)

    def __bool__(self) -> bool:
        return self.named

    def options(self) -> str:
        """The same as options of a line, ready to be typed again: ``-a -h h1,h2 -g web -x db1``; "" for none."""
        words = ["-a"] if self.everything else []
        for option, texts in (("-h", self.hosts), ("-g", self.groups), ("-x", self.exclude)):
            for text in texts:
                words += [option, _quoted(text)]
        return " ".join(words)


class Catalog(Protocol):
    """What is known: hosts in their order, and groups with the hosts in them (groups in groups already looked up)."""

    @property
    def host_names(self) -> Collection[str]: ...

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]: ...


# --- hosts of the moment ---


@dataclass(frozen=True, slots=True)
class Moment:
    """A host that needs no inventory: ``user@address:port``. None stands for what was not typed."""

    user: str | None
    address: str
    port: int | None


def parse_moment(name: str) -> Moment | None:
    """``user@host[:port]``, ``host:port`` or an IP address (IPv6 in brackets before a port); None for a plain name.

    Raises `TargetError` for what has the form and cannot be: a bad port, user or address.
    """
    if name.startswith("@"):
        return None
    user, at, rest = name.rpartition("@")
    if not at and ":" not in rest and not is_ip(rest):
        return None
    if at:
        try:
            check_user(user)
            if "/" in user:
                raise ValueError("it holds `/`")  # the whole name becomes a directory's when files are fetched
        except ValueError as error:
            raise TargetError(f"bad user in {_shown(name)}: {error}") from None
    port: str | None = None
    if rest.startswith("["):
        address, _, tail = rest[1:].partition("]")
        if not is_ipv6(address) or (tail and not tail.startswith(":")):
            raise TargetError(f"{_shown(name)}: what stands in brackets is no IPv6 address", "as in [::1]:2222")
        port = tail[1:] if tail else None
    elif is_ip(rest):
        address = rest
    else:
        address, colon, tail = rest.partition(":")
        port = tail if colon else None
        if ":" in tail:
            raise TargetError(f"{_shown(name)} is no IPv6 address", "with a port it is written [::1]:2222")
    try:
        check_name(address)
        if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
            raise ValueError(f"it is longer than {LONGEST_NAME} bytes")
    except ValueError as error:
        raise TargetError(f"bad address in {_shown(name)}: {error}") from None
    return Moment(user if at else None, address, None if port is None else _port(name, port))


def _port(name: str, text: str) -> int:
    if not text:
        raise TargetError(f"{_shown(name)}: no port after `:`", "a port is a number from 1 to 65535")
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise TargetError(f"{_shown(name)}: `{_shown(text)}` is no port", "a port is a number from 1 to 65535")
    return int(text)


# --- resolution ---


def resolve(targets: Targets, catalog: Catalog) -> tuple[str, ...]:
    """The hosts that ``targets`` stands for: each once, in the order typed (``-a``, then ``-h``, then ``-g``).

    ``-x`` takes away from the sum; a host that it names goes under all its names (``-x h1`` takes ``root@h1`` too).
    Raises `TargetError` for what cannot be read, for unknown names (all of them at once), and when no host is left.
    """
    if not targets.named:
        only = ": -x alone takes away from the session's hosts, and none are set" if targets.exclude else ""
        raise TargetError(f"no hosts are named{only}", "name some with -h or -g, all with -a, or set them with `use`")
    reader = _Reader(catalog)
    found: dict[str, None] = dict.fromkeys(catalog.host_names) if targets.everything else {}
    for text in targets.hosts:
        found.update(reader.read("-h", text, reader.hosts))
    for text in targets.groups:
        found.update(reader.read("-g", text, reader.members))
    excluded: dict[str, None] = {}
    for text in targets.exclude:
        excluded.update(reader.read("-x", text, reader.hosts))
    reader.complain()
    if not found:
        if not catalog.host_names:
            raise TargetError("no hosts: the inventory has none", _WITHOUT_INVENTORY)
        raise TargetError(f"no hosts left: {_shown(targets.options())} names none")
    if excluded:
        found = {name: None for name in found if not _taken(name, excluded, catalog)}
    if not found:
        raise TargetError("no hosts left: -x takes away every one of them")
    return tuple(found)


def unknown_host(name: str, catalog: Catalog) -> TargetError:
    """The error for a host that nobody knows, with the nearest name as its hint."""
    return TargetError(f"unknown host {_shown(name)}", _host_hint(name, catalog, "-g ")[0])


def _taken(name: str, excluded: Collection[str], catalog: Catalog) -> bool:
    if name in excluded:
        return True
    if name in catalog.host_names:
        return False
    moment = parse_moment(name)
    return moment is not None and moment.address in excluded


class _Reader:
    """Reads list after list and remembers what was unknown, so that one error names all of it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._unknown_hosts: dict[str, str] = {}  # name to the option it stood behind
        self._unknown_groups: dict[str, str] = {}
        self._option = ""

    def read(self, option: str, text: str, operand: Callable[[str], Collection[str]]) -> dict[str, None]:
        """One list, its operators taken from left to right as ClusterShell does; ``operand`` gives the hosts of one."""
        self._option = option
        try:
            parts = split(text, _OPERATORS)
        except ValueError as error:
            raise TargetError(f"{option} {_shown(text) or repr(text)}: {error}") from None
        found: dict[str, None] = {}
        for operator, part in parts:
            names = operand(part)
            match operator:
                case "!":
                    for name in names:
                        found.pop(name, None)
                case "&":
                    both = frozenset(names)
                    found = {name: None for name in found if name in both}
                case "^":
                    both = frozenset(name for name in names if name in found)
                    found = {name: None for name in (*found, *names) if name not in both}
                case _:
                    found.update(dict.fromkeys(names))
        return found

    def hosts(self, operand: str) -> Collection[str]:
        """What one operand of a host list stands for."""
        known = self._catalog.host_names
        if operand.startswith("@"):
            return self.members(operand)
        if operand in known:
            return (operand,)
        names = self._expand(operand)
        if "*" in operand or "?" in operand:
            return self._matches(operand, names, known, "host")
        found = []
        for name in names:
            if name in known or parse_moment(name) is not None:
                found.append(name)
            else:
                self._unknown_hosts.setdefault(name, self._option)
        return found

    def members(self, operand: str) -> Collection[str]:
        """The hosts of the groups that one operand names."""
        groups = self._catalog.groups
        operand = operand.removeprefix("@")
        if not operand:
            raise TargetError(f"{self._option}: no group after `@`")
        if operand in (ALL, "*"):
            return self._catalog.host_names
        if operand in groups:
            return groups[operand]
        names = self._expand(operand)
        if "*" in operand or "?" in operand:
            names = self._matches(operand, names, groups, "group")
        found: dict[str, None] = {}
        for name in names:
            if name == ALL:
                found.update(dict.fromkeys(self._catalog.host_names))
            elif name in groups:
                found.update(dict.fromkeys(groups[name]))
            else:
                self._unknown_groups.setdefault(name, self._option)
        return found

    def complain(self) -> None:
        """Raise `TargetError` if anything was unknown."""
        texts: list[str] = []
        hints: list[tuple[str, str, str]] = []
        for kind, unknown in (("host", self._unknown_hosts), ("group", self._unknown_groups)):
            if unknown:
                texts.append(f"unknown {kind}{'s' if len(unknown) > 1 else ''} {_folded(unknown)}")
            for name, option in islice(unknown.items(), _MOST_HINTS):
                group = ""
                if kind == "host":
                    hint, group = _host_hint(name, self._catalog, "@" if option == "-x" else "-g ")
                else:
                    hint = _group_hint(name, self._catalog)
                if hint:
                    hints.append((name, hint, group))
        if not texts:
            return
        hint = group = ""
        if hints:
            name, hint, group = hints[0]
            if len(self._unknown_hosts) + len(self._unknown_groups) > 1 and hint.startswith("did you"):
                hint = f"{_shown(name)}: {hint}"
        error = TargetError("; ".join(texts), hint)
        error.unknown, error.group = tuple(islice(self._unknown_hosts, _MOST_HINTS)), group
        raise error

    def _expand(self, operand: str) -> list[str]:
        try:
            return expand(operand)
        except ValueError as error:
            raise TargetError(f"{self._option} {_shown(operand)}: {error}") from None

    def _matches(self, operand: str, masks: list[str], known: Collection[str], kind: str) -> list[str]:
        if len(masks) > MOST_MASKS:
            raise TargetError(f"{self._option} {_shown(operand)} stands for more than {MOST_MASKS:,} wildcards")
        found: dict[str, None] = {}
        for mask in masks:
            # the brackets that are left are those of an address; fnmatch would take them for a set of characters
            fits = re.compile(fnmatch.translate(mask.replace("[", "[[]"))).match
            found.update((name, None) for name in known if fits(name))
        if not found:
            # an error even behind `!` and -x: what is mistyped there would run where it must not
            shows = "`hosts -a` shows every host" if kind == "host" else "`groups` shows every group"
            raise TargetError(f"no {kind} matches {_shown(operand)}", shows)
        return list(found)


# --- words ---


def _host_hint(name: str, catalog: Catalog, as_group: str) -> tuple[str, str]:
    """What to do about an unknown host, and the group that it is about, if any."""
    if name in catalog.groups or name == ALL:
        return f"{name} is a group: name it with {as_group}{name}", name
    if re.search(r"\s", name):
        return "names are separated by commas", ""
    near = _near(name, catalog.host_names)
    if near:
        return f"did you mean {near}?", ""
    near = nearest(name, (*catalog.groups, ALL))
    if near:
        return f"did you mean the group {near}? name it with {as_group}{near}", near
    if not catalog.host_names:
        return f"there is no inventory; {_WITHOUT_INVENTORY}", ""
    return "`hosts -a` shows every host", ""


def _group_hint(name: str, catalog: Catalog) -> str:
    if name in catalog.host_names:
        return f"{name} is a host: name it with -h {name}"
    near = nearest(name, (*catalog.groups, ALL, *get_args(Status)))  # @failed and its kin: core/recent.py
    if near:
        return f"did you mean {near}?"
    near = _near(name, catalog.host_names)
    return f"did you mean the host {near}? name it with -h {near}" if near else "`groups` shows every group"


def _near(name: str, known: Collection[str]) -> str | None:
    """The nearest of many names: those with the same numbers first, for mostly letters and zeros go wrong."""
    numbers = _numbers(name)
    same = nearest(name, islice((other for other in known if _numbers(other) == numbers), _ENOUGH))
    return same or nearest(name, islice(known, _ENOUGH))


def _numbers(name: str) -> list[str]:
    return [number.lstrip("0") for number in re.findall("[0-9]+", name)]


def _folded(names: Iterable[str]) -> str:
    parts = split(fold(names))
    text = ",".join(part for _, part in parts[:_MOST_SHOWN])
    more = len(parts) - _MOST_SHOWN
    return clean(text) if more <= 0 else f"{clean(text)} and {more} more"


def _shown(text: str) -> str:
    return clean(text if len(text) <= 200 else text[:200] + "…")


def _quoted(text: str) -> str:
    """A word as the line's grammar (shlex, POSIX rules) reads it back; brackets and operators need no quotes there."""
    if text and not re.search(r"[\s'\"\\]", text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"
