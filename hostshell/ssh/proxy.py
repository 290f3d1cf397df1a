"""A command of this machine whose streams are the connection (ProxyCommand). Ended with it, never left behind.

Must not know where the command comes from, or whether it may run: whoever set it has allowed it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading

from hostshell.core.events import Failure
from hostshell.ssh.failures import ConnectFailed

MOST_SAID = 4096  # bytes of its standard error of which the last line is kept
END_PATIENCE = 0.5  # seconds between TERM and KILL

# reads "+ GROUP" and "- GROUP", and ends what is left of them when its input ends
_WATCH = (
    "left=' '; while read -r sign group; do case $sign in +) left=\"$left$group \";; "
    '-) left="${left%% $group *} ${left#* $group }";; esac; done; for group in $left; do kill -KILL -$group; done'
)


class _Watcher:
    """A child of this process that outlives it, and ends its commands then: whoever is killed ends nothing himself.

    It starts with the first of them. Not for several threads at a time.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def tell(self, sign: str, group: int) -> None:
        """A process group is there (``+``), or gone (``-``). Never fails: it is a second line."""
        with contextlib.suppress(OSError):
            if self._child is None:
                self._child = subprocess.Popen(
                    ["/bin/sh", "-c", _WATCH],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            assert self._child.stdin is not None
            os.write(self._child.stdin.fileno(), f"{sign} {group}\n".encode())


_running: set[Proxy] = set()
_watcher = _Watcher()
_lock = threading.Lock()


class Proxy:
    """The running command, as a `Link` wants a socket."""

    def __init__(self, command: str, endpoint: tuple[str, int]) -> None:
        """Raises `ConnectFailed` where it cannot be started."""
        self._endpoint = endpoint
        self._said = b""
        self._ended = threading.Lock()
        self._sock, theirs = socket.socketpair()
        try:
            # ssh runs it through the user's shell as well; `exec` so that what is ended is the command itself
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is ours to handle, and all that it starts is ended with it
            )
        except OSError as error:
            self._sock.close()
            failure = Failure("refused", f"its ProxyCommand cannot run: {str(error.strerror).lower()}")
            raise ConnectFailed(failure) from None
        finally:
            theirs.close()
        with _lock:
            _running.add(self)
            _watcher.tell("+", self._child.pid)
        self._listener = threading.Thread(target=self._listen, name="proxy's words", daemon=True)
        self._listener.start()

    @property
    def last_words(self) -> str:
        """The last line of its standard error, once it has ended; the command's own text."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(END_PATIENCE)
            self._listener.join(END_PATIENCE)
        lines = self._said.decode("utf-8", "replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")

    @property
    def ended(self) -> bool:
        """Whether the command has ended by itself."""
        return self._child.poll() is not None

    def _listen(self) -> None:
        stream = self._child.stderr
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(stream.fileno(), MOST_SAID):
                self._said = (self._said + data)[-MOST_SAID:]

    # --- as a socket ---

    def setblocking(self, flag: bool, /) -> None:
        self._sock.setblocking(flag)

    def recv(self, size: int, /) -> bytes:
        return self._sock.recv(size)

    def sendall(self, data: bytes, /) -> None:
        self._sock.sendall(data)

    def setsockopt(self, level: int, name: int, value: int, /) -> None:
        """It is no TCP connection."""

    def shutdown(self, how: int, /) -> None:
        """Wake whoever reads; the command sees its input end."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Give everything back; the command and what it started are gone after it."""
        self._sock.close()
        with self._ended:
            with _lock:
                _running.discard(self)
            for end in (signal.SIGTERM, signal.SIGKILL):
                _signal(self._child, end)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(END_PATIENCE)
                    break
            _signal(self._child, signal.SIGKILL)  # what it left behind in its group
            with _lock:
                _watcher.tell("-", self._child.pid)
            self._listener.join(END_PATIENCE)
            if self._child.stderr is not None and not self._listener.is_alive():
                self._child.stderr.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def getpeername(self) -> object:
        return self._endpoint


def end_all() -> None:
    """End every command of this process, now: it is about to end itself."""
    with _lock:
        running = list(_running)
    for proxy in running:
        _signal(proxy._child, signal.SIGKILL)


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    # the group has its leader's number, and that is not given to another one while the group lives
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
