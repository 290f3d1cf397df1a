"""How a connection or a turn fails inside a worker: exceptions that carry the sentence for a person.

Must not know who catches them. Messages hold nothing that differs from host to host without need, so that the
summary can fold the hosts that failed alike.
"""

from __future__ import annotations

from hostshell.core.events import Failure
from hostshell.core.records import dataclass


@dataclass(frozen=True, slots=True)
class KeyOffer:
    """A host key that nobody knows yet, to be shown to a person: ``line`` is "type base64", ``host`` whose it is."""

    host: str
    address: str
    port: int
    line: str
    fingerprint: str


class ConnectFailed(Exception):
    """No connection could be made. ``retriable``: nothing ran and the same try may succeed a moment later.

    ``hop``: the jump host whose connection it was, "" for the host itself.
    """

    def __init__(
        self, failure: Failure, *, retriable: bool = False, password_refused: bool = False, hop: str = ""
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retriable = retriable
        self.password_refused = password_refused
        self.hop = hop


class NewHostKey(Exception):
    """The policy is ``ask`` and the host's key is not known."""

    def __init__(self, offer: KeyOffer) -> None:
        super().__init__(offer.fingerprint)
        self.offer = offer


class TurnStopped(Exception):
    """The turn was told to stop (Ctrl-C, ``-t``) while it had nothing running on the host."""


class LinkLost(Exception):
    """The link ended after the login. ``started``: a command may have begun on the host."""

    def __init__(self, message: str, *, started: bool) -> None:
        super().__init__(message)
        self.started = started


class NoSession(LinkLost):
    """The link stands, but the server opened no session on it in time: nothing ran."""

    def __init__(self, message: str) -> None:
        super().__init__(message, started=False)
