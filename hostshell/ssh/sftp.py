"""SFTP version 3 as a client: the verbs, with the server's own answers as errors.

Must not know what is copied where. paramiko's own SFTP client decodes names strictly and drops write statuses that come
late, so none of it is used. Sources: draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL, section 4, for the extensions.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import paramiko

from hostshell.core.clean import clean, decode
from hostshell.ssh import digests
from hostshell.ssh.exchange import MAX_PACKET, POLL, WINDOW, Exchange
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.flushing import Flushing
from hostshell.ssh.listing import entries_of
from hostshell.ssh.pipeline import Flow, SftpDownload, SftpUpload
from hostshell.ssh.remotefiles import Digests, NoSftp, SftpGone, SftpStopped, Unsettled
from hostshell.ssh.sessions import Refused, Sessions
from hostshell.ssh.sftpwire import (
    BAD_MESSAGE,
    CREATE,
    EXCLUSIVE,
    READ,
    WRITE,
    Answer,
    Attributes,
    Entry,
    FileSystem,
    Kind,
    Reader,
    SftpError,
    pack_string,
)
from hostshell.ssh.transport import send_subsystem

MAX_HANDLE = 256  # bytes (draft, section 6.3): every read and write repeats it
PLAIN_CHUNK = 32 * 1024  # bytes in a read or write that every server takes (draft, section 3)
BEST_CHUNK = 255 * 1024  # bytes, where the server's limits@openssh.com allows it; OpenSSH's does: 256 KiB and a header
HEADER = 1024  # bytes of a packet that are not data, as OpenSSH leaves
NOISE = 200  # bytes of a shell's greeting that are shown


class OpensSessions(Protocol):
    """What SFTP needs of a connection: our `Sessions`, and paramiko's transport."""

    def open_session(self, window_size: int, timeout: float) -> paramiko.Channel:
        """A session. Raises as they do."""
        ...


