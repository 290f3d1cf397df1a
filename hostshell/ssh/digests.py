"""SHA-256 of files on a host, by a tool that is there: many files in one call, in a session of its own.

Names travel over standard input, each ended by NUL, so that no shell ever reads one. Must not know what is copied.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import paramiko

from hostshell.ssh import sessions
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.remotefiles import Digests
from hostshell.ssh.transport import send_exec

WINDOW = 2 * 1024 * 1024  # bytes of the tool's answer that may wait here
POLL = 0.1  # seconds between two looks at whether to stop
PATIENCE = 3600.0  # seconds for an answer: the host may have terabytes to read
MOST = 200  # bytes of a line beyond the name's own
_HEX = 64  # digits of a SHA-256

# One word for every login shell: no single quote, exclamation mark or newline inside. Its first line names the tool.
_FIND = (
    "PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/sbin; LC_ALL=C; export PATH LC_ALL; "
    'for t in sha256sum "shasum -a 256" "sha256 -r" "openssl dgst -sha256 -r"; do '
    "if command -v ${t%% *} >/dev/null 2>&1; then "
)
_MANY = f"sh -c '{_FIND}echo $t; exec xargs -0 $t 2>/dev/null; fi; done; exit 127'"
# a line for each name, in order: what tools print of names with a newline in them differs, so they get no name
_ODD = (
    f'sh -c \'{_FIND}echo $t; exec xargs -0 -n 1 sh -c "$t <\\"\\$0\\" || echo none" 2>/dev/null; fi; done; exit 127\''
)
# the size is a number of ours, the name comes over standard input
_START = f"sh -c '{_FIND}echo $t; xargs -0 head -c SIZE 2>/dev/null | $t; exit 0; fi; done; exit 127'"


class OpensSessions(Protocol):
    """What is needed of a connection: our `Sessions`, and paramiko's transport."""

    def open_session(self, window_size: int, timeout: float) -> paramiko.Channel:
        """A session. Raises as they do."""
        ...


class Foreseen:
    """The host's tool, begun before it is known of which files it will be asked.

    A server takes input for a command only once it has started it, which is one round trip. ``channel`` is None where
    no command may run.
    """

    def __init__(self, connection: OpensSessions) -> None:
        self.channel = _begun(connection, _MANY)

    @property
    def waits(self) -> bool:
        """Whether it can still be asked, as far as is known here."""
        return self.channel is not None and not self.channel.closed and not self.channel.eof_received

    def close(self) -> None:
        """It is not wanted after all. Never fails."""
        if self.channel is not None:
            _ended(self.channel)


def of_files(
    connection: OpensSessions,
    paths: Sequence[bytes],
    heed: Callable[[], None],
    meanwhile: Callable[[], None],
    foreseen: Foreseen | None = None,
) -> Digests | None:
    """What the host's tool says of ``paths``; None where there is no tool, or no command may run.

    ``meanwhile`` is called once, while the host is at work; ``heed`` again and again, and what it raises ends the call.
    ``foreseen`` is used up.
    """
    asked = {_literal(path): path for path in paths if not _odd(path)}
    names = b"".join(name + b"\0" for name in asked)
    channel = _begun(connection, _MANY) if foreseen is None else foreseen.channel
    answer = _call(channel, names, heed, meanwhile, len(names) + MOST * (len(asked) + 1))
    if answer is None:
        return None
    tool, *lines = answer.split(b"\n")
    found: dict[bytes, bytes] = {}
    for line in lines:
        escaped = line.startswith(b"\\")  # GNU's way for a name with a backslash, which it doubles; others leave it
        line = line[1:] if escaped else line
        name = line[_HEX:].lstrip(b" *")
        digest = _digest(line)
        path = asked.get(name.replace(b"\\\\", b"\\") if escaped else name)
        if digest is not None and path is not None:
            found[path] = digest
    odd = [path for path in paths if _odd(path)]
    if odd:
        found |= _of_odd_names(connection, odd, heed)
    return Digests(_tool(tool), found)


