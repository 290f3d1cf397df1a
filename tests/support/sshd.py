"""A real OpenSSH server on a loopback port, with keys, configuration, log and end of its own.

Must not know hostshell: what it shows is what OpenSSH does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support import processes
from tests.support.accounts import Account, public_folder
from tests.support.keys import Key, make_key

PATIENCE = 20.0  # seconds for sshd to start listening; far more than it takes
SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")

DEFAULTS: dict[str, str] = {
    "UsePAM": "no",  # PAM would need a service file, and would bring the machine's own rules in
    "StrictModes": "no",  # the folders of tests lie below /tmp, which all may write
    "PasswordAuthentication": "yes",
    "PubkeyAuthentication": "yes",
    "KbdInteractiveAuthentication": "no",
    "PermitRootLogin": "yes",
    "Subsystem": "sftp internal-sftp",
    "PrintMotd": "no",
    "PrintLastLog": "no",
    "UseDNS": "no",
    "MaxStartups": "1000",
    "LogLevel": "VERBOSE",
}

Options = Mapping[str, "str | Sequence[str] | None"]


def find_sshd() -> str | None:
    """The path of sshd (it has to be absolute, because sshd starts itself again), or None."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin"]
    found = shutil.which("sshd", path=os.pathsep.join(places))
    return str(Path(found).absolute()) if found else None


def sshd_path() -> str:
    """As `find_sshd`, but its absence is an error that says what to install."""
    found = find_sshd()
    if found is None:
        raise RuntimeError(
            "no sshd: these tests run against a real OpenSSH server; `sh tests/support/get-sshd` gets one"
        )
    return found


def loopback_address(number: int) -> str:
    """127.0.0.``number`` where this machine has it (Linux), else 127.0.0.1."""
    with socket.socket() as probe:
        try:
            probe.bind((f"127.0.0.{number}", 0))
        except OSError:
            return "127.0.0.1"
    return f"127.0.0.{number}"


def free_port(address: str) -> int:
    """A port of ``address`` on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def known_hosts_name(address: str, port: int) -> str:
    """How ``address`` and ``port`` stand in a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""
    return address if port == 22 else f"[{address}]:{port}"


