"""Starting and ending the demo fleet: seven hosts in one process of its own, which ends with this one.

Must not know SSH (and loads no asyncssh): the prompt and the tests need only paths.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import hostshell
from hostshell.core.errors import EngineError
from hostshell.demo import folder

START_PATIENCE = 60.0  # seconds for keys, homes and listeners; a second is usual
STOP_PATIENCE = 15.0  # seconds for the server to take everything with it
LOG = "server.log"


class DemoFleet:
    """The demo fleet, from `start` (or ``with``) to `stop`. The paths are "" while it does not run.

    ``inventory`` is a hosts.ini (0600), ``known_hosts`` has the hosts' keys, ``root`` is the folder (0700) that holds
    everything.
    """

    def __init__(self) -> None:
        self.inventory = ""
        self.known_hosts = ""
        self.root = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DemoFleet:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the hosts; when this returns, they answer. Raises `EngineError`.

        Folders that fleets of this user left behind (their server was killed) are removed first.
        """
        if self._process is not None:
            raise EngineError("the demo fleet runs already")
        folder.sweep()
        try:
            root, held = folder.make()
        except OSError as error:
            raise EngineError(
                f"the demo fleet has no place for its files: {error}", "set TMPDIR to a folder of yours"
            ) from None
        self.root = root
        try:
            self._process = _launch(root)
            answer = _answer(self._process)
            if answer != "ready":
                raise EngineError(f"the demo fleet did not start: {answer or _last_words(root)}", _hint())
        except OSError as error:
            self.stop()
            raise EngineError(f"the demo fleet did not start: {error}", _hint()) from None
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(held)  # the server holds the folder by now
        self.inventory = str(Path(root, "hosts.ini"))
        self.known_hosts = str(Path(root, "known_hosts"))

    def stop(self) -> None:
        """End the hosts and every command on them, and remove ``root``. Safe to call again."""
        process, root = self._process, self.root
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()  # the server's life ends with it
            process.stdout.close()
            try:
                process.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()
        if root and os.path.lexists(root):
            folder.remove(root)
        self._process = None
        self.inventory = self.known_hosts = self.root = ""


def _launch(root: str) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise OSError("this Python does not know its own path (sys.executable is empty)")
    # -P, and "/" for Pythons that do not know it yet: no module comes from the folder that the person happens to be in
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    log = os.open(Path(root, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, *safe_path, "-m", "hostshell.demo.server", root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # Ctrl-C at the prompt is not for the hosts
        )
    finally:
        os.close(log)


def _environment() -> dict[str, str]:
    """Ours, and the way to this very package where it is not installed (a checkout)."""
    environment = dict(os.environ)
    package = Path(hostshell.__file__).resolve().parent.parent
    if package.name not in ("site-packages", "dist-packages"):
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(package), *([known] if known else [])])
    return environment


def _answer(process: subprocess.Popen[bytes]) -> str:
    """The server's one line; "" when it ended without. Raises `EngineError` when none comes."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_PATIENCE
    line = b""
    waiting = select.poll()
    waiting.register(process.stdout, select.POLLIN)
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            raise EngineError(f"the demo fleet did not start within {START_PATIENCE:.0f} s", _hint())
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            break
        line += piece
    return line.decode("utf-8", "replace").strip()


def _last_words(root: str) -> str:
    """The last line that the server wrote before it fell."""
    with contextlib.suppress(OSError):
        lines = Path(root, LOG).read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return lines[-1][:300]
    return "its server ended at once"


def _hint() -> str:
    return "it needs asyncssh, free ports on 127.0.0.1 and a temporary folder with room (TMPDIR)"
