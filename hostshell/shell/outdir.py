"""What hosts print as files, one a host and stream: the bytes as they came, written as they come.

Must not know sessions or events. A host's name is a file's name as it stands.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from types import TracebackType

from hostshell.core.clean import clean
from hostshell.core.errors import LocalFileError
from hostshell.core.events import Stream
from hostshell.localfiles import absolute_path
from hostshell.shell.screen import OutputFailed

MOST_OPEN = 128  # files that are open at a time: there may be more hosts than descriptors

# a link or a pipe that somebody has put where the file goes must neither be followed nor waited for
_CAREFUL = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NOTHING_RUN = "nothing was run"


class OutputFiles:
    """``outdir`` and ``errdir`` with an empty file for each of ``hosts``; either may be None.

    Directories are made if missing; files of before are emptied. Raises `LocalFileError` for what cannot be, before
    any host is touched.
    """

    def __init__(self, outdir: str | None, errdir: str | None, hosts: Iterable[str]) -> None:
        self._folders: dict[Stream, _Folder] = {}
        try:
            if outdir is not None:
                self._folders["stdout"] = _Folder("--outdir", outdir)
            if errdir is not None:
                self._folders["stderr"] = _Folder("--errdir", errdir)
            if outdir is not None and errdir is not None and self._folders["stdout"].same(self._folders["stderr"]):
                raise LocalFileError("--outdir and --errdir name the same directory", "give each one of its own")
            names = list(hosts)
            for folder in self._folders.values():
                for name in names:
                    folder.begin(name)
        except BaseException:
            self.close()
            raise

    def write(self, host: str, stream: Stream, data: bytes) -> None:
        """Add bytes to a host's file. Raises `OutputFailed`."""
        folder = self._folders.get(stream)
        if folder is not None:
            folder.add(host, data)

    def close(self) -> None:
        """Close every file."""
        for folder in self._folders.values():
            folder.close()

    def __enter__(self) -> OutputFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for folder in self._folders.values():
                    folder.finish()
        finally:
            self.close()


class _Folder:
    """One directory. It stays open: what is put in its place later is not written to."""

    def __init__(self, option: str, path: str) -> None:
        self._option = option
        self._path = absolute_path(path)
        self._files: dict[str, int] = {}  # open ones, the one used longest ago first
        try:
            os.makedirs(self._path, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileExistsError:
            raise LocalFileError(f"{option}: {clean(path)} is not a directory", _NOTHING_RUN) from None
        except (OSError, ValueError) as error:
            raise LocalFileError(f"{option}: cannot make {clean(path)}: {_reason(error)}", _NOTHING_RUN) from None

    def same(self, other: _Folder) -> bool:
        """Whether the other one is the same directory, however it is called."""
        return os.path.samestat(os.fstat(self._fd), os.fstat(other._fd))

    def begin(self, name: str) -> None:
        """Make the file of one host, or empty it."""
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise LocalFileError(f"{self._option}: the host's name cannot be a file's: {clean(name)}", _NOTHING_RUN)
        try:
            fd = os.open(name, _CAREFUL | os.O_CREAT, 0o666, dir_fd=self._fd)
            try:
                ordinary = stat.S_ISREG(os.fstat(fd).st_mode)
                if ordinary:
                    os.ftruncate(fd, 0)
            finally:
                os.close(fd)
        except OSError as error:
            if self._is_link(name):
                message = f"{self._option}: {self._shown(name)} is a symbolic link, and none is followed"
                raise LocalFileError(message, f"remove it, or name another directory; {_NOTHING_RUN}") from None
            if isinstance(error, IsADirectoryError):  # a get leaves one for each host
                message = f"{self._option}: {self._shown(name)} is a directory, where a file has to be"
                raise LocalFileError(message, f"name another directory; {_NOTHING_RUN}") from None
            message = f"{self._option}: cannot write {self._shown(name)}: {_reason(error)}"
            raise LocalFileError(message, _NOTHING_RUN) from None
        if not ordinary:
            raise LocalFileError(f"{self._option}: {self._shown(name)} is no ordinary file", _NOTHING_RUN)

    def _shown(self, name: str) -> str:
        return clean(os.path.join(self._path, name))

    def _is_link(self, name: str) -> bool:
        with contextlib.suppress(OSError):
            return stat.S_ISLNK(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode)
        return False

    def add(self, name: str, data: bytes) -> None:
        """Write all of ``data`` at the end of one host's file."""
        try:
            fd = self._files.pop(name, None)
            if fd is None:
                if len(self._files) >= MOST_OPEN:
                    os.close(self._files.pop(next(iter(self._files))))
                fd = os.open(name, _CAREFUL | os.O_APPEND, dir_fd=self._fd)
            self._files[name] = fd
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError as error:
            raise self._failed(name, error, "what was running has been stopped") from None

    def finish(self) -> None:
        """Close its files. Raises `OutputFailed`, for some file systems say only now that their disk is full."""
        while self._files:
            name, fd = self._files.popitem()
            try:
                os.close(fd)
            except OSError as error:
                raise self._failed(name, error, "the command has ended") from None

    def _failed(self, name: str, error: OSError, hint: str) -> OutputFailed:
        return OutputFailed(f"{self._option}: cannot write {self._shown(name)}: {_reason(error)}", hint)

    def close(self) -> None:
        """Close its files and itself."""
        for fd in (*self._files.values(), self._fd):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._files.clear()


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else ""
    return (text or str(error)).lower()
