"""The ssh-agent's keys, over one connection for a whole worker: hundreds of hosts with one each exhaust it.

Must not know hosts. An agent that hangs or dies costs its own keys alone: what it had is then as if it were not there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import paramiko

from hostshell.core.keyformat import AGENT_LIST, agent_keys, strings, type_of
from hostshell.ssh.failures import TurnStopped

LIST_PATIENCE = 3.0  # seconds for the agent to list its keys
SIGN_PATIENCE = 30.0  # seconds for it to sign: it may ask its person first (ssh-add -c), or for a touch
MOST_BYTES = 256 * 1024  # of one answer, as in OpenSSH (MAX_AGENT_REPLY_LEN)

SLICE = 0.05  # seconds between two looks at whether whoever waits is to stop

_SIGN, _SIGNED = 13, 14
_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}


class AgentFailed(paramiko.SSHException):
    """The agent did not do it; the text says why, in words."""


_asking = threading.local()


@contextlib.contextmanager
def asked_by(stopped: Callable[[], bool]) -> Iterator[None]:
    """What this thread asks of an agent in this block ends with `TurnStopped` once ``stopped``.

    By the thread, because paramiko stands between a login and its key. An agent may wait for a finger or a yes.
    """
    before = getattr(_asking, "stopped", _never)
    _asking.stopped = stopped
    try:
        yield
    finally:
        _asking.stopped = before


def _never() -> bool:
    return False


def _look() -> None:
    if getattr(_asking, "stopped", _never)():
        raise TurnStopped


@contextlib.contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    """``lock``, which another thread may hold for as long as an agent takes."""
    while not lock.acquire(timeout=SLICE):
        _look()
    try:
        yield
    finally:
        lock.release()


class Agent:
    """The agent at ``path``. Safe from any thread; one request at a time, for answers carry no number."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problem = ""  # in words, once it did not answer
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None

    def keys(self) -> list[AgentKey]:
        """Its keys and certificates, in its order; none where it cannot be had (`problem` says why)."""
        try:
            listed = agent_keys(self._ask(AGENT_LIST[4:], LIST_PATIENCE))
            return [AgentKey(self, blob, comment) for blob, comment in listed]
        except (AgentFailed, ValueError) as error:
            self.problem = self.problem or str(error)
            return []

    def sign(self, blob: bytes, data: bytes, flags: int) -> bytes:
        """A signature by the key of this public half or certificate. Raises `AgentFailed`."""
        message = paramiko.Message()
        message.add_byte(bytes([_SIGN]))
        message.add_string(blob)
        message.add_string(data)
        message.add_int(flags)
        answer = self._ask(message.asbytes(), SIGN_PATIENCE)
        if not answer or answer[0] != _SIGNED:
            raise AgentFailed("the agent refused to sign")
        try:
            return strings(answer[1:], 1)[0]
        except ValueError:
            raise AgentFailed("the agent's answer makes no sense") from None

    def close(self) -> None:
        """Let it go."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _ask(self, request: bytes, patience: float) -> bytes:
        with _held(self._lock):
            if self.problem:
                raise AgentFailed(self.problem)
            deadline = time.monotonic() + patience
            try:
                if self._sock is None:
                    self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    self._sock.settimeout(LIST_PATIENCE)
                    self._sock.connect(self.path)
                self._sock.settimeout(patience)
                self._sock.sendall(len(request).to_bytes(4, "big") + request)
                self._sock.settimeout(SLICE)
                size = int.from_bytes(self._read(4, deadline), "big")
                if size > MOST_BYTES:
                    raise AgentFailed("the agent's answer makes no sense")
                return self._read(size, deadline)
            except TurnStopped:
                self.close()  # its answer would be to this question; whoever asks next begins anew
                raise
            except (OSError, EOFError, AgentFailed) as error:
                # its next answer would be to the question before: it is done with
                self.problem = _why(error)
                self.close()
                raise AgentFailed(self.problem) from None

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._sock is not None
        data = b""
        while len(data) < size:
            try:
                piece = self._sock.recv(size - len(data))
            except TimeoutError:
                _look()
                if time.monotonic() >= deadline:
                    raise
                continue
            if not piece:
                raise EOFError
            data += piece
        return data


class AgentKey(paramiko.PKey):
    """A key or certificate of an agent, as paramiko wants a key to log in with.

    paramiko's own gives the wrong bytes for a certificate. ``touched``: it may want a finger at each signature.
    """

    def __init__(self, agent: Agent, blob: bytes, comment: str, certificate: bytes | None = None) -> None:
        self.public_blob = None  # what paramiko would prefer to `asbytes`
        self._agent = agent
        self._blob = blob
        self._certificate = certificate
        self.comment = comment
        self._type = type_of(certificate or blob)
        self.touched = self._type.startswith("sk-")

    @property
    def agent(self) -> Agent:
        """Where it lives."""
        return self._agent

    @property
    def blob(self) -> bytes:
        """The public half or certificate as the agent lists it."""
        return self._blob

    def certified(self, certificate: bytes) -> AgentKey:
        """The same key, offered with a certificate that the agent does not have."""
        return AgentKey(self._agent, self._blob, self.comment, certificate)

    def get_name(self) -> str:
        return self._type

    def asbytes(self) -> bytes:
        return self._certificate or self._blob

    def __repr__(self) -> str:
        return f"AgentKey({self._type})"

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:  # type: ignore[override]  # bytes do: it is added as a string
        """As paramiko's keys do. Raises `AgentFailed`."""
        plain = (algorithm or "").removesuffix("-cert-v01@openssh.com")
        return self._agent.sign(self._blob, data, _FLAGS.get(plain, 0))


class Agents:
    """The agents of one worker, each by its socket's path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Agent, list[AgentKey]]] = {}

    def keys(self, path: str) -> tuple[Agent, list[AgentKey]]:
        """The agent at ``path`` and its keys, asked for once until `refresh`."""
        with _held(self._lock):  # whoever comes meanwhile waits for the same list
            known = self._known.get(path)
            if known is None:
                agent = Agent(path)
                known = self._known[path] = (agent, agent.keys())
            return known

    def refresh(self) -> None:
        """Ask again next time: keys come and go."""
        with self._lock:
            known, self._known = self._known, {}
        for agent, _ in known.values():
            with contextlib.suppress(OSError):
                agent.close()


def _why(error: BaseException) -> str:
    if isinstance(error, AgentFailed):
        return str(error)
    if isinstance(error, TimeoutError):
        return "the agent did not answer in time"
    if isinstance(error, EOFError):
        return "the agent hung up"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return f"the agent cannot be reached: {reason.lower()}"
