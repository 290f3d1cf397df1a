"""One file of this machine while a download is written into it: whole under its name, or left for a later try, or gone.

Must not know SFTP, nor folders beyond the open one that it is given.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable

from hostshell.core import paths
from hostshell.ssh import localdigests, partials
from hostshell.ssh.localflushing import LocalFlushing
from hostshell.ssh.plan import Refused, local_reason

# what a file system says that has no hard links, or takes no more of them
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Unfinished:
    """A file being written under its temporary name. Gone with `abandon`, or whole under its own name with `finish`.

    ``start``: bytes that an earlier try of the same copy left in it; `anew` throws them away.
    """

    def __init__(self, folder: int, name: bytes, partial: bytes = b"") -> None:
        """``partial`` is the temporary name with which a later try goes on; without one there is no later.

        Raises `Refused` where ``name`` is taken by something that no file may replace.
        """
        self._name = name
        self._descriptor = -1
        self._temporary = b""
        self._lasting = False
        self._leave = False
        self._flushing: LocalFlushing | None = None
        self.start = 0
        self.existing = file_at(folder, name)
        self._folder = os.dup(folder)  # the one given may be closed while this file is still under way
        try:
            if not partial or not self._go_on(partial):
                self._create(paths.part_name(name, secrets.token_hex(6)))
        except OSError:
            self.abandon()
            raise

    def _create(self, temporary: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(temporary, flags, 0o600, dir_fd=self._folder)
        self._temporary = temporary

    def _go_on(self, partial: bytes) -> bool:
        """Have the partial, new or as an earlier try left it; False where another copy has it, or it is not ours."""
        created = True
        try:
            self._create(partial)
        except FileExistsError:
            created = False
            try:
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                self._descriptor = os.open(partial, flags, dir_fd=self._folder)
            except OSError:
                return False
        try:
            locked = partials.lock(self._descriptor)
            self._lasting = locked and self._is_own(partial)
        except OSError:  # no locks on this file system: then nothing goes on, and what we have made goes
            self.abandon(whole=False)
            return False
        if self._lasting:
            self._temporary = partial
            self.start = os.fstat(self._descriptor).st_size
            if self.start < partials.LEAST:
                self.anew()
            return True
        if not (created and locked):
            self._temporary = b""  # somebody else's; where we made it, the disk shows other rights than we asked for
        self.abandon(whole=False)
        return False

    def _is_own(self, partial: bytes) -> bool:
        """Whether the open file is the one of that name, a plain one of ours alone that nobody else may write."""
        found = os.fstat(self._descriptor)
        try:
            named = os.stat(partial, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (
            os.path.samestat(found, named)
            and stat.S_ISREG(found.st_mode)
            and found.st_nlink == 1
            and found.st_uid == os.geteuid()
            and not found.st_mode & 0o022
        )

    def before(self, stopped: Callable[[], bool]) -> localdigests.Start:
        """What is in it from ``start`` back, still to be read."""
        return localdigests.Start(self._descriptor, self.start, stopped)

    def anew(self) -> None:
        """Begin with nothing. Raises `OSError`."""
        os.ftruncate(self._descriptor, 0)
        self.start = 0

    def leave(self) -> bytes:
        """Let a later try go on with it, where that is worth while: its name, else b""."""
        if self._lasting and self._descriptor >= 0 and os.fstat(self._descriptor).st_size >= partials.LEAST:
            self._leave = True
            return self._temporary
        return b""

    def flush(self) -> None:
        """Bring it to the disk while it is written: much is to come, and it is to be synced before it has its name."""
        self._flushing = LocalFlushing(self._folder, self._temporary, self.start)

    def flushed(self, heed: Callable[[], None]) -> None:
        """All has been written: where it was to be flushed, wait for the rest of that. ``heed`` may end the waiting."""
        if self._flushing is not None:
            self._flushing.rest(heed)

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of ``data`` at ``offset``. Raises `Refused`."""
        try:
            while data:
                written = os.pwrite(self._descriptor, data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None
        if self._flushing is not None:
            self._flushing.reached(offset)

    def finish(
        self, mode: int | None, times: tuple[int, int] | None, *, preserve: bool, sync: bool = False, backup: str = ""
    ) -> None:
        """Give the file its owner, mode and times (seconds), then its name. Raises `OSError`.

        ``sync``: it reaches the disk first. ``backup``: the old file is kept beside it, with this behind its name.
        """
        same_owner = True
        if self.existing is not None:
            now = os.fstat(self._descriptor)
            same_owner = now.st_uid == self.existing.st_uid
            if (now.st_uid, now.st_gid) != (self.existing.st_uid, self.existing.st_gid):
                try:
                    os.fchown(self._descriptor, self.existing.st_uid, self.existing.st_gid)
                    same_owner = True
                except OSError:  # only root gives files away
                    with contextlib.suppress(OSError):
                        os.fchown(self._descriptor, -1, self.existing.st_gid)
        old = None if self.existing is None else self.existing.st_mode
        bits = paths.mode_for(mode, old, preserve=preserve, same_owner=same_owner)
        # what comes from a host never has setuid, whatever stood here before
        os.fchmod(self._descriptor, 0o644 if bits is None else bits & 0o777)
        if times is not None:
            os.utime(self._descriptor, times)
        if sync:
            os.fsync(self._descriptor)
            if self._flushing is not None:
                self._flushing.settled()
        # some file systems report a full disk only at a close; the lock lives on in the copy until the rename is done
        descriptor, self._descriptor = self._descriptor, os.dup(self._descriptor)
        os.close(descriptor)
        kept = paths.backup_name(self._name, backup) if backup and self.existing is not None else b""
        if kept:
            self._keep(kept)
        try:
            os.replace(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            if kept:  # the old file gets its one name back, whether that was moved or only doubled
                with contextlib.suppress(OSError):
                    os.replace(kept, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                with contextlib.suppress(OSError):
                    os.unlink(kept, dir_fd=self._folder)
            raise
        self._temporary = b""

    def _keep(self, kept: bytes) -> None:
        """Let the old file be found under ``kept`` too, or only there on a file system without hard links."""
        try:
            os.link(self._name, kept, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._folder))
            os.replace(self._name, kept, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def abandon(self, *, whole: bool = True) -> None:
        """Remove the temporary file, unless `finish` came to its end or it was left for later.

        ``whole``: it is over; else another temporary file may be begun with.
        """
        if self._temporary and not self._leave:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)  # before the lock goes with the descriptor
        self._temporary = b""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if whole and self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def file_at(folder: int, name: bytes) -> os.stat_result | None:
    """The file that a new one replaces; a symlink there is replaced itself. Raises `Refused` for what is no file."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        return None
    if stat.S_ISDIR(found.st_mode):
        raise Refused("a directory of that name is in the way on this machine")
    if not stat.S_ISREG(found.st_mode):
        raise Refused("a device, a FIFO or a socket of that name is in the way on this machine")
    return found
