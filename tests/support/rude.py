"""Servers that let anybody in and then break the protocol in one way each: what a hostile host could try.

paramiko's server side stands under them. All bind 127.0.0.1, and end with their context.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST, MSG_DISCONNECT, MSG_EXT_INFO, MSG_USERAUTH_INFO_REQUEST

from tests.support.faulty import Faulty

BILLIONS = 0xFFFFFFFF
PASSWORD = "open sesame"
KEY = paramiko.ECDSAKey.generate()


class Rude(Faulty):
    """Lets everybody in with any password, runs nothing, and answers a command with exit code 0.

    A subclass overrides one of the ``at_…`` methods, which run in the server's own thread.
    """

    methods = "password"
    question: bytes | None = None  # asked without an end (keyboard-interactive)

    def __init__(self) -> None:
        super().__init__()
        self.passwords: list[str | bytes] = []  # bytes where they are no UTF-8
        self.answers: list[str] = []
        self.commands: list[bytes] = []  # those that arrived; an empty one for a login shell

    def known_hosts_line(self) -> str:
        """This server's host key, as known_hosts has it."""
        return f"[{self.address}]:{self.port} {KEY.get_name()} {KEY.get_base64()}"

    def play(self, link: socket.socket) -> None:
        transport = paramiko.Transport(link)
        transport.add_server_key(KEY)
        try:
            transport.start_server(event=threading.Event(), server=_Server(self, transport, link))
            while transport.is_alive() and not self.ended.wait(0.05):
                pass
        finally:
            transport.close()

    def at_login(self, transport: paramiko.Transport) -> bool:
        """Whether the login is good."""
        return True

    def at_open(self) -> bool:
        """Whether a session is opened."""
        return True

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        """Whether the command is accepted."""
        self.spawn(lambda: _end(channel))
        return True

    def at_subsystem(self) -> bool:
        """Whether SFTP is started."""
        return False

    def spawn(self, body: Callable[[], None]) -> None:
        """Do something later than the answer that is under way."""
        threading.Thread(target=_quietly(body), daemon=True).start()


class NeverOpens(Rude):
    """Lets us in, and never answers the request for a session."""

    def at_open(self) -> bool:
        return not self.ended.wait()


class NeverAnswers(Rude):
    """Opens a session, and never answers the request to run a command."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        return not self.ended.wait()


class NeverStartsSftp(Rude):
    """Opens sessions, and never answers the request for SFTP."""

    def at_subsystem(self) -> bool:
        return not self.ended.wait()


class CutsAtSecond(Rude):
    """Ends the link without a word when the second command arrives, which may run then or not."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        if len(self.commands) == 1:
            return super().at_exec(transport, channel, link)
        link.shutdown(socket.SHUT_RDWR)
        return True


class RefusesCommands(Rude):
    """Opens sessions and runs no command."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        return False


class EndsWithoutStatus(Rude):
    """Accepts a command and closes the session without saying how it ended."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        def close() -> None:
            self.ended.wait(0.1)  # the answer goes first
            channel.close()

        self.spawn(close)
        return True


class KilledByNothing(Rude):
    """Says that the command was killed by a signal, and does not name one."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        def end() -> None:
            self.ended.wait(0.1)  # the answer goes first
            message = paramiko.Message()
            message.add_byte(bytes([MSG_CHANNEL_REQUEST]))
            message.add_int(channel.remote_chanid)
            message.add_string("exit-signal")
            message.add_boolean(False)
            message.add_string("SIG")
            message.add_boolean(False)
            message.add_string("")
            message.add_string("")
            transport._send_user_message(message)
            channel.close()

        self.spawn(end)
        return True


class IgnoresWindow(Rude):
    """Sends output for ever, whatever it was allowed to send."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        def flood() -> None:
            # the client's own reading is honest: this much at once can only be more than the window
            block = b"more and more and more\n" * 1400
            while not self.ended.is_set() and transport.is_active():
                channel.out_window_size = BILLIONS
                channel.sendall(block)

        self.spawn(flood)
        return True


