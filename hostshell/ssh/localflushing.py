"""A large file on its way to this machine's disk while the rest of it still comes: its last sync then has little to do.

As `flushing`, on this side. Must not know what is copied.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

from hostshell.ssh.exchange import POLL
from hostshell.ssh.flushing import STEP

_FREE = threading.Lock()  # one at a time in a process, and a copy that finds it busy goes on: more are no quicker
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the latter only
_FAILED = (errno.EIO, errno.ENOSPC, errno.EDQUOT)  # what a sync says of data that did not reach the disk (fsync(2))


class LocalFlushing:
    """Syncs of the file ``name`` in the open ``folder``, of which the bytes up to ``start`` are there already."""

    def __init__(self, folder: int, name: bytes, start: int) -> None:
        self._folder = folder
        self._name = name
        self._due: float = start + STEP
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None

    def reached(self, offset: int) -> None:
        """The file has been written up to ``offset``. Waits for nobody, and never fails."""
        if offset >= self._due and _FREE.acquire(blocking=False):
            self._due = offset + STEP
            if not self._begin(_FREE.release):
                self._due = float("inf")

    def rest(self, heed: Callable[[], None]) -> None:
        """All has been written: sync it, and wait. ``heed`` is called meanwhile, and may raise."""
        self._wait(heed)
        if self._begin(lambda: None):
            self._wait(heed)

    def settled(self) -> None:
        """The file has been synced to its end: raise `OSError` where an earlier sync told that the disk failed."""
        if self._failure is not None:
            raise self._failure

    def _wait(self, heed: Callable[[], None]) -> None:
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(POLL)
            heed()

    def _begin(self, after: Callable[[], None]) -> bool:
        """Begin with a sync in a thread, which calls ``after`` at its end; False where that cannot be."""
        descriptor = -1
        try:
            # to be read: a program that is still open to be written is not run, and a sync asks for no more
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._name, flags, dir_fd=self._folder)
            thread = threading.Thread(target=self._carry_out, args=(descriptor, after), name="flushing", daemon=True)
            thread.start()
        except (OSError, RuntimeError):  # the latter: there is no thread left, or this process is about to end
            if descriptor >= 0:
                os.close(descriptor)
            after()
            return False
        self._thread = thread
        return True

    def _carry_out(self, descriptor: int, after: Callable[[], None]) -> None:
        try:
            _sync(descriptor)
        except OSError as error:
            if error.errno in _FAILED:
                self._failure = error
        finally:
            os.close(descriptor)
            after()
