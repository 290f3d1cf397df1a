"""SFTP version 3 as a client: requests out, answers in, in any order, over one channel of a transport.

Must not know what is copied where. It speaks the protocol itself over paramiko's public Channel, and needs none of its
private names: paramiko's own SFTP client decodes names strictly and drops write statuses that come late.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import paramiko

from hostshell.core.clean import clean, decode
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.sftpwire import (
    BAD_MESSAGE,
    END_OF_FILE,
    OK,
    Answer,
    Attributes,
    Entry,
    FileSystem,
    Kind,
    Reader,
    SftpError,
    pack_string,
)

MAX_PACKET = 512 * 1024  # bytes: larger than any answer to what we ask; a server that sends more is refused
MAX_ENTRIES = 1_000_000  # names in one directory
PLAIN_CHUNK = 32 * 1024  # bytes in a read or write that every server takes (draft, section 3)
BEST_CHUNK = 128 * 1024  # bytes, where the server's limits@openssh.com allows it: twice as fast as 32 KiB
WINDOW = 4 * 1024 * 1024  # bytes that the server may send ahead, so also the most that waits here in memory
POLL = 0.1  # seconds between two looks at whether to stop, while nothing comes
PATIENCE = 300.0  # seconds for an answer: slow disks and tapes are slow, but not for ever
CLEAN_UP = 30.0  # seconds to remove what is unfinished
HURRY = 0.3  # seconds for the same, once we are told to stop
SEND_PIECE = 64 * 1024
NOISE = 200  # bytes of a shell's greeting that are shown


class SftpStopped(Exception):
    """We were told to stop."""


class SftpGone(Exception):
    """The channel ended, or the server broke the protocol. The message is for a person; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Sftp:
    """An SFTP session. One thread at a time. Every wait ends with `SftpStopped` once ``stopped`` is true.

    Requests raise `SftpError` with the server's own answer, `SftpGone` when there will be no answer.
    """

    def __init__(self, channel: paramiko.Channel, stopped: Callable[[], bool]) -> None:
        self._channel = channel
        self._stopped = stopped
        self._until: float | None = None  # the end of the last words, while they are spoken
        self._hurry: float | None = None  # their end, once we are told to stop
        self._broken = ""
        self._out = bytearray()
        self._in = bytearray()
        self._number = 0
        self._waiting: set[int] = set()
        self._forgotten: set[int] = set()
        self._arrived: dict[int, Answer] = {}
        self.extensions: dict[bytes, bytes] = {}
        self.read_chunk = PLAIN_CHUNK
        self.write_chunk = PLAIN_CHUNK

    @classmethod
    def over(cls, transport: paramiko.Transport, stopped: Callable[[], bool]) -> Sftp:
        """Start SFTP on ``transport``.

        Raises `LinkLost` (not started) where the connection was dead, `SftpGone` where the server has no SFTP.
        """
        try:
            channel = transport.open_session(window_size=WINDOW, timeout=60)
        except paramiko.ChannelException as error:
            raise SftpGone(f"the server opens no session: {error.args[-1]}") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkLost(f"the link ended: {error}", started=False) from None
        sftp = cls(channel, stopped)
        try:
            channel.invoke_subsystem("sftp")
            channel.settimeout(POLL)
            sftp._greet()
        except (paramiko.SSHException, OSError, EOFError) as error:
            channel.close()
            if sftp._transport_dead():
                raise LinkLost(f"the link ended: {error}", started=False) from None
            raise SftpGone("the host has no SFTP subsystem", "its sshd_config wants a `Subsystem sftp` line") from None
        except BaseException:
            channel.close()
            raise
        return sftp

    def close(self) -> None:
        """End the session; what the server has been sent it still carries out."""
        self._channel.close()

    @property
    def stopping(self) -> bool:
        """Whether we have been told to stop."""
        return self._stopped()

    @contextmanager
    def last_words(self) -> Iterator[None]:
        """For cleaning up: nothing in the block raises `SftpStopped`, but a host that is too slow for it `SftpGone`."""
        self._until = time.monotonic() + CLEAN_UP
        try:
            yield
        finally:
            self._until = None

    # --- packets ---

    def send(self, kind: Kind, body: bytes, data: bytes = b"") -> int:
        """Send a request; its number. ``data`` is put behind ``body`` as a string."""
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        if kind is Kind.WRITE:
            head = struct.pack(">IBI", 9 + len(body) + len(data), kind, number) + body + struct.pack(">I", len(data))
        else:
            head = struct.pack(">IBI", 5 + len(body), kind, number) + body
        self._waiting.add(number)
        self._out += head
        self._out += data
        self._flush()
        return number

    def next_answer(self) -> Answer:
        """Wait for the next answer to any request that has not been forgotten."""
        while True:
            kind, packet = self._packet()
            reader = Reader(packet)
            number = reader.number()
            if number in self._forgotten:
                self._forgotten.discard(number)
                continue
            if number not in self._waiting:
                raise self._garbled("an answer that nobody asked for")
            self._waiting.discard(number)
            return Answer(number, kind, reader)

    def answer(self, number: int) -> Answer:
        """Wait for the answer to one request; others that come first are kept."""
        while number not in self._arrived:
            answer = self.next_answer()
            self._arrived[answer.number] = answer
        return self._arrived.pop(number)

    def forget(self, numbers: Iterable[int]) -> None:
        """Answers to these are thrown away when they come."""
        for number in numbers:
            self._arrived.pop(number, None)
            if number in self._waiting:
                self._waiting.discard(number)
                self._forgotten.add(number)

    def settle(self, number: int) -> None:
        """Wait for a request that is answered with a status. Raises `SftpError` unless it went well."""
        self.answer(number).settled()

    def _flush(self) -> None:
        """Send all that waits. A packet that a stop cut in two stays in line, so that the session remains usable."""
        since = time.monotonic()
        while self._out:
            self._look()
            try:
                sent = self._channel.send(bytes(memoryview(self._out)[:SEND_PIECE]))
            except TimeoutError:
                if time.monotonic() - since > PATIENCE:
                    raise self._gone(f"the host took no data for {PATIENCE:.0f} s") from None
                continue
            except (paramiko.SSHException, OSError, EOFError):
                raise self._gone("the link ended during the copy") from None
            if sent <= 0:
                raise self._gone("the host ended SFTP during the copy")
            del self._out[:sent]
            since = time.monotonic()

    def _packet(self) -> tuple[int, bytes]:
        """The next packet: its type and what follows."""
        self._fill(4)
        (length,) = struct.unpack_from(">I", self._in)
        if not 5 <= length <= MAX_PACKET:
            raise self._garbled(f"a packet of {length} bytes")
        self._fill(4 + length)
        kind = self._in[4]
        packet = bytes(memoryview(self._in)[5 : 4 + length])
        del self._in[: 4 + length]
        return kind, packet

    def _fill(self, size: int) -> None:
        since = time.monotonic()
        while len(self._in) < size:
            self._look()
            try:
                data = self._channel.recv(WINDOW)
            except TimeoutError:
                if time.monotonic() - since > PATIENCE:
                    raise self._gone(f"the host has not answered for {PATIENCE:.0f} s") from None
                continue
            except (paramiko.SSHException, OSError, EOFError):
                data = b""
            if not data:
                raise self._gone(
                    "the link ended during the copy"
                    if self._transport_dead()
                    else "the host ended SFTP during the copy"
                )
            self._in += data
            since = time.monotonic()

    def _look(self) -> None:
        if self._broken:
            raise SftpGone(self._broken)
        stopped = self._stopped()
        if self._until is None:
            if stopped:
                raise SftpStopped
            return
        now = time.monotonic()
        if stopped and self._hurry is None:
            self._hurry = now + HURRY
        if now > (self._until if self._hurry is None else self._hurry):
            raise SftpGone("the host did not answer in time")

    def _gone(self, message: str) -> SftpGone:
        self._broken = message
        return SftpGone(message)

    def _garbled(self, what: str) -> SftpGone:
        return self._gone(f"the host broke the SFTP protocol: {what}")

    def _transport_dead(self) -> bool:
        # a dying transport closes its channels a moment before it says that it is dead
        transport = self._channel.get_transport()
        until = time.monotonic() + 0.3
        while transport.is_active() and not self._channel.eof_received and time.monotonic() < until:
            time.sleep(0.01)
        return not transport.is_active()

    def _greet(self) -> None:
        """Exchange versions, and learn the server's limits."""
        self._out += struct.pack(">IBI", 5, Kind.INIT, 3)
        self._flush()
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
            try:
                limits = self._extended(b"limits@openssh.com").expect(Kind.EXTENDED_REPLY)
                _, reads, writes, _ = (limits.long() for _ in range(4))
            except SftpError:
                return
            self.read_chunk = min(BEST_CHUNK, reads) or BEST_CHUNK  # 0 is "no limit"
            self.write_chunk = min(BEST_CHUNK, writes) or BEST_CHUNK

    def _noise(self) -> SftpGone:
        text = clean(decode(bytes(self._in[:NOISE])).strip().partition("\n")[0])
        return SftpGone(
            f"the host printed text where SFTP was to start: {text}",
            "a start-up file of the login shell prints it, or the account may not log in: `run true` shows more",
        )

    def _silent(self) -> SftpGone:
        if self._in:
            return self._noise()
        said = ""
        if self._channel.recv_stderr_ready():
            said = clean(decode(self._channel.recv_stderr(NOISE)).strip().partition("\n")[0])
        because = f": {said}" if said else ""
        return SftpGone(
            f"the host's SFTP server did not start{because}", "is the program of its `Subsystem sftp` line there?"
        )

    def _extended(self, name: bytes, *fields: bytes) -> Answer:
        body = pack_string(name) + b"".join(pack_string(field) for field in fields)
        return self.answer(self.send(Kind.EXTENDED, body))

    # --- requests ---

    def stat(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """What stands at ``path``; None where there is nothing."""
        try:
            answer = self.answer(self.send(Kind.STAT if follow else Kind.LSTAT, pack_string(path)))
            return answer.expect(Kind.ATTRS).attributes()
        except SftpError as error:
            if error.missing:
                return None
            raise

    def fstat(self, handle: bytes) -> Attributes:
        """The attributes of an open file."""
        return self.answer(self.send(Kind.FSTAT, pack_string(handle))).expect(Kind.ATTRS).attributes()

    def open(self, path: bytes, flags: int, attributes: Attributes | None = None) -> bytes:
        """Open a file; its handle. ``flags`` as in `sftpwire`."""
        body = pack_string(path) + struct.pack(">I", flags) + (attributes or Attributes()).pack()
        return self.answer(self.send(Kind.OPEN, body)).expect(Kind.HANDLE).string()

    def close_handle(self, handle: bytes) -> None:
        """Close a handle and learn how that went: some servers report a failed write only here."""
        self.settle(self.send(Kind.CLOSE, pack_string(handle)))

    def drop_handle(self, handle: bytes) -> None:
        """Close a handle whose end does not matter, without waiting."""
        self.forget([self.send(Kind.CLOSE, pack_string(handle))])

    def setstat(self, path: bytes, attributes: Attributes) -> None:
        """Set what ``attributes`` holds on a path (links are followed)."""
        self.settle(self.send(Kind.SETSTAT, pack_string(path) + attributes.pack()))

    def fsetstat(self, handle: bytes, attributes: Attributes) -> None:
        """Set what ``attributes`` holds on an open file."""
        self.settle(self.send(Kind.FSETSTAT, pack_string(handle) + attributes.pack()))

    def mkdir(self, path: bytes, mode: int | None = None) -> None:
        """Make a directory; without ``mode`` the server chooses."""
        self.settle(self.send(Kind.MKDIR, pack_string(path) + Attributes(mode=mode).pack()))

    def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        self.settle(self.send(Kind.RMDIR, pack_string(path)))

    def remove(self, path: bytes) -> None:
        """Remove a file or a link."""
        self.settle(self.send(Kind.REMOVE, pack_string(path)))

    def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""
        answer = self.answer(self.send(Kind.READLINK, pack_string(path))).expect(Kind.NAME)
        if answer.number() != 1:
            raise SftpError(BAD_MESSAGE, "not one name for a link")
        return answer.string()

    def symlink(self, text: bytes, path: bytes) -> None:
        """Make a link at ``path``. OpenSSH and those after it take the two in this order, not the draft's."""
        self.settle(self.send(Kind.SYMLINK, pack_string(text) + pack_string(path)))

    def replace(self, source: bytes, target: bytes) -> None:
        """Rename over what may stand at ``target``, in one step. Without the extension only onto a free name."""
        if b"posix-rename@openssh.com" in self.extensions:
            self._extended(b"posix-rename@openssh.com", source, target).settled()
        else:
            self.settle(self.send(Kind.RENAME, pack_string(source) + pack_string(target)))

    def file_system(self, path: bytes) -> FileSystem | None:
        """The state of the file system that holds ``path``; None where the server does not say."""
        if b"statvfs@openssh.com" not in self.extensions:
            return None
        try:
            return FileSystem.read(self._extended(b"statvfs@openssh.com", path).expect(Kind.EXTENDED_REPLY))
        except SftpError:
            return None

    def list(self, path: bytes) -> Iterator[Entry]:
        """The entries of a directory as they come, without ``.`` and ``..``. Names are bytes, and not to be trusted."""
        handle = self.answer(self.send(Kind.OPENDIR, pack_string(path))).expect(Kind.HANDLE).string()
        count = 0
        ahead = self.send(Kind.READDIR, pack_string(handle))
        try:
            while True:
                number, ahead = ahead, self.send(Kind.READDIR, pack_string(handle))
                try:
                    answer = self.answer(number).expect(Kind.NAME)
                except SftpError as error:
                    if error.code == END_OF_FILE:
                        return
                    raise
                names = answer.number()
                count += max(names, 1)  # answers without a name count too, or a server could send them for ever
                if count > MAX_ENTRIES:
                    raise SftpError(OK, f"more than {MAX_ENTRIES} names in one directory")
                for _ in range(names):
                    name = answer.string()
                    answer.string()  # the long form, as `ls -l` would print it
                    entry = Entry(name, answer.attributes())
                    if name not in (b".", b".."):
                        yield entry
        finally:
            self.forget([ahead])
            if not self._broken and not self.stopping:
                self.drop_handle(handle)
