"""paramiko's Transport as we want it: over a `Link`, bounded, without its polling, and with what it drops.

The only place that subclasses it; tests/ssh/test_private_names.py holds each private name. Must not know hosts.
"""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
from paramiko.buffered_pipe import BufferedPipe
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST,
)
from paramiko.compress import ZlibCompressor

from hostshell.ssh.link import Link
from hostshell.ssh.packets import PACKET_LIMIT, Packets
from hostshell.ssh.received import Received

# paramiko still offers retired algorithms; ours are those that OpenSSH 9 offers, the cheapest safe cipher first
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
# modes of a terminal that are switched off (RFC 4254, section 8): ECHO, ECHOE, ECHOK, ECHONL, ONLCR; and in a raw one
# PARMRK, INPCK, ISTRIP, INLCR, IGNCR, ICRNL, IXON, IXANY, IXOFF, ISIG, ICANON, IEXTEN and OPOST as well
_QUIET = (53, 54, 55, 56, 72)
_RAW = (*_QUIET, 31, 32, 33, 34, 35, 36, 38, 39, 40, 50, 51, 59, 70)
WINDOW = 2 * 1024 * 1024  # bytes of output that may wait unread, for a command
REASON_LIMIT = 200  # bytes of a server's text that are kept
LARGEST = 32 * 1024  # bytes of one message of output, as OpenSSH's own client asks for


