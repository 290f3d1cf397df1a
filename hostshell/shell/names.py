"""Names of hosts and groups by their first letters, fast among 100,000: what Tab offers inside a host or group list.

Must not know prompt_toolkit, nor where the names come from. One index serves one catalog, which does not change.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property

from hostshell.core.names import fold
from hostshell.core.targets import ALL, Catalog

MOST_OFFERED = 200
_LONGEST_FOLD = 60  # characters of a folded range that is still worth offering
_MOST_FOLDED = 2000  # names that are folded while a person waits
_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})(\D*)", re.DOTALL)


class NameIndex:
    """Sorted names of one catalog, and what to say about each."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._hosts = sorted(catalog.host_names)

    @cached_property
    def _groups_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for group, hosts in self.catalog.groups.items():
            for host in hosts:
                found.setdefault(host, []).append(group)
        return found

    @cached_property
    def _families(self) -> dict[str, list[str]]:
        """Names that end alike but for their last number, by what stands before it: sorted heads to names."""
        found: dict[str, list[str]] = {}
        for name in self._hosts:
            match = _NUMBERED.fullmatch(name)
            if match is not None and match[1]:
                found.setdefault(match[1], []).append(name)
        return {head: names for head, names in found.items() if len(names) > 1}

    @cached_property
    def _heads(self) -> list[str]:
        return list(self._families)  # sorted, because the names are

    def hosts(self, prefix: str, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
        """Up to `MOST_OFFERED` names that begin with ``prefix``, and what each is; folded ranges come first."""
        left = MOST_OFFERED
        for text, count in self._ranges(prefix):
            if text not in without:
                left -= 1
                yield text, _hosts(count)
            if left <= MOST_OFFERED // 2:
                break
        at = bisect_left(self._hosts, prefix)
        while left > 0 and at < len(self._hosts) and self._hosts[at].startswith(prefix):
            name = self._hosts[at]
            at += 1
            if name not in without:
                left -= 1
                yield name, self._about(name)

    def groups(self, prefix: str, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
        """Groups that begin with ``prefix``, and how many hosts each has. ``all`` is among them."""
        known = {name: len(hosts) for name, hosts in self.catalog.groups.items()}
        known.setdefault(ALL, len(self._hosts))
        offered = sorted(name for name in known if name.startswith(prefix) and name not in without)
        for name in offered[:MOST_OFFERED]:
            yield name, _hosts(known[name])

    def _ranges(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Folded ranges whose text or names begin with ``prefix``, and how many hosts each stands for."""
        bracket = prefix.find("[")
        if bracket >= 0:
            return self._folded(
                [self._families.get(prefix[:bracket], [])], lambda text: text.startswith(prefix)
            )
        return iter(())

    def _about(self, name: str) -> str:
        groups = self._groups_of.get(name)
        return ", ".join(groups) if groups else "in no group"


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count:,} hosts"
