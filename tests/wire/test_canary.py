"""A canary password that really logs in, and a wrong one, looked for everywhere that a secret must never be."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pty
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hostshell.core.model import Ping
from hostshell.core.targets import Targets
from hostshell.session import Session
from tests.support import processes
from tests.support.running import collect, write_inventory
from tests.support.six_hosts import SixHosts

PATIENCE = 20.0  # seconds for a process to end; far more than it takes
WRONG = "wr0ng-canary;#100%-$HOME"


@dataclass
class Hunt:
    """What is looked for, where hostshell could have left it, and everything that it said."""

    folder: Path
    inventory: Path
    known_hosts: Path
    canaries: list[bytes]
    mark: str
    said: list[bytes] = field(default_factory=list)
    seen: int = 0

    def words(self, *more: str) -> list[str]:
        place = ["-i", str(self.inventory), "--known-hosts", str(self.known_hosts)]
        return [sys.executable, "-m", "hostshell", *place, *more]

    def found_in(self, data: bytes) -> bool:
        return any(canary in data for canary in self.canaries)

    def look_at_processes(self, *, environment: bool = True) -> None:
        """Look into the arguments and the environments of all processes of hostshell that run now."""
        for pid in processes.carrying(self.mark) - {os.getpid()}:
            for name in ("cmdline", "environ") if environment else ("cmdline",):
                with contextlib.suppress(OSError):
                    content = Path(f"/proc/{pid}/{name}").read_bytes()
                    self.seen += 1
                    assert not self.found_in(content), f"/proc/{pid}/{name}"

    def look_at_files(self) -> None:
        """Look into every file below the test's own HOME and TMPDIR."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                assert not self.found_in(path.read_bytes()), path

    def look_at_what_was_said(self) -> None:
        assert self.said
        for text in self.said:
            assert not self.found_in(text), text.decode(errors="replace")


def forms(secret: str) -> list[bytes]:
    """A secret as it is, and as JSON, Python or base64 would write it."""
    raw = secret.encode()
    return [raw, json.dumps(secret)[1:-1].encode(), repr(secret)[1:-1].encode(), base64.b64encode(raw)]


@pytest.fixture
def hunt(six_hosts: SixHosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hunt]:
    folder = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))  # short: sockets lie below TMPDIR
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    mark = f"HS_CANARY_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setenv("HOSTSHELL_DEBUG", "1")
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    host = six_hosts["h3"]
    assert host.key is None
    canaries = [form for secret in (host.account.password, WRONG) for form in forms(secret)]
    try:
        yield Hunt(folder, tmp_path / "hosts.ini", six_hosts.known_hosts, canaries, f"{mark}=1")
    finally:
        shutil.rmtree(folder)


