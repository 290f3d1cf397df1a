"""SHA-256 of files of this machine, each read once for all hosts to which it goes.

Must not know hosts. What a file holds is taken to be the same as long as its identity, size and times are.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

PIECE = 1024 * 1024
KEPT = 20_000  # digests in memory, of 32 bytes each
# seconds since its last change from which on a file is remembered: another change within one tick of the file system's
# clock (2 s is the longest of any) would leave its times as they are
SETTLED = 2.0

_Key = tuple[int, int, int, int, int]
_lock = threading.Lock()
_known: OrderedDict[_Key, bytes] = OrderedDict()
_busy: dict[_Key, threading.Event] = {}


def known(info: os.stat_result) -> bytes | None:
    """The digest of a file that was read before and has not changed since; ``info`` was got just now."""
    with _lock:
        return _known.get(_key(info))


def of_path(
    path: bytes, stopped: Callable[[], bool], *, follow: bool = True, clock: Callable[[], float] = time.time
) -> bytes | None:
    """The digest of a regular file; None where it cannot be read, or once ``stopped``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except OSError:
        return None
    try:
        return of_descriptor(descriptor, stopped, clock)
    finally:
        os.close(descriptor)


def of_descriptor(descriptor: int, stopped: Callable[[], bool], clock: Callable[[], float] = time.time) -> bytes | None:
    """The same for an open file. ``clock`` gives the time as files are stamped with it (seconds since 1970)."""
    try:
        info = os.fstat(descriptor)
        settled = clock() - max(info.st_ctime, info.st_mtime) > SETTLED
        if not stat.S_ISREG(info.st_mode):
            return None
        key = _key(info)
        while True:
            with _lock:
                if key in _known:
                    return _known[key]
                at_work = _busy.get(key)
                if at_work is None:
                    _busy[key] = threading.Event()
                    break
            at_work.wait(1.0)
            if stopped():
                return None
        try:
            digest = start_of(descriptor, info.st_size, stopped)
            if digest is not None and settled:
                with _lock:
                    _known[key] = digest.digest()
                    if len(_known) > KEPT:
                        _known.popitem(last=False)
        finally:
            with _lock:
                _busy.pop(key).set()
    except OSError:
        return None
    return None if digest is None else digest.digest()


def _key(info: os.stat_result) -> _Key:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def start_of(descriptor: int, size: int, stopped: Callable[[], bool]) -> hashlib._Hash | None:
    """The running digest of the first ``size`` bytes; None where the file is shorter, or once ``stopped``."""
    digest = hashlib.sha256()
    offset = 0
    while offset < size:
        if stopped():
            return None
        data = os.pread(descriptor, min(PIECE, size - offset), offset)
        if not data:
            return None
        digest.update(data)
        offset += len(data)
    return digest


class Start:
    """The first ``size`` bytes of an open file, read when a host is at work on the same. ``digest``: as `start_of`."""

    def __init__(self, descriptor: int, size: int, stopped: Callable[[], bool]) -> None:
        self._of = (descriptor, size, stopped)
        self.digest: hashlib._Hash | None = None

    def read(self) -> None:
        """Read them. What cannot be read has no digest."""
        with contextlib.suppress(OSError):
            self.digest = start_of(*self._of)
