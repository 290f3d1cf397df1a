"""The known_hosts files: read once and again when they change, and a locked append for new keys.

Must not know what a connection is. Nothing here ever rewrites a file: ssh and people's editors write to them as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from hostshell.core.events import Failure
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.hostkeys import decide
from hostshell.ssh.knownhosts import HostKey, Known, KnownHosts, lookup, parse

LOCK_WAIT = 5.0  # seconds to wait for other processes that are saving keys
_LOCK_POLL = 0.005  # seconds


def default_files(home: str) -> tuple[list[str], str]:
    """The files that ssh reads by default for the user whose home is ``home``, and the one that receives new keys."""
    own = str(Path(home, ".ssh", "known_hosts"))
    return [own, own + "2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"], own


class KeyNotSaved(OSError):
    """A key that could not be written down; ``strerror`` says where and why, in words for people."""


class KeyStore:
    """What ``files`` say together, the first one first; ``writes_to`` receives new keys. Safe from any thread."""

    def __init__(self, files: Sequence[str], writes_to: str) -> None:
        names = list(files) if writes_to in files else [writes_to, *files]
        self.writes_to = writes_to
        self._files = [_KnownHostsFile(name) for name in names]
        self._reading = threading.Lock()
        self._writing = threading.Lock()  # the file's lock is polled: our own threads queue here instead

    def lookup(self, address: str, port: int) -> Known:
        """What is known about an endpoint now. A file that is not there is empty.

        Raises `ConnectFailed` (kind ``hostkey``) for a file that is there and cannot be read: it may hold the very line
        that revokes this key, or another key, so we do not log in past it.
        """
        with self._reading:
            return lookup([file.read() for file in self._files], address, port)

    def learn(self, address: str, port: int, key: HostKey) -> None:
        """Append the key's line, unless somebody else made it known meanwhile. On return others can see it.

        Creates the file (0600) and its directory (0700; not the directory's parents) when missing. Raises `KeyNotSaved`
        when that cannot be done, and `ConnectFailed` when meanwhile this key was revoked, or another one saved for the
        same endpoint: then it must not be trusted either.
        """
        try:
            line = key.line(address, port).encode()
            with self._writing, _locked(self.writes_to) as descriptor:
                decision = decide("accept-new", self.lookup(address, port), key)
                if decision.verdict == "learn":
                    _append(descriptor, line)
                elif decision.failure is not None:
                    raise ConnectFailed(decision.failure)
        except OSError as error:
            raise KeyNotSaved(error.errno, f"{self.writes_to}: {error.strerror or error}") from None
        except ValueError as error:
            raise KeyNotSaved(errno.EINVAL, str(error)) from None


_Choice: TypeAlias = "tuple[str | None, tuple[str, ...] | None, tuple[str, ...] | None]"


class KeyStores:
    """One `KeyStore` for each choice of files, shared by all hosts that have it. Safe from any thread.

    ``home`` is whose ``~/.ssh`` counts ($HOME unless given).
    """

    def __init__(self, home: str | None = None) -> None:
        self._home = home
        self._stores: dict[_Choice, KeyStore] = {}
        self._lock = threading.Lock()

    def of(
        self,
        known_hosts: str | None,
        users: tuple[str, ...] | None = None,
        systems: tuple[str, ...] | None = None,
    ) -> KeyStore:
        """The store of one choice: a file that replaces the user's and the system's, or None for those.

        ``users`` and ``systems`` are files in place of the user's and the system's own; the first of the user's
        receives new keys. Without any they are kept nowhere.
        """
        choice = (known_hosts, users, systems)
        with self._lock:
            store = self._stores.get(choice)
            if store is None:
                store = self._stores[choice] = self._open(*choice)
            return store

    def _open(
        self, known_hosts: str | None, users: tuple[str, ...] | None, systems: tuple[str, ...] | None
    ) -> KeyStore:
        home = self._home if self._home is not None else os.path.expanduser("~")
        if known_hosts is None:
            files, own = default_files(home)
            mine, theirs = (files[:2] if users is None else list(users)), (files[2:] if systems is None else systems)
            if users is not None:
                own = users[0] if users else os.devnull
            return KeyStore([*mine, *theirs], own)
        file = str(Path(home, known_hosts[2:])) if known_hosts.startswith("~/") else known_hosts
        return KeyStore([file], file)


class _KnownHostsFile:
    """One file and what it said when it was last read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._seen: tuple[int, ...] | None = None
        self._data = b""
        self._book = KnownHosts(self._path)

    def read(self) -> KnownHosts:
        """Its lines as they are now: read only when the file has changed, and only its end parsed when it just grew."""
        try:
            if self._seen is None or _identity(Path(self._path).stat()) != self._seen:
                self._load()
        except (FileNotFoundError, NotADirectoryError):
            self._forget()
        except OSError as error:
            self._forget()
            raise ConnectFailed(
                Failure(
                    "hostkey",
                    f"cannot read the known host keys: {self._path}: {error.strerror or error}",
                    "make that file readable, or name another one with --known-hosts",
                )
            ) from None
        return self._book

    def _load(self) -> None:
        # without O_NONBLOCK, opening a named pipe would wait for its writer
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)  # before the read: what is written meanwhile is noticed at the next look-up
            _require_file(status)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = b"" if _is_null(status) else file.read()
        finally:
            os.close(descriptor)
        if data.startswith(self._data) and self._data[-1:] in (b"", b"\n"):
            self._book.extend(data[len(self._data) :])
        else:
            self._book = parse(data, self._path)
        self._data, self._seen = data, _identity(status)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev


def _require_file(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode) and not _is_null(status):
        raise OSError(errno.EINVAL, "not a regular file")


@contextmanager
def _locked(path: str) -> Iterator[int]:
    """The file open for appending under an exclusive flock(2), which no other process of ours holds then.

    Raises OSError: TimeoutError when the lock was not to be had within `LOCK_WAIT`.
    """
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        descriptor = _open_to_append(path)
        try:
            status = os.fstat(descriptor)
            _require_file(status)
            if not _is_null(status):  # nothing is kept there, and other programs may hold its lock
                _lock(descriptor, deadline)
            # while we waited, `ssh-keygen -R` or an editor may have put another file in its place
            if _still(path, descriptor):
                yield descriptor
                return
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "the file is being replaced again and again")
        finally:
            os.close(descriptor)  # and so gives the lock back


def _open_to_append(path: str) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        Path(path).parent.mkdir(mode=0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


def _lock(descriptor: int, deadline: float) -> None:
    """Polled, because a lock that is waited for in flock(2) itself has no time-out."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process keeps the file locked") from None
        time.sleep(_LOCK_POLL)


def _still(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _append(descriptor: int, line: bytes) -> None:
    """Add a line in one write. It begins on a line of its own, even when the one before is torn (a full disk)."""
    size = os.fstat(descriptor).st_size
    torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    data = (b"\n" if torn else b"") + line + b"\n"
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