def describe(hunt: Hunt, six_hosts: SixHosts, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the inventory: ``good`` logs in with the canary, ``bad`` is refused, ``off`` is not there."""
    host = six_hosts["h3"]
    place = f"address = {host.server.address}\nport = {host.server.port}\nuser = {host.account.name}\n"

    def secret(name: str, text: str) -> str:
        if source == "literal":
            return f"password = {text}\n"
        if source == "env":
            monkeypatch.setenv(f"CANARY_{name}", text)
            return f"password_from = env:CANARY_{name}\n"
        if source == "cmd":
            kept = hunt.inventory.with_name(f"{name}.txt")
            kept.touch(mode=0o600)
            kept.write_text(f"{text}\n")
            return f"password_from = cmd:cat {kept}\n"
        return "password_from = ask\n"

    write_inventory(
        hunt.inventory.parent,
        f"[host:good]\n{place}{secret('GOOD', host.account.password)}",
        f"[host:bad]\n{place}{secret('BAD', WRONG)}",
        f"[host:off]\naddress = 127.0.0.1\nport = 1\nuser = x\n{secret('OFF', WRONG)}",
    )


LINES = [
    'batch_run -h good -cmd \'echo in; echo err >&2; tr "\\0" "\\n" < /proc/self/environ; id -un; exit 3\'',
    "batch_run -h bad -cmd 'echo never'",
    "batch_run -h off -cmd 'echo never'",
    "batch_run -h bad -cmd 'echo never'",
    "ping -a",
    "batch_run -a -b -cmd 'echo {host}'",
    "batch_run -a --json -cmd 'echo {host}'",
    "batch_scp -a -action put -local /nowhere/x -remote x",
    "batch_scp -h good -action get -remote /nowhere/x -local out",
    "show good",
    "show bad",
    "show good --json",
    "hosts -a",
    "hosts --json",
    "groups --json",
    "set --json",
    "connections",
    "connections --json",
    "disconnect good --json",
    "use -a",
    "run true",
    "help batch_run",
    "batch_run -h good -cmd 'unclosed' stray",
    "!tr '\\0' '\\n' < /proc/$PPID/cmdline",
    "reload",
    "history",
    "history --json",
]


def run_all(hunt: Hunt, *, environment: bool) -> None:
    """Run all lines as one-shot calls, looking at the processes meanwhile."""
    for as_json in ([], ["--json"]):
        words = hunt.words(*as_json, *(word for line in LINES for word in ("-c", line)))
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=hunt.folder,
        ) as process:
            assert process.stdout is not None
            while piece := os.read(process.stdout.fileno(), 65536):
                hunt.said.append(piece)
                hunt.look_at_processes(environment=environment)
        assert process.returncode == 4
        hunt.said.append(b"".join(hunt.said))


@pytest.mark.parametrize("source", ["literal", "env", "cmd"])
def test_a_secret_is_nowhere_but_where_it_was_put(
    hunt: Hunt, six_hosts: SixHosts, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(hunt, six_hosts, source, monkeypatch)
    run_all(hunt, environment=source != "env")  # with env: it was put there by us
    everything = hunt.said[-1]
    assert b"good: in\n" in everything  # the canary did log in
    assert b"unreachable bad" in everything
    assert b'"kind": "auth"' in everything
    assert hunt.seen
    hunt.look_at_what_was_said()
    hunt.look_at_files()


def test_a_password_given_to_the_prompt_is_nowhere(
    hunt: Hunt, six_hosts: SixHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(hunt, six_hosts, "ask", monkeypatch)
    good = six_hosts["h3"].account.password
    master, slave = pty.openpty()
    process = subprocess.Popen(
        hunt.words(),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        cwd=hunt.folder,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(slave)
    written = b""

    def read_until(text: bytes, start: int) -> None:
        nonlocal written
        deadline = time.monotonic() + PATIENCE
        while text not in written[start:]:
            assert time.monotonic() < deadline, (text, written[start:])
            if select.select([master], [], [], 0.2)[0]:
                piece = os.read(master, 65536)
                written += piece
                if b"\x1b[6n" in piece:
                    os.write(master, b"\x1b[1;1R")
            hunt.look_at_processes()

    def type_and_wait(typed: str, text: bytes) -> None:
        start = len(written)
        os.write(master, typed.encode())
        read_until(text, start)

    try:
        read_until(b"\x1b[?2004h", 0)
        type_and_wait("batch_run -h good,bad -cmd 'echo {host}-is-in'\r", b"Password for host:good")
        type_and_wait(f"{good}\r", b"Password for host:bad")
        type_and_wait(f"{WRONG}\r", b"\x1b[?2004h")
        for line in ("show good", "ping -h good,bad", "batch_run -h good --json -cmd 'echo again'", "history"):
            type_and_wait(f"{line}\r", b"\x1b[?2004h")
        hunt.said.append(written)
        # what is typed is echoed, of course; but it is not kept
        type_and_wait(f"!true '{good}'\r", b"\x1b[?2004h")
        type_and_wait(f"!true '{WRONG}'\r", b"\x1b[?2004h")
        start = len(written)
        type_and_wait("history\r", b"\x1b[?2004h")
        hunt.said.append(written[start:])
        os.write(master, b"\x04")
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"good-is-in" in written
    hunt.look_at_what_was_said()
    hunt.look_at_files()
    history = hunt.folder / "home" / ".local" / "state" / "hostshell" / "history"
    assert "show good" in history.read_text()


def test_no_object_shows_a_secret(hunt: Hunt, six_hosts: SixHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(hunt, six_hosts, "literal", monkeypatch)
    with Session(str(hunt.inventory), known_hosts=str(hunt.known_hosts)) as session:
        names = session.targets(Targets(everything=True))
        job = session.job(Ping(), names, label="ping")
        assert [host.password.reveal() for host in job.hosts if host.password] == [
            six_hosts["h3"].account.password,
            WRONG,
            WRONG,
        ]
        events: list[object] = []
        found = collect(session.stream(job), events.append)
        assert found.status() == {"good": "ok", "bad": "unreachable", "off": "unreachable"}
        objects = [session, vars(session), session.inventory, vars(session.inventory), job, *job.hosts, found, *events]
        objects += [session.inventory.host(name) for name in names]
        objects += [session.inventory.settings(name) for name in names]
        objects += [list(session.secrets()) == [], session.settings, session.defaults]
        for thing in objects:
            hunt.said += [repr(thing).encode(), str(thing).encode(), f"{thing}".encode()]
    hunt.look_at_what_was_said()
