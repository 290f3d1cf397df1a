"""Partials: what a cut copy leaves for its next try. Their names, who may write one now, and which are left over.

A partial's name comes from all that makes the copy what it is, this machine and person included. So two hosts on one
shared disk, or two people, never meet in one; and two copies of the same person here are kept apart by locks. Must not
know which way a copy goes, nor who carries it out.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from hostshell.core import paths

LEAST = 1024 * 1024  # bytes that are worth going on from: fewer are sent again sooner than compared
KEPT = 7 * 24 * 3600.0  # seconds that a partial waits for its next try
MOST_RECORD = 64 * 1024  # bytes of the paths that one record holds
CANNOT_GO_ON = "an earlier try was not gone on with: the host computes no SHA-256 to check it by"
_TRIES = 5
_TOKEN = b"0123456789abcdef0123.part"  # how long the end of a name is that differs from copy to copy
_NAME = re.compile(rb"\..+\.hostshell-([0-9a-f]{12})[0-9a-f]{8}\.part", re.DOTALL)


def part_name(name: bytes, copy: tuple[bytes, ...], version: tuple[int | None, ...]) -> bytes:
    """The hidden name beside ``name`` under which a copy goes on.

    ``copy`` says from where to where, ``version`` what the source is now: bytes that an earlier try has sent, and the
    server writes late, are then always the same as ours.
    """
    who = (os.uname().nodename.encode("utf-8", "surrogateescape"), b"%d" % os.getuid())
    token = f"hostshell-{_digest(*who, *copy)[:12]}{_digest(*(str(one).encode() for one in version))[:8]}"
    return paths.part_name(name, token)


def of_same_copy(name: bytes, other: bytes) -> bool:
    """Whether two names of partials are of one copy, if of two versions of its source."""
    one, two = _NAME.fullmatch(name), _NAME.fullmatch(other)
    return one is not None and two is not None and one[1] == two[1]


def is_partial(name: bytes) -> bool:
    """Whether a file's name is one that `part_name` gives."""
    return _NAME.fullmatch(name) is not None


def pattern(path: bytes) -> bytes:
    """A partial's path as the glob that means it on every host; any other path as it is."""
    if not is_partial(paths.split(path)[1]):
        return path
    return path[: len(path) - len(_TOKEN)] + b"*.part"


