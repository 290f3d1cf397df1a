"""A large file on its way to this machine's disk while the rest of it still comes: its last sync then has little to do.

As `flushing`, on this side. It is the last sync that counts, and that tells of a disk that fails: this one is done
through an opening of its own, to which the kernel tells each failure once more (fsync(2)). Must not know what is
copied.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from hostshell.ssh.flushing import STEP

# all copies of a process share one thread, and one that finds it busy goes on: many syncs at once are no quicker
_THREAD = ThreadPoolExecutor(1, "flushing")
_FREE = threading.Lock()
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the latter only


class LocalFlushing:
    """Syncs of the file ``name`` in the open ``folder``, of which the bytes up to ``start`` are there already."""

    def __init__(self, folder: int, name: bytes, start: int) -> None:
        self._folder = folder
        self._name = name
        self._due: float = start + STEP

    def reached(self, offset: int) -> None:
        """The file has been written up to ``offset``. Waits for nobody, and never fails."""
        if offset < self._due or not _FREE.acquire(blocking=False):
            return
        self._due = offset + STEP
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._name, flags, dir_fd=self._folder)
            _THREAD.submit(_carry_out, descriptor)
        except (OSError, RuntimeError):  # the latter: this process is about to end
            self._due = float("inf")
            _FREE.release()


def _carry_out(descriptor: int) -> None:
    try:
        with contextlib.suppress(OSError):
            _sync(descriptor)
        os.close(descriptor)
    finally:
        _FREE.release()
