"""Copies whose own processes are killed with SIGKILL: the same line again goes on where they stopped."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.localfiles import partials_path
from hostshell.ssh.partials import KEPT, LEAST, Claims
from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import ended
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.running import host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

SIZE = 48 * 1024 * 1024


@pytest.fixture
def mark(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All that is started here carries it, and is killed at the end."""
    made = f"HOSTSHELL_MARK={secrets.token_hex(8)}"
    monkeypatch.setenv(*made.split("="))
    yield made
    for pid in processes.carrying(made) - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("percent", [10, 50, 90])
@pytest.mark.parametrize("action", ["put", "get"])
def test_a_copy_whose_processes_were_all_killed_goes_on(
    action: str,
    percent: int,
    tmp_path: Path,
    mark: str,
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
) -> None:
    source, there = tmp_path / "src", accounts[0].home / f"killed-{secrets.token_hex(4)}"
    source.write_bytes(os.urandom(SIZE))
    with CutRelay((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port)}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        base = [sys.executable, "-m", "hostshell", "--json", "-i", inventory, "--known-hosts", known]
        if action == "put":
            line = [*base, "put", str(source), there.name, "-h", "a"]
            target = there
        else:
            there.write_bytes(source.read_bytes())
            line = [*base, "get", there.name, f"{tmp_path}/out", "-h", "a"]
            target = tmp_path / "out" / "a" / there.name

        def passed() -> int:
            return relay.up if action == "put" else relay.down

        part = SIZE * percent // 100
        relay.freeze_after(**{"up" if action == "put" else "down": part})
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            assert ended(lambda: set() if passed() >= part else {process.pid})
            killed = processes.carrying(mark) - {os.getpid()}
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        assert ended(lambda: killed & processes.running())  # and their locks with them: the next try takes those
        relay.cut()
        relay.thaw()
        assert not target.exists()
        if action == "put":
            claims = Claims(partials_path(), "a", f"{accounts[0].name}:{relay.port}")
            (left,) = claims.left_over(time.time() + 2 * KEPT)
            assert len(left.former) == 1, "recorded for this login"
            left.settle(left=True)
            assert partials_path().stat().st_mode & 0o077 == partials_path().parent.stat().st_mode & 0o077 == 0
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (finished,) = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "finished"]
    assert finished["copied"]["saved"] >= max(LEAST, part - 8 * 1024 * 1024)
    assert target.read_bytes() == source.read_bytes()
    assert not list(target.parent.glob(f".{there.name}.*"))
    there.unlink()
