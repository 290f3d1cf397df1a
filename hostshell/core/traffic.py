"""What the pool and its workers say past the scheduler: output, a terminal's bytes, what is open. Plain data.

No decision hangs on any of it: `core.scheduler` must not know this module.
"""

from __future__ import annotations

from hostshell.core.events import Stream
from hostshell.core.records import dataclass
from hostshell.core.steps import Step

# --- bulk: straight into the stream of events ---


@dataclass(frozen=True, slots=True)
class Printed:
    """A piece of a turn's output, as it came."""

    turn: int
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """A turn's copy has moved on."""

    turn: int
    path: str
    bytes: int
    total: int
    saved: int = 0
    comparing: int = 0


@dataclass(frozen=True, slots=True)
class Stepped:
    """A turn that examines its host has taken a step."""

    turn: int
    step: Step


# --- a terminal: between whoever owns it and the worker ---


@dataclass(frozen=True, slots=True)
class Opened:
    """A `Connect` turn has its session: from here on what is typed goes to the host."""

    turn: int


@dataclass(frozen=True, slots=True)
class Input:
    """To a worker: the person typed this."""

    turn: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """To a worker: the person's terminal has another size now."""

    turn: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Took:
    """So many bytes of input have gone to the host."""

    turn: int
    size: int


# --- warm connections, which no job changes ---


@dataclass(frozen=True, slots=True)
class Keep:
    """To a worker: close connections that nobody has used for ``longest`` seconds. None: however long that is."""

    longest: float | None


@dataclass(frozen=True, slots=True)
class Forget:
    """To a worker: close every connection and forget loaded keys, because the inventory was read again."""


@dataclass(frozen=True, slots=True)
class Survey:
    """To a worker: say which connections are open to ``hosts`` (None: all); with ``close``, close those not in use."""

    number: int
    hosts: frozenset[str] | None
    close: bool


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """A connection that is open: since when nobody uses it, in seconds, or whether a command is under way on it.

    ``via``: the jump hosts that it goes through, in order.
    """

    host: str
    user: str
    address: str
    port: int
    idle: float
    busy: bool
    via: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A worker's answer to the `Survey` of that number: what was open before it closed any."""

    number: int
    connections: tuple[OpenConnection, ...]


@dataclass(frozen=True, slots=True)
class Glance:
    """To a worker: which names begin with ``begun`` in a ``directory`` of hosts whose connections are open?

    Asked of the first ``most`` of ``hosts`` that have one which nobody uses; none is opened for it. ``{host}`` in the
    directory stands for the host's name.
    """

    number: int
    hosts: tuple[str, ...]
    directory: str
    begun: str
    most: int


@dataclass(frozen=True, slots=True)
class Glancing:
    """A worker's first answer to the `Glance` of that number: the hosts that it asks."""

    number: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Glanced:
    """What stands in the directory on one of them: names, and whether each is a directory; ``whole``: all of them.

    None where the host did not say.
    """

    number: int
    host: str
    names: tuple[tuple[str, bool], ...] | None = None
    whole: bool = True


# --- the end ---


@dataclass(frozen=True, slots=True)
class Quit:
    """To a worker: end."""
