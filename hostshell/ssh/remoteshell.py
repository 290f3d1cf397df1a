"""Small scripts carried out on a host by a POSIX shell, with output and status; and streams to and from programs.

What crosses the login shell is the same for every host and holds no name: a loop that reads scripts from its standard
input, each up to a line that nobody can guess. So any bytes may stand in a name. Must not know files.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import paramiko

from hostshell.core.explain import HEAD, why_it_failed
from hostshell.ssh import sessions
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.remotefiles import SftpGone, SftpStopped
from hostshell.ssh.transport import send_exec

WINDOW = 4 * 1024 * 1024  # bytes that the host may send ahead
POLL = 0.1  # seconds between two looks at whether to stop, while nothing comes
PATIENCE = 300.0  # seconds for an answer or for room to send: slow disks are slow, but not for ever
FIRST_PATIENCE = 30.0  # seconds for the first one: what is no shell never answers
HURRY = 0.5  # seconds to remove what is unfinished, once we are told to stop
MOST_OUTPUT = 64 * 1024 * 1024  # bytes of a script's output: the names in one directory, and what is said of them
PIECE = 64 * 1024

# A single word of any login shell: within these quotes is no quote, no "!" and no newline. `read` takes a byte at a
# time, so that what follows a script is left for the programs that it starts.
_LOOP = (
    "sh -c 'LC_ALL=C; PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; export LC_ALL PATH; unset CDPATH ENV; "
    'n=$(printf "\\nx"); n=${n%x}; IFS= read -r end || exit; s=; while IFS= read -r l; do '
    'if [ "x$l" = "x$end" ]; then eval "$s"; s=; else s=$s$l$n; fi; done\''
)


class OpensSessions(Protocol):
    """What is needed of a connection: our `Sessions`, and paramiko's transport."""

    def open_session(self, window_size: int, timeout: float) -> paramiko.Channel:
        """A session. Raises as they do."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a script printed (both streams) and its exit status."""

    status: int
    output: bytes


class Watch:
    """Whether to go on waiting. One for all channels of a copy.

    The first look that sees that ``stopped`` is true raises `SftpStopped`; what is waited for afterwards is cleaning
    up, and has a moment.
    """

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped
        self._until: float | None = None

    def look(self) -> None:
        """Raises `SftpStopped` once, and later `SftpGone` when that moment is over."""
        if self._until is not None:
            if time.monotonic() > self._until:
                raise SftpGone("the host did not answer in time")
        elif self.stopped():
            self._until = time.monotonic() + HURRY
            raise SftpStopped


