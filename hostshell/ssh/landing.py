"""Where a download is written on this machine: folders by descriptor, so that no planted symlink is ever followed.

Must not know SFTP. Up to where the person's own choice goes, links count as usual; below that everything is ours.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator

from hostshell.core import paths
from hostshell.ssh.plan import Refused, local_reason, shown

# to pass through a folder takes no right to list it; systems without O_PATH want that right too
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TRIES = 10  # when another host's copy removes an empty folder that we are about to use


class Unfinished:
    """A file being written under its temporary name. Gone with `abandon`, or whole under its own name with `finish`."""

    def __init__(self, folder: int, name: bytes) -> None:
        """Raises `Refused` where ``name`` is taken by something that no file may replace."""
        self._folder = folder
        self._name = name
        self.existing = _file_at(folder, name)
        self._temporary = paths.part_name(name, secrets.token_hex(6))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._temporary, flags, 0o600, dir_fd=folder)

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of ``data`` at ``offset``. Raises `Refused`."""
        try:
            while data:
                written = os.pwrite(self._descriptor, data, offset)
                data, offset = data[written:], offset + written
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None

    def finish(self, mode: int | None, times: tuple[int, int] | None, *, preserve: bool) -> None:
        """Give the file its owner, mode and times (seconds), then its name. Raises `OSError`."""
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
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)  # some file systems report a full disk only here
        os.replace(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = b""

    def abandon(self) -> None:
        """Remove the temporary file, unless `finish` came to its end."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
            self._temporary = b""


class Folder:
    """An open folder of this machine. Names given to it are single names, checked before. ``new``: we made it."""

    def __init__(self, descriptor: int, new: bool) -> None:
        self._descriptor = descriptor
        self.new = new

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)

    def child(self, name: bytes) -> Folder:
        """The folder ``name`` in this one, made if missing (for us alone until `dress`). Raises `Refused`."""
        try:
            try:
                os.mkdir(name, 0o700, dir_fd=self._descriptor)
            except FileExistsError:
                return Folder(os.open(name, _PASS | os.O_NOFOLLOW, dir_fd=self._descriptor), new=False)
            return Folder(os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=self._descriptor), new=True)
        except OSError as error:
            raise _no_folder(name, self._descriptor, error) from None

    def dress(self, mode: int | None, times: tuple[int, int] | None) -> None:
        """Give the folder itself its mode and times (seconds). Raises `Refused`."""
        try:
            descriptor = os.open(b".", _OPEN, dir_fd=self._descriptor)
            try:
                os.fchmod(descriptor, 0o755 if mode is None else mode & 0o1777)
                if times is not None:
                    os.utime(descriptor, times)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Refused(f"its mode and times could not be set: {local_reason(error)}") from None

    @contextlib.contextmanager
    def file(self, name: bytes) -> Iterator[Unfinished]:
        """A file to be written as ``name``; abandoned unless it was finished within the block. Raises `Refused`."""
        try:
            unfinished = Unfinished(self._descriptor, name)
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None
        try:
            yield unfinished
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None
        finally:
            unfinished.abandon()

    def link(self, text: bytes, name: bytes) -> None:
        """Make a symbolic link that says ``text``, in place of a file or link that is there. Raises `Refused`."""
        temporary = paths.part_name(name, secrets.token_hex(6))
        try:
            _file_at(self._descriptor, name)
            os.symlink(text, temporary, dir_fd=self._descriptor)
            try:
                os.replace(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except OSError:
                os.unlink(temporary, dir_fd=self._descriptor)
                raise
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None


class Landing:
    """The directory that a download is written into. Nothing is made before it is asked for with `folder`."""

    def __init__(self, directory: bytes, host: bytes) -> None:
        """``directory`` is a local path in which ``host`` stands; from that part on no symlink is followed."""
        whole = os.path.join(os.getcwdb(), directory)
        self._parts = [part for part in whole.split(b"/") if part]
        self._chosen = paths.ours_from(whole, host)
        self._made: list[bytes] = []
        self._folder: Folder | None = None

    def folder(self) -> Folder:
        """The folder, made now with those above it that are missing. Raises `Refused`."""
        if self._folder is not None:
            return self._folder
        for attempt in range(_TRIES):
            try:
                self._folder = self._reach()
                break
            except FileNotFoundError as error:
                if attempt == _TRIES - 1:
                    raise Refused(f"the folder cannot be made: {local_reason(error)}") from None
        assert self._folder is not None
        return self._folder

    def take_back(self) -> None:
        """Remove the folders that were made for a copy that did not come about, as far as they are empty."""
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        self._made.clear()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _reach(self) -> Folder:
        here = os.open(b"/", _PASS)
        new = False
        try:
            for index, part in enumerate(self._parts):
                flags = _PASS | (os.O_NOFOLLOW if index >= self._chosen else 0)
                new = False
                try:
                    below = os.open(part, flags, dir_fd=here)
                except FileNotFoundError:
                    try:
                        os.mkdir(part, dir_fd=here)
                        new = True
                        self._made.append(b"/" + b"/".join(self._parts[: index + 1]))
                    except FileExistsError:
                        pass  # another host's copy was quicker, or a symlink leads nowhere
                    except FileNotFoundError:
                        raise
                    except OSError as error:
                        raise self._refusal(index, here, error) from None
                    try:
                        below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=here)
                    except FileNotFoundError:
                        raise
                    except OSError as error:
                        raise self._refusal(index, here, error) from None
                except OSError as error:
                    raise self._refusal(index, here, error) from None
                os.close(here)
                here = below
            folder, here = Folder(here, new), -1
            return folder
        finally:
            if here >= 0:
                os.close(here)

    def _refusal(self, index: int, here: int, error: OSError) -> Refused:
        path = b"/" + b"/".join(self._parts[: index + 1])
        return _no_folder(self._parts[index], here, error, path)


def _no_folder(name: bytes, parent: int, error: OSError, path: bytes = b"") -> Refused:
    """Why a folder cannot be used, in words."""
    with contextlib.suppress(OSError):
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            return Refused(
                f"{shown(path or name)} is a symlink on this machine, and a download follows none",
                "remove it, or choose another -local",
            )
        if not stat.S_ISDIR(mode):
            return Refused(f"{shown(path or name)} is a file on this machine")
    return Refused(f"the folder {shown(path or name)} cannot be made: {local_reason(error)}")


def _file_at(folder: int, name: bytes) -> os.stat_result | None:
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
