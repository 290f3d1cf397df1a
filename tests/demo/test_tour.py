"""`hostshell --demo` without a terminal: its tour, its one-shot calls, and that nothing of it stays."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.demo.fleet import DemoFleet
from hostshell.session import Session
from hostshell.shell.commands import Shell
from hostshell.shell.demo import tour
from hostshell.shell.screen import Screen
from tests.support import processes

PATIENCE = 60.0  # seconds for a process to end; far more than it takes


@pytest.fixture
def scratch(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TMPDIR of our own, empty at the end. A short path: sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark in the environment of all that is started; at the end nothing that carries it runs."""
    name = f"HS_TOUR_{os.getpid()}_{time.monotonic_ns()}"
    monkeypatch.setenv(name, "1")
    yield f"{name}=1"
    deadline = time.monotonic() + 10
    while (left := processes.carrying(f"{name}=1") - {os.getpid()}) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == set()


def hostshell(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hostshell", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
    )


def test_without_a_terminal_it_plays_its_tour_and_leaves_nothing(scratch: Path, mark: str) -> None:
    done = hostshell("--demo")
    assert done.returncode == 0, done.stderr
    for number in range(1, 7):
        assert f"[{number}/6] " in done.stderr
    assert done.stderr.endswith("the tour is done: every step worked\n")
    assert "Traceback" not in done.stderr
    for host in ("web01", "web02", "db01", "db02"):
        assert f"{host}: {host}\n" in done.stdout


def test_a_one_shot_line_runs_on_the_fleet(scratch: Path, mark: str) -> None:
    done = hostshell("--demo", "-c", 'batch_run -g web_clusters -cmd "uname -n; whoami"')
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["web01: web01", "web01: www", "web02: web02", "web02: www"]
    assert "2 ok" in done.stderr


def test_the_host_that_is_off_is_unreachable_and_the_others_answer(scratch: Path, mark: str) -> None:
    done = hostshell("--demo", "batch_run", "-h", "h[1-3]", "-cmd", "echo {host}")
    assert done.returncode == 4
    assert sorted(done.stdout.splitlines()) == ["h1: h1", "h2: h2"]
    assert "unreachable h3" in done.stderr


def test_piped_lines_run_in_place_of_the_tour(scratch: Path, mark: str) -> None:
    done = hostshell("--demo", stdin="use -g db_servers\nrun whoami\n")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()[-2:]) == ["db01: postgres", "db02: postgres"]
    assert "[1/6]" not in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_demo_that_is_ended_by_a_signal_leaves_nothing(scratch: Path, mark: str, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hostshell", "--demo", "-c", "batch_run -h h1 -cmd 'echo up; exec sleep 600'"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "h1: up\n"
        os.kill(process.pid, how)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if how == signal.SIGINT else 128 + how)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("broken", "step"),
    [
        ("[host:db02]\naddress = 127.0.0.1\nport = 1\n", 2),  # nothing listens there
        ("[host:web02]\nuser = nobody-knows-me\n", 2),
    ],
)
def test_a_step_that_fails_ends_the_tour_with_a_code_and_a_sentence(
    tmp_path: Path, clean_home: Path, broken: str, step: int
) -> None:
    over = tmp_path / "hosts.ini"
    over.write_text(broken)
    out, err = io.StringIO(), io.StringIO()
    with (
        DemoFleet() as fleet,
        Session([fleet.inventory, str(over)], known_hosts=fleet.known_hosts) as session,
    ):
        assert tour(Shell(session, Screen(out, err, environ={}))) == 1
    assert err.getvalue().splitlines()[-1] == f"the tour failed at step {step} (exit code 4)"
    assert "every step worked" not in err.getvalue()