def lock(descriptor: int) -> bool:
    """Have an open file for ourselves until it is closed, or our process ends; False where somebody else has it.

    Raises `OSError` where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Claim:
    """The right to write one partial on a host, and the record by which it is found again.

    ``path`` is the partial's; ``former`` are those that earlier tries have recorded and that are other ones.
    """

    def __init__(self, record: Path, descriptor: int, path: bytes) -> None:
        """``descriptor``: of the record, locked. It is closed with `settle`. An empty ``path``: only to look."""
        self._record = record
        self._descriptor = descriptor
        recorded = [one for one in os.pread(descriptor, MOST_RECORD, 0).split(b"\0") if one]
        self.path = path
        self.former = [one for one in recorded if one != path]
        if path:
            self._write()

    def forget(self, path: bytes) -> None:
        """One of ``former`` is no longer there."""
        self.former.remove(path)
        self._write()

    def settle(self, *, left: bool) -> None:
        """Give the right back. ``left``: something may be at one of the paths, so the record stays."""
        if self._descriptor < 0:
            return
        if not left and not self.former:
            with contextlib.suppress(OSError):
                self._record.unlink()  # while it is locked still, so that nobody else has it by now
            with contextlib.suppress(OSError):
                self._record.parent.rmdir()
        os.close(self._descriptor)
        self._descriptor = -1

    def _write(self) -> None:
        """Record all paths. What cannot be recorded (a full disk) is not found again: no reason to copy nothing."""
        record = b"\0".join([*self.former, *([self.path] if self.path else [])])
        with contextlib.suppress(OSError):
            # cut last: where the disk is full, what was recorded before is still there
            written = os.pwrite(self._descriptor, record, 0)
            os.ftruncate(self._descriptor, written)


class Claims:
    """The claims of the copies to one host. ``folder`` is this person's, of all hosts; None: nothing goes on.

    ``login`` says who logs in there: another user has another home and other rights, and must neither go on with these
    partials nor forget them.
    """

    def __init__(self, folder: Path | None, host: str, login: str = "") -> None:
        self._host = host.encode("utf-8", "surrogateescape")
        self._login = login.encode("utf-8", "surrogateescape")
        self._above = folder
        self._folder = None if folder is None else folder / _digest(self._host, self._login)[:16]

    def claim(self, source: bytes, target: bytes, version: tuple[int | None, ...]) -> Claim | None:
        """The claim on the partial for ``source`` on its way to ``target``; None where another copy has it now."""
        if self._folder is None or self._above is None:
            return None
        directory, name = paths.split(target)
        copy = (self._host, self._login, source, target)
        path = paths.join(directory, part_name(name, copy, version))
        for _ in range(_TRIES):
            try:
                self._above.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                for folder in (self._above, self._folder):  # one by one: those above the last get no mode otherwise
                    folder.mkdir(mode=0o700, exist_ok=True)
                return self._open(self._folder / _digest(*copy)[:32], path)
            except FileNotFoundError:
                continue  # the last copy of another hostshell has just removed the folder
            except OSError:  # no folder of ours can be had here: then nothing goes on later
                return None
        return None

    def left_over(self, now: float | None = None) -> Iterator[Claim]:
        """Claims whose ``former`` nobody came back for within `KEPT`. Each is the caller's to settle."""
        oldest = (time.time() if now is None else now) - KEPT
        try:
            records = [] if self._folder is None else list(self._folder.iterdir())
        except OSError:
            return
        for record in records:
            with contextlib.suppress(OSError):
                if record.stat().st_mtime < oldest and (claim := self._open(record, b"")) is not None:
                    yield claim

    @staticmethod
    def _open(record: Path, path: bytes) -> Claim | None:
        """Open and lock a record; with a ``path`` it is made where it is missing."""
        for _ in range(_TRIES):
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if path else 0)
            descriptor = os.open(record, flags, 0o600)
            try:
                if not lock(descriptor):
                    return None
                # who had it before us may have removed it: then the lock is on what nobody can find
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), record.lstat()):
                        claim = Claim(record, descriptor, path)
                        descriptor = -1
                        return claim
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
        return None


class LeftHere:
    """The partials that an open folder of this machine holds: listed once, for all files that land in it."""

    def __init__(self, folder: int) -> None:
        """Raises OSError."""
        self._names = [raw for raw in map(os.fsencode, os.listdir(folder)) if is_partial(raw)]

    def clean(self, folder: int, keep: bytes, now: float | None = None) -> None:
        """Remove what is left over: of older versions of ``keep``'s source, and partials that nobody came back for
        within `KEPT`. What another copy writes now stays.
        """
        oldest = (time.time() if now is None else now) - KEPT
        rest = []
        for name in self._names:
            if name == keep or not _remove(folder, name, float("inf") if of_same_copy(name, keep) else oldest):
                rest.append(name)
        self._names = rest


def _remove(folder: int, name: bytes, oldest: float) -> bool:
    """Remove a partial of ours from before ``oldest``, unless somebody writes it now. Whether it is gone."""
    with contextlib.suppress(OSError):
        # for writing, or a lock on NFS is refused
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            found = os.fstat(descriptor)
            if found.st_mtime < oldest and found.st_uid == os.geteuid() and lock(descriptor):
                os.unlink(name, dir_fd=folder)
                return True
        finally:
            os.close(descriptor)
    return False


def _digest(*parts: bytes) -> str:
    """One digest of several byte strings; where one ends is part of it."""
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()