class Inflate:
    """What a server compressed, made large again: a packet of some bytes may hold as many as it likes."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()

    def __call__(self, data: bytes) -> bytes:
        """The plain bytes. Raises `paramiko.SSHException` for more than any packet may hold."""
        plain = self._stream.decompress(data, PACKET_LIMIT)
        if self._stream.unconsumed_tail:
            raise paramiko.SSHException("the server is not to be trusted, it sent a packet of an impossible size")
        return plain


class SessionAsked:
    """A session that the server was asked for: ``answered`` is set when it said yes or no, or the link ended.

    What `Transport.ask_tunnel` asks for is one as well.
    """

    __slots__ = ("answered", "channel")

    def __init__(self, channel: paramiko.Channel, answered: threading.Event) -> None:
        self.channel = channel
        self.answered = answered

    @property
    def opened(self) -> bool:
        """Whether the server said yes, and has not closed it since."""
        return bool(self.channel.active and not self.channel.closed)

    @property
    def refusal(self) -> tuple[int, str] | None:
        """The reason's number (RFC 4254, section 5.1) and the server's text, once it has said no."""
        return getattr(self.channel, "hostshell_refusal", None)


class Transport(paramiko.Transport):
    """One SSH connection over ``link``, run by a thread of its own."""

    _preferred_ciphers = CIPHERS
    _preferred_macs = DIGESTS
    _compression_info = {"zlib@openssh.com": (ZlibCompressor, Inflate), "none": (None, None)}  # noqa: RUF012  # paramiko's

    def __init__(self, link: Link) -> None:
        super().__init__(link, packetizer_class=Packets)  # type: ignore[arg-type]  # any socket-like object does
        self._link = link
        self.host_key_order: tuple[str, ...] = ()  # the algorithms of host keys to offer, in order; empty: all
        self.service_asked = False  # whether the service ``ssh-userauth`` was asked for
        self.on_end: Callable[[], None] | None = None  # called once, by its own thread, when that is about to end

    @property
    def packets(self) -> Packets:
        """What it reads and writes packets with."""
        packets = self.packetizer
        assert isinstance(packets, Packets)
        return packets

    @property
    def farewell(self) -> str:
        """``: TEXT`` where the server said why it ended the connection, else the empty string."""
        text = self.packets.farewell
        return f": {text}" if text else ""

    @property
    def bound_by(self) -> str:
        """What binds the login to a command of its own, in words, where the server said that something does; else "".

        OpenSSH tells a key's options after the login, in SSH_MSG_DEBUG (auth.c, auth_log_authopts); a ``ForceCommand``
        of its configuration it keeps to itself.
        """
        for remark in self.packets.remarks:
            place, found, options = remark.rpartition("key options:")
            if found and "command" in options.split():
                return "the certificate" if place.startswith("cert:") else "authorized_keys"
        return ""

    @property
    def is_openssh(self) -> bool:
        """Whether the server says that it is OpenSSH, which takes messages that did not wait for an answer."""
        return str(self.remote_version).startswith("SSH-2.0-OpenSSH_")

    def shake(self, patience: float) -> None:
        """The handshake, in ``patience`` seconds. Raises what ended it."""
        done = threading.Event()
        self.start_client(event=done)
        done.wait(patience)
        if not (done.is_set() and self.is_active()):
            raise self.get_exception() or paramiko.SSHException("Negotiation failed.")

    def gone(self) -> bool:
        """Whether the link has ended. paramiko tells its channels a moment before it says so itself."""
        for _ in range(10):
            if not self.is_active():
                return True
            time.sleep(0.02)
        return False

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is sent in this block travels in one segment. Raises OSError at its end where the link is gone."""
        self._link.cork()
        try:
            yield
        finally:
            self._link.uncork()

    def get_exception(self) -> Exception | None:
        """What its thread died of, as an error that paramiko documents: a server can make it die of anything."""
        error = super().get_exception()
        if error is None or isinstance(error, (paramiko.SSHException, OSError, EOFError)):
            return error
        return paramiko.SSHException("the server broke the SSH protocol")

    def ask_session(self, window: int = WINDOW) -> SessionAsked:
        """Ask for a session with a ``window`` (bytes) and do not wait. Where the link has ended, that is the answer."""
        return self._ask_channel("session", window, b"")

    def ask_tunnel(self, address: str, port: int) -> SessionAsked:
        """Ask for a connection from the server to an endpoint (RFC 4254, section 7.2), as `ask_session` does."""
        details = paramiko.Message()
        details.add_string(address)
        details.add_int(port)
        details.add_string("127.0.0.1")  # where it comes from: of no use to anybody, and not to be made known
        details.add_int(0)
        return self._ask_channel("direct-tcpip", WINDOW, details.asbytes())

    def _ask_channel(self, kind: str, window: int, details: bytes) -> SessionAsked:
        answered = threading.Event()
        with self.lock:
            number = self._next_channel()  # type: ignore[attr-defined]  # private
            channel = paramiko.Channel(number)
            channel.in_buffer = Received()
            self._channels.put(number, channel)  # type: ignore[attr-defined]  # private
            self.channel_events[number] = answered
            self.channels_seen[number] = True
            channel._set_transport(self)  # type: ignore[attr-defined]  # private
            channel._set_window(window, LARGEST)  # type: ignore[attr-defined]  # private
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string(kind)
        message.add_int(number)
        message.add_int(window)
        message.add_int(LARGEST)
        message.add_bytes(details)
        self._send_user_message(message)  # type: ignore[attr-defined]  # private
        if not self.is_active():  # its thread may have ended before it could see this event
            answered.set()
        return SessionAsked(channel, answered)

    def forget_session(self, asked: SessionAsked) -> None:
        """What was asked for before a login that failed is never answered with a session."""
        self.channel_events.pop(asked.channel.get_id(), None)
        self._channels.delete(asked.channel.get_id())  # type: ignore[attr-defined]  # private

    def calm_down(self) -> None:
        """The login is over: acknowledge as the kernel thinks best (see `Link`)."""
        self._link.hurry = False

    # --- paramiko's own ways ---

    def run(self) -> None:
        """Its thread: reads and obeys until the link ends."""
        try:
            super().run()
        finally:
            on_end, self.on_end = self.on_end, None
            if on_end is not None:
                on_end()

    def _parse_channel_open_failure(self, m: paramiko.Message) -> None:
        # paramiko keeps the last one only, whoever asked: many ask at a time
        channel = self._channels.get(m.get_int())  # type: ignore[attr-defined]  # private
        if channel is not None:
            channel.hostshell_refusal = (m.get_int(), m.get_binary()[:REASON_LIMIT].decode("utf-8", "replace"))
        m.rewind()
        super()._parse_channel_open_failure(m)  # type: ignore[misc]  # private

    def _parse_debug(self, m: paramiko.Message) -> None:
        """`Packets` has kept it; paramiko would only log it."""

    def _log(self, level: int, msg: object, *args: object) -> None:
        """Nobody reads it, and its texts are a tenth of the cost of a login."""

    def compress(self) -> None:
        """Ask for compression; before the handshake. Only of the kind that begins after the login."""
        self._preferred_compression = ("zlib@openssh.com", "none")

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """The algorithms of host keys that are offered; paramiko puts those of certificates last."""
        return self.host_key_order or tuple(super().preferred_keys)

    def _filter_algorithm(self, type_: str) -> Any:
        return getattr(self, f"_preferred_{type_}")  # we disable none after the start


def send_exec(channel: paramiko.Channel, command: bytes) -> None:
    """Ask the server to run ``command`` (RFC 4254, section 6.5) without waiting for its answer.

    paramiko's call waits for the answer, for ever. It arrives as ``channel.event_ready``, or the channel is closed.
    """
    message = _request(channel, "exec", True)
    message.add_string(command)
    channel.event_ready = False
    _send(channel, message)


def widen(channel: paramiko.Channel, window: int) -> None:
    """Let the server send ``window`` bytes ahead on a channel with `WINDOW`, on which nothing has come yet."""
    if window > WINDOW:
        channel._set_window(window, LARGEST)  # type: ignore[attr-defined]  # private
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
        message.add_int(channel.remote_chanid)
        message.add_int(window - WINDOW)
        _send(channel, message)


