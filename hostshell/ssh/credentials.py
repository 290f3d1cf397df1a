"""What a worker can log in with: key files, the agent, the user's default keys. Loaded once a worker, not once a host.

Must not know connections. Nothing here ever shows a secret.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey

from hostshell.core.events import Failure
from hostshell.core.model import Secret
from hostshell.ssh.failures import ConnectFailed

AGENT_PATIENCE = 3.0  # seconds for the agent to list its keys
SIGN_PATIENCE = 30.0  # seconds for it to sign: it may ask its person first (ssh-add -c)
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")  # ssh's own order, less what needs hardware or is retired


class _OneAgent(paramiko.Agent):
    """One connection to the agent for a whole worker: hundreds of hosts with one each exhaust it.

    paramiko's request and answer are two steps without a lock, so concurrent signatures would swap answers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        super().__init__()

    def _connect(self, conn: socket.socket) -> None:
        # paramiko sets no limit, and an agent that never answers would hold every host of this worker
        conn.settimeout(AGENT_PATIENCE)
        super()._connect(conn)  # type: ignore[misc]  # private: absent from the type stubs
        conn.settimeout(SIGN_PATIENCE)

    def _send_message(self, msg: paramiko.Message) -> tuple[int, paramiko.Message]:
        with self._lock:
            answer: tuple[int, paramiko.Message] = super()._send_message(msg)  # type: ignore[misc]  # private: absent from the type stubs
            return answer


@dataclass(frozen=True, slots=True)
class Identity:
    """A key to offer, and what to call it in a sentence."""

    key: paramiko.PKey
    name: str


class Keyring:
    """The keys of one worker, loaded when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[str, int, Secret | None], paramiko.PKey] = {}
        self._own: list[Identity] | None = None

    def from_file(self, path: str, passphrase: Secret | None) -> Identity:
        """The key in ``path``. Raises `ConnectFailed` (kind auth) with the reason in words."""
        full = str(Path(path).expanduser())
        try:
            stamp = os.stat(full).st_mtime_ns
            with self._lock:
                place = (full, stamp, passphrase)
                key = self._files.get(place)
                if key is None:
                    # paramiko takes the key derivation's time (bcrypt) under our lock on purpose: once, not once a host
                    key = paramiko.PKey.from_path(full, passphrase.reveal().encode() if passphrase else None)  # type: ignore[arg-type]  # bytes, whatever the stubs say
                    self._files[place] = key
        except FileNotFoundError:
            raise _no_key(path, "no such file", "check `key` in the inventory") from None
        except OSError as error:
            raise _no_key(path, str(error.strerror).lower(), "check the file's permissions") from None
        except paramiko.PasswordRequiredException:
            raise _no_key(path, "it is encrypted", "add `passphrase_from = ask`") from None
        except (paramiko.SSHException, ValueError, TypeError, paramiko.pkey.UnknownKeyType) as error:
            if passphrase is not None:
                raise _no_key(path, "the passphrase does not open it", "check `passphrase_from`") from None
            if "password" in str(error).lower() or "encrypted" in str(error).lower():
                raise _no_key(path, "it is encrypted", "add `passphrase_from = ask`") from None
            raise _no_key(path, "it holds no usable private key", "Ed25519, ECDSA and RSA keys work") from None
        return Identity(key, path)

    def own(self) -> list[Identity]:
        """The agent's keys, then ``~/.ssh/id_*`` that need no passphrase; each key once."""
        with self._lock:
            if self._own is None:
                self._own = self._gather()
            return self._own

    def _gather(self) -> list[Identity]:
        found: list[Identity] = []
        seen: set[bytes] = set()
        if os.environ.get("SSH_AUTH_SOCK"):
            try:
                keys: tuple[AgentKey, ...] = _OneAgent().get_keys()
            except (paramiko.SSHException, OSError):
                keys = ()  # an agent that does not answer is as none
            for key in keys:
                seen.add(key.asbytes())
                found.append(Identity(key, "the agent's key"))
        for name in DEFAULT_KEYS:
            path = Path("~/.ssh").expanduser() / name
            try:
                private = paramiko.PKey.from_path(str(path))
            except (OSError, paramiko.SSHException, ValueError, TypeError, paramiko.pkey.UnknownKeyType):
                continue  # missing, encrypted or not ours to read: ssh passes over it as well
            if private.asbytes() not in seen:
                found.append(Identity(private, f"~/.ssh/{name}"))
        return found


def _no_key(path: str, why: str, hint: str) -> ConnectFailed:
    return ConnectFailed(Failure("auth", f"cannot use the key {path}: {why}", hint))
