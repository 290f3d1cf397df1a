"""Where a download is written on this machine: folders by descriptor, so that no planted symlink is ever followed.

Must not know SFTP. Up to where the person's own choice goes, links count as usual; below that everything is ours.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator

from hostshell.core import paths
from hostshell.ssh import localdigests, partials
from hostshell.ssh.plan import Refused, local_reason, shown
from hostshell.ssh.unfinished import Unfinished, file_at

# to pass through a folder takes no right to list it; systems without O_PATH want that right too
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KEPT = 16  # folders of one host's copy that stay open, the latest; a tree may be deep, and many hosts copy at once
_TRIES = 10  # when another host's copy removes an empty folder that we are about to use


class Folder:
    """A folder of this machine, reached through descriptors. Names given to it are single names, checked before.

    It need not exist before `make`. ``new``: we made it. Few descriptors are open, however deep and wide a tree is.
    """

    def __init__(self, landing: Landing, above: Folder | None, name: bytes, mode: int | None = None) -> None:
        self._landing = landing
        self._mode = mode
        self._above = above
        self._name = name
        self._made = False
        self._left: partials.LeftHere | None = None
        self.new = False

    @property
    def path(self) -> bytes:
        """Its path, for people."""
        return self._landing.path if self._above is None else paths.join(self._above.path, self._name)

    def below(self, name: bytes, mode: int | None = None) -> Folder:
        """The folder ``name`` in this one; ``mode`` is what it will have, once it is whole."""
        return Folder(self._landing, self, name, mode)

    def make(self) -> None:
        """Make it if it is missing; only we may write in it until `dress`. Raises `Refused`."""
        if self._made:
            return
        if self._above is None:
            self._landing.make()
        else:
            self._above.make()
            parent = self._above.descriptor()
            try:
                try:
                    os.mkdir(self._name, paths.unfinished_mode(self._mode), dir_fd=parent)
                except FileExistsError:
                    self.descriptor()  # or it is no folder
                else:
                    self.new = True
            except OSError as error:
                raise _no_folder(self._name, parent, error) from None
        self._made = True

    def descriptor(self) -> int:
        """An open descriptor; the next call may close it. Raises `Refused`, and FileNotFoundError before `make`."""
        found = self._landing.kept(self)
        if found is not None:
            return found
        if self._above is None:
            return self._landing.base()
        parent = self._above.descriptor()
        try:
            descriptor = os.open(self._name, _PASS | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _no_folder(self._name, parent, error) from None
        self._landing.keep(self, descriptor)
        return descriptor

    def look(self, name: bytes) -> os.stat_result | None:
        """The file that ``name`` is now; None where there is none to replace. Raises `Refused` for what is no file."""
        try:
            return file_at(self.descriptor(), name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"cannot be looked at: {local_reason(error)}") from None

    def digest(self, name: bytes, stopped: Callable[[], bool]) -> bytes | None:
        """SHA-256 of the file ``name``; None where it cannot be read."""
        try:
            descriptor = os.open(name, _READ, dir_fd=self.descriptor())
        except (OSError, Refused):
            return None
        try:
            return localdigests.of_descriptor(descriptor, stopped)
        finally:
            os.close(descriptor)

    def freshen(self, name: bytes, mode: int | None, times: tuple[int, int] | None) -> None:
        """Give a file that is there this mode and these times, where they are said. Times that cannot be set stay."""
        if mode is None and times is None:
            return
        try:
            descriptor = os.open(name, _READ, dir_fd=self.descriptor())
            try:
                if mode is not None:
                    os.fchmod(descriptor, mode)
                if times is not None:
                    with contextlib.suppress(OSError):
                        os.utime(descriptor, times)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Refused(f"its mode could not be set: {local_reason(error)}") from None

    def dress(self, mode: int | None, times: tuple[int, int] | None) -> None:
        """Give the folder itself its mode and times (seconds). Raises `Refused`."""
        try:
            descriptor = os.open(b".", _OPEN, dir_fd=self.descriptor())
            try:
                os.fchmod(descriptor, 0o755 if mode is None else mode & 0o1777)
                if times is not None:
                    os.utime(descriptor, times)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Refused(f"its mode and times could not be set: {local_reason(error)}") from None

    @contextlib.contextmanager
    def file(self, name: bytes, partial: bytes = b"") -> Iterator[Unfinished]:
        """A file to be written as ``name``; abandoned unless it was finished or left within the block.

        ``partial``: see `Unfinished`. Raises `Refused`.
        """
        try:
            if partial:
                self._clean(partial)
            unfinished = Unfinished(self.descriptor(), name, partial)
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None
        try:
            yield unfinished
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None
        finally:
            unfinished.abandon()

    def _clean(self, partial: bytes) -> None:
        """Remove the partials for which nobody came back, and those of older versions of this one's source."""
        with contextlib.suppress(OSError):
            here = self.descriptor()
            if self._left is None:
                readable = os.open(b".", _OPEN, dir_fd=here)
                try:
                    self._left = partials.LeftHere(readable)
                finally:
                    os.close(readable)
            self._left.clean(here, partial)

    def has_link(self, text: bytes, name: bytes) -> bool:
        """Whether ``name`` is a symbolic link that says ``text``."""
        try:
            return os.readlink(name, dir_fd=self.descriptor()) == text
        except (OSError, Refused):
            return False

    def link(self, text: bytes, name: bytes) -> None:
        """Make a symbolic link that says ``text``, in place of a file or link that is there. Raises `Refused`."""
        if self.has_link(text, name):
            return
        temporary = paths.part_name(name, secrets.token_hex(6))
        try:
            here = self.descriptor()
            file_at(here, name)
            os.symlink(text, temporary, dir_fd=here)
            try:
                os.replace(temporary, name, src_dir_fd=here, dst_dir_fd=here)
            except OSError:
                os.unlink(temporary, dir_fd=here)
                raise
        except OSError as error:
            raise Refused(f"cannot be written: {local_reason(error)}") from None


