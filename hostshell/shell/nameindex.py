"""Names of hosts and groups by their first letters, fast among 100,000: what Tab offers inside a host or group list.

Must not know prompt_toolkit, nor where the names come from. One index serves one catalog, which does not change.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Set
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from hostshell.core.names import fold
from hostshell.core.targets import ALL, Catalog

MOST_OFFERED = 200
_MOST_RANGES = 100  # of those offered
_MOST_FOLDED = 4000  # names that are folded while a person waits
_LONGEST_RANGE = 60  # characters of a folded range that is still worth offering

_NUMBERED = re.compile(r"(.*[^0-9])([0-9]{1,18})([^0-9]*)", re.DOTALL)
_ONE_RANGE = re.compile(r"[^][,]*\[[0-9,-]+\][^][,]*")

_Family: TypeAlias = (
    "tuple[str, str, list[str]]"  # what stands before the last number, what after, and the names, sorted
)


class NameIndex:
    """Sorted names of one catalog, and what to say about each."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._hosts = sorted(catalog.host_names)

    def prepare(self) -> None:
        """Do now what the first question would have to wait for; from any thread."""
        _ = self._families, self._groups_of

    def hosts(self, prefix: str, without: Set[str] = frozenset()) -> Iterator[tuple[str, str]]:
        """Up to `MOST_OFFERED` names that begin with ``prefix``, and what each is; folded ranges come first."""
        left = MOST_OFFERED
        for text, count in islice(self._ranges(prefix), _MOST_RANGES):
            if text not in without:
                left -= 1
                yield text, _count(count)
        yield from self.each(prefix, without, left)

    def each(self, prefix: str, without: Set[str] = frozenset(), left: int = MOST_OFFERED) -> Iterator[tuple[str, str]]:
        """Up to ``left`` names of single hosts that begin with ``prefix``, and what each is."""
        at = bisect_left(self._hosts, prefix)
        while left > 0 and at < len(self._hosts) and self._hosts[at].startswith(prefix):
            name = self._hosts[at]
            at += 1
            if name not in without:
                left -= 1
                yield name, self._about(name)

    def groups(self, prefix: str, without: Set[str] = frozenset()) -> Iterator[tuple[str, str]]:
        """Up to `MOST_OFFERED` groups that begin with ``prefix``, ``all`` among them, and how many hosts each has."""
        known = {ALL: len(self._hosts)} | {name: len(hosts) for name, hosts in self.catalog.groups.items()}
        offered = sorted(name for name in known if name.startswith(prefix) and name not in without)
        for name in offered[:MOST_OFFERED]:
            yield name, _count(known[name])

    def _about(self, name: str) -> str:
        groups = self._groups_of.get(name)
        return ", ".join(groups) if groups else "in no group"

    @cached_property
    def _groups_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for group, hosts in self.catalog.groups.items():
            for host in hosts:
                found.setdefault(host, []).append(group)
        return found

    # --- ranges ---

    @cached_property
    def _families(self) -> list[_Family]:
        """Names that differ in their last number only, at least two of each, sorted by what stands before it."""
        found: dict[tuple[str, str], list[str]] = {}
        for name in self._hosts:
            match = _NUMBERED.fullmatch(name)
            if match is not None:
                found.setdefault((match[1], match[3]), []).append(name)
        return sorted((head, tail, names) for (head, tail), names in found.items() if len(names) > 1)

    def _ranges(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Folded ranges of at least two names that begin with ``prefix``, and how many names each stands for."""
        patience = _MOST_FOLDED
        inside = "[" in prefix
        # in web0 and web[0 the number has begun: what stands before it is the head of the family
        begun = prefix.partition("[")[0] if inside else prefix.rstrip("0123456789")
        for head, tail, names in self._beginning(begun):
            if inside:
                some = names if head == begun else []
            elif head == begun != prefix:
                some = [name for name in names if name.startswith(prefix)]
            else:
                some = names if head.startswith(prefix) else []
            text = _consecutive(head, tail, some)
            if not text and len(some) <= patience:
                patience -= len(some)
                text = _folded(some)
            if text and (not inside or text.startswith(prefix)):
                yield text, len(some)

    def _beginning(self, head: str) -> Iterator[_Family]:
        at = bisect_left(self._families, (head, "", []))
        while at < len(self._families) and self._families[at][0].startswith(head):
            yield self._families[at]
            at += 1


def _consecutive(head: str, tail: str, names: list[str]) -> str:
    """The names as one range without gaps, else "". The usual case, and fast."""
    if len(names) < 2 or any(len(name) != len(names[0]) for name in names):
        return ""
    low, high = (name[len(head) : len(name) - len(tail)] for name in (names[0], names[-1]))
    return f"{head}[{low}-{high}]{tail}" if int(high) - int(low) + 1 == len(names) else ""


def _folded(names: list[str]) -> str:
    """The names as one range, else "": one range does not say it, or it would be too long."""
    text = fold(names) if len(names) > 1 else ""
    return text if len(text) <= _LONGEST_RANGE and _ONE_RANGE.fullmatch(text) else ""


def _count(hosts: int) -> str:
    return "1 host" if hosts == 1 else f"{hosts:,} hosts"
