"""A large file on its way to the host's disk while the rest of it still comes: its last sync then has little to do.

These may never come about; but where one says that the disk failed, that counts, for before Linux 4.13 a kernel told a
failed write to one sync alone, whichever came first (fsync(2)). They need a session of their own, for a server that
syncs a file writes nothing meanwhile. Must not know what is copied.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable

import paramiko

from hostshell.ssh.exchange import POLL, Exchange
from hostshell.ssh.remotefiles import SftpGone, SftpStopped
from hostshell.ssh.sftpwire import FAILURE, READ, Attributes, Kind, SftpError, pack_string
from hostshell.ssh.transport import send_subsystem

WORTH = 32 * 1024 * 1024  # bytes that are to come for which a session is begun
STEP = 16 * 1024 * 1024  # bytes between two syncs
LAST_WORD = 5.0  # seconds for the answer to a sync of which nothing can be left to do
_GONE = (paramiko.SSHException, OSError, EOFError)
_ENDS = (SftpError, SftpGone, SftpStopped, *_GONE)


class Flushing:
    """Syncs of the file at ``path``. ``take`` gives a session that waits, or None, and does not wait for one."""

    def __init__(self, take: Callable[[], paramiko.Channel | None], path: bytes, stopped: Callable[[], bool]) -> None:
        self._take = take
        self._path = path
        self._stopped = stopped
        self._beside: _Beside | None = None
        self._due: float = 0
        self._failure: SftpError | None = None

    def reached(self, offset: int) -> None:
        """The host has been sent the file up to ``offset``. Waits for nobody, and never fails."""
        if offset < self._due:
            return
        try:
            if self._beside is not None:
                self._beside.sync()
            elif (channel := self._take()) is not None:
                self._beside = _Beside(channel, self._stopped)
                self._beside.begin(self._path)
            else:
                return  # there may be one at the next piece
            self._due = offset + STEP
        except _ENDS as error:
            self._over(error)

    def settled(self) -> None:
        """The file has been synced to its end: raise `SftpError` where an earlier sync told that the disk failed."""
        try:
            if self._beside is not None:
                self._beside.wait_out()
        except _ENDS as error:
            self._over(error)
        self.close()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """No more of it. Never fails."""
        self._due = float("inf")
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.close()

    def _over(self, error: Exception) -> None:
        # other answers mean that this server syncs nothing, or not through a handle that reads
        if isinstance(error, SftpError) and error.code == FAILURE and self._beside is not None and self._beside.opened:
            self._failure = error
        self.close()


class _Beside(Exchange):
    """An SFTP session that waits for no answer, but for the rest of one that has begun to come."""

    def __init__(self, channel: paramiko.Channel, stopped: Callable[[], bool]) -> None:
        super().__init__(channel, stopped)
        self._greeted = False
        self._head = b""  # the handle, once it is there
        self._busy = True
        self._patience = float("inf")

    @property
    def opened(self) -> bool:
        """Whether the file is open."""
        return bool(self._head)

    def heed(self) -> None:
        """As `Exchange`, but without last words."""
        if self._stopped() or time.monotonic() > self._patience:
            raise SftpStopped
        super().heed()

    def begin(self, path: bytes) -> None:
        """Ask for SFTP and for the file, to be read (a program that is open to be written is not run), all at once."""
        self._channel.settimeout(POLL)
        send_subsystem(self._channel, "sftp")
        self._out += struct.pack(">IBI", 5, Kind.INIT, 3)
        self.send(Kind.OPEN, pack_string(path) + struct.pack(">I", READ) + Attributes().pack())
        self._flush()

    def sync(self) -> None:
        """Ask for a sync, unless the host is at one still."""
        while self._busy and (self._in or self._channel.recv_ready()):
            self._hear()
        if not self._busy:
            self.send(Kind.EXTENDED, pack_string(b"fsync@openssh.com") + self._head)
            self._flush()
            self._busy = True

    def wait_out(self) -> None:
        """Wait for the answer to the sync that was asked for last."""
        self._patience = time.monotonic() + LAST_WORD
        while self._busy and self.opened:
            self._hear()

    def _hear(self) -> None:
        if not self._greeted:
            self._greeted = self._packet()[0] == Kind.VERSION
            if not self._greeted:
                raise self._garbled("no version")
            return
        answer = self.next_answer()
        if self._head:
            answer.settled()
        else:
            self._head = pack_string(answer.expect(Kind.HANDLE).string())
        self._busy = False

    def close(self) -> None:
        """End the session; never fails."""
        with contextlib.suppress(*_GONE):
            self._channel.close()
