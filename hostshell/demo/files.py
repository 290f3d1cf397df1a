"""SFTP on a demo host: paths as its shell sees them, and a fence so that only the host's home can be written.

Must not know commands or listeners. The fence guards against mistakes: a demo host's shell runs as the person does.
"""

# SFTP names files by bytes, which pathlib does not take

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import AsyncIterator
from typing import cast

import asyncssh

READ_LIMIT = 4 * 1024 * 1024  # bytes in one answer, whatever was asked for; what asyncssh announces
_WRITING = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


class _File(io.FileIO):
    """An open file. ``ours``: it is in the home, so its attributes may be changed."""

    ours = False


class HomeFiles(asyncssh.SFTPServer):
    """SFTP for one host: ``home`` is where relative paths begin and all that can be written.

    ``root`` is the fleet's folder: of it, only ``folder`` (this host's own) can be read.
    """

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], root: str, folder: str, home: str) -> None:
        super().__init__(chan)
        self._home = os.fsencode(home)
        # directories are compared by device and inode: names lie on file systems that ignore case
        self._home_id, self._folder_id, self._root_id = (_identity(os.stat(path)) for path in (home, folder, root))

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)

    # --- the fence ---

    def _entry(self, path: bytes) -> bytes:
        """``path`` as a name in a directory of the home, its own link not followed. Refused elsewhere."""
        full = self.map_path(path).rstrip(b"/") or b"/"
        parent, name = os.path.split(full)
        if name in (b"", b".", b".."):
            full = os.path.realpath(full)
        else:
            full = os.path.join(os.path.realpath(parent), name)
        if not _within(os.path.dirname(full), self._home_id):
            raise self._refused()
        return full

    def _target(self, path: bytes) -> bytes:
        """What ``path`` leads to, all links followed. Refused where that is not in the home."""
        full = os.path.realpath(self.map_path(path))
        if not _within(full, self._home_id):
            raise self._refused()
        with contextlib.suppress(FileNotFoundError):
            facts = os.lstat(full)
            if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
                raise asyncssh.SFTPPermissionDenied(
                    "demo host: this file has other hard links, which may lie outside the home; write a new one instead"
                )
        return full

    def _readable(self, path: bytes) -> bytes:
        full = os.path.realpath(self.map_path(path))
        if _within(full, self._root_id) and not _within(full, self._folder_id):
            raise asyncssh.SFTPPermissionDenied("demo host: this belongs to the demo, not to this host")
        return full

    def _refused(self) -> asyncssh.SFTPPermissionDenied:
        # the same words on every host, so that hosts which refuse the same are one line
        return asyncssh.SFTPPermissionDenied("demo host: only the home directory can be written; try -remote '~/'")

    # --- files ---

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        ours = bool(pflags & _WRITING)
        if not ours:
            full = self._readable(path)
        elif pflags & asyncssh.FXF_EXCL:
            full = self._entry(path)
        else:
            full = self._target(path)
        mode, flags = _mode(pflags)
        # a FIFO would stop the whole server, so look before, and never wait
        with contextlib.suppress(FileNotFoundError):
            _must_be_regular(os.lstat(full))
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK
        permissions = 0o666 if attrs.permissions is None else stat.S_IMODE(attrs.permissions)
        descriptor = os.open(full, flags, permissions)
        try:
            _must_be_regular(os.fstat(descriptor))
            file = _File(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            raise
        file.ours = ours
        return file

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:  # noqa: ARG002 -- asyncssh's
        raise asyncssh.SFTPOpUnsupported("demo host: SFTP version 3 only")

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        file = cast(_File, file_obj)
        file.seek(offset)
        return file.read(min(size, READ_LIMIT))

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        file = cast(_File, file_obj)
        file.seek(offset)
        rest = memoryview(data)
        while rest:  # a full disk takes a part first, and says so only then
            rest = rest[file.write(rest) or 0 :]
        return len(data)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        super().setstat(self._target(path), attrs)

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        entry = self._entry(path)
        if os.path.islink(entry):
            super().lsetstat(entry, attrs)
        else:
            self.setstat(entry, attrs)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        if not cast(_File, file_obj).ours:
            raise self._refused()
        super().fsetstat(file_obj, attrs)

    # --- names ---

    def remove(self, path: bytes) -> None:
        os.remove(self._entry(path))

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        os.mkdir(self._entry(path), 0o777 if attrs.permissions is None else stat.S_IMODE(attrs.permissions))

    def rmdir(self, path: bytes) -> None:
        os.rmdir(self._entry(path))

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        old, new = self._entry(oldpath), self._entry(newpath)
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, "File already exists")
        os.rename(old, new)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        os.replace(self._entry(oldpath), self._entry(newpath))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        entry = self._entry(newpath)
        if not _within(os.path.realpath(os.path.join(os.path.dirname(entry), oldpath)), self._home_id):
            raise asyncssh.SFTPPermissionDenied("demo host: no symlink is made that leads out of the home directory")
        os.symlink(oldpath, entry)

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        old = os.path.realpath(self.map_path(oldpath))
        if not _within(old, self._home_id):
            raise self._refused()
        os.link(old, self._entry(newpath))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        async for name in super().scandir(self._readable(path)):
            yield name


def _mode(pflags: int) -> tuple[str, int]:
    """SFTP's open flags as Python's mode and the system's flags."""
    writing = pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND)
    if writing and pflags & asyncssh.FXF_READ:
        mode, flags = "rb+", os.O_RDWR
    elif writing:
        mode, flags = "wb", os.O_WRONLY
    else:
        mode, flags = "rb", os.O_RDONLY
    for theirs, ours in (
        (asyncssh.FXF_APPEND, os.O_APPEND),
        (asyncssh.FXF_CREAT, os.O_CREAT),
        (asyncssh.FXF_TRUNC, os.O_TRUNC),
        (asyncssh.FXF_EXCL, os.O_EXCL),
    ):
        if pflags & theirs:
            flags |= ours
    return mode, flags


def _must_be_regular(facts: os.stat_result) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if stat.S_ISLNK(facts.st_mode):
        return  # O_NOFOLLOW or O_EXCL answers
    if not stat.S_ISREG(facts.st_mode):
        raise asyncssh.SFTPFailure("demo host: only regular files can be copied")


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _within(path: bytes, directory: tuple[int, int]) -> bool:
    """Whether ``path`` (real, absolute; its end need not exist) is ``directory`` or lies below it."""
    while True:
        with contextlib.suppress(OSError):
            if _identity(os.lstat(path)) == directory:
                return True
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
