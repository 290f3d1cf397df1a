"""The account of one copy: what was copied, what was left out, what failed, how far it is; and the words for each.

Must not know which way the copy goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator

from hostshell.core import paths
from hostshell.core.clean import clean, decode
from hostshell.core.events import Planned
from hostshell.core.records import dataclass
from hostshell.ssh.sftpwire import PERMISSION_DENIED, UNSUPPORTED, FileSystem, SftpError

INTERVAL = 0.25  # seconds between two reports of progress
TOLD = 128 * 1024 * 1024  # bytes from which a comparison is told: it takes so long that a second has room for a few
NAMED = 5  # how many names a sentence holds
MAX_DEPTH = 200  # directories within directories; a server could go on for ever
MAX_SHOWN = 4096  # bytes of a path in a sentence; no system takes a longer one

Reporter = Callable[[str, int, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that went well: how many files and bytes, and what a person should know nevertheless.

    ``unchanged`` files were there already; ``saved`` is their bytes; ``compared`` says how that was seen, by the name
    of the tool or as "size and time", None where nothing had to be compared. ``links`` and ``directories`` were made.
    ``planned``: what a dry run would do, else None. ``landed``: the path that it has now.
    """

    files: int
    bytes: int
    notes: tuple[str, ...] = ()
    unchanged: int = 0
    saved: int = 0
    compared: str | None = None
    links: int = 0
    directories: int = 0
    planned: Planned | None = None
    landed: str = ""


class TransferError(Exception):
    """A copy that failed, in whole or in part: ``message`` says what, ``hint`` what to do ("" when nothing helps)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CopyStopped(Exception):
    """The copy was told to stop. ``str()`` names a temporary file that may have stayed behind; mostly it is ""."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class Refused(Exception):
    """One thing that is not copied, with the reason. In a tree the others go on."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class Ledger:
    """Counts, notes and reports for one host's copy. ``verb`` is what a dry run says of a file: send, or fetch."""

    def __init__(self, report: Reporter, clock: Callable[[], float] = time.monotonic, *, verb: str = "send") -> None:
        self.total = 0
        self.files = 0
        self.links = 0
        self.directories = 0
        self._verb = verb
        self.compared: str | None = None
        self._bytes = 0
        self._saved = 0
        self._comparing = 0
        self._unchanged = 0
        self._report = report
        self._clock = clock
        self._last = clock()
        self._path = ""
        self._notes: list[str] = []
        self._left_out = _Names()
        self._failed = _Names()
        self._resumed = _Names()
        self._would_send = _Names()
        self._would_replace = _Names()
        self._would_bytes = 0
        self._hint = ""
        self._landed = ""

    @property
    def begun(self) -> bool:
        """Whether anything was copied, or failed on its own."""
        return bool(self.files or self._unchanged or self._failed.count)

    def lands(self, path: bytes, *, directory: bool) -> None:
        """What a source becomes; of several it is the directory that takes them all. ``~/`` is the host's home."""
        if self._landed:
            path, directory = paths.split(path)[0], True
        text = shown(path) + ("/" if directory and path != b"/" else "")
        self._landed = text if text.startswith("/") else f"~/{text.removeprefix('./')}"

    def begin(self, path: bytes) -> None:
        """A file is under way."""
        self._path = shown(path)

    def moved(self, count: int) -> None:
        """``count`` more bytes are over. Reports at most four times a second."""
        self._bytes += count
        now = self._clock()
        if now - self._last >= INTERVAL:
            self._last = now
            self._say()

    @contextlib.contextmanager
    def comparing(self, size: int, path: bytes = b"") -> Iterator[None]:
        """Within it ``size`` bytes are read here and on the host, and nothing moves: told at once, for it may last."""
        if size < TOLD:
            yield
            return
        self._path = shown(path)
        self._comparing = size
        self._last = self._clock()
        self._say()
        try:
            yield
        finally:
            self._comparing = 0  # told with the next bytes that move, or at the end

    def unchanged(self, size: int) -> None:
        """A file of ``size`` bytes is there already."""
        self._unchanged += 1
        self._saved += size

    def resumed(self, path: bytes, size: int) -> None:
        """``size`` bytes of a file were over already, from an earlier try."""
        self._saved += size
        self._resumed.add(shown(path))

    def would(self, path: bytes, size: int, *, replace: bool) -> None:
        """In a dry run: a file would be sent, or would replace what is there."""
        (self._would_replace if replace else self._would_send).add(shown(path))
        self._would_bytes += size

    def note(self, text: str) -> None:
        """Something that a person should know, once."""
        if text not in self._notes:
            self._notes.append(text)

    def leave_out(self, path: bytes) -> None:
        """Something that is no file, directory or link is not copied, and that is well."""
        self._left_out.add(shown(path))

    def fail(self, path: bytes, refused: Refused) -> None:
        """Something could not be copied; the rest goes on."""
        self._hint = self._hint or refused.hint
        self._failed.add(f"{shown(path)} ({refused.reason})")

    def close(self, *, dry_run: bool = False) -> Copied:
        """The last report, and the result. Raises `TransferError` when something could not be copied."""
        done = self._bytes + self._saved
        self.total = max(self.total, done) if not dry_run else done
        self._say()
        if self._failed:
            rest = "the rest was copied" if self.files or self._unchanged else "no file was copied"
            if dry_run:
                rest = "this was only a dry run"
            raise TransferError(f"not copied: {self._failed}; {rest}", self._hint)
        notes = list(self._notes)
        if dry_run:
            notes.insert(0, self._dry())
        if self._resumed:
            notes.append(f"went on where an earlier try had stopped: {self._resumed}")
        if self._left_out:
            notes.append(f"left out, being no files, directories or links: {self._left_out}")
        planned = Planned(self._would_send.count, self._would_replace.count, self._would_bytes) if dry_run else None
        return Copied(
            self.files,
            self._bytes,
            tuple(notes),
            self._unchanged,
            self._saved,
            self.compared,
            self.links,
            self.directories,
            planned,
            self._landed,
        )

    def _dry(self) -> str:
        parts = []
        if self._would_send:
            parts.append(f"would {self._verb} {self._would_send}")
        if self._would_replace:
            parts.append(f"would replace {self._would_replace}")
        if self._unchanged:
            parts.append(f"{self._unchanged} unchanged")
        return f"dry run: {'; '.join(parts) or 'nothing to do'}"

    def _say(self) -> None:
        done = self._bytes + self._saved
        self._report(self._path, done, max(self.total, done), self._saved, self._comparing)


