"""A large file on its way to the host's disk while the rest of it still comes: its last sync then has little to do.

It is that last one, in the copy's own session, that counts; these may fail, or never come about. They need a session of
their own, for a server that syncs a file writes nothing meanwhile. Must not know what is copied.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import paramiko

from hostshell.ssh.exchange import POLL, Exchange
from hostshell.ssh.remotefiles import SftpGone, SftpStopped
from hostshell.ssh.sftpwire import WRITE, Attributes, Kind, SftpError, pack_string
from hostshell.ssh.transport import send_subsystem

WORTH = 32 * 1024 * 1024  # bytes that are to come for which a session is begun
STEP = 16 * 1024 * 1024  # bytes between two syncs
_GONE = (paramiko.SSHException, OSError, EOFError)


class Flushing:
    """Syncs of the file at ``path``. ``take`` gives a session that waits, or None, and does not wait for one."""

    def __init__(self, take: Callable[[], paramiko.Channel | None], path: bytes, stopped: Callable[[], bool]) -> None:
        self._take = take
        self._path = path
        self._stopped = stopped
        self._beside: _Beside | None = None
        self._due: float = 0

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
        except (SftpError, SftpGone, SftpStopped, *_GONE):
            self.close()

    def close(self) -> None:
        """No more of it. Never fails."""
        self._due = float("inf")
        if self._beside is not None:
            self._beside.close()


class _Beside(Exchange):
    """An SFTP session that waits for no answer, but for the rest of one that has begun to come."""

    def __init__(self, channel: paramiko.Channel, stopped: Callable[[], bool]) -> None:
        super().__init__(channel, stopped)
        self._greeted = False
        self._head = b""  # the handle, once it is there
        self._busy = True

    def begin(self, path: bytes) -> None:
        """Ask for SFTP and for the file, all at once."""
        self._channel.settimeout(POLL)
        send_subsystem(self._channel, "sftp")
        self._out += struct.pack(">IBI", 5, Kind.INIT, 3)
        self.send(Kind.OPEN, pack_string(path) + struct.pack(">I", WRITE) + Attributes().pack())
        self._flush()

    def sync(self) -> None:
        """Ask for a sync, unless the host is at one still."""
        while self._busy and (self._in or self._channel.recv_ready()):
            if not self._greeted:
                self._greeted = self._packet()[0] == Kind.VERSION
                if not self._greeted:
                    raise self._garbled("no version")
                continue
            answer = self.next_answer()
            if self._head:
                answer.settled()
            else:
                self._head = pack_string(answer.expect(Kind.HANDLE).string())
            self._busy = False
        if not self._busy:
            self.send(Kind.EXTENDED, pack_string(b"fsync@openssh.com") + self._head)
            self._flush()
            self._busy = True

    def close(self) -> None:
        """End the session; never fails."""
        with contextlib.suppress(*_GONE):
            self._channel.close()
