"""What a worker can log in with: key files and their certificates, agents, the user's default keys.

Must not know connections. Nothing here ever shows a secret.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko

from hostshell.core.events import Failure
from hostshell.core.keyformat import CERTIFICATE, DEFAULT_KEYS, KeyFile, describe, public_of, strings, type_of
from hostshell.core.model import Host, Secret
from hostshell.core.records import dataclass
from hostshell.ssh import privatekey
from hostshell.ssh.agent import AgentKey, Agents
from hostshell.ssh.failures import ConnectFailed

LARGEST_FILE = 256 * 1024  # bytes of a key or certificate file


@dataclass(frozen=True, slots=True)
class Identity:
    """A key to offer, and what to call it in a sentence."""

    key: paramiko.PKey
    name: str


class Keyring:
    """The keys of one worker, loaded when first asked for. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[str, int, Secret | None], paramiko.PKey] = {}
        self._looked_at: dict[str, tuple[int, KeyFile | None]] = {}
        self.agents = Agents()

    def own(self, host: Host) -> Iterator[Identity]:
        """The inventory's own key with its certificates, then alone. Raises `ConnectFailed` for a bad one."""
        if host.key is None:
            return
        name = f"the key {host.key}"
        key: paramiko.PKey | None = None
        if host.passphrase is None and self._needs_agent(host.key):
            key = self._held_by_agent(host, host.key)
        if key is None:
            key = self.from_file(host.key, host.passphrase)
        yield from self._with_certificates(key, name, host.key, host)

    def others(self, host: Host, problems: list[str]) -> Iterator[Identity]:
        """The keys that are offered after the inventory's own credentials, each once.

        Those that ssh_config names, the rest of the agent's, and the default ones where none are named; with
        ``identities_only`` of the agent's only those that are named. What could not be used is told to ``problems``.
        """
        named = host.identity_files if host.identity_files is not None else ()
        given: set[bytes] = {own.key.asbytes() for own in self._seen_as_own(host)}
        for path in named:
            yield from _once(self._of_file(host, path, problems), given)
        defaults = [] if host.identity_files is not None else DEFAULT_KEYS
        if not host.identities_only:
            for key in self._agent_keys(host, problems):
                yield from _once([Identity(key, "the agent's key")], given)
        for path in defaults:
            yield from _once(self._of_file(host, path, problems), given)

    def from_file(self, path: str, passphrase: Secret | None) -> paramiko.PKey:
        """The key in ``path``. Raises `ConnectFailed` (kind auth) with the reason in words."""
        full = os.path.expanduser(path)
        try:
            stamp = os.stat(full).st_mtime_ns
            with self._lock:
                place = (full, stamp, passphrase)
                key = self._files.get(place)
                if key is None:
                    secret = passphrase.reveal().encode("utf-8", "surrogateescape") if passphrase else None
                    with Path(full).open("rb") as file:
                        # it takes the key derivation's time (bcrypt) under our lock on purpose: once, not once a host
                        key = privatekey.load(file.read(LARGEST_FILE), secret)
                    self._files[place] = key
        except FileNotFoundError:
            raise _no_key(path, "no such file", "check `key` in the inventory") from None
        except OSError as error:
            raise _no_key(path, str(error.strerror).lower(), "check the file's permissions") from None
        except privatekey.Unreadable as error:
            raise _no_key(path, error.why, error.hint) from None
        return key

    # --- parts ---

    def _of_file(self, host: Host, path: str, problems: list[str]) -> Iterator[Identity]:
        """The key in a file, in the agent's hands where it has it, with its certificates."""
        shown = path if path.startswith("~") else f"the key {path}"
        key: paramiko.PKey | None = self._held_by_agent(host, path) if self._needs_agent(path) else None
        if key is None:
            look = self._look(path)
            if look is None or not look.private:  # ssh passes over it as well, and says so of one that is named
                if host.identity_files is not None:
                    problems.append(f"cannot use the key {path}: {why_unusable(path, look)}")
                return
            try:
                key = self.from_file(path, dict(host.passphrases).get(path))
            except ConnectFailed as error:
                problems.append(error.failure.message)
                return
        yield from self._with_certificates(key, shown, path, host)

    def _with_certificates(self, key: paramiko.PKey, name: str, path: str, host: Host) -> Iterator[Identity]:
        for file in (*host.certificate_files, f"{path}-cert.pub"):
            certificate = _certificate(file)
            if certificate is None:
                continue
            try:
                certified = _certified(key, certificate)
            except (ValueError, paramiko.SSHException):
                continue  # another key's
            yield Identity(certified, f"{name} with its certificate")
        yield Identity(key, name)

    def _seen_as_own(self, host: Host) -> list[Identity]:
        try:
            return list(self.own(host))
        except ConnectFailed:
            return []

    def _needs_agent(self, path: str) -> bool:
        """Whether a file does not give its private key by itself."""
        look = self._look(path)
        return look is None or look.encrypted or not look.private

    def _held_by_agent(self, host: Host, path: str) -> AgentKey | None:
        look = self._look(path)
        public = look.public if look is not None else None
        if public is None:
            public = public_of(read_file(f"{path}.pub") or b"")
        if public is None:
            return None
        return next((key for key in self._agent_keys(host, []) if key.blob == public), None)

    def _agent_keys(self, host: Host, problems: list[str]) -> list[AgentKey]:
        path = host.identity_agent
        if path is None or path == "SSH_AUTH_SOCK":
            path = os.environ.get("SSH_AUTH_SOCK", "")
        if path in ("", "none"):
            return []
        agent, keys = self.agents.keys(os.path.expanduser(path))
        if agent.problem:
            problems.append(agent.problem)
        return keys

    def _look(self, path: str) -> KeyFile | None:
        full = os.path.expanduser(path)
        try:
            stamp = os.stat(full).st_mtime_ns
        except OSError:
            return None
        known = self._looked_at.get(full)
        if known is None or known[0] != stamp:
            known = self._looked_at[full] = (stamp, describe(read_file(full) or b""))
        return known[1]