class _Names:
    """Some names and how many there are: what a sentence holds of many."""

    def __init__(self) -> None:
        self.count = 0
        self._some: list[str] = []

    def add(self, name: str) -> None:
        self.count += 1
        if len(self._some) < NAMED:
            self._some.append(name)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        more = self.count - len(self._some)
        return ", ".join(self._some) + (f" and {more} more" if more else "")


def shown(path: bytes) -> str:
    """A path for a sentence: cleaned, for a host may have chosen it."""
    if len(path) <= MAX_SHOWN:
        return clean(decode(path))
    return clean(decode(path[:MAX_SHOWN])) + "…"


def typed(path: bytes) -> str:
    """A path on the host as a person types it: relative ones begin at the login's home."""
    if path == b".":
        return "~/"
    return "~/" + shown(path[2:]) if path.startswith(b"./") else shown(path)


def local_reason(error: OSError) -> str:
    """Why something failed on this machine, in words."""
    match error.errno:
        case errno.ENOSPC:
            return "no space left on this machine's disk"
        case errno.EDQUOT:
            return "your quota on this machine is used up"
        case errno.ELOOP | errno.ENOTDIR:
            return "a symlink or a file is in the way on this machine"
        case errno.EACCES | errno.EPERM:
            return "no permission on this machine"
        case errno.EMFILE | errno.ENFILE:
            return "too many files are open on this machine: raise `ulimit -n`, or take fewer hosts at a time with -f"
        case None:
            return str(error)
        case number:
            return f"{os.strerror(number).lower()} on this machine"


def remote_reason(error: SftpError) -> str:
    """Why the host refused, in words, as far as version 3 of the protocol tells."""
    if error.missing:
        return error.text or "no such file or directory on the host"
    if error.code == PERMISSION_DENIED:
        return "no permission on the host"
    if error.code == UNSUPPORTED:
        return "the host's SFTP server cannot do that"
    return error.text or "the host says no more than: Failure"


def refused_write(error: SftpError, directory: bytes, disk: FileSystem | None, needed: int) -> Refused:
    """Why a file of ``needed`` bytes could not be written in ``directory``, and what to do.

    Version 3 says "Failure" for a full disk, a quota and a read-only file system alike; ``disk`` helps to tell which.
    """
    where = typed(directory)
    if error.missing:
        return Refused(f"no such directory on the host: {where}", "--parents makes it")
    if error.code == PERMISSION_DENIED:
        return Refused(f"no permission to write in {where} on the host", error.text)
    if error.text:
        return Refused(f"the host cannot write in {where}: {error.text}")
    if disk is not None and disk.read_only:
        return Refused(f"{where} is on a read-only file system of the host")
    if disk is not None and disk.free < max(needed, 1):
        return Refused(f"no space left on the host's disk for {where}")
    if disk is not None and disk.inodes and not disk.inodes_free:
        return Refused(f"no space left on the host's disk for {where} (no free inodes)")
    return Refused(
        f"the host failed to write in {where}",
        "it gives no reason: a quota, a limit on file sizes or a full or read-only disk is likely",
    )
