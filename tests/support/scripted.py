"""An asyncssh server that does on purpose what OpenSSH cannot be configured to do.

Must not be used where `Sshd` will do. Its thread has an event loop of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import asyncssh

from tests.support.keys import Key, make_key
from tests.support.sshd import known_hosts_name


class Scripted:
    """A context manager round one server on a free port of 127.0.0.1, at which every user may log in.

    ``key`` logs in; with ``questions`` it takes keyboard-interactive, each round a list of (prompt, echo, wanted
    answer). ``tunnels_at_most`` on one connection. A command
    prints its own text.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key: Key | None = None,
        questions: Sequence[Sequence[tuple[str, bool, str]]] = (),
        instructions: str = "",
        tunnels_at_most: int | None = None,
    ) -> None:
        self.folder = folder
        self.address = "127.0.0.1"
        self.port = 0
        self.key = key
        self.questions = questions
        self.instructions = instructions
        self.tunnels_at_most = tunnels_at_most
        self.connections = 0
        self.most_tunnels = 0
        self.answers: list[list[str]] = []  # of keyboard-interactive, round by round
        self.environments: list[dict[str, str]] = []
        self.host_key: Key | None = None
        self._loop = asyncio.new_event_loop()
        self._server: asyncssh.SSHAcceptor | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted", daemon=True)

    def __enter__(self) -> Scripted:
        self.host_key = make_key(self.folder / "host_ed25519")
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.get_port()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def known_hosts_line(self) -> str:
        """As `Sshd.known_hosts_line`."""
        assert self.host_key is not None
        return f"{known_hosts_name(self.address, self.port)} {self.host_key.public}"

    async def _listen(self) -> asyncssh.SSHAcceptor:
        assert self.host_key is not None
        return await asyncssh.listen(
            self.address,
            0,
            server_host_keys=[str(self.host_key.path)],
            server_factory=lambda: _Visit(self),
            process_factory=self._serve,
        )

    async def _serve(self, process: asyncssh.SSHServerProcess[str]) -> None:
        self.environments.append(dict(process.env))
        process.stdout.write(f"{process.command}\n")
        process.exit(0)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class _Visit(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, server: Scripted) -> None:
        self._server = server
        self._tunnels = 0
        self._round = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections += 1
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        return True

    # --- keys ---

    def public_key_auth_supported(self) -> bool:
        return self._server.key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        assert self._server.key is not None
        return " ".join(key.export_public_key("openssh").decode().split()[:2]) == self._server.key.public

    # --- questions ---

    def kbdint_auth_supported(self) -> bool:
        return bool(self._server.questions)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> asyncssh.KbdIntChallenge:
        self._round = 0
        return self._ask()

    def validate_kbdint_response(self, username: str, responses: asyncssh.KbdIntResponse) -> asyncssh.KbdIntChallenge:
        self._server.answers.append(list(responses))
        wanted = [answer for _, _, answer in self._server.questions[self._round]]
        if list(responses) != wanted:
            return False
        self._round += 1
        return True if self._round == len(self._server.questions) else self._ask()

    def _ask(self) -> asyncssh.KbdIntChallenge:
        prompts = [(prompt, echo) for prompt, echo, _ in self._server.questions[self._round]]
        return "", self._server.instructions, "", prompts

    # --- tunnels ---

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        limit = self._server.tunnels_at_most
        if limit is not None and self._tunnels >= limit:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "too many")
        self._tunnels += 1
        self._server.most_tunnels = max(self._server.most_tunnels, self._tunnels)
        return True
