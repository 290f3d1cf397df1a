"""Real SSH servers of two kinds: one that says any bytes, and one that shakes hands properly and then says any message.

Stands on paramiko's server side and on `Faulty`. Must not know what is tested.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hostshell.core.model import Host, Secret
from tests.support.faulty import Faulty

PASSWORD = "a password of nobody"


def new_key() -> paramiko.Ed25519Key:
    """A key of a host that nobody knows."""
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return paramiko.Ed25519Key(file_obj=io.StringIO(made.decode("ascii")))


def _silent(_send: Callable[[bytes], None]) -> None:
    """Say nothing at a login."""


def _quiet(_send: Callable[[bytes], None], _number: int) -> bool:
    """Say nothing to a command."""
    return True


class Says(Faulty):
    """Sends ``payload`` as it is and ends its side."""

    payload = b""

    def play(self, link: socket.socket) -> None:
        link.sendall(self.payload)
        link.shutdown(socket.SHUT_WR)
        self.hold(link)


class Peer(Faulty):
    """A server that lets everybody in who asks with `PASSWORD`; ``at_login`` and ``at_command`` may say what they like.

    Both run in the server's own thread: they get a function that sends one message, and ``at_command`` the number of
    the channel as the client knows it. After ``at_command`` the channel is closed; when it says False, the link.
    """

    def __init__(self) -> None:
        super().__init__()
        self.key = new_key()
        self.at_login: Callable[[Callable[[bytes], None]], None] = _silent
        self.at_command: Callable[[Callable[[bytes], None], int], bool] = _quiet
        self.allowed = "password,publickey,keyboard-interactive"

    def play(self, link: socket.socket) -> None:
        transport = paramiko.Transport(link)
        transport.add_server_key(self.key)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(threading.Event(), _Answers(self, transport))
            transport.join()
        transport.close()


class _Answers(paramiko.ServerInterface):
    def __init__(self, peer: Peer, transport: paramiko.Transport) -> None:
        self._peer = peer
        self._transport = transport

    def _send(self, message: bytes) -> None:
        self._transport._send_message(paramiko.Message(message))

    def get_allowed_auths(self, username: str) -> str:
        return self._peer.allowed

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self._peer.at_login(self._send)
        return paramiko.AUTH_SUCCESSFUL if password == PASSWORD else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int:
        self._peer.at_login(self._send)
        return paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        stays = self._peer.at_command(self._send, channel.remote_chanid)
        if stays:
            self._send(b"\x61" + channel.remote_chanid.to_bytes(4, "big"))  # SSH_MSG_CHANNEL_CLOSE
        else:
            self._transport.packetizer.close()
            self._transport.sock.shutdown(socket.SHUT_RDWR)
        return True


def host(server: Faulty, *, password: str = PASSWORD) -> Host:
    """The server as a host whose key is taken as it comes, and kept nowhere."""
    return Host(
        "h1",
        server.address,
        server.port,
        user="somebody",
        password=Secret(password),
        known_hosts="/dev/null",
        host_keys="accept-new",
    )