@functools.cache
def _supports(line: str) -> bool:
    """Whether this sshd knows a configuration line: older ones refuse to start over a newer keyword."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "probe")
        config.write_text(f"{line}\n")
        said = subprocess.run([sshd_path(), "-t", "-f", str(config)], capture_output=True, text=True).stderr
    return "Bad configuration option" not in said


class Sshd:
    """A context manager round one sshd. ``folder`` gets its files; ``options`` replace or add configuration lines.

    A list as a value gives a line for each item, None takes a default away, and ``Match`` goes to the end
    (``"User x\\n ForceCommand y"``). ``host_keys`` is by kind (``ed25519``, ``ecdsa``, ``rsa``). Nobody can log in
    by key before `authorize`. The port stays the same over `restart`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: Options | None = None,
        host_key_types: Sequence[str] = ("ed25519",),
        address: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.address = address
        self.port = 0
        self.log = folder / "sshd.log"
        self.options: dict[str, str | Sequence[str] | None] = dict(options or {})
        self.host_key_types = tuple(host_key_types)
        self.host_keys: dict[str, Key] = {}
        self._mark = f"HOSTSHELL_TEST_SSHD={secrets.token_hex(8)}"
        self._listener: subprocess.Popen[bytes] | None = None
        self._authorized: Path | None = None

    def __enter__(self) -> Sshd:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the listener."""
        assert self._listener is not None, "this sshd does not run"
        return self._listener.pid

    @property
    def known_hosts_line(self) -> str:
        """This server's lines for a known_hosts file, one for each host key, without a last newline."""
        return self.known_as(self.address, self.port)

    def known_as(self, address: str, port: int) -> str:
        """The same for a server that is reached at another place, such as a relay."""
        name = known_hosts_name(address, port)
        return "\n".join(f"{name} {key.public}" for key in self.host_keys.values())

    def start(self) -> None:
        """Start, and return when it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)  # sshd's privilege separation wants it
        self.folder.mkdir(parents=True, exist_ok=True)
        for kind in self.host_key_types:
            if kind not in self.host_keys:
                self.host_keys[kind] = make_key(self.folder / f"host_{kind}", kind)
        if self._authorized is None:
            self._authorized = public_folder("keys")  # sshd reads it with the rights of the user who logs in
        try:
            while not self._listens(self.port or free_port(self.address)):
                if self.port:
                    raise RuntimeError(f"port {self.port} of {self.address} has been taken by another program")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """As `kill`, and the authorized keys go too. May be called twice."""
        self.kill()
        if self._authorized is not None:
            shutil.rmtree(self._authorized, ignore_errors=True)
            self._authorized = None

    def kill(self) -> None:
        """End the listener, every session and what they left behind, as a power cut would. `start` works again."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(listener.pid, signal.SIGSTOP)  # so that it accepts nobody while we look for its children
        for pid in self._sessions(listener.pid):  # and so that nobody is told how a command ended
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        processes.end_all(lambda: self._sessions(listener.pid))
        listener.kill()
        listener.wait()

    def kill_sessions(self) -> None:
        """End every session and what they left behind; the listener stays."""
        processes.end_all(lambda: self._sessions(self.pid))

    def restart(self, *, new_host_key: bool = False) -> None:
        """End everything and start on the same port, with new host keys if asked to."""
        self.kill()
        if new_host_key:
            self.host_keys.clear()
        self.start()

    def sessions(self) -> set[int]:
        """The process ids of all that serves or was started by a connection."""
        return self._sessions(self.pid)

    def authorize(self, account: Account, public_key: str, options: str = "") -> None:
        """Let ``account`` in with ``public_key`` (``TYPE BASE64``). ``options`` as in AUTHORIZED_KEYS of sshd(8)."""
        assert self._authorized is not None, "start the server first"
        if not account.real and not options:
            options = f'command="exec {shlex.quote(str(self._borrowed_login(account)))}"'
        file = self._authorized / account.name
        with file.open("a") as lines:
            lines.write(f"{options} {public_key}\n".lstrip())
        file.chmod(0o644)

    def tail(self, lines: int = 15) -> str:
        """The end of the log, for error messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "no log"

    def _listens(self, port: int) -> bool:
        """Start on ``port``; False when somebody else was quicker to take it."""
        pid_file = self.folder / "sshd.pid"  # written by sshd once it listens
        pid_file.unlink(missing_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(self._configuration(port, pid_file))
        start_of_log = self.log.stat().st_size if self.log.exists() else 0
        listener = subprocess.Popen(
            [sshd_path(), "-D", "-f", str(config), "-E", str(self.log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the tests must not end it before its sessions have been found
        )
        deadline = time.monotonic() + PATIENCE
        while listener.poll() is None and time.monotonic() < deadline:
            if pid_file.exists():
                self.port, self._listener = port, listener
                return True
            time.sleep(0.01)
        listener.kill()
        listener.wait()
        said = self.log.read_bytes()[start_of_log:].decode(errors="replace") if self.log.exists() else ""
        if "Address already in use" not in said:
            test = subprocess.run([sshd_path(), "-t", "-f", str(config)], capture_output=True, text=True)
            raise RuntimeError(f"sshd did not start: {said}{test.stderr}")
        return False

    def _configuration(self, port: int, pid_file: Path) -> str:
        settings: dict[str, str | Sequence[str] | None] = {
            "ListenAddress": f"{self.address}:{port}",
            "PidFile": str(pid_file),
            "HostKey": [str(key.path) for key in self.host_keys.values()],
            "AuthorizedKeysFile": f"{self._authorized}/%u",
            # Tells later which processes come from here, even when their parents are gone.
            "SetEnv": self._mark,
            **DEFAULTS,
        }
        if _supports("PerSourcePenalties no"):  # OpenSSH 9.8: else a wrong password would shut out every later test
            settings["PerSourcePenalties"] = "no"
        own_spelling = {name.lower(): name for name in settings}
        for name, value in self.options.items():
            if name.lower() == "setenv":
                value = f"{self._mark} {value}"  # sshd heeds only one such line
            settings[own_spelling.get(name.lower(), name)] = value
        match = settings.pop("Match", None)
        lines: list[str] = []
        for name, value in [*settings.items(), ("Match", match)]:
            for item in [value] if isinstance(value, str) else value or ():
                lines.append(f"{name} {item}")
        return "\n".join(lines) + "\n"

    def _sessions(self, listener: int) -> set[int]:
        return processes.descendants(listener) | processes.carrying(self._mark)

    def _borrowed_login(self, account: Account) -> Path:
        """A script that gives our own user the home of ``account``: tests must not write into the real one."""
        script = account.home.parent / f"login-{account.home.name}"
        sftp_server = next((path for path in SFTP_SERVERS if Path(path).exists()), "sftp-server")
        script.write_text(
            "#!/bin/sh\n"
            f"HOME={shlex.quote(str(account.home))}; export HOME; cd || exit\n"
            'case "$SSH_ORIGINAL_COMMAND" in\n'
            '"") exec /bin/sh ;;\n'
            f'internal-sftp*|*/sftp-server) exec {sftp_server} -d "$HOME" ;;\n'
            '*) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;\n'
            "esac\n"
        )
        script.chmod(0o755)
        return script