class HugePacket(Rude):
    """Announces a packet of two gigabytes after the login, and goes on sending it."""

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        def flood() -> None:
            link.sendall(struct.pack(">I", 2**31 - 16))  # AES-GCM leaves the length readable (RFC 5647, section 7.3)
            while not self.ended.is_set():
                link.sendall(bytes(65536))

        self.spawn(flood)
        return True


class SaysGoodbye(Rude):
    """Ends the link in the middle of a command, with a reason that wants to write to the terminal."""

    TEXT = "maintenance begins\x1b]0;owned\x07"

    def at_exec(self, transport: paramiko.Transport, channel: paramiko.Channel, link: socket.socket) -> bool:
        self.spawn(lambda: _disconnect(transport, self.TEXT))
        return True


class TurnsAway(Rude):
    """Ends the link during the login, as sshd does after MaxAuthTries."""

    def at_login(self, transport: paramiko.Transport) -> bool:
        _disconnect(transport, "Too many authentication failures")
        return False


class ManyExtensions(Rude):
    """Claims billions of extensions right before the login is accepted."""

    def at_login(self, transport: paramiko.Transport) -> bool:
        message = paramiko.Message()
        message.add_byte(bytes([MSG_EXT_INFO]))
        message.add_int(BILLIONS)
        transport._send_message(message)
        return True


class ManyQuestions(Rude):
    """Asks billions of questions in one keyboard-interactive request."""

    methods = "keyboard-interactive"

    def at_login(self, transport: paramiko.Transport) -> bool:
        message = paramiko.Message()
        message.add_byte(bytes([MSG_USERAUTH_INFO_REQUEST]))
        for text in ("", "", ""):
            message.add_string(text)
        message.add_int(BILLIONS)
        transport._send_message(message)
        return not self.ended.wait()


class AsksForEver(Rude):
    """Goes on asking, in an encoding of its own, whatever it is told."""

    methods = "keyboard-interactive"
    question = "Losung f\xfcr heute: ".encode("latin-1")


class _Server(paramiko.ServerInterface):
    def __init__(self, rude: Rude, transport: paramiko.Transport, link: socket.socket) -> None:
        self._rude = rude
        self._transport = transport
        self._link = link

    def get_allowed_auths(self, username: str) -> str:
        return self._rude.methods

    def check_auth_password(self, username: str, password: str | bytes) -> int:
        self._rude.passwords.append(password)
        good = "password" in self._rude.methods and self._rude.at_login(self._transport)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int | paramiko.InteractiveQuery:
        if self._rude.question is not None:
            return self._ask(self._rude.question)
        return paramiko.AUTH_SUCCESSFUL if self._rude.at_login(self._transport) else paramiko.AUTH_FAILED

    def check_auth_interactive_response(self, responses: list[str]) -> int | paramiko.InteractiveQuery:
        self._rude.answers += responses
        return paramiko.AUTH_FAILED if self._rude.question is None else self._ask(self._rude.question)

    @staticmethod
    def _ask(question: bytes) -> paramiko.InteractiveQuery:
        return paramiko.InteractiveQuery("", "", (question, True))

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if self._rude.at_open() else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        return self._rude.at_subsystem()

    def check_channel_pty_request(self, *_about: object) -> bool:
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return self.check_channel_exec_request(channel, b"")

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._rude.commands.append(command)
        return self._rude.at_exec(self._transport, channel, self._link)


def _end(channel: paramiko.Channel) -> None:
    channel.send_exit_status(0)
    channel.close()


def _disconnect(transport: paramiko.Transport, text: str) -> None:
    message = paramiko.Message()
    message.add_byte(bytes([MSG_DISCONNECT]))
    message.add_int(11)  # SSH_DISCONNECT_BY_APPLICATION
    message.add_string(text)
    message.add_string("")
    transport._send_message(message)


def _quietly(body: Callable[[], None]) -> Callable[[], None]:
    def guarded() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            body()  # the client may leave, which is what it should do

    return guarded