class Sftp(Exchange):
    """An SFTP session. Requests raise `SftpError` with the server's own answer, and what `Exchange` raises."""

    def __init__(self, channel: paramiko.Channel, stopped: Callable[[], bool]) -> None:
        super().__init__(channel, stopped)
        self._sessions: OpensSessions | None = None
        self.flow = Flow()
        self.extensions: dict[bytes, bytes] = {}
        self.read_chunk = PLAIN_CHUNK
        self.write_chunk = PLAIN_CHUNK
        self._foreseen: dict[bytes, int] = {}  # directories that are being opened ahead
        self._hashing: digests.Foreseen | None = None
        self._limits = -1  # the number of the request for them
        self._asked = 0.0

    @classmethod
    def over(cls, connection: OpensSessions, stopped: Callable[[], bool]) -> Sftp:
        """Start SFTP in a session of ``connection``.

        Raises `LinkLost` (not started) where the connection was dead, `SftpGone` where the server has no SFTP, and
        `SftpStopped`.
        """
        try:
            channel = connection.open_session(window_size=WINDOW, timeout=60)
        except Refused as error:
            raise SftpGone(str(error)) from None
        except paramiko.ChannelException as error:
            raise SftpGone(f"the server opens no session: {error.args[-1]}") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkLost(f"the link ended: {error}", started=False) from None
        sftp = cls(channel, stopped)
        sftp._sessions = connection
        try:
            channel.settimeout(POLL)
            send_subsystem(channel, "sftp")
            sftp._greet()  # right behind it: its answer need not be waited for
        except (paramiko.SSHException, OSError, EOFError) as error:
            sftp.close()
            if sftp._transport_dead():
                raise LinkLost(f"the link ended: {error}", started=False) from None
            raise _no_subsystem() from None
        except BaseException:
            sftp.close()
            raise
        return sftp

    def close(self) -> None:
        """End the session; what the server has been sent it still carries out."""
        if self._hashing is not None:
            self._hashing.close()
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()

    def _greet(self) -> None:
        """Exchange versions, and learn the server's limits."""
        self._out += struct.pack(">IBI", 5, Kind.INIT, 3)
        with contextlib.suppress(SftpGone):
            self._flush()
        self._broken = ""  # where it has ended already, what it printed before tells more
        try:
            self._fill(9)
            length, kind = struct.unpack_from(">IB", self._in)
            if kind != Kind.VERSION or not 5 <= length <= MAX_PACKET:
                raise self._noise()
            _, packet = self._packet()
        except SftpGone as gone:
            if gone.hint:
                raise
            if self._transport_dead():
                raise LinkLost("the link ended", started=False) from None
            raise self._silent() from None
        reader = Reader(packet)
        if reader.number() < 3:
            raise SftpGone("the host speaks an SFTP older than version 3")
        while reader.left():
            name = reader.string()
            self.extensions[name] = reader.string()
        if b"limits@openssh.com" in self.extensions:
            # its answer comes before that to the first request of a copy, and nobody waits for it
            self._limits = self._extended(b"limits@openssh.com")
            self._asked = time.monotonic()

    def keep_reply(self, number: int, reply: Answer) -> None:
        """As `Exchange`; what nobody waits for may be the server's limits."""
        if number != self._limits:
            super().keep_reply(number, reply)
            return
        with contextlib.suppress(SftpError):
            limits = reply.expect(Kind.EXTENDED_REPLY)
            packet, reads, writes, _ = (limits.long() for _ in range(4))
            self.flow.expect(time.monotonic() - self._asked)
            # 0 is "no limit"; what travels in a packet has a header, and a handle that may be long
            best = max(min(BEST_CHUNK, packet - HEADER), PLAIN_CHUNK) if packet else BEST_CHUNK
            self.read_chunk = min(best, reads) or best
            self.write_chunk = min(best, writes) or best

    def _noise(self) -> SftpGone:
        text = clean(decode(bytes(self._in[:NOISE])).strip().partition("\n")[0])
        return SftpGone(
            f"the host printed text where SFTP was to start: {text}",
            "a start-up file of the login shell prints it, or the account may not log in: `run true` shows more",
        )

    def _silent(self) -> SftpGone:
        if self._in:
            return self._noise()
        if self._channel.closed and not self._channel.event_ready:  # that would be the server's yes
            return _no_subsystem()
        said = ""
        if self._channel.recv_stderr_ready():
            said = clean(decode(self._channel.recv_stderr(NOISE)).strip().partition("\n")[0])
        because = f": {said}" if said else ""
        return NoSftp(
            f"the host's SFTP server did not start{because}", "is the program of its `Subsystem sftp` line there?"
        )

    @property
    def small(self) -> int:
        """Bytes of a file that travels in one request."""
        return min(self.read_chunk, self.write_chunk)

    def _extended(self, name: bytes, *fields: bytes) -> int:
        return self.send(Kind.EXTENDED, pack_string(name) + b"".join(pack_string(field) for field in fields))

    async def _handle(self, number: int) -> bytes:
        handle = (await self.answer(number)).expect(Kind.HANDLE).string()
        if len(handle) > MAX_HANDLE:
            raise SftpError(BAD_MESSAGE, "the host broke the SFTP protocol: a handle that is too long")
        return handle

    # --- requests: see `remotefiles.RemoteFiles` ---

    async def stat(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """What stands at ``path``; None where there is nothing."""
        try:
            answer = await self.answer(self.send(Kind.STAT if follow else Kind.LSTAT, pack_string(path)))
            return answer.expect(Kind.ATTRS).attributes()
        except SftpError as error:
            if error.missing:
                return None
            raise

    async def create(self, path: bytes) -> SftpUpload:
        """Make a new file for us alone."""
        opening: int | None = None
        try:
            opening = self._ask_open(path, WRITE | CREATE | EXCLUSIVE, Attributes(mode=0o600))
            return self._upload(path, await self._handle(opening))
        except SftpStopped:
            await self._unmake(path, self.latest if opening is None else opening)
            raise

    async def _unmake(self, path: bytes, opening: int) -> None:
        """Remove the file that a request may yet make. Only its answer tells that from a file that stood there."""
        try:
            handle = await self._handle(opening)
        except SftpError:
            return
        except SftpGone:
            raise Unsettled from None
        try:
            self.forget([self.send(Kind.CLOSE, pack_string(handle))])
            await self.remove(path)
        except (SftpError, SftpGone):
            raise Unsettled from None

    async def reopen(self, path: bytes) -> SftpUpload:
        """Go on with a file that is there."""
        return self._upload(path, await self._handle(self._ask_open(path, WRITE, Attributes())))

    def _upload(self, path: bytes, handle: bytes) -> SftpUpload:
        can_sync = b"fsync@openssh.com" in self.extensions
        sessions = self._sessions
        flushing = None
        if can_sync and isinstance(sessions, Sessions):
            flushing = Flushing(sessions.at_hand, path, self._stopped)
        return SftpUpload(self, handle, self.write_chunk, can_sync=can_sync, flushing=flushing)

    async def open(self, path: bytes) -> SftpDownload:
        """Open a file for reading."""
        handle = await self._handle(self._ask_open(path, READ, Attributes()))
        return SftpDownload(self, handle, self.read_chunk, self.flow)

    def _ask_open(self, path: bytes, flags: int, attributes: Attributes) -> int:
        return self.send(Kind.OPEN, pack_string(path) + struct.pack(">I", flags) + attributes.pack())

    async def setstat(self, path: bytes, attributes: Attributes) -> None:
        """Set what ``attributes`` holds on a path (links are followed)."""
        await self.settle(self.send(Kind.SETSTAT, pack_string(path) + attributes.pack()))

    async def mkdir(self, path: bytes, mode: int | None = None) -> None:
        """Make a directory; without ``mode`` the server chooses."""
        await self.settle(self.send(Kind.MKDIR, pack_string(path) + Attributes(mode=mode).pack()))

    async def make(self, path: bytes, mode: int) -> Attributes | None:
        """Make a directory, or see what stands there: both are asked for at once."""
        made = self.send(Kind.MKDIR, pack_string(path) + Attributes(mode=mode).pack())
        looked = self.send(Kind.STAT, pack_string(path))
        try:
            await self.settle(made)
        except SftpError:
            try:
                return (await self.answer(looked)).expect(Kind.ATTRS).attributes()
            except SftpError as error:
                if not error.missing:
                    raise
            raise
        except BaseException:
            self.forget([looked])
            raise
        self.forget([looked])
        return None

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        await self.settle(self.send(Kind.RMDIR, pack_string(path)))

    async def remove(self, path: bytes) -> None:
        """Remove a file or a link."""
        await self.settle(self.send(Kind.REMOVE, pack_string(path)))

    async def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""
        return await self._one_name(Kind.READLINK, path)

    async def canonical(self, path: bytes) -> bytes:
        """The path of what stands at ``path``, absolute and without a symlink in it."""
        return await self._one_name(Kind.REALPATH, path)

    async def _one_name(self, kind: Kind, path: bytes) -> bytes:
        answer = (await self.answer(self.send(kind, pack_string(path)))).expect(Kind.NAME)
        if answer.number() != 1:
            raise SftpError(BAD_MESSAGE, "not one name for a path")
        return answer.string()

    async def symlink(self, text: bytes, path: bytes) -> None:
        """Make a link at ``path``. OpenSSH and those after it take the two in this order, not the draft's."""
        await self.settle(self.send(Kind.SYMLINK, pack_string(text) + pack_string(path)))

    async def replace(self, source: bytes, target: bytes) -> None:
        """Rename over what may stand at ``target``, in one step. Without the extension only onto a free name."""
        if b"posix-rename@openssh.com" in self.extensions:
            await self.settle(self._extended(b"posix-rename@openssh.com", source, target))
        else:
            await self.settle(self.send(Kind.RENAME, pack_string(source) + pack_string(target)))

    async def keep(self, path: bytes, backup: bytes) -> None:
        """Let the file at ``path`` be found at ``backup`` too, or move it there where no hard links are."""
        if b"hardlink@openssh.com" in self.extensions:
            with contextlib.suppress(SftpError):
                await self.settle(self._extended(b"hardlink@openssh.com", path, backup))
                return
        await self.settle(self.send(Kind.RENAME, pack_string(path) + pack_string(backup)))

    async def file_system(self, path: bytes) -> FileSystem | None:
        """The state of the file system that holds ``path``; None where the server does not say."""
        if b"statvfs@openssh.com" not in self.extensions:
            return None
        try:
            answer = await self.answer(self._extended(b"statvfs@openssh.com", path))
            return FileSystem.read(answer.expect(Kind.EXTENDED_REPLY))
        except SftpError:
            return None

    def foresee_list(self, path: bytes) -> None:
        """Open a directory ahead of `list`."""
        self._foreseen[path] = self._ask_list(path)

    def never_mind(self, path: bytes) -> None:
        """Nobody will ask for its names."""
        if path in self._foreseen:
            # mostly it is not there; a handle, where it is one, ends with the session
            self.forget([self._foreseen.pop(path)])

    async def list(self, path: bytes, expected: int = 0) -> list[Entry]:
        """The entries of a directory, without ``.`` and ``..``. Names are bytes, and not to be trusted."""
        asked = self._foreseen.pop(path, None)
        handle = await self._handle(self._ask_list(path) if asked is None else asked)
        try:
            return await entries_of(self, handle, expected)
        finally:
            if self.usable:
                self.forget([self.send(Kind.CLOSE, pack_string(handle))])

    def _ask_list(self, path: bytes) -> int:
        return self.send(Kind.OPENDIR, pack_string(path))

    def foresee_digests(self) -> None:
        """Begin with the host's tool."""
        if self._sessions is not None and self._hashing is None:
            self._hashing = digests.Foreseen(self._sessions)

    async def digests(self, paths: Sequence[bytes], meanwhile: Callable[[], None] = lambda: None) -> Digests | None:
        """SHA-256 of many files, by a tool of the host in a session beside this one."""
        foreseen, self._hashing = self._hashing, None
        if foreseen is not None and not foreseen.waits:  # it waited for as long as the copy took: some hosts end that
            foreseen.close()
            foreseen = None
        return digests.of_files(self._sessions, paths, self.heed, meanwhile, foreseen) if self._sessions else None

    async def digest_of_start(
        self, path: bytes, size: int, meanwhile: Callable[[], None] = lambda: None
    ) -> bytes | None:
        """SHA-256 of the first ``size`` bytes of one file."""
        if self._sessions is None:
            return None
        digest = digests.of_start(self._sessions, path, size, self.heed, meanwhile)
        if digest is None and self._hashing is not None and self._hashing.waits:
            # a server that opens two sessions has no third: the other tool is begun again when it is needed
            self._hashing.close()
            self._hashing = None
            digest = digests.of_start(self._sessions, path, size, self.heed)
        return digest


def _no_subsystem() -> NoSftp:
    return NoSftp("the host has no SFTP subsystem", "its sshd_config wants a `Subsystem sftp` line")
