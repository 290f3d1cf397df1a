"""An asyncssh server for the accounts with passwords where the tests do not run as root.

OpenSSH can check a password only as root. Must not be used where `Sshd` will do: it shows what asyncssh does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from pathlib import Path
from types import TracebackType

import asyncssh
from asyncssh.connection import SSHConnection

from tests.support.accounts import Account
from tests.support.keys import Key, make_key
from tests.support.sshd import known_hosts_name


class StandIn:
    """A context manager round one server; the same shape as `Sshd` as far as clients are concerned.

    It runs in a thread with an event loop of its own. Commands run in a real /bin/sh as the present user, in the
    account's home; SFTP starts there and sees the same files.
    """

    def __init__(self, folder: Path, accounts: list[Account], *, address: str = "127.0.0.1") -> None:
        self.folder = folder
        self.address = address
        self.port = 0
        self.log = folder / "stand-in.log"
        self.accounts = {account.name: account for account in accounts}
        self.host_keys: dict[str, Key] = {}
        self._authorized: dict[str, list[str]] = {}
        self._loop = asyncio.new_event_loop()
        self._server: asyncssh.SSHAcceptor | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> StandIn:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def known_hosts_line(self) -> str:
        """As `Sshd.known_hosts_line`."""
        return self.known_as(self.address, self.port)

    def known_as(self, address: str, port: int) -> str:
        """As `Sshd.known_as`."""
        return "\n".join(f"{known_hosts_name(address, port)} {key.public}" for key in self.host_keys.values())

    def authorize(self, account: Account, public_key: str) -> None:
        """Let ``account`` in with ``public_key`` (``TYPE BASE64``) too."""
        self._authorized.setdefault(account.name, []).append(public_key)

    def start(self) -> None:
        """Start, and return when it listens."""
        self.host_keys["ed25519"] = make_key(self.folder / "host_ed25519")
        self.log.touch()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.get_port()

    def stop(self) -> None:
        """End the server and its connections. May be called twice."""
        if self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = None

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.address,
            0,
            server_host_keys=[str(key.path) for key in self.host_keys.values()],
            server_factory=lambda: _Login(self),
            process_factory=self._serve,
            sftp_factory=self._sftp,
            encoding=None,
        )

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _account(self, connection: SSHConnection) -> Account:
        return self.accounts[connection.get_extra_info("username")]

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        home = self._account(process.channel.get_connection()).home
        command = ["/bin/sh", "-c", process.command] if process.command else ["/bin/sh"]
        shell = subprocess.Popen(
            command,
            cwd=home,
            env={"HOME": str(home), "PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            await process.redirect(shell.stdin, shell.stdout, shell.stderr)
            code = await asyncio.to_thread(shell.wait)
            await process.stdout.drain()
            if code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)
            await process.wait_closed()  # it awaits what redirect() has prepared, else asyncio complains
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()

    def _sftp(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        home = self._account(channel.get_connection()).home
        return _FromHome(channel, home)


class _Login(asyncssh.SSHServer):
    """Checks names, passwords and keys against the accounts of the stand-in."""

    def __init__(self, server: StandIn) -> None:
        self._server = server

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        account = self._server.accounts.get(username)
        good = account is not None and account.password == password
        if not good:
            with self._server.log.open("a") as log:
                log.write(f"Failed password for {username}\n")  # in sshd's words
        return good

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        public = " ".join(key.export_public_key("openssh").decode().split()[:2])
        return public in self._server._authorized.get(username, ())


class _FromHome(asyncssh.SFTPServer):
    """Relative paths start at the home of the account; absolute ones mean what they say, as with OpenSSH."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], home: Path) -> None:
        super().__init__(channel)
        self._home = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)

    def realpath(self, path: bytes) -> bytes:
        return os.path.realpath(self.map_path(path))
