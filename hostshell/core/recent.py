"""How the hosts of the last command ended, and the groups that this makes: `@failed`, `@ok` and their kin.

Pure. Must not know where events come from, nor what a host's settings are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import get_args

from hostshell.core.errors import TargetError
from hostshell.core.events import Event, Finished, Started, Status
from hostshell.core.targets import Catalog

STATUS_GROUPS: tuple[Status, ...] = get_args(Status)  # no inventory may call a group so


class LastCommand:
    """Watches the events of job after job, and knows how the hosts of the last one ended."""

    def __init__(self) -> None:
        self._hosts: tuple[str, ...] | None = None  # None: there was no command yet
        self._ended: dict[str, Status] = {}

    def watch(self, event: Event) -> None:
        """One more event; `Started` begins a new command."""
        if isinstance(event, Started):
            self._hosts = event.hosts
            self._ended = {}
        elif isinstance(event, Finished):
            self._ended[event.host] = event.status

    @property
    def happened(self) -> bool:
        """Whether there was a command at all."""
        return self._hosts is not None

    def hosts(self, status: str) -> tuple[str, ...]:
        """The hosts that ended as ``status``, in the order in which they were named."""
        return tuple(host for host in self._hosts or () if self._status(host) == status)

    def counts(self) -> dict[str, int]:
        """How many hosts ended in each status that occurred."""
        found = Counter(self._status(host) for host in self._hosts or ())
        return {status: found[status] for status in STATUS_GROUPS if found[status]}

    def _status(self, host: str) -> Status:
        # a job that was broken off, by a full disk say, leaves hosts of which no end was heard
        return self._ended.get(host, "cancelled")


class WithLast(Mapping[str, tuple[str, ...]]):
    """A catalog and the groups of the last command, for one resolution: a `targets.Catalog`.

    No wildcard finds those groups, for `@*` and `@f*` mean the inventory's. ``used`` holds those that were asked for.
    """

    def __init__(self, catalog: Catalog, last: LastCommand) -> None:
        self._catalog = catalog
        self._last = last
        self.used: dict[str, tuple[str, ...]] = {}

    @property
    def host_names(self) -> Collection[str]:
        """Every host of the catalog."""
        return self._catalog.host_names

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The catalog's groups and those of the last command."""
        return self

    def explain(self) -> str:
        """Which of the groups that were asked for have nobody in them, and which have; "" when none is empty."""
        empty = [f"@{name}" for name, hosts in self.used.items() if not hosts]
        if not empty:
            return ""
        there = ", ".join(f"@{name} ({count} host{'s' * (count != 1)})" for name, count in self._last.counts().items())
        return f"nobody of the last command is {' or '.join(empty)}; there is {there}"

    def __getitem__(self, name: str) -> tuple[str, ...]:
        if name not in STATUS_GROUPS:
            return self._catalog.groups[name]
        if not self._last.happened:
            raise TargetError(
                f"@{name}: no command has run on hosts in this session yet",
                f"@{name} is those hosts of the last command that ended as {name}",
            )
        hosts = self.used[name] = self._last.hosts(name)
        return hosts

    def __contains__(self, name: object) -> bool:
        return name in STATUS_GROUPS or name in self._catalog.groups

    def __iter__(self) -> Iterator[str]:
        return iter(self._catalog.groups)

    def __len__(self) -> int:
        return len(self._catalog.groups)
