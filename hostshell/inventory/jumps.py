"""Jump hosts: which hops lead to a host, and that they do not go round in a circle.

Must not know files or how settings are chosen: it is told who a host is and what its ``jump`` says.
"""

from __future__ import annotations

from collections.abc import Callable

from hostshell.core.records import dataclass
from hostshell.inventory.settings import Jump, bad, shown


@dataclass(frozen=True, slots=True)
class Spot:
    """Who a host or a hop is. ``name`` is without what stands around it in ``user@name:port``; ``known``: it is one of
    the inventory.
    """

    name: str
    known: bool
    user: str
    address: str
    port: int

    def is_same(self, other: Spot) -> bool:
        """Whether both are one host as far as anybody can tell.

        One address is not enough: behind a bastion it may be another machine, and we would talk to the wrong one.
        """
        if (self.address, self.port) != (other.address, other.port):
            return False
        return self.name == other.name or (self.user == other.user and not (self.known and other.known))


class Ways:
    """``spot_of``: who a host is. ``jump_of``: its setting, None where it has none. Both take hops as well.

    A host that stands among the hops that it has inherited is reached through those before it: so `[defaults]` may name
    a bastion that is a host of the inventory itself.
    """

    def __init__(self, spot_of: Callable[[str], Spot], jump_of: Callable[[str], Jump | None]) -> None:
        self._spot_of = spot_of
        self._jump_of = jump_of
        self._to_hop: dict[str, tuple[str, ...]] = {}
        self._spots: dict[str, Spot] = {}  # of hops

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
        here = self._spot_of(name)
        for at, hop in enumerate(jump.hops):
            spot = self._spots.get(hop) or self._spots.setdefault(hop, self._spot_of(hop))
            if here.is_same(spot):
                if jump.place.section.startswith("host:"):
                    raise bad(
                        jump.place, f"{shown(here.name)} cannot be its own jump host", "take it out of its `jump`"
                    )
                return jump.hops[:at]
        return jump.hops