class Landing:
    """The directory that a download is written into. Nothing is made before `Folder.make` asks for it."""

    def __init__(self, directory: bytes, host: bytes) -> None:
        """``directory`` is a local path in which ``host`` stands; from that part on no symlink is followed."""
        self.path = directory
        whole = directory if os.path.isabs(directory) else os.path.join(os.getcwdb(), directory)
        self._parts = [part for part in whole.split(b"/") if part]
        self._chosen = paths.ours_from(whole, host)
        self._made: list[bytes] = []
        self._base = -1
        self._open: OrderedDict[Folder, int] = OrderedDict()
        self._top = Folder(self, None, b"")

    def top(self) -> Folder:
        """The directory itself."""
        return self._top

    def make(self) -> None:
        """Make the directory and those above it that are missing. Raises `Refused`."""
        for attempt in range(_TRIES):
            if self._base >= 0:
                return
            try:
                self._base = self._reach(make=True)
            except FileNotFoundError as error:
                if attempt == _TRIES - 1:
                    raise Refused(f"the folder cannot be made: {local_reason(error)}") from None

    def base(self) -> int:
        """Its descriptor. Raises `Refused`, and FileNotFoundError before `make`."""
        if self._base < 0:
            self._base = self._reach(make=False)
        return self._base

    def kept(self, folder: Folder) -> int | None:
        """The descriptor of a folder that is still open."""
        found = self._open.get(folder)
        if found is not None:
            self._open.move_to_end(folder)
        return found

    def keep(self, folder: Folder, descriptor: int) -> None:
        """Keep a folder's descriptor for a while."""
        self._open[folder] = descriptor
        if len(self._open) > _KEPT:
            os.close(self._open.popitem(last=False)[1])

    def take_back(self) -> None:
        """Remove the folders that were made for a copy that did not come about, as far as they are empty."""
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        self._made.clear()

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        if self._base >= 0:
            os.close(self._base)
            self._base = -1

    def _reach(self, *, make: bool) -> int:
        here = os.open(b"/", _PASS)
        try:
            for index, part in enumerate(self._parts):
                flags = _PASS | (os.O_NOFOLLOW if index >= self._chosen else 0)
                try:
                    below = os.open(part, flags, dir_fd=here)
                except FileNotFoundError:
                    if not make:
                        raise
                    below = self._make_part(index, here, flags)
                except OSError as error:
                    raise self._refusal(index, here, error) from None
                os.close(here)
                here = below
            reached, here = here, -1
            return reached
        finally:
            if here >= 0:
                os.close(here)

    def _make_part(self, index: int, here: int, flags: int) -> int:
        part = self._parts[index]
        try:
            os.mkdir(part, dir_fd=here)
            self._made.append(b"/" + b"/".join(self._parts[: index + 1]))
        except FileExistsError:
            pass  # another host's copy was quicker, or a symlink leads nowhere
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refusal(index, here, error) from None
        try:
            return os.open(part, flags | os.O_NOFOLLOW, dir_fd=here)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._refusal(index, here, error) from None

    def _refusal(self, index: int, here: int, error: OSError) -> Refused:
        path = b"/" + b"/".join(self._parts[: index + 1])
        return _no_folder(self._parts[index], here, error, path)


_AWAY = "remove it, or choose another -local"


def _no_folder(name: bytes, parent: int, error: OSError, path: bytes = b"") -> Refused:
    """Why a folder cannot be used, in words."""
    with contextlib.suppress(OSError):
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            return Refused(f"{shown(path or name)} is a symlink on this machine, and a download follows none", _AWAY)
        if not stat.S_ISDIR(mode):
            return Refused(f"{shown(path or name)} is a file on this machine, where a directory has to be", _AWAY)
    return Refused(f"the folder {shown(path or name)} cannot be made: {local_reason(error)}")