def _of_odd_names(connection: OpensSessions, paths: Sequence[bytes], heed: Callable[[], None]) -> dict[bytes, bytes]:
    """As `of_files`, for names that no line can hold."""
    names = b"".join(_literal(path) + b"\0" for path in paths)
    answer = _call(_begun(connection, _ODD), names, heed, lambda: None, MOST * (len(paths) + 1))
    lines = [] if answer is None else answer.split(b"\n")[1:-1]
    if len(lines) != len(paths):
        return {}
    digests = {path: _digest(line) for path, line in zip(paths, lines, strict=True)}
    return {path: digest for path, digest in digests.items() if digest is not None}


def of_start(
    connection: OpensSessions,
    path: bytes,
    size: int,
    heed: Callable[[], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> bytes | None:
    """SHA-256 of the first ``size`` bytes of a file; None where it cannot be had. ``heed``, ``meanwhile`` as above."""
    channel = _begun(connection, _START.replace("SIZE", str(size)))
    answer = _call(channel, _literal(path) + b"\0", heed, meanwhile, 10 * MOST)
    return None if answer is None else _digest(answer.partition(b"\n")[2])


def _literal(path: bytes) -> bytes:
    """The path so that no tool takes it for an option."""
    return path if path.startswith(b"/") else b"./" + path


def _odd(path: bytes) -> bool:
    """Whether no line can name the file: with these in its name, tools write it in ways of their own."""
    return b"\n" in path or b"\r" in path


def _digest(line: bytes) -> bytes | None:
    if line[_HEX : _HEX + 1] != b" ":
        return None
    try:
        digest = bytes.fromhex(line[:_HEX].decode("ascii"))
    except ValueError:
        return None
    return digest if len(digest) == _HEX // 2 else None


def _tool(line: bytes) -> str:
    word = line.split(b" ")[0].decode("ascii", "replace")
    return word if word in ("sha256sum", "shasum", "sha256", "openssl") else "a tool of the host"


def _begun(connection: OpensSessions, command: str) -> paramiko.Channel | None:
    """A session in which ``command`` waits for its input; None where there is none."""
    try:
        channel = connection.open_session(window_size=WINDOW, timeout=60)
    except (sessions.Refused, LinkLost, paramiko.SSHException, OSError, EOFError):
        return None
    try:
        channel.settimeout(POLL)
        send_exec(channel, command.encode())  # paramiko's call waits for the answer, for ever; a refusal closes it
    except (paramiko.SSHException, OSError, EOFError):
        _ended(channel)
        return None
    return channel


def _ended(channel: paramiko.Channel) -> None:
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        channel.close()


def _call(
    channel: paramiko.Channel | None,
    names: bytes,
    heed: Callable[[], None],
    meanwhile: Callable[[], None],
    most: int,
) -> bytes | None:
    """The answer of what runs in ``channel``, at most ``most`` bytes; None where there is none."""
    worked = False

    def work() -> None:
        nonlocal worked
        if not worked:
            worked = True
            meanwhile()

    if channel is None:
        work()
        return None
    try:
        view = memoryview(names)
        while view:
            heed()
            with contextlib.suppress(TimeoutError):
                view = view[channel.send(bytes(view[:32768])) :]
        channel.shutdown_write()
        work()
        return _answer(channel, heed, most)
    except (paramiko.SSHException, OSError, EOFError):
        work()
        return None
    finally:
        _ended(channel)


def _answer(channel: paramiko.Channel, heed: Callable[[], None], most: int) -> bytes | None:
    answer = bytearray()
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        heed()
        if channel.recv_stderr_ready():
            channel.recv_stderr(WINDOW)  # what a login shell says
        try:
            data = channel.recv(WINDOW)
        except TimeoutError:
            if not channel.get_transport().is_alive():
                return None
            continue
        if not data:
            return bytes(answer) if b"\n" in answer else None
        answer += data
        if len(answer) > most:
            return None
    return None
