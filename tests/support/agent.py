"""ssh-agents for tests: OpenSSH's own, and a scripted one that does what that cannot be made to do.

Must not know servers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.keys import Key


@contextlib.contextmanager
def ssh_agent(*keys: Key) -> Iterator[str]:
    """A real ssh-agent with ``keys`` (and the certificates beside them); its socket."""
    with tempfile.TemporaryDirectory(prefix="hs-agent-") as folder:
        path = str(Path(folder, "socket"))
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while not Path(path).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            for key in keys:
                environment = {**os.environ, "SSH_AUTH_SOCK": path, "SSH_ASKPASS_REQUIRE": "never"}
                subprocess.run(["ssh-add", "-q", str(key.path)], env=environment, check=True, stdin=subprocess.DEVNULL)
            yield path
        finally:
            agent.kill()
            agent.wait()


Reply = Callable[[bytes], "bytes | None"]


class ScriptedAgent:
    """Answers each request with ``reply(request)``, both without their length; None hangs up. `requests` keeps them."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._folder = tempfile.TemporaryDirectory(prefix="hs-agent-")
        self.path = str(Path(self._folder.name, "socket"))
        self.requests: list[bytes] = []
        self.connections = 0
        self._ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._links: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> ScriptedAgent:
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for each in (self._listener, *self._links):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)
        self._folder.cleanup()

    def _spawn(self, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._links.append(link)
            self._spawn(lambda link=link: self._serve(link))  # type: ignore[misc]  # bound now

    def _serve(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while head := link.recv(4, socket.MSG_WAITALL):
                request = link.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
                self.requests.append(request)
                answer = self._reply(request)
                if answer is None:
                    break
                link.sendall(len(answer).to_bytes(4, "big") + answer)
            link.close()


def string(data: bytes) -> bytes:
    """An SSH string (RFC 4251, section 5)."""
    return len(data).to_bytes(4, "big") + data


def listing(*blobs: bytes) -> bytes:
    """An agent's answer that lists these keys."""
    return b"\x0c" + len(blobs).to_bytes(4, "big") + b"".join(string(blob) + string(b"a comment") for blob in blobs)


def relay_to(path: str) -> Reply:
    """What the agent at ``path`` answers, over one connection."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)

    def reply(request: bytes) -> bytes:
        link.sendall(string(request))
        size = int.from_bytes(link.recv(4, socket.MSG_WAITALL), "big")
        return link.recv(size, socket.MSG_WAITALL)

    return reply


def never(_: bytes) -> bytes:
    """An answer that nobody waits for."""
    time.sleep(60)
    return b""


class SecurityKey:
    """An Ed25519 key as a security key holds it (OpenSSH's PROTOCOL.u2f), and an agent's answers for it.

    `touches` counts signatures: a real one wants a finger at each.
    """

    TYPE = b"sk-ssh-ed25519@openssh.com"
    APPLICATION = b"ssh:"

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.blob = string(self.TYPE) + string(public) + string(self.APPLICATION)
        self.touches = 0

    @property
    def public(self) -> str:
        """``TYPE BASE64``, as in authorized_keys."""
        return f"{self.TYPE.decode()} {base64.b64encode(self.blob).decode()}"

    def reply(self, request: bytes) -> bytes | None:
        """What an agent with this key answers."""
        if request[0] == 11:
            return listing(self.blob)
        size = int.from_bytes(request[1:5], "big")
        rest = request[5 + size :]
        data = rest[4 : 4 + int.from_bytes(rest[:4], "big")]
        self.touches += 1
        touched_and_counted = b"\x01" + self.touches.to_bytes(4, "big")
        message = hashlib.sha256(self.APPLICATION).digest() + touched_and_counted + hashlib.sha256(data).digest()
        signature = string(self.TYPE) + string(self._private.sign(message)) + touched_and_counted
        return b"\x0e" + string(signature)