def send_environment(channel: paramiko.Channel, name: str, value: str) -> None:
    """Wish for a variable of the command's environment (RFC 4254, section 6.4). The server need not answer or obey."""
    message = _request(channel, "env", False)
    message.add_string(name)
    message.add_string(value.encode("utf-8", "surrogateescape"))
    _send(channel, message)


def send_shell(channel: paramiko.Channel) -> None:
    """Ask the server for the login shell (RFC 4254, section 6.5) without waiting for its answer, as `send_exec`."""
    message = _request(channel, "shell", True)
    channel.event_ready = False
    _send(channel, message)


def send_subsystem(channel: paramiko.Channel, name: str) -> None:
    """Ask the server for a subsystem (RFC 4254, section 6.5) without waiting for its answer, as `send_exec`."""
    message = _request(channel, "subsystem", True)
    message.add_string(name)
    channel.event.clear()
    channel.event_ready = False
    _send(channel, message)


def send_pty(channel: paramiko.Channel, term: str, rows: int, columns: int, modes: bytes) -> None:
    """Ask for a terminal (RFC 4254, section 6.2) without waiting for the answer, as `send_exec`.

    paramiko's call sends no ``modes``, so that erasing a character of several bytes goes wrong on the other side.
    """
    message = _request(channel, "pty-req", True)
    message.add_string(term)
    for size in (columns, rows, 0, 0):  # the last two are pixels, which nobody needs to know
        message.add_int(size)
    message.add_string(modes)
    channel.event_ready = False
    _send(channel, message)


def quiet_modes(*, raw: bool) -> bytes:
    """Modes for `send_pty`: nothing is echoed, newlines stay as they are. ``raw``: no byte means anything to it."""
    return b"".join(bytes([mode]) + (0).to_bytes(4, "big") for mode in (_RAW if raw else _QUIET)) + b"\0"


def send_signal(channel: paramiko.Channel, name: str) -> None:
    """Ask the server to send signal ``name`` (without "SIG") to the command (RFC 4254, section 6.9).

    paramiko has no call for it. OpenSSH honours it only where it runs unprivileged for the user, so not for root.
    """
    message = _request(channel, "signal", False)
    message.add_string(name)
    _send(channel, message)


def exit_code(channel: paramiko.Channel) -> int | None:
    """The exit status that has come, or None. paramiko's own call waits, and says -1 for "none"."""
    status = channel.exit_status
    return None if status is None or status < 0 else int(status)


def exit_signal(channel: paramiko.Channel) -> str | None:
    """The signal that ended the command, without "SIG", or None (RFC 4254, section 6.10)."""
    return getattr(channel, "hostshell_signal", None)


def _request(channel: paramiko.Channel, kind: str, answer: bool) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string(kind)
    message.add_boolean(answer)
    return message


def _send(channel: paramiko.Channel, message: paramiko.Message) -> None:
    channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]  # private


# --- the table by which paramiko hands messages to channels ---

_PLAIN: dict[int, Any] = paramiko.Transport._channel_handler_table  # type: ignore[attr-defined]  # private


def _on_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    # paramiko drops ``exit-signal``: a killed command would look like a lost link
    start = message.packet.tell()
    if message.get_binary() == b"exit-signal":
        message.get_boolean()
        name = message.get_binary().decode("ascii", "replace").removeprefix("SIG")
        channel.hostshell_signal = name[:32] or "?"  # type: ignore[attr-defined]  # ours; a server may leave it out
        channel.status_event.set()
        return
    message.packet.seek(start)
    _PLAIN[MSG_CHANNEL_REQUEST](channel, message)


def _on_window(channel: paramiko.Channel, message: paramiko.Message) -> None:
    _PLAIN[MSG_CHANNEL_WINDOW_ADJUST](channel, message)
    on_room = getattr(channel, "hostshell_on_room", None)
    if on_room is not None:
        on_room()


def _on_data(channel: paramiko.Channel, message: paramiko.Message) -> None:
    _PLAIN[MSG_CHANNEL_DATA](channel, message)
    _hold_to_window(channel, channel.in_buffer)


def _on_extended(channel: paramiko.Channel, message: paramiko.Message) -> None:
    _PLAIN[MSG_CHANNEL_EXTENDED_DATA](channel, message)
    _hold_to_window(channel, channel.in_stderr_buffer)


def _hold_to_window(channel: paramiko.Channel, buffer: BufferedPipe[Any]) -> None:
    # what waits unread was never given back to the window, so an honest server cannot have sent more than one window
    if len(buffer) > channel.in_window_size + PACKET_LIMIT:
        transport = channel.get_transport()
        assert isinstance(transport, Transport)
        raise transport.packets.broken("it sent more than it was allowed to")


Transport._channel_handler_table = {  # type: ignore[attr-defined]  # private
    **_PLAIN,
    MSG_CHANNEL_REQUEST: _on_request,
    MSG_CHANNEL_WINDOW_ADJUST: _on_window,
    MSG_CHANNEL_DATA: _on_data,
    MSG_CHANNEL_EXTENDED_DATA: _on_extended,
}
