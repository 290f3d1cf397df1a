"""Whether files here and on the host hold the same: by SHA-256, else by size and time. Nothing is copied twice.

Must not know which way a copy goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hostshell.core.model import Get, Put
from hostshell.ssh.plan import Ledger, Refused
from hostshell.ssh.remotefiles import RemoteFiles

BY_TIME = "size and time"
AT_ONCE = 4096  # files in one call of the host's tool


@dataclass(frozen=True, slots=True)
class Pair:
    """A file on the host and one here, of the same ``size``. ``local`` reads the one here; times are whole seconds.

    ``name`` is for people.
    """

    name: bytes
    size: int
    remote: bytes
    local: Callable[[], bytes | None]
    remote_time: int | None
    local_time: int


def cannot_verify() -> Refused:
    """What is to be said where --verify was asked for and the host computes no digest."""
    return Refused(
        "copied, but it could not be verified: the host computes no SHA-256",
        "it has no sha256sum, shasum, sha256 or openssl, or runs no command for this login (or none beside the copy: "
        "MaxSessions)",
    )


def differs(what: str, task: Put | Get, *, replaced: bool) -> Refused:
    """A digest that does not fit, seen after the new file has got its name. ``replaced``: an old file stood there."""
    if not replaced:
        return Refused(f"{what}; it has its name already", "copy it again, or remove it")
    if task.backup:
        return Refused(f"{what}; it has replaced the old file, which --backup kept beside it")
    return Refused(f"{what}; it has replaced the old file", "copy it again; --backup keeps the old file beside the new")


async def same(files: RemoteFiles, pairs: Sequence[Pair], ledger: Ledger) -> list[bool]:
    """Which pairs hold the same bytes. The ledger learns how that was seen."""
    here: list[bytes | None] = []

    def read_here() -> None:
        here.extend(pair.local() for pair in pairs)

    with ledger.comparing(sum(pair.size for pair in pairs), pairs[0].name if len(pairs) == 1 else b""):
        digests = await files.digests([pair.remote for pair in pairs], read_here)
    if digests is None:
        ledger.compared = BY_TIME
        return [pair.remote_time == pair.local_time for pair in pairs]
    ledger.compared = digests.tool
    found = digests.of
    return [digest is not None and found.get(pair.remote) == digest for pair, digest in zip(pairs, here, strict=True)]