def _once(identities: Iterator[Identity] | list[Identity], given: set[bytes]) -> Iterator[Identity]:
    """Those that were not given before. A certificate is another thing than its key."""
    for identity in identities:
        blob = identity.key.public_blob.key_blob if identity.key.public_blob else identity.key.asbytes()
        if blob not in given:
            given.add(blob)
            yield identity


def _certified(key: paramiko.PKey, certificate: bytes) -> paramiko.PKey:
    """``key`` as it logs in with ``certificate``. Raises ValueError where that is of another key."""
    if isinstance(key, AgentKey):
        if not _belongs(certificate, key.blob):
            raise ValueError("another key's")
        return key.certified(certificate)
    if not _belongs(certificate, key.asbytes()):
        raise ValueError("another key's")
    certified = copy.copy(key)
    certified.load_certificate(paramiko.Message(certificate))
    return certified


def _belongs(certificate: bytes, public: bytes) -> bool:
    """Whether a certificate is of this key: after its type and nonce stand the key's own fields (PROTOCOL.certkeys)."""
    kind = type_of(public)
    if type_of(certificate) != kind + CERTIFICATE:
        return False
    fields = public[4 + len(kind) :]
    rest = strings(certificate, 2)[2]
    return rest.startswith(fields)


def _certificate(path: str) -> bytes | None:
    blob = public_of(read_file(path) or b"")
    return blob if blob is not None and type_of(blob).endswith(CERTIFICATE) else None


def why_unusable(path: str, look: KeyFile | None) -> str:
    """Why a file that no agent stands in for gives no private key; ``look`` is what stands in it."""
    if look is not None:
        return "it is a public key alone, and no agent has its private half"
    try:
        Path(os.path.expanduser(path)).open("rb").close()
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    return "it holds no usable private key"


def read_file(path: str) -> bytes | None:
    """The beginning of a key or certificate file; None where it cannot be read."""
    try:
        with Path(os.path.expanduser(path)).open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError:
        return None


def _no_key(path: str, why: str, hint: str) -> ConnectFailed:
    return ConnectFailed(Failure("auth", f"cannot use the key {path}: {why}", hint))
