"""Requests out and answers in, in any order, over one channel: what SFTP does below its verbs.

Must not know any request's meaning. It stands on a paramiko Channel; every wait can be stopped, and ends.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable

import paramiko

from hostshell.ssh.crew import reply
from hostshell.ssh.remotefiles import SftpGone, SftpStopped
from hostshell.ssh.sftpwire import Answer, Kind, Reader

MAX_PACKET = 512 * 1024  # bytes: larger than any answer to what we ask; a server that sends more is refused
WINDOW = 16 * 1024 * 1024  # bytes that the server may send ahead, so also the most that waits here in memory
POLL = 0.1  # seconds between two looks at whether to stop, while nothing comes
PATIENCE = 300.0  # seconds for an answer: slow disks and tapes are slow, but not for ever
HURRY = 0.3  # seconds to remove what is unfinished, once we are told to stop
SEND_PIECE = 64 * 1024  # bytes of requests that are worth sending before an answer is waited for
PACKET = 32 * 1024  # bytes that are offered as one packet: no server has to take more (RFC 4253, section 6.1)


class Exchange:
    """One channel's packets. One thread at a time.

    The first wait that sees that ``stopped`` is true ends with `SftpStopped`. What is asked afterwards is for cleaning
    up, and has to be answered soon. All calls raise `SftpGone` when there will be no answer.
    """

    def __init__(self, channel: paramiko.Channel, stopped: Callable[[], bool]) -> None:
        self._channel = channel
        self._stopped = stopped
        self._until: float | None = None  # the end of the last words, once we are told to stop
        self._broken = ""
        self._out = bytearray()
        self._in = bytearray()
        self._number = 0
        self._waiting: set[int] = set()
        self._forgotten: set[int] = set()
        self._arrived: dict[int, Answer] = {}

    @property
    def stopping(self) -> bool:
        """Whether we have been told to stop."""
        return self._stopped()

    @property
    def usable(self) -> bool:
        """Whether more may be asked, for its own sake."""
        return not (self._broken or self.stopping)

    def heed(self) -> None:
        """As `remotefiles.Answers`."""
        if self._broken:
            raise SftpGone(self._broken)
        if self._until is not None:
            if time.monotonic() > self._until:
                raise SftpGone("the host did not answer in time")
        elif self._stopped():
            self._until = time.monotonic() + HURRY
            raise SftpStopped

    # --- packets ---

    def send(self, kind: Kind, body: bytes, data: bytes = b"") -> int:
        """Send a request; its number. ``data`` is put behind ``body`` as a string.

        Small ones travel together: they leave once there are many, or when an answer is waited for.
        """
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        if kind is Kind.WRITE:
            head = struct.pack(">IBI", 9 + len(body) + len(data), kind, number) + body + struct.pack(">I", len(data))
        else:
            head = struct.pack(">IBI", 5 + len(body), kind, number) + body
        self._waiting.add(number)
        self._out += head
        self._out += data
        if len(self._out) >= SEND_PIECE:
            self._flush()
        return number

    def next_reply(self) -> tuple[int, Answer]:
        """As `remotefiles.Answers`. What the answers that are here lead to is put together before it leaves."""
        answer = self.next_answer()
        return answer.number, answer

    def keep_reply(self, number: int, reply: Answer) -> None:
        """As `remotefiles.Answers`."""
        self._arrived[number] = reply

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

    async def answer(self, number: int) -> Answer:
        """Wait for the answer to one request; others that come first are kept. Within a `Crew`."""
        arrived = self._arrived.pop(number, None)
        if arrived is not None:
            return arrived
        answer: Answer = await reply(number)
        return answer

    def wait_for(self, number: int) -> Answer:
        """The same, where there is no `Crew` yet."""
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

    @property
    def latest(self) -> int:
        """The number of the latest request, which is in line even where a stop cut its sending short."""
        return self._number

    async def settle(self, number: int) -> None:
        """Wait for a request that is answered with a status. Raises `SftpError` unless it went well."""
        (await self.answer(number)).settled()

    def _flush(self) -> None:
        """Send all that waits. A packet that a stop cut in two stays in line, so that the session remains usable."""
        since = time.monotonic()
        while self._out:
            self.heed()
            try:
                sent = self._channel.send(bytes(memoryview(self._out)[:PACKET]))
            except TimeoutError:
                if not self._channel.get_transport().is_alive():
                    raise self._ended() from None
                if time.monotonic() - since > PATIENCE:
                    raise self._gone(f"the host took no data for {PATIENCE:.0f} s") from None
                continue
            except (paramiko.SSHException, OSError, EOFError):
                sent = 0
            if sent <= 0:
                raise self._ended()
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
            if self._out and not self._channel.recv_ready():
                self._flush()
            self.heed()
            try:
                data = self._channel.recv(WINDOW)
            except TimeoutError:
                if not self._channel.get_transport().is_alive():  # its thread died without closing anything
                    raise self._ended() from None
                if time.monotonic() - since > PATIENCE:
                    raise self._gone(f"the host has not answered for {PATIENCE:.0f} s") from None
                continue
            except (paramiko.SSHException, OSError, EOFError):
                data = b""
            if not data:
                raise self._ended()
            self._in += data
            since = time.monotonic()

    def _gone(self, message: str) -> SftpGone:
        self._broken = message
        return SftpGone(message)

    def _ended(self) -> SftpGone:
        dead = self._transport_dead()
        return self._gone("the link ended during the copy" if dead else "the host ended SFTP during the copy")

    def _garbled(self, what: str) -> SftpGone:
        return self._gone(f"the host broke the SFTP protocol: {what}")

    def _transport_dead(self) -> bool:
        # a dying transport closes its channels a moment before it says that it is dead
        transport = self._channel.get_transport()
        until = time.monotonic() + 0.3
        while transport.is_active() and not self._host_closed() and time.monotonic() < until:
            time.sleep(0.01)
        return not (transport.is_active() and transport.is_alive())

    def _host_closed(self) -> bool:
        """True when the host has ended this one session, or refused what was asked of it.

        paramiko answers both with an end of its own, and closes the channels of a dead connection without one.
        """
        return bool(self._channel.eof_received or self._channel.eof_sent)
