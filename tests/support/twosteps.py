"""A server that wants a key and then a code (RFC 4252, partial success), which no other one of ours can do.

paramiko's own server side; one command a connection, which prints its own text. Must not be used where `Sshd` will do.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType

import paramiko

from tests.support.keys import Key, make_key
from tests.support.sshd import known_hosts_name


class TwoSteps:
    """A context manager round one server on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, key: Key, code: str) -> None:
        self.address = "127.0.0.1"
        self.key = key
        self.code = code
        self._host_key = make_key(folder / "host_ecdsa", "ecdsa")
        self._listener = socket.create_server((self.address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> TwoSteps:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for transport in self._transports:
            transport.close()

    @property
    def known_hosts_line(self) -> str:
        """As `Sshd.known_hosts_line`."""
        return f"{known_hosts_name(self.address, self.port)} {self._host_key.public}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                transport = paramiko.Transport(link)
                transport.add_server_key(paramiko.ECDSAKey.from_private_key_file(str(self._host_key.path)))
                self._transports.append(transport)
                transport.start_server(event=threading.Event(), server=_Visit(self))


class _Visit(paramiko.ServerInterface):
    def __init__(self, server: TwoSteps) -> None:
        self._server = server
        self._first = False

    def get_allowed_auths(self, username: str) -> str:
        return "keyboard-interactive" if self._first else "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if f"{key.get_name()} {key.get_base64()}" != self._server.key.public:
            return paramiko.AUTH_FAILED
        self._first = True
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL

    def check_auth_interactive(self, username: str, submethods: str) -> int | paramiko.InteractiveQuery:
        if not self._first:
            return paramiko.AUTH_FAILED
        return paramiko.InteractiveQuery("", "", ("Verification code:", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:  # type: ignore[override]  # a list of texts
        return paramiko.AUTH_SUCCESSFUL if responses == [self._server.code] else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            channel.sendall(command + b"\n")
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.1, answer).start()  # after the request's own answer
        return True
