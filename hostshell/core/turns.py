"""What the scheduler hears and what it wants done: reports and actions, as plain picklable data.

What the pool and its workers say past it is in `core.traffic`, which nothing here may need.

A turn is one host's part of one job, from its connect on. Turn numbers are never used twice, so that news of a turn
that has been given up can be told from news of the one that followed it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from hostshell.core.events import CopyCounts, Event, Failure, Status
from hostshell.core.model import Host, Job, Secret, Task
from hostshell.core.records import dataclass

HaltReason: TypeAlias = Literal["cancelled", "timeout", "connect"]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a server asks at a login, for a person to answer: (question, whether the answer may be seen) each.

    ``host`` is who asks. The texts are the server's own: bounded, not cleaned.
    """

    host: str
    instructions: str
    prompts: tuple[tuple[str, bool], ...]


# --- reports: what happens in the world, told to the scheduler ---


@dataclass(frozen=True, slots=True)
class Submit:
    """A new job. One at a time."""

    job: Job


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker process has started and takes orders."""

    worker: int


@dataclass(frozen=True, slots=True)
class Died:
    """A worker process has ended; ``how`` in words, such as "killed by signal 9"."""

    worker: int
    how: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A turn has its connection; from here on its task runs."""

    turn: int


@dataclass(frozen=True, slots=True)
class KeyOffered:
    """A turn ended because a person must first look at a key. ``key`` is "type base64".

    ``hop``: the jump host whose key it is, "" for the host's own.
    """

    turn: int
    address: str
    port: int
    key: str
    fingerprint: str
    hop: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn has ended in its worker.

    ``retriable``: nothing ran, and the connect may succeed a moment later. ``password_refused``: the host said no to
    its password. ``notes``: what a person should know although the turn went well. ``hop``: the jump host
    which all that is about, "" for the host itself.
    """

    turn: int
    status: Status
    exit_code: int | None = None
    signal: str | None = None
    failure: Failure | None = None
    may_still_run: bool = False
    retriable: bool = False
    password_refused: bool = False
    notes: tuple[str, ...] = ()
    copied: CopyCounts | None = None
    hop: str = ""


@dataclass(frozen=True, slots=True)
class SecretWanted:
    """A turn waits for a secret that only a person has, such as sudo's password; `Supply` answers it.

    Turns that want the same ``key`` share one answer. ``question`` is what the person reads.
    """

    turn: int
    key: str
    question: str


@dataclass(frozen=True, slots=True)
class SecretGiven:
    """The person has answered a `SecretWanted` (None: with nothing), and took so many seconds."""

    key: str
    secret: Secret | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """The person pressed Ctrl-C, or closed the iterator. A second one does not wait."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The person has looked at the new host keys: names of the hosts whose key is accepted, and seconds it took."""

    accepted: frozenset[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn waits in the middle of its login: the server (its host's, or that of a jump host) asks something."""

    turn: int
    inquiry: Inquiry


@dataclass(frozen=True, slots=True)
class Told:
    """The person's answers to what a turn was asked, None where there are none, and seconds it took."""

    turn: int
    answers: tuple[Secret, ...] | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing happened but time."""


Report: TypeAlias = (
    Submit
    | Ready
    | Died
    | Connected
    | KeyOffered
    | Ended
    | Cancel
    | Answer
    | Asked
    | Told
    | SecretWanted
    | SecretGiven
    | Tick
)


# --- actions: what the scheduler wants done ---


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a turn in a worker. What a worker learned of jump hosts that are down holds for one ``job``."""

    worker: int
    turn: int
    host: Host
    task: Task
    job: int = 0


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop a turn; its worker answers with `Ended` soon, or is killed."""

    worker: int
    turn: int
    reason: HaltReason


@dataclass(frozen=True, slots=True)
class Supply:
    """Give a turn the secret that it wanted, or None where nobody gives one."""

    worker: int
    turn: int
    secret: Secret | None


@dataclass(frozen=True, slots=True)
class AskSecret:
    """A question for a person, without echo, answered by `SecretGiven`."""

    key: str
    question: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker process that does not answer. A `Died` follows."""

    worker: int


@dataclass(frozen=True, slots=True)
class Replace:
    """Start a new process in the place of one that has died."""

    worker: int


@dataclass(frozen=True, slots=True)
class Question:
    """New host keys for a person to look at, answered by `Answer`."""

    offers: tuple[NewKey, ...]


@dataclass(frozen=True, slots=True)
class NewKey:
    """One host's unknown key, as a person compares it."""

    host: str
    address: str
    port: int
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Inquire:
    """Something for a person to answer, by `Told`."""

    turn: int
    inquiry: Inquiry


@dataclass(frozen=True, slots=True)
class Tell:
    """To a worker: the answers to what a turn was asked, or None: there are none."""

    worker: int
    turn: int
    answers: tuple[Secret, ...] | None


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for everybody who looks."""

    event: Event


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a host that a person should know, beside its result."""

    host: str
    text: str


@dataclass(frozen=True, slots=True)
class PasswordRefused:
    """A host said no to its password: it is not to be offered there again."""

    host: str


Action: TypeAlias = (
    Begin | Halt | Kill | Replace | Question | Inquire | Tell | AskSecret | Supply | Emit | Note | PasswordRefused
)
