"""What a long session and a killed one leave behind: nothing that grows, no process, no temporary file."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostshell.engine.pool import Pool
from hostshell.session import Session
from hostshell.ssh.partials import is_partial
from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import eventually
from tests.support.keys import Key, make_key
from tests.support.running import host_section, ping, run, session_on, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

PATIENCE = 60.0  # seconds for a process to end; far more than it takes
HOSTSHELL = [sys.executable, "-m", "hostshell"]
HUGE = 200_000_000_000  # bytes of a sparse file: far more than can be copied before the signal comes


# --- a long session ---


@dataclass(frozen=True)
class Use:
    """What one process holds: threads, open descriptors, resident memory in KiB."""

    threads: int
    descriptors: int
    memory: int


def used(session: Session) -> dict[str, Use]:
    """What is held, by process: ours and each worker's."""
    found = {"main": Use(threading.active_count(), len(os.listdir("/proc/self/fd")), resident("self"))}
    for number, member in session._pool._members.items():
        folder = Path(f"/proc/{member.process.pid}")
        found[f"worker {number}"] = Use(
            len(os.listdir(folder / "task")), len(os.listdir(folder / "fd")), resident(str(member.process.pid))
        )
    return found


def resident(pid: str) -> int:
    """A process's resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


# What an allocator may keep of a busy moment, in KiB. A login that kept 10 KiB, or a command that kept 1 KiB, would be
# more than that in each of two workers; a leaked connection has more than 60 KiB.
SLACK = 4096
FEW = 16  # logins at a time: fewer than those of a round, so that their threads are taken anew


def more(session: Session, early: dict[str, Use], turns: int) -> list[str]:
    """What a process uses more of than it did, after a moment: threads, descriptors, memory. Empty when all is well.

    ``turns``: threads of turns that a worker may have started since, because turns that ended before the next began
    until then were under way together later. They are kept for others, so there are never more than were under way.
    """
    found: list[str] = []

    def none() -> bool:
        now = used(session)
        found[:] = [] if now.keys() == early.keys() else [f"processes: {sorted(early)}, now {sorted(now)}"]
        for name in now.keys() & early.keys():
            was, late = early[name], now[name]
            if late.threads > was.threads + turns:
                found.append(f"{name}: {was.threads} threads, now {late.threads}")
            if late.descriptors > was.descriptors:
                found.append(f"{name}: {was.descriptors} descriptors, now {late.descriptors}")
            if late.memory > was.memory + SLACK:
                found.append(f"{name}: {was.memory} KiB, now {late.memory}")
        return not found

    eventually(none)
    return found


def test_a_thousand_failed_logins_leave_no_thread_no_descriptor_and_no_memory(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:  # row 28
    stranger = make_key(tmp_path / "stranger")
    inventory = write_inventory(
        tmp_path, *(host_section(f"n{number:02}", sshd, accounts[0], stranger) for number in range(50))
    )
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(inventory, known_hosts=known, pool=Pool(2)) as session:
        early: dict[str, Use] = {}
        for number in range(30):
            found = ping(session, "n[00-49]", fanout=FEW)
            assert {found.kind(name) for name in found.finished} == {"auth"}
            if number == 9:  # the collector comes round seldom (engine/worker.py): by now it has been there
                time.sleep(0.5)  # what the first rounds opened and will close
                early = used(session)
        assert not more(session, early, turns=FEW)


def test_failed_connects_of_every_kind_leave_no_thread_and_no_descriptor(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    places = {"refused": "address = 127.0.0.1\nport = 1", "dns": "address = no-such-host.invalid"}
    sections = [f"[host:{name}]\n{where}\nuser = nobody\npassword = x\n" for name, where in places.items()]
    unknown = host_section("unknown", sshd, accounts[0], client_key, address="localhost")
    with Session(
        write_inventory(tmp_path, *sections, unknown), known_hosts=write_known_hosts(tmp_path), pool=Pool(2)
    ) as session:
        early: dict[str, Use] = {}
        for _ in range(20):
            found = ping(session, "refused,dns,unknown")
            assert {name: found.kind(name) for name in found.finished} == {
                "refused": "refused",
                "dns": "dns",
                "unknown": "hostkey",
            }
            if not early:
                time.sleep(0.5)
                early = used(session)
        assert not more(session, early, turns=len(sections))


def test_ten_thousand_commands_leave_no_thread_no_descriptor_and_no_memory(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 28
    names = [f"n{number:02}" for number in range(20)]
    with session_on(tmp_path, sshd, accounts[0], client_key, names) as session:
        early: dict[str, Use] = {}
        for number in range(500):
            found = run(session, f"echo {number}; exit {number % 2}", "n[00-19]")
            assert found.out == {name: [str(number)] for name in names}
            if number == 50:
                time.sleep(0.5)
                early = used(session)
        assert not more(session, early, turns=len(names))


# --- a killed one ---


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of its own for every hostshell of a test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def mark(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark in the environment of every hostshell of a test; at the end nothing that carries it may run."""
    name = f"HS_BOUNDS_{secrets.token_hex(8)}"
    monkeypatch.setenv(name, "1")
    yield f"{name}=1"
    left = processes.carrying(f"{name}=1") - {os.getpid()}
    processes.end_all(lambda: processes.carrying(f"{name}=1") - {os.getpid()})
    assert not left


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HOSTSHELL, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def killed(process: subprocess.Popen[str], mark: str, how: signal.Signals) -> None:
    """Send the signal to hostshell alone, and see all of its processes end."""
    process.send_signal(how)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-how if how == signal.SIGKILL else 128 + how)
    assert "Traceback" not in err
    assert eventually(lambda: not processes.carrying(mark) - {os.getpid()})


