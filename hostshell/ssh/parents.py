"""The directories above a put's target that are missing on the host: made for --parents, removed where the copy failed.

Must not know files and trees.
"""

from __future__ import annotations

from hostshell.core import paths
from hostshell.ssh.plan import MAX_DEPTH, Ledger, Refused, remote_reason, typed
from hostshell.ssh.remotefiles import RemoteFiles, SftpGone
from hostshell.ssh.sftpwire import SftpError


class Parents:
    """Makes them on one host, and remembers which. A dry run makes none."""

    def __init__(self, files: RemoteFiles, ledger: Ledger, *, dry_run: bool) -> None:
        self._files = files
        self._ledger = ledger
        self._dry_run = dry_run
        self._made: list[bytes] = []

    async def make(self, path: bytes) -> None:
        """Make a directory and those above it that are missing. Raises `Refused`."""
        missing: list[bytes] = []
        try:
            while True:
                found = await self._files.stat(path)
                if found is not None:
                    if not found.is_directory:
                        raise Refused(f"not a directory on the host: {typed(path)}")
                    break
                missing.append(path)
                above = paths.split(path)[0]
                if above == path or len(missing) > MAX_DEPTH:
                    break
                path = above
            for path in reversed(missing):
                if self._dry_run:
                    continue
                try:
                    await self._files.mkdir(path)
                except SftpError:
                    # another host's copy may see the same disk and have been quicker
                    if not await stands_there(self._files, path):
                        raise
                else:
                    self._made.append(path)
                    self._ledger.directories += 1
        except SftpError as error:
            raise Refused(f"cannot make the directory {typed(path)} on the host: {remote_reason(error)}") from None

    async def take_back(self) -> None:
        """Remove what was made for a copy that did not come about."""
        try:
            for path in reversed(self._made):
                await self._files.rmdir(path)
        except (SftpError, SftpGone):
            pass  # no longer empty, or out of reach
        self._made.clear()


async def stands_there(files: RemoteFiles, path: bytes) -> bool:
    """Whether a directory is there, as far as can be seen."""
    try:
        found = await files.stat(path)
    except SftpError:
        return True  # it may be there; what follows will tell better
    return found is not None and (found.is_directory or found.mode is None)
