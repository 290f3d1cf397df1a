"""Jump hosts: which hops lead to a host, and that they do not go round in a circle.

Must not know files or how settings are chosen: it is told where a host is and what its ``jump`` says.
"""

from __future__ import annotations

from collections.abc import Callable

from hostshell.inventory.settings import Jump, bad, shown


class Ways:
    """``place_of``: a host's (address, port). ``jump_of``: its setting, None where it has none. Both take hops as well.
    ``known``: whether a name is one of the inventory's.

    A host that stands among the hops that it has inherited is reached through those before it: so `[defaults]` may name
    a bastion that is a host of the inventory itself.
    """

    def __init__(
        self,
        place_of: Callable[[str], tuple[str, int]],
        jump_of: Callable[[str], Jump | None],
        known: Callable[[str], bool],
    ) -> None:
        self._place_of = place_of
        self._jump_of = jump_of
        self._known = known
        self._to_hop: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, tuple[str, int]] = {}  # of hops

    def to(self, name: str) -> tuple[str, ...]:
        """The hops to ``name``, the first one first. Raises `InventoryError` for a circle."""
        return self._to(name, ())

    def _to(self, name: str, behind: tuple[str, ...]) -> tuple[str, ...]:
        jump = self._jump_of(name)
        if jump is None or not jump.hops:
            return ()
        hops = self._before(name, jump)
        if not hops:
            return ()
        first = hops[0]
        if first in (*behind, name):
            chain = (*behind, name, first)
            circle = " → ".join(shown(hop) for hop in chain[chain.index(first) :])
            raise bad(jump.place, f"a circle of jump hosts: {circle}", "`jump = none` at one of them ends it")
        before = self._to_hop.get(first)
        if before is None:
            before = self._to_hop[first] = self._to(first, (*behind, name))
        return (*before, *hops)

    def _before(self, name: str, jump: Jump) -> tuple[str, ...]:
        here = self._place_of(name)
        ours = self._known(name)
        for at, hop in enumerate(jump.hops):
            if ours and hop != name and self._known(hop):
                continue  # two hosts, though at one address: what it means behind a bastion is another place
            place = self._places.get(hop) or self._places.setdefault(hop, self._place_of(hop))
            if place == here:
                if jump.place.section.startswith("host:"):
                    raise bad(jump.place, f"{shown(name)} cannot be its own jump host", "take it out of its `jump`")
                return jump.hops[:at]
        return jump.hops
