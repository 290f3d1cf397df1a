"""The demo fleet's own process: sets up seven hosts under one folder, serves them, and takes everything with it.

`python -m hostshell.demo.server ROOT`. Says one line on standard output (``ready``, or why not) and lives as long as
its standard input is open. Must not know the prompt, nor anything of hostshell outside this room.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncssh

from hostshell.demo import folder, roster
from hostshell.demo.commands import Commands
from hostshell.demo.files import HomeFiles
from hostshell.demo.roster import SEATS, Address, Seat
from hostshell.demo.sessions import Session

INVENTORY = "hosts.ini"
KNOWN_HOSTS = "known_hosts"
KEY = "id_ed25519"
KILL_PATIENCE = 3.0  # seconds for killed commands to be gone
_KEPT = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Who gets in: ``user`` with ``password``, or with the private half of ``key``."""

    user: str
    password: str | None = None
    key: asyncssh.SSHKey | None = None


class Door(asyncssh.SSHServer):
    """One connection to one host. All kinds of forwarding stay refused, as asyncssh does when nothing is said."""

    def __init__(self, fleet: Fleet, seat: Seat, login: Login) -> None:
        self._fleet = fleet
        self._seat = seat
        self._login = login
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._fleet.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncssh's signature
        if self._connection is not None:
            self._fleet.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 -- an unknown user is told no sooner than a known one
        return True

    def password_auth_supported(self) -> bool:
        return self._login.password is not None

    def validate_password(self, username: str, password: str) -> bool:
        right = self._login.password
        if right is None or username != self._login.user:
            return False
        return hmac.compare_digest(right.encode(), password.encode())

    def public_key_auth_supported(self) -> bool:
        return self._login.key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        right = self._login.key
        return right is not None and username == self._login.user and key.public_data == right.public_data

    def session_requested(self) -> Session:
        return self._fleet.session(self._seat)


class Fleet:
    """The hosts under ``root``, and what they have open."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._commands = Commands()
        self._acceptors: list[asyncssh.SSHAcceptor] = []
        self._reserved: list[socket.socket] = []
        self.connections: set[asyncssh.SSHServerConnection] = set()

    async def open(self) -> None:
        """Make homes, keys and passwords, write hosts.ini and known_hosts, and listen. Raises `OSError`."""
        passwords = roster.passwords()
        client_key = asyncssh.generate_private_key("ssh-ed25519", comment="hostshell demo")
        _write(self._path(KEY), client_key.export_private_key().decode(), 0o600)
        addresses: dict[str, Address] = {}
        keys: dict[str, str] = {}
        for number, seat in enumerate(SEATS, start=11):
            self._furnish(seat)
            listener = _bind(number)
            addresses[seat.name] = Address(*listener.getsockname())
            host_key = asyncssh.generate_private_key("ssh-ed25519")
            keys[seat.name] = " ".join(host_key.export_public_key().decode().split()[:2])
            if seat.off:
                # bound but never listening: connections are refused, and nobody else gets the port
                self._reserved.append(listener)
                continue
            login = Login(seat.user, key=client_key) if seat.by_key else Login(seat.user, passwords[seat.name])
            await self._listen(seat, login, listener, host_key)
        _write(self._path(KNOWN_HOSTS), roster.known_hosts(addresses, keys), 0o600)
        text = roster.inventory(addresses, passwords, self._path(KEY), self._path(KNOWN_HOSTS))
        _write(self._path(INVENTORY), text, 0o600)

    async def close(self) -> None:
        """Listen no more, end every connection, kill every command."""
        for acceptor in self._acceptors:
            acceptor.close()
        for listener in self._reserved:
            listener.close()
        for connection in list(self.connections):
            connection.abort()
        await self._commands.kill(KILL_PATIENCE)

    def session(self, seat: Seat) -> Session:
        """A new session on a host."""
        own, home = self._path(seat.name), self._path(seat.name, "home")

        def files(channel: object) -> HomeFiles:
            return HomeFiles(cast("asyncssh.SSHServerChannel[bytes]", channel), self._root, own, home)

        return Session(self._commands, home, self._environment(seat), files)

    async def _listen(self, seat: Seat, login: Login, listener: socket.socket, host_key: asyncssh.SSHKey) -> None:
        self._acceptors.append(
            await asyncssh.listen(
                sock=listener,
                server_factory=lambda: Door(self, seat, login),
                server_host_keys=[host_key],
                encoding=None,
                line_editor=False,
                allow_pty=True,
                agent_forwarding=False,
                x11_forwarding=False,
                gss_host=None,
                login_timeout=30,
            )
        )

    def _path(self, *names: str) -> str:
        return str(Path(self._root, *names))

    def _furnish(self, seat: Seat) -> None:
        for name, text in roster.samples(seat).items():
            _write(self._path(seat.name, "home", name), text, 0o644)
        for name, text in roster.programs(seat).items():
            _write(self._path(seat.name, "bin", name), text, 0o755)

    def _environment(self, seat: Seat) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "HOME": self._path(seat.name, "home"),
            "HOSTNAME": seat.name,
            "LOGNAME": seat.user,
            "PATH": os.pathsep.join((self._path(seat.name, "bin"), os.environ.get("PATH") or os.defpath)),
            "PS1": f"{seat.user}@{seat.name}:$ ",
            "SHELL": "/bin/sh",
            "USER": seat.user,
        }


def _bind(number: int) -> socket.socket:
    """A socket on a free port of 127.0.0.``number``, or of 127.0.0.1 where the system has only that (macOS)."""
    for ip in (f"127.0.0.{number}", "127.0.0.1"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.bind((ip, 0))
        except OSError:
            listener.close()
            if ip == "127.0.0.1":
                raise
        else:
            return listener
    raise AssertionError("unreachable")


def _write(path: str, text: str, mode: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


class _Lifeline(asyncio.Protocol):
    """Standard input: its end is the end of whoever wanted the fleet."""

    def __init__(self, end: asyncio.Event) -> None:
        self._end = end

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._end.set()


def _say(line: str) -> None:
    """The one line that the starter waits for. Standard output is closed after it."""
    with contextlib.suppress(OSError):
        os.write(1, f"{' '.join(line.split())}\n".encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


async def _serve(root: str) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end.set)
    await loop.connect_read_pipe(lambda: _Lifeline(end), sys.stdin.buffer)
    fleet = Fleet(root)
    try:
        await fleet.open()
        if not end.is_set():
            _say("ready")
        await end.wait()
    finally:
        await fleet.close()


def _plain_signals() -> None:
    """Commands inherit what is ignored or blocked here; a host's shell starts with neither."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def main(root: str) -> int:
    """Serve the fleet in ``root`` until standard input ends, then remove ``root``; the exit code."""
    _plain_signals()
    os.umask(0o022)
    try:
        held = folder.hold(root)
    except OSError as error:
        _say(f"its folder cannot be used: {error}")
        return 1
    try:
        asyncio.run(_serve(root))
    except Exception as error:
        _say(str(error) or type(error).__name__)
        return 1
    finally:
        folder.remove(root)
        os.close(held)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