class Stream:
    """A session in which our loop runs: bytes in, bytes out. Every wait can be stopped, and ends."""

    def __init__(self, connection: OpensSessions, watch: Watch) -> None:
        """Raises `LinkLost` (not started) where the connection was dead, `SftpGone` where no command may run."""
        self._watch = watch
        self.remarks = b""  # the beginning of what came beside the output: the login shell's, or why none runs
        self._end = f"end {secrets.token_hex(16)}".encode()
        self.patience = PATIENCE
        try:
            self._channel = connection.open_session(window_size=WINDOW, timeout=60)
        except (sessions.Refused, paramiko.ChannelException) as error:
            raise SftpGone(f"the server opens no session: {error.args[-1]}") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkLost(f"the link ended: {error}", started=False) from None
        try:
            self._channel.settimeout(POLL)
            send_exec(self._channel, _LOOP.encode())  # paramiko waits for its answer, for ever
            self.send(self._end + b"\n")
        except (paramiko.SSHException, OSError, EOFError):
            self.close()
            raise SftpGone("the server refused to run a command") from None
        except BaseException:
            self.close()
            raise

    def script(self, text: bytes) -> None:
        """Have the shell carry out ``text``."""
        self.send(text + b"\n" + self._end + b"\n")

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        view = memoryview(data)
        since = time.monotonic()
        while view:
            self._watch.look()
            try:
                sent = self._channel.send(bytes(view[:PIECE]))
            except TimeoutError:
                self._alive(since, "the host took no data")
                continue
            except (paramiko.SSHException, OSError, EOFError):
                sent = 0
            if sent <= 0:
                raise self._ended()
            view = view[sent:]
            since = time.monotonic()

    def end_input(self) -> None:
        """Nothing more is sent."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.shutdown_write()

    def receive(self) -> bytes:
        """Some more of its output; empty at the end."""
        since = time.monotonic()
        while True:
            self._watch.look()
            self._heed_remarks()
            try:
                data = self._channel.recv(WINDOW)
                if not data:
                    self._heed_remarks()  # they may have come with the end
                return data
            except TimeoutError:
                self._alive(since, "the host has not answered")
            except (paramiko.SSHException, OSError, EOFError):
                return b""

    def _heed_remarks(self) -> None:
        if self._channel.recv_stderr_ready():
            self.remarks = (self.remarks + self._channel.recv_stderr(PIECE))[:HEAD]  # scripts send theirs to the output

    def exit_status(self) -> int:
        """The exit status, after the end of the output. Raises `SftpGone` where the link ended before it came."""
        until = time.monotonic() + PATIENCE
        while not self._channel.exit_status_ready() and time.monotonic() < until:
            self._watch.look()
            if not self._channel.get_transport().is_active():
                raise self._ended()
            self._channel.status_event.wait(POLL)
        if self._channel.exit_status < 0 and not self._channel.get_transport().is_active():
            raise self._ended()
        return int(self._channel.exit_status)

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()

    def _alive(self, since: float, what: str) -> None:
        if not self._channel.get_transport().is_alive():
            raise self._ended()
        if time.monotonic() - since > self.patience:
            raise SftpGone(f"{what} for {self.patience:.0f} s")

    def _ended(self) -> SftpGone:
        return SftpGone("the link ended during the copy")


class RemoteShell:
    """One shell that carries out script after script. ``open`` gives a `Stream` beside it."""

    def __init__(self, connection: OpensSessions, stopped: Callable[[], bool]) -> None:
        """Raises as `Stream` does, and `SftpGone` where no POSIX shell answers."""
        self._connection = connection
        self._watch = Watch(stopped)
        self._mark = secrets.token_hex(16).encode()
        self._count = 0
        self._in = bytearray()
        self._stream = Stream(connection, self._watch)
        self._stream.patience = FIRST_PATIENCE
        try:
            self.run(b":")
        except BaseException:
            self.close()
            raise
        self._stream.patience = PATIENCE

    def run(self, script: bytes) -> Said:
        """Carry out ``script`` in a subshell."""
        self._count += 1
        mark = b"\0%s %d " % (self._mark, self._count)
        begin = b"printf '\\000%s %d begins\\000'\n" % (self._mark, self._count)
        over = b"\nprintf '\\000%s %d %%s\\000' $?" % (self._mark, self._count)
        self._stream.script(begin + b"( " + script + b"\n) 2>&1 </dev/null" + over)
        self._until(mark + b"begins\0")
        output = self._until(mark)
        status = self._until(b"\0")
        try:
            return Said(int(status), output)
        except ValueError:
            raise SftpGone("the host's shell broke off") from None

    def open(self, script: bytes) -> Stream:
        """A session of its own in which ``script`` runs; what is sent after it is its standard input.

        The output begins with what `mark` gives once the script has begun: what comes before is the login shell's.
        """
        try:
            stream = Stream(self._connection, self._watch)
        except LinkLost as error:  # not as at the beginning: a copy is under way, and is not begun a second time
            raise SftpGone(str(error)) from None
        try:
            stream.script(b"printf '\\000%s\\000'\n" % self._mark + script)
        except BaseException:
            stream.close()
            raise
        return stream

    @property
    def mark(self) -> bytes:
        """See `open`."""
        return b"\0" + self._mark + b"\0"

    @property
    def stopping(self) -> bool:
        """Whether we have been told to stop."""
        return self._watch.stopped()

    def heed(self) -> None:
        """Raise `SftpStopped` where we have been told to stop."""
        self._watch.look()

    def close(self) -> None:
        """End it."""
        self._stream.close()

    def _until(self, end: bytes) -> bytes:
        """What comes before ``end``, which is taken away with it."""
        searched = 0
        while True:
            at = self._in.find(end, searched)
            if at >= 0:
                found = bytes(self._in[:at])
                del self._in[: at + len(end)]
                return found
            searched = max(0, len(self._in) - len(end))
            if len(self._in) > MOST_OUTPUT:
                raise SftpGone(f"the host's shell printed more than {MOST_OUTPUT >> 20} MiB")
            data = self._stream.receive()
            if not data:
                raise SftpGone(
                    "the host's shell ended", why_it_failed(1, bytes(self._in[:HEAD]) + self._stream.remarks)
                )
            self._in += data
