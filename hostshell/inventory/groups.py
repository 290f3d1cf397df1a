"""Groups in groups: who is in which, how deep, and that there is no circle.

Must not know files or what a setting means. No recursion: a chain of groups may be as long as somebody makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hostshell.core.errors import did_you_mean
from hostshell.core.model import Place
from hostshell.core.records import dataclass
from hostshell.inventory.sections import GroupSection, Layer, Rank
from hostshell.inventory.settings import bad, shown

_BESIDE = 1  # the tier of Ansible's group_vars; 0 is that of sections


@dataclass(frozen=True, slots=True)
class _Ranked:
    """One section's settings: ``order`` among all sections; ``run`` is what counts of it before priority and name."""

    tier: int
    run: int
    order: int
    layer: Layer


class Groups(Mapping[str, tuple[str, ...]]):
    """Group to the names of its hosts: its own first, then those of the groups in it; looked up when asked for."""

    def __init__(self, sections: Iterable[GroupSection], everywhere: Iterable[Layer] = ()) -> None:
        """Merge sections of the same name, later ones key by key. Raises `InventoryError`: unknown group, circle.

        ``everywhere``: settings that hold for every host and beat what groups say in Ansible's inventories themselves.
        """
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._children: dict[str, tuple[str, ...]] = {}
        self._layers: dict[str, list[_Ranked]] = {}
        self._everywhere = [_Ranked(_BESIDE, order, order, layer) for order, layer in enumerate(everywhere)]
        self._priorities: dict[str, int] = {}
        tiers: dict[str, int] = {}
        run = 0  # where the present run of Ansible's sections began: their groups are ranked by name
        before: Rank | None = None
        places: dict[str, Place] = {}
        named: list[GroupSection] = []
        for order, section in enumerate(sections):
            name = section.name
            if section.rank is None or before is None:
                run = order
            before = section.rank
            if section.rank is not None and section.rank.beside:
                tiers[name] = _BESIDE  # what a later file says of the same group counts as much
            if section.rank is not None and section.rank.priority is not None:
                self._priorities[name] = section.rank.priority
            ranked = _Ranked(tiers.get(name, 0), run if section.rank else order, order, section.layer)
            self._layers.setdefault(name, []).append(ranked)
            added = section.rank is not None
            self._hosts[name] = _merged(self._hosts.get(name), section.hosts, added=added)
            self._children[name] = _merged(self._children.get(name), section.groups, added=added)
            if section.groups is not None and section.groups_place is not None:
                places[name] = section.groups_place
                named.append(section)
        for section in named:
            for child in section.groups or ():
                if child not in self._hosts and section.groups_place is not None:
                    hint = did_you_mean(child, self._hosts)
                    raise bad(section.groups_place, f"unknown group {shown(child)}", hint)
        self._depths = self._measure(places)
        self._parents: dict[str, list[str]] = {}
        for name, children in self._children.items():
            for child in children:
                self._parents.setdefault(child, []).append(name)
        self._flat: dict[str, tuple[str, ...]] = {}
        self._of_host: dict[str, tuple[str, ...]] | None = None
        self._above: dict[tuple[str, ...], tuple[Layer, ...]] = {}

    def __getitem__(self, name: str) -> tuple[str, ...]:
        if name not in self._hosts:
            raise KeyError(name)
        flat = self._flat.get(name)
        if flat is None:
            found: dict[str, None] = {}
            seen = {name}
            stack = [name]
            while stack:
                group = stack.pop()
                found.update(dict.fromkeys(self._hosts[group]))
                for child in reversed(self._children[group]):
                    if child not in seen:
                        seen.add(child)
                        stack.append(child)
            flat = self._flat[name] = tuple(found)
        return flat

    def __contains__(self, name: object) -> bool:
        return name in self._hosts

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def own_hosts(self, name: str) -> tuple[str, ...]:
        """The hosts that the group itself names, without those of the groups in it."""
        return self._hosts[name]

    def own_layers(self, name: str) -> list[Layer]:
        """The settings that stand in the group's own sections."""
        return [ranked.layer for ranked in self._layers[name]]

    def layers(self, host: str) -> tuple[Layer, ...]:
        """Settings of every group that ``host`` is in, the strongest first: the deepest, then the later in the file."""
        if self._of_host is None:
            of_host: dict[str, tuple[str, ...]] = {}
            for group, hosts in self._hosts.items():
                longer: dict[tuple[str, ...], tuple[str, ...]] = {}  # hosts of the same groups share one tuple
                for name in hosts:
                    before = of_host.get(name, ())
                    of_host[name] = longer.get(before) or longer.setdefault(before, (*before, group))
            self._of_host = of_host
        direct = self._of_host.get(host, ())
        layers = self._above.get(direct)
        if layers is None:
            layers = self._above[direct] = self._collect(direct)
        return layers

    def _collect(self, direct: tuple[str, ...]) -> tuple[Layer, ...]:
        seen = set(direct)
        stack = list(direct)
        while stack:
            for parent in self._parents.get(stack.pop(), ()):
                if parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        found = [((one.tier, -1, 0, 0, "", one.order), one.layer) for one in self._everywhere]
        for group in seen:
            depth, priority = self._depths[group], self._priorities.get(group, 1)
            for one in self._layers[group]:
                found.append(((one.tier, depth, one.run, priority, group, one.order), one.layer))
        found.sort(key=lambda item: item[0], reverse=True)
        return tuple(layer for _, layer in found)

    def _measure(self, places: Mapping[str, Place]) -> dict[str, int]:
        """Each group's depth: the length of the longest chain of `groups =` that leads to it (0: in no other group)."""
        waiting = dict.fromkeys(self._hosts, 0)  # how many parents have not been measured yet
        for children in self._children.values():
            for child in children:
                waiting[child] += 1
        depths = dict.fromkeys(self._hosts, 0)
        ready = [name for name, parents in waiting.items() if not parents]
        measured = 0
        while ready:
            name = ready.pop()
            measured += 1
            for child in self._children[name]:
                depths[child] = max(depths[child], depths[name] + 1)
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)
        if measured < len(depths):
            circle = self._circle([name for name, parents in waiting.items() if parents])
            chain = " → ".join(shown(name) for name in (*circle, circle[0]))
            raise bad(places[circle[0]], f"a circle of groups: {chain}", "take one of them out of its `groups =`")
        return depths

    def _circle(self, left: list[str]) -> list[str]:
        """A circle among groups of which each has a parent among them, in the order of `groups =`."""
        among = frozenset(left)
        parent = {child: name for name in left for child in self._children[name] if child in among}
        path: dict[str, None] = {}
        name = left[0]
        while name not in path:
            path[name] = None
            name = parent[name]
        walked = list(path)
        circle = walked[walked.index(name) :]
        circle.reverse()
        first = min(range(len(circle)), key=lambda at: left.index(circle[at]))  # the one that stands first in the file
        return circle[first:] + circle[:first]


def _merged(old: tuple[str, ...] | None, new: tuple[str, ...] | None, *, added: bool) -> tuple[str, ...]:
    if old is None or new is None:
        return new or old or ()
    return tuple(dict.fromkeys((*old, *new))) if added else new
