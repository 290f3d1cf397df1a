"""Hosts that are parked because a person must look at a key first: their own, or that of a jump host. Pure."""

from __future__ import annotations

from hostshell.core.events import Failure
from hostshell.core.lineup import Entry
from hostshell.core.turns import KeyOffered, NewKey


class NewKeys:
    """The parked hosts of one job."""

    def __init__(self) -> None:
        self._parked: list[tuple[Entry, NewKey]] = []

    def __len__(self) -> int:
        return len(self._parked)

    def add(self, entry: Entry, report: KeyOffered) -> None:
        """A host is parked."""
        whose = report.hop or entry.host.name
        self._parked.append((entry, NewKey(whose, report.address, report.port, report.key, report.fingerprint)))

    def offers(self) -> tuple[NewKey, ...]:
        """What to show, in the hosts' order; the key of a jump host once, however many are behind it."""
        self._parked.sort(key=lambda parked: parked[0].order)
        return tuple(dict.fromkeys(offer for _, offer in self._parked))

    def take(self) -> list[tuple[Entry, NewKey]]:
        """All of them; nobody is parked any more."""
        parked, self._parked = self._parked, []
        return parked


def not_accepted(entry: Entry, offer: NewKey) -> Failure:
    """What is said of a host whose key, or whose jump host's, the person did not accept."""
    own = offer.host == entry.host.name
    whose = "its new host key" if own else f"the new host key of jump host {offer.host}"
    return Failure("hostkey", f"{whose} was not accepted", "run it again to be asked again")
