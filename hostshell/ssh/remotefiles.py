"""What a copy needs of the far side's file system: the verbs that put and get speak, whoever carries them out.

`Sftp` does it with SFTP's packets. Must not know how: no packet, no shell. Paths and names are bytes.

Verbs are coroutines, run by a `Crew` on one thread: many files are under way at once, and each waits only for its own
answers. A verb that has to wait does ``await crew.reply(number)``; one that never waits is as good. All raise
`SftpError` where the host refuses, `SftpGone` when there will be no answer, and `SftpStopped` once we are told to stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hostshell.core.records import dataclass
from hostshell.ssh.sftpwire import Attributes, Entry, FileSystem


class SftpStopped(Exception):
    """We were told to stop. Raised once: what is asked afterwards is for cleaning up, and has a moment for that."""


class Unsettled(SftpStopped):
    """The same, before it was known whether the host made the file that it was asked for."""


class SftpGone(Exception):
    """The channel ended, or the server broke the protocol. The message is for a person; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NoSftp(SftpGone):
    """The server has no SFTP, or does not start it."""


class FileShrank(Exception):
    """The source became shorter while it was read: what came is neither its old nor its new content."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What the host's own tool says about the content of many files.

    ``tool`` is its name for people. ``of`` holds SHA-256 (32 bytes) by the path asked for; what the host could not
    read, or whose name it could not be told safely, is not in it.
    """

    tool: str
    of: dict[bytes, bytes]


class Upload(Protocol):
    """A file being written under a name that nobody else uses. Ended by `finish` or `abandon`, never by both."""

    async def fill(
        self,
        read: Callable[[int, int], bytes],
        start: int,
        size: int,
        moved: Callable[[int], None],
        before: hashlib._Hash | None = None,
    ) -> None:
        """Write the bytes from ``start`` up to ``size``, got by ``read(length, offset)``, many pieces under way.

        ``before`` is the running SHA-256 of the bytes before ``start``, where that is known. A ``size`` of 0 means "to
        the end of what ``read`` gives". What the source gains meanwhile is left out. Returns once all is on its way;
        whether it arrived, `finish` tells. Raises `FileShrank`, and what ``read`` raises.
        """
        ...

    async def stat(self) -> Attributes:
        """The attributes of the file as the host made it."""
        ...

    async def chown(self, uid: int, gid: int) -> None:
        """Give the file away. Raises `SftpError` where that is not permitted."""
        ...

    async def finish(self, attributes: Attributes, *, sync: bool) -> None:
        """Set mode and times, ``sync`` to the disk where the host can, and close. Every status counts, the close's too.

        When it raises, the file is closed but still there.
        """
        ...

    def abandon(self) -> None:
        """Close without waiting; the file stays where it is. Never raises, and does nothing after `finish`."""
        ...


class Download(Protocol):
    """A file being read."""

    async def stat(self) -> Attributes:
        """The attributes of the open file."""
        ...

    async def fetch(
        self, write: Callable[[memoryview, int], object], start: int, size: int, moved: Callable[[int], None]
    ) -> int:
        """Read from ``start`` up to ``size`` into ``write(data, offset)``, in order; the offset where it ended.

        A ``size`` of 0 means "to its end". Raises `FileShrank` where the file ends before ``size``.
        """
        ...

    def abandon(self) -> None:
        """Close without waiting. Never raises."""
        ...


class Answers(Protocol):
    """Where the answers to requests come in: what a `Crew` waits on."""

    @property
    def stopping(self) -> bool:
        """Whether we have been told to stop."""
        ...

    def heed(self) -> None:
        """Raise `SftpStopped` once we have been told to stop: what waits elsewhere for long calls this meanwhile."""
        ...

    def next_reply(self) -> tuple[int, Any]:
        """Send what waits to be sent, and wait for the next answer: the number of its request, and itself."""
        ...

    def keep_reply(self, number: int, reply: Any) -> None:
        """Keep an answer for which nobody waits yet."""
        ...


class RemoteFiles(Answers, Protocol):
    """The verbs. Relative paths begin at the login's home."""

    @property
    def small(self) -> int:
        """Bytes of a file that travels in one request: of such files many go side by side."""
        ...

    async def stat(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """What stands at ``path``; None where there is nothing."""
        ...

    async def list(self, path: bytes, expected: int = 0) -> list[Entry]:
        """The entries of a directory with their own attributes (links not followed), without ``.`` and ``..``.

        ``expected``: about how many there may be, where that is known: then more is asked for at once.
        Names are not to be trusted; how many there may be is bounded.
        """
        ...

    def foresee_list(self, path: bytes) -> None:
        """A directory will be listed if it is there: begin, so that `list` has a round trip less to wait for."""
        ...

    def never_mind(self, path: bytes) -> None:
        """It will not be listed after all, or has been."""
        ...

    def foresee_digests(self) -> None:
        """Digests of many files will probably be asked for: begin, so that `digests` has a round trip less to wait."""
        ...

    async def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""
        ...

    async def canonical(self, path: bytes) -> bytes:
        """The path of what stands at ``path``, absolute and without a symlink in it."""
        ...

    async def file_system(self, path: bytes) -> FileSystem | None:
        """The state of the file system that holds ``path``; None where the host does not say."""
        ...

    async def create(self, path: bytes) -> Upload:
        """Make a new file for us alone (mode 0600). Something that stands there already, even a link, is an error.

        Where it raises `SftpStopped` it has left no file, unless that is `Unsettled`.
        """
        ...

    async def reopen(self, path: bytes) -> Upload:
        """Go on with a file that `create` made at an earlier try; its bytes stay. The caller has looked at it."""
        ...

    async def open(self, path: bytes) -> Download:
        """Open a file for reading."""
        ...

    async def setstat(self, path: bytes, attributes: Attributes) -> None:
        """Set what ``attributes`` holds on a path (links are followed)."""
        ...

    async def mkdir(self, path: bytes, mode: int | None = None) -> None:
        """Make a directory; without ``mode`` the host chooses. What stands there already is an error."""
        ...

    async def make(self, path: bytes, mode: int) -> Attributes | None:
        """Make a directory: None; or, without one more round trip, what stands there already (links followed).

        Raises `SftpError` where it can be neither made nor looked at.
        """
        ...

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        ...

    async def remove(self, path: bytes) -> None:
        """Remove a file or a link."""
        ...

    async def symlink(self, text: bytes, path: bytes) -> None:
        """Make a link at ``path`` that says ``text``."""
        ...

    async def replace(self, source: bytes, target: bytes) -> None:
        """Rename over what may stand at ``target``, in one step."""
        ...

    async def keep(self, path: bytes, backup: bytes) -> None:
        """Let the file at ``path`` be found at ``backup`` too (a hard link), or move it there where links cannot be."""
        ...

    async def digests(self, paths: Sequence[bytes], meanwhile: Callable[[], None] = lambda: None) -> Digests | None:
        """SHA-256 of many files, computed there in one call; None where the host has no tool, or lets none be run.

        ``meanwhile`` is called once the host is at work.
        """
        ...

    async def digest_of_start(
        self, path: bytes, size: int, meanwhile: Callable[[], None] = lambda: None
    ) -> bytes | None:
        """SHA-256 of the first ``size`` bytes of one file; None as above, and where the file cannot be read.

        ``meanwhile``: as above.
        """
        ...

    def close(self) -> None:
        """End it; what the host has been sent it still carries out."""
        ...