ENDINGS = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])


@pytest.fixture
def one(tmp_path: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> list[str]:
    """How to name one host that is known."""
    inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key))
    return ["-i", inventory, "--known-hosts", write_known_hosts(tmp_path, sshd.known_hosts_line)]


@ENDINGS
def test_a_killed_hostshell_leaves_no_temporary_file(
    scratch: Path, mark: str, one: list[str], how: signal.Signals
) -> None:
    process = started(*one, "batch_run", "-h", "a", "-cmd", "echo up; exec sleep 30")
    assert process.stdout is not None
    assert process.stdout.readline() == "a: up\n"
    killed(process, mark, how)
    assert eventually(lambda: not list(scratch.iterdir())), list(scratch.iterdir())


@pytest.mark.parametrize("after", [0.05, 0.1, 0.2, 0.3, 0.5])
def test_a_hostshell_that_is_killed_while_it_starts_leaves_no_temporary_file(
    scratch: Path, mark: str, one: list[str], after: float
) -> None:
    process = started(*one, "batch_run", "-h", "a", "-cmd", "exec sleep 30")
    time.sleep(after)  # somewhere in its imports, the start of its helpers, or the connect
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert eventually(lambda: not processes.carrying(mark) - {os.getpid()})

    def ours() -> list[Path]:
        return [path for path in scratch.iterdir() if not of_python(path)]

    assert eventually(lambda: not ours()), ours()


def of_python(path: Path) -> bool:
    """What Python itself has for an instant, before we could know its name, and nothing of ours is in.

    tempfile writes a few bytes to a file of eight characters to see whether a folder can be used, and removes it at
    once; multiprocessing makes a folder pymp-* and only then says where it is.
    """
    if path.is_dir():
        return path.name.startswith("pymp-") and not list(path.iterdir())
    return re.fullmatch("[a-z0-9_]{8}", path.name) is not None and path.read_bytes() in (b"", b"blat")


def test_a_command_of_a_hostshell_that_was_killed_outright_does_not_go_on(mark: str, one: list[str]) -> None:
    process = started(*one, "batch_run", "-h", "a", "-cmd", "echo up; exec sleep 6883")
    assert process.stdout is not None
    assert process.stdout.readline() == "a: up\n"
    killed(process, mark, signal.SIGKILL)
    assert eventually(lambda: not commands("sleep\x006883"))


@ENDINGS
def test_a_killed_demo_leaves_no_server_no_command_and_no_folder(scratch: Path, mark: str, how: signal.Signals) -> None:
    process = started("--demo", "-c", "batch_run -h h1 -cmd 'echo up; exec sleep 6881'")
    assert process.stdout is not None
    assert process.stdout.readline() == "h1: up\n"
    killed(process, mark, how)
    assert eventually(lambda: not list(scratch.iterdir())), list(scratch.iterdir())
    assert eventually(lambda: not commands("sleep\x006881"))


def commands(text: str) -> set[int]:
    """The processes whose command line holds ``text`` (words are separated by NUL)."""
    found = set()
    for process in processes.processes():
        try:
            if text in Path(f"/proc/{process.pid}/cmdline").read_text(errors="replace"):
                found.add(process.pid)
        except OSError:
            continue
    return found


@ENDINGS
def test_a_download_that_is_killed_leaves_nothing_here_but_what_it_may_go_on_with(
    tmp_path: Path, scratch: Path, mark: str, one: list[str], accounts: list[Account], how: signal.Signals
) -> None:
    huge = accounts[0].home / "huge"
    try:
        with huge.open("wb") as file:
            file.truncate(HUGE)
        huge.chmod(0o644)
        out = tmp_path / "out"
        process = started(*one, "batch_scp", "-h", "a", "-action", "get", "-remote", str(huge), "-local", f"{out}/")
        assert eventually(lambda: any(path.is_file() for path in out.rglob("*")))
        killed(process, mark, how)
        left = [path for path in out.rglob("*") if path.is_file()]
        assert all(is_partial(os.fsencode(path.name)) for path in left)
        assert len(left) <= 1
        assert not list(scratch.iterdir())
    finally:
        huge.unlink()


@ENDINGS
def test_an_upload_that_is_killed_leaves_nothing_there_but_what_it_may_go_on_with(
    tmp_path: Path, scratch: Path, mark: str, one: list[str], accounts: list[Account], how: signal.Signals
) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(HUGE)
    there = accounts[0].home

    def parts() -> list[str]:
        return [name for name in os.listdir(there) if "huge" in name]

    process = started(*one, "batch_scp", "-h", "a", "-action", "put", "-local", str(huge), "-remote", "~/")
    assert eventually(lambda: bool(parts()))
    killed(process, mark, how)
    try:
        assert all(is_partial(os.fsencode(name)) for name in parts())
        assert len(parts()) <= 1
    finally:
        for name in parts():
            (there / name).unlink()
    assert not list(scratch.iterdir())
