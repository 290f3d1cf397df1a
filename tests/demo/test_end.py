"""The end of the demo fleet, wished or not: nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import hostshell
from hostshell.core.errors import EngineError
from hostshell.demo import folder
from hostshell.demo.fleet import DemoFleet
from tests.demo.visitor import alive, connection, entries, eventually, first_number


def test_stop_ends_every_process_and_removes_everything() -> None:
    fleet = DemoFleet()
    fleet.start()
    root, server = Path(fleet.root), fleet.pid
    assert server is not None

    async def act() -> list[int]:
        async with connection(fleet, "db01") as conn:
            busy = await conn.create_process("trap '' HUP TERM; echo $$; sleep 300; sleep 300", encoding=None)
            done = await conn.run("sleep 300 & echo $!; mkdir shut && touch shut/in && chmod 000 shut", encoding=None)
            pids = [await first_number(busy), int(done.stdout)]
            assert all(alive(pid) for pid in pids)
            await asyncio.to_thread(fleet.stop)
            return pids

    pids = asyncio.run(act())
    assert not root.exists()
    assert not alive(server)
    assert all(eventually(lambda pid=pid: not alive(pid)) for pid in pids)
    fleet.stop()  # once more does no harm
    assert (fleet.root, fleet.inventory, fleet.known_hosts, fleet.pid) == ("", "", "", None)


def test_a_fleet_can_be_started_again_and_has_new_secrets() -> None:
    fleet = DemoFleet()
    with fleet:
        first = entries(fleet)
        with pytest.raises(EngineError):
            fleet.start()
    with fleet:
        second = entries(fleet)
    assert {e.password for e in first.values() if e.password}.isdisjoint(e.password for e in second.values())


STARTER = """
import json, sys
from hostshell.demo.fleet import DemoFleet
fleet = DemoFleet()
fleet.start()
assert "asyncssh" not in sys.modules and "paramiko" not in sys.modules
print(json.dumps([fleet.root, fleet.inventory, fleet.known_hosts, fleet.pid]), flush=True)
sys.stdin.read()
"""


@dataclass
class Elsewhere:
    """A fleet that another process started."""

    root: str
    inventory: str
    known_hosts: str
    pid: int


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Elsewhere]]:
    (tmp_path / "asyncio.py").write_text("raise SystemExit('a module of the folder that the person is in')\n")
    ways = [str(Path(hostshell.__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(way for way in ways if way)}
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process, Elsewhere(*json.loads(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def test_a_parent_that_is_killed_leaves_nothing(starter: tuple[subprocess.Popen[str], Elsewhere]) -> None:
    parent, fleet = starter

    async def act() -> int:
        async with connection(fleet, "h1") as conn:
            process = await conn.create_process("trap '' HUP TERM; echo $$; sleep 300; sleep 300", encoding=None)
            pid = await first_number(process)
            parent.kill()
            await asyncio.to_thread(parent.wait)
            return pid

    pid = asyncio.run(act())
    assert eventually(lambda: not Path(fleet.root).exists())
    assert eventually(lambda: not alive(fleet.pid))
    assert eventually(lambda: not alive(pid))


def test_a_killed_servers_folder_is_swept_by_the_next_start(starter: tuple[subprocess.Popen[str], Elsewhere]) -> None:
    _, stale = starter
    os.kill(stale.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(stale.pid))
    assert Path(stale.root).exists()
    with DemoFleet() as fleet:
        assert not Path(stale.root).exists()
        assert Path(fleet.root).exists()


def test_a_fleet_whose_server_was_killed_still_stops_cleanly() -> None:
    fleet = DemoFleet()
    fleet.start()
    root = Path(fleet.root)
    assert fleet.pid is not None
    os.kill(fleet.pid, signal.SIGKILL)
    fleet.stop()
    assert not root.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_told_to_end_takes_its_folder_with_it(number: signal.Signals) -> None:
    fleet = DemoFleet()
    fleet.start()
    root = Path(fleet.root)
    assert fleet.pid is not None
    os.kill(fleet.pid, number)
    assert eventually(lambda: not root.exists())
    fleet.stop()


def test_a_fleet_that_cannot_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "asyncssh.py").write_text("raise ImportError('asyncssh is broken here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    fleet = DemoFleet()
    with pytest.raises(EngineError, match="asyncssh is broken here"):
        fleet.start()
    assert list(place.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(EngineError, match="no place for its files"):
        DemoFleet().start()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path.resolve()


def test_the_sweep_takes_only_what_nobody_holds(place: Path) -> None:
    held, descriptor = folder.make()
    left, dropped = folder.make()
    os.close(dropped)
    assert folder.sweep() == [left]
    assert Path(held).exists()
    os.close(descriptor)
    assert folder.sweep() == [held]


def test_the_sweep_follows_no_link(place: Path) -> None:
    precious = place / "precious"
    precious.mkdir(mode=0o700)
    (precious / "file").touch()
    (precious / folder.HOLD).touch()
    (place / f"{folder.PREFIX}link").symlink_to(precious)
    stale, dropped = folder.make()
    os.close(dropped)
    (Path(stale) / "inner").symlink_to(precious)
    assert folder.sweep() == [stale]
    assert sorted(path.name for path in precious.iterdir()) == ["file", folder.HOLD]


def test_the_sweep_leaves_what_is_open_to_others_or_no_folder(place: Path) -> None:
    shared = place / f"{folder.PREFIX}shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / folder.HOLD).touch()
    (place / f"{folder.PREFIX}file").touch()
    odd = place / f"{folder.PREFIX}odd"
    odd.mkdir(mode=0o700)
    os.mkfifo(odd / folder.HOLD)
    fooled = place / f"{folder.PREFIX}fooled"
    fooled.mkdir(mode=0o700)
    (fooled / folder.HOLD).symlink_to(place / f"{folder.PREFIX}file")
    assert folder.sweep() == []


def test_the_sweep_leaves_other_users_folders(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, dropped = folder.make()
    os.close(dropped)
    somebody_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    assert folder.sweep() == []


def test_a_folder_without_a_holders_file_is_left_while_it_is_young(place: Path) -> None:
    young, old = place / f"{folder.PREFIX}young", place / f"{folder.PREFIX}old"
    for path in (young, old):
        path.mkdir(mode=0o700)
    os.utime(old, (1, 1))
    assert folder.sweep() == [str(old)]
