"""The packets that a server sends: none without a bound, and what paramiko would drop of them kept for a person.

paramiko takes a packet of any size and believes every count in it. OpenSSH sends none over 256 KiB (packet.c,
PACKET_MAX_SIZE). Must not know hosts or failures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.buffered_pipe import BufferedPipe
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_EXT_INFO,
    MSG_KEXINIT,
    MSG_USERAUTH_INFO_REQUEST,
)
from paramiko.packet import Packetizer

PACKET_LIMIT = 512 * 1024  # bytes of one packet
PROMPT_LIMIT = 16  # questions in one keyboard-interactive request
EXTENSION_LIMIT = 64  # entries of an EXT_INFO message (RFC 8308); OpenSSH sends four
REMARK_LIMIT = 16  # messages of SSH_MSG_DEBUG that are kept; sshd sends a few at a login
TEXT_LIMIT = 200  # characters of a server's text that are kept
_LAST_LOOKED_AT = MSG_USERAUTH_INFO_REQUEST


class Packets(Packetizer):
    """What paramiko reads packets with (its documented ``packetizer_class``).

    ``offer``: the server's latest KEXINIT, without its first byte. ``farewell``: why the link ended, the text of its
    SSH_MSG_DISCONNECT or the rule that it broke. ``remarks``: the texts of its SSH_MSG_DEBUG. All of it may be text of
    a server: to be cleaned before it is shown.
    """

    def __init__(self, link: object) -> None:
        super().__init__(link)  # type: ignore[arg-type]  # a socket-like object is documented to do
        self.offer = b""
        self.farewell = ""
        self.remarks: list[str] = []
        self._looks: dict[int, Callable[[paramiko.Message], None]] = {
            MSG_DISCONNECT: self._look_at_disconnect,
            MSG_DEBUG: self._look_at_debug,
            MSG_EXT_INFO: self._look_at_extensions,
            MSG_KEXINIT: self._look_at_offer,
            MSG_USERAUTH_INFO_REQUEST: self._look_at_questions,
        }

    def close(self) -> None:
        """As paramiko's; and the timer of a handshake that failed, a thread, does not outlive it."""
        self.complete_handshake()
        super().close()

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """``n`` bytes. Raises `paramiko.SSHException` where no honest packet is that large."""
        if not 0 <= n <= PACKET_LIMIT:
            raise self.broken("it sent a packet of an impossible size")
        return super().read_all(n, check_rekey)

    def read_message(self) -> tuple[int, paramiko.Message]:
        """The next packet's type and content. Raises `paramiko.SSHException` where a count in it has no sense."""
        kind, message = super().read_message()
        if kind <= _LAST_LOOKED_AT:
            look = self._looks.get(kind)
            if look is not None:
                look(message)
                message.rewind()
        return kind, message

    def broken(self, rule: str) -> paramiko.SSHException:
        """The exception that ends the link because the server broke a rule: "it …"."""
        self.farewell = f"the server is not to be trusted, {rule}"
        return paramiko.SSHException(self.farewell)

    def _look_at_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()  # the reason's number (RFC 4253, section 11.1) says less than the text
        self.farewell = _text(message)

    def _look_at_debug(self, message: paramiko.Message) -> None:
        message.get_boolean()
        if len(self.remarks) < REMARK_LIMIT:
            self.remarks.append(_text(message))

    def _look_at_extensions(self, message: paramiko.Message) -> None:
        if message.get_int() > EXTENSION_LIMIT:
            raise self.broken("it sent more extensions than any server has")

    def _look_at_offer(self, message: paramiko.Message) -> None:
        self.offer = message.asbytes()

    def _look_at_questions(self, message: paramiko.Message) -> None:
        for _ in range(3):  # name, instruction, language (RFC 4256, section 3.2)
            message.get_binary()
        if message.get_int() > PROMPT_LIMIT:
            raise self.broken("it asks more questions than any server does")


class Transport(paramiko.Transport):
    """paramiko's transport, whose thread may die of anything that a server sends: a KeyError, a UnicodeDecodeError."""

    def get_exception(self) -> Exception | None:
        """What the thread died of, as one of the errors that paramiko documents."""
        error = super().get_exception()
        if error is None or isinstance(error, (paramiko.SSHException, OSError, EOFError)):
            return error
        return paramiko.SSHException("the server broke the SSH protocol")


def _text(message: paramiko.Message) -> str:
    return message.get_binary()[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT].strip()


def farewell(transport: paramiko.Transport) -> str:
    """``: TEXT`` where the server said why it ended the connection, else the empty string."""
    text = packets_of(transport).farewell
    return f": {text}" if text else ""


def has_own_command(transport: paramiko.Transport) -> bool:
    """Whether the server said that the key which logged us in is bound to a command of its own.

    OpenSSH tells a key's options after the login, in SSH_MSG_DEBUG (auth.c, auth_log_authopts); a ``ForceCommand``
    of its configuration it keeps to itself.
    """
    for remark in packets_of(transport).remarks:
        _, found, options = remark.rpartition("key options:")
        if found and "command" in options.split():
            return True
    return False


def packets_of(transport: paramiko.Transport) -> Packets:
    """What ``transport`` reads packets with."""
    packets = transport.packetizer
    assert isinstance(packets, Packets)
    return packets


# --- paramiko's private names; tests/ssh/test_private_names.py holds each ---


def listen(transport: paramiko.Transport) -> None:
    """Make the transport keep ``exit-signal`` messages, and hold the server to the windows that it was given.

    paramiko drops the former (a killed command would look like a lost link) and takes whatever comes for the latter.
    """
    plain = transport._channel_handler_table  # type: ignore[attr-defined]
    request, data, extended = (
        plain[kind] for kind in (MSG_CHANNEL_REQUEST, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA)
    )

    def on_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
        start = message.packet.tell()
        if message.get_binary() == b"exit-signal":
            message.get_boolean()
            name = message.get_binary().decode("ascii", "replace").removeprefix("SIG")
            channel.hostshell_signal = name[:32]  # type: ignore[attr-defined]
            channel.status_event.set()
            return
        message.packet.seek(start)
        request(channel, message)

    def on_data(channel: paramiko.Channel, message: paramiko.Message) -> None:
        data(channel, message)
        _hold_to_window(channel, channel.in_buffer)

    def on_extended(channel: paramiko.Channel, message: paramiko.Message) -> None:
        extended(channel, message)
        _hold_to_window(channel, channel.in_stderr_buffer)

    transport._channel_handler_table = {  # type: ignore[attr-defined]
        **plain,
        MSG_CHANNEL_REQUEST: on_request,
        MSG_CHANNEL_DATA: on_data,
        MSG_CHANNEL_EXTENDED_DATA: on_extended,
    }


def _hold_to_window(channel: paramiko.Channel, buffer: BufferedPipe[Any]) -> None:
    # what waits unread was never given back to the window, so an honest server cannot have sent more than one window
    if len(buffer) > channel.in_window_size + PACKET_LIMIT:
        raise packets_of(channel.get_transport()).broken("it sent more than it was allowed to")
