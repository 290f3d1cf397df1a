"""The packets that a server sends: none without a bound, and what paramiko would drop of them kept for a person.

paramiko takes a packet of any size and believes every count in it. OpenSSH sends none over 256 KiB (packet.c,
PACKET_MAX_SIZE). Must not know hosts or failures.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import paramiko
from paramiko.common import (
    MSG_DEBUG,
    MSG_DISCONNECT,
    MSG_EXT_INFO,
    MSG_KEXINIT,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_INFO_REQUEST,
)
from paramiko.packet import Packetizer

from hostshell.ssh.link import Link

PACKET_LIMIT = 512 * 1024  # bytes of one packet
PROMPT_LIMIT = 16  # questions in one keyboard-interactive request
EXTENSION_LIMIT = 64  # entries of an EXT_INFO message (RFC 8308); OpenSSH sends four
METHOD_LIMIT = 16  # ways to log in that are kept; OpenSSH has six
REMARK_LIMIT = 16  # messages of SSH_MSG_DEBUG that are kept; sshd sends a few at a login
TEXT_LIMIT = 200  # characters of a server's text that are kept
_LAST_LOOKED_AT = MSG_USERAUTH_INFO_REQUEST


class Packets(Packetizer):
    """What paramiko reads and writes packets with (its documented ``packetizer_class``), over a `Link`.

    ``offer``: the server's latest KEXINIT, without its first byte. ``farewell``: why the link ended, the text of its
    SSH_MSG_DISCONNECT or the rule that it broke. ``remarks``: the texts of its SSH_MSG_DEBUG. ``methods``: the ways to
    log in that it named with its latest refusal. All of it may be text of a server: to be cleaned before it is shown.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(link)  # type: ignore[arg-type]  # a socket-like object is documented to do
        self._link = link
        self.offer = b""
        self.farewell = ""
        self.remarks: list[str] = []
        self.methods: tuple[str, ...] = ()
        self.greeted: float | None = None  # on `time.monotonic`: when the last line before the key exchange came

    # --- bytes: the link waits and keeps the deadline, so that paramiko's own time-outs and timers are not needed ---

    def readline(self, timeout: float) -> str:  # noqa: ARG002 - the names are paramiko's
        """A line before the handshake. Raises `EOFError`."""
        line = self._link.read_line()
        self.greeted = time.monotonic()
        return line.removesuffix(b"\r").decode("utf-8", "replace")

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: ARG002  # as above
        """``n`` bytes. Raises `paramiko.SSHException` where no honest packet is that large, and `EOFError`."""
        if not 0 <= n <= PACKET_LIMIT:
            raise self.broken("it sent a packet of an impossible size")
        return self._link.read_exactly(n)

    def write_all(self, out: bytes) -> None:  # type: ignore[override]  # bytes is what it gets
        """Send ``out``. Raises `EOFError` where the link has ended."""
        try:
            self._link.send(out)
        except OSError:
            raise EOFError from None

    def start_handshake(self, timeout: float) -> None:
        """Starts no timer: it would be a thread for each connection."""

    def handshake_timed_out(self) -> bool:
        """Never: the link ends at its deadline."""
        return False

    def complete_handshake(self) -> None:
        """No timer to stop."""

    # --- messages ---

    def read_message(self) -> tuple[int, paramiko.Message]:
        """The next packet's type and content. Raises `paramiko.SSHException` where a count in it has no sense."""
        kind, message = super().read_message()
        if kind <= _LAST_LOOKED_AT:
            self.look(kind, message)
        return kind, message

    def look(self, kind: int, message: paramiko.Message) -> None:
        """Bound and keep what a message of this ``kind`` says. Raises as `read_message`."""
        look = _LOOKS.get(kind)
        if look is not None:
            look(self, message)
            message.rewind()

    def broken(self, rule: str) -> paramiko.SSHException:
        """The exception that ends the link because the server broke a rule: "it …"."""
        self.farewell = f"the server is not to be trusted, {rule}"
        return paramiko.SSHException(self.farewell)


# --- what is looked at ---


def _disconnect(packets: Packets, message: paramiko.Message) -> None:
    message.get_int()  # the reason's number (RFC 4253, section 11.1) says less than the text
    packets.farewell = _text(message)


def _debug(packets: Packets, message: paramiko.Message) -> None:
    message.get_boolean()
    if len(packets.remarks) < REMARK_LIMIT:
        packets.remarks.append(_text(message))


def _extensions(packets: Packets, message: paramiko.Message) -> None:
    if message.get_int() > EXTENSION_LIMIT:
        raise packets.broken("it sent more extensions than any server has")


def _refusal(packets: Packets, message: paramiko.Message) -> None:
    packets.methods = tuple(message.get_list())[:METHOD_LIMIT]


def _offer(packets: Packets, message: paramiko.Message) -> None:
    packets.offer = message.asbytes()


def _questions(packets: Packets, message: paramiko.Message) -> None:
    for _ in range(3):  # name, instruction, language (RFC 4256, section 3.2)
        message.get_binary()
    if message.get_int() > PROMPT_LIMIT:
        raise packets.broken("it asks more questions than any server does")


def _text(message: paramiko.Message) -> str:
    return message.get_binary()[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT].strip()


_LOOKS: dict[int, Callable[[Packets, paramiko.Message], None]] = {
    MSG_DISCONNECT: _disconnect,
    MSG_DEBUG: _debug,
    MSG_EXT_INFO: _extensions,
    MSG_KEXINIT: _offer,
    MSG_USERAUTH_FAILURE: _refusal,
    MSG_USERAUTH_INFO_REQUEST: _questions,
}
