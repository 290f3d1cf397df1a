"""What happened, on which host: the one stream from which every view, log, history and API answer is made.

Must not know who shows it. Frozen and slotted; every class survives pickling.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Literal, TypeAlias

from hostshell.core.records import dataclass
from hostshell.core.steps import Step

Stream: TypeAlias = Literal["stdout", "stderr"]
Status: TypeAlias = Literal["ok", "failed", "unreachable", "timeout", "lost", "cancelled"]
Kind: TypeAlias = Literal[
    "exit", "signal", "sudo", "transfer", "timeout", "dns", "refused", "unreachable", "hostkey", "auth", "algorithms",
    "lost", "worker", "cancelled",
]  # fmt: skip

EXIT_CODES: dict[Status, int] = {"ok": 0, "failed": 1, "timeout": 3, "unreachable": 4, "lost": 4, "cancelled": 130}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a host's turn did not end well: one or two lines for a person. Never holds a secret."""

    kind: Kind
    message: str
    hint: str = ""


class Event:
    """What all events have in common: nothing but their type."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Started(Event):
    """A job begins on ``hosts`` (names, in order). ``command`` is the line as it was meant."""

    job: int
    command: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output(Event):
    """One line that a host printed, without its newline.

    ``eol`` is False for an unfinished last line or a piece of a line over 64 KiB. ``raw`` holds the bytes as they came.
    """

    job: int
    host: str
    stream: Stream
    raw: bytes
    eol: bool = True
    encoding: str = "utf-8"

    @property
    def data(self) -> str:
        """The line as text, in the host's ``encoding``: what is not valid in it is replaced by U+FFFD."""
        return self.raw.decode(self.encoding, "replace")

    @property
    def data_base64(self) -> str | None:
        """The bytes themselves where they are not valid in the host's ``encoding``, else None."""
        try:
            self.raw.decode(self.encoding)
        except UnicodeDecodeError:
            return base64.b64encode(self.raw).decode("ascii")
        return None


@dataclass(frozen=True, slots=True)
class Block(Event):
    """Several lines of one host and stream at once: the engine's bulk form of `Output`.

    ``raw`` holds whole lines, each ended by LF; with ``eol`` False the last one is unfinished (and not empty).
    """

    job: int
    host: str
    stream: Stream
    raw: bytes
    eol: bool = True
    encoding: str = "utf-8"

    def lines(self) -> Iterator[Output]:
        """The same as single `Output` events."""
        lines = self.raw.split(b"\n")
        last = lines.pop()
        for line in lines:
            yield Output(self.job, self.host, self.stream, line, encoding=self.encoding)
        if not self.eol:
            yield Output(self.job, self.host, self.stream, last, eol=False, encoding=self.encoding)


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """A copy moves: ``bytes`` of ``total`` are done for this host, ``path`` is the file under way.

    ``saved`` of these ``bytes`` were there already. ``comparing``: nothing moves at the moment, because so many bytes
    are being read on both sides, to see whether they are the same.
    """

    job: int
    host: str
    path: str
    bytes: int
    total: int
    saved: int = 0
    comparing: int = 0


@dataclass(frozen=True, slots=True)
class Examined(Event):
    """`doctor` has taken a step on a host. A connect that is tried again begins with its first step again."""

    job: int
    host: str
    step: Step


@dataclass(frozen=True, slots=True)
class Planned:
    """What a dry run would do: send (or fetch) ``send`` new files and links, ``replace`` others; ``bytes`` of both."""

    send: int = 0
    replace: int = 0
    bytes: int = 0

    def __add__(self, other: Planned) -> Planned:
        return Planned(self.send + other.send, self.replace + other.replace, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class CopyCounts:
    """What a copy did: ``files`` of ``bytes`` were sent (or fetched), ``unchanged`` ones with ``saved`` bytes were not.

    ``saved`` holds what an earlier try had brought over, too. ``compared``: how it was seen what is unchanged, by the
    name of the host's tool for SHA-256, or as "size and time". ``links`` and ``directories`` are those that were made.
    ``planned``: of a dry run, else None. ``landed``: of one host, the path that the copy has there, or here.
    """

    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    saved: int = 0
    compared: tuple[str, ...] = ()
    links: int = 0
    directories: int = 0
    planned: Planned | None = None
    landed: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was sent or made."""
        return bool(self.files or self.links or self.directories)

    def __add__(self, other: CopyCounts) -> CopyCounts:
        return CopyCounts(
            self.files + other.files,
            self.bytes + other.bytes,
            self.unchanged + other.unchanged,
            self.saved + other.saved,
            tuple(sorted({*self.compared, *other.compared})),
            self.links + other.links,
            self.directories + other.directories,
            (self.planned or Planned()) + (other.planned or Planned()) if self.planned or other.planned else None,
        )


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """A host's turn has ended. ``seconds`` from its connect on; ``signal`` without "SIG".

    ``copied``: of a copy that went well, else None.
    """

    job: int
    host: str
    status: Status
    exit_code: int | None = None
    signal: str | None = None
    seconds: float = 0.0
    error: Failure | None = None
    may_still_run: bool = False
    copied: CopyCounts | None = None


@dataclass(frozen=True, slots=True)
class Summary(Event):
    """The job has ended: how many hosts ended in each status, how long it took, and the exit code of it all.

    ``copied``: the sums over the hosts whose copy went well, None where there is none.
    """

    job: int
    ok: int = 0
    failed: int = 0
    unreachable: int = 0
    timeout: int = 0
    lost: int = 0
    cancelled: int = 0
    seconds: float = 0.0
    exit_code: int = 0
    copied: CopyCounts | None = None
