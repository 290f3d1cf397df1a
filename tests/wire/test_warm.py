"""Connections that wait for the next command: seen from the server, from the worker's process, and at the prompt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hostshell.core.errors import EngineError, TargetError
from hostshell.core.events import Block, Finished
from hostshell.core.model import Run
from hostshell.core.targets import Targets
from hostshell.engine import asking
from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.endings import eventually
from tests.support.keys import Key
from tests.support.running import collect, host_section, run, session_on, write_inventory, write_known_hosts
from tests.support.six_hosts import SixHosts
from tests.support.sshd import Sshd

FOUR = ["h0", "h1", "h2", "h3"]


def sockets(session: Session) -> int:
    """How many sockets the workers have, the pipes to us included."""
    count = 0
    for member in session._pool._members.values():
        folder = Path(f"/proc/{member.process.pid}/fd")
        for entry in folder.iterdir():
            try:
                count += os.readlink(entry).startswith("socket:")
            except OSError:
                continue  # it was closed while we looked
    return count


def open_to(session: Session) -> list[str]:
    return [one.host for one in session.connections()]


@pytest.fixture
def server(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    """A server that nobody else uses."""
    with Sshd(tmp_path / "sshd") as server:
        server.authorize(accounts[0], client_key.public)
        yield server


@pytest.fixture
def session(
    tmp_path: Path, clean_home: Path, server: Sshd, accounts: list[Account], client_key: Key
) -> Iterator[Session]:
    """Four hosts on it, two workers."""
    inventory = write_inventory(tmp_path, *(host_section(name, server, accounts[0], client_key) for name in FOUR))
    known = write_known_hosts(tmp_path, server.known_hosts_line)
    with Session(inventory, known_hosts=known, pool=Pool(2)) as session:
        yield session


# --- closing ---


def test_the_server_sees_connections_close_that_nobody_uses(session: Session, server: Sshd) -> None:
    session.settings.idle_timeout = 0.5
    assert set(run(session, "true", "h[0-3]").status().values()) == {"ok"}
    assert eventually(lambda: not server.sessions())
    assert open_to(session) == []
    assert run(session, "echo again", "h0").out == {"h0": ["again"]}


def test_a_new_idle_limit_counts_at_once_for_what_is_open(session: Session, server: Sshd) -> None:
    run(session, "true", "h0,h1")
    assert session.settings.idle_timeout == 600
    assert len(open_to(session)) == 2
    session.settings.idle_timeout = 0.2
    assert eventually(lambda: not server.sessions())


def test_a_worker_that_replaces_another_keeps_the_same_limit(session: Session, server: Sshd) -> None:
    session.settings.idle_timeout = 0.5
    run(session, "true", "h0,h1")
    for member in session._pool._members.values():
        assert member.process.pid is not None
        os.kill(member.process.pid, signal.SIGKILL)
    assert eventually(lambda: set(run(session, "true", "h0,h1").status().values()) == {"ok"})
    assert eventually(lambda: not server.sessions())


def test_a_link_that_ends_while_idle_gives_its_descriptor_back_though_nobody_uses_it(
    session: Session, server: Sshd
) -> None:  # row 22
    session.settings.idle_timeout = None
    run(session, "true", "h[0-3]")
    before = sockets(session)
    server.kill_sessions()
    assert eventually(lambda: sockets(session) == before - 4)
    assert open_to(session) == []
    found = run(session, "echo again", "h[0-3]")
    assert found.out == {name: ["again"] for name in FOUR}
    assert found.notes == []


def test_a_reload_closes_what_is_open(session: Session, server: Sshd) -> None:
    run(session, "true", "h[0-3]")
    before = sockets(session)
    session.reload()
    assert open_to(session) == []
    assert eventually(lambda: sockets(session) == before - 4)
    assert eventually(lambda: not server.sessions())
    assert run(session, "echo again", "h2").out == {"h2": ["again"]}


@pytest.mark.parametrize(("limits", "all_stay"), [("-n 60", False), ("-Sn 60", True)], ids=["hard", "soft"])
def test_more_hosts_than_descriptors_all_answer_and_the_oldest_connections_go(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key, limits: str, all_stay: bool
) -> None:
    names = [f"n{number:03}" for number in range(100)]
    inventory = write_inventory(tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in names))
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    # two workers on every machine: else one with many cores would have room for all
    script = (
        "import sys, json\n"
        "from hostshell.engine.pool import Pool\n"
        "from hostshell.session import Session\n"
        "from tests.support.running import run\n"
        f"with Session({inventory!r}, known_hosts={known!r}, pool=Pool(2)) as session:\n"
        "    for fanout in (100, 30):\n"
        "        found = run(session, 'echo {host}', 'n[000-099]', fanout=fanout, connect_timeout=60)\n"
        "        print(sum(found.out.get(name) == [name] for name in found.finished))\n"
        "    print(json.dumps([one.host for one in session.connections()]))\n"
    )
    done = subprocess.run(
        ["sh", "-c", f'ulimit {limits}; exec "$0" -c "$1"', sys.executable, script],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.stderr == ""
    *counts, left = done.stdout.splitlines()
    assert counts == ["100"] * 2
    assert len(json.loads(left)) == (100 if all_stay else 72)  # two workers with 60 descriptors, less 24 each


# --- seeing and closing ---


def test_connections_are_listed_in_the_order_of_the_hosts_and_closed_as_named(session: Session) -> None:
    assert session.connections() == ()  # before there is any worker
    run(session, "true", "h2,h0,h3")
    assert open_to(session) == ["h0", "h2", "h3"]
    assert [one.host for one in session.connections(hosts="h3,h1,h0")] == ["h3", "h0"]
    assert [one.host for one in session.connections(exclude="h0")] == ["h2", "h3"]
    with pytest.raises(TargetError, match="-a for all"):
        session.disconnect()
    assert [one.host for one in session.disconnect(hosts="h[0-2]", exclude="h0")] == ["h2"]
    assert open_to(session) == ["h0", "h3"]
    assert [one.host for one in session.disconnect(hosts="@all")] == ["h0", "h3"]
    assert session.disconnect(hosts="@all") == ()


def test_what_is_in_use_is_shown_as_busy_and_stays_open_and_no_line_is_lost(session: Session) -> None:
    seen: list[list[tuple[str, bool]]] = []
    run(session, "true", "h0,h1")

    def look(event: object) -> None:
        if isinstance(event, Block) and not seen:
            seen.append([(one.host, one.busy) for one in session.connections()])
            seen.append([(one.host, one.busy) for one in session.disconnect(hosts="h0,h1")])

    names = session.targets(Targets(hosts=("h0",)))
    found = collect(session.stream(session.job(Run("seq 200000; sleep 0.2; echo end"), names)), look)
    assert seen == [[("h0", True), ("h1", False)], [("h1", False)]]
    assert found.out["h0"] == [*(str(number) for number in range(1, 200_001)), "end"]
    assert [(one.host, one.busy) for one in session.connections()] == [("h0", False)]


def test_an_end_that_comes_while_connections_are_looked_at_is_told(session: Session) -> None:
    with closing(session.stream(session.job(Run("echo up"), ["h0", "h1"]))) as events:
        ended = set()
        for event in events:
            session.connections()
            if isinstance(event, Finished):
                ended.add((event.host, event.status))
    assert ended == {("h0", "ok"), ("h1", "ok")}


def test_a_worker_that_does_not_answer_is_named_and_not_waited_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(session, "true", "h[0-3]")
    monkeypatch.setattr(asking, "SURVEY_PATIENCE", 0.5)
    stuck = session._pool._members[1].process.pid
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)
    try:
        found, error = session.survey(Targets())
        with pytest.raises(EngineError, match="worker 1"):
            session.connections()
        with pytest.raises(EngineError, match="worker 1"):
            session.disconnect(hosts="h0,h1")
    finally:
        os.kill(stuck, signal.SIGCONT)
    assert 0 < len(found) < 4
    assert "worker 1" in str(error)
    # what it says late is no answer to the next question, and what it was told it has done
    monkeypatch.undo()
    assert open_to(session) == ["h2", "h3"]
    assert set(run(session, "true", "h[0-3]").status().values()) == {"ok"}


def test_a_worker_that_has_died_has_no_connections(session: Session) -> None:
    run(session, "true", "h[0-3]")
    victim = session._pool._members[0].process
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    left = open_to(session)
    assert 0 < len(left) < 4
    assert set(run(session, "true", "h[0-3]").status().values()) == {"ok"}
    assert open_to(session) == FOUR


# --- a script ---


def script(six_hosts: SixHosts, *lines: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Lines from standard input, on real servers."""
    files = ["-i", str(six_hosts.hosts_ini), "--known-hosts", str(six_hosts.known_hosts)]
    done = subprocess.run(
        [sys.executable, "-m", "hostshell", *files],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_script_sees_and_closes_its_connections(six_hosts: SixHosts, clean_home: Path) -> None:
    h1 = six_hosts["h1"]
    done = script(
        six_hosts,
        *("connections", "disconnect -a", "ping -q -h h1,h2 -g web_clusters", "connections h2,h1"),
        *(
            "use -h h1",
            "disconnect",
            "use --clear",
            "connections --json",
            "disconnect -g web_clusters",
            "disconnect -a",
        ),
    )
    said = done.stdout.splitlines()
    assert said[:2] == ["no connections", "no connections closed"]
    assert said[2].split() == ["host", "connected", "to", "idle", "for", "busy"]
    assert [line.split()[0] for line in said[3:5]] == ["h2", "h1"]
    assert said[4].split()[1] == f"{h1.account.name}@{h1.server.address}:{h1.server.port}"
    assert said[5] == "2 connections"
    assert said[7] == "1 connection closed"
    rows: list[dict[str, Any]] = json.loads(said[9])["data"]
    assert [row["host"] for row in rows] == ["h2", "web01", "web02"]
    assert {row["busy"] for row in rows} == {False}
    assert all(0 <= row["idle"] < 60 for row in rows)
    assert said[10:] == ["2 connections closed", "1 connection closed"]


def test_disconnect_without_targets_and_defaults_closes_nothing(six_hosts: SixHosts, clean_home: Path) -> None:
    done = script(six_hosts, "ping -q -h h1", "disconnect", "disconnect nope", "connections", code=2)
    assert done.stdout.splitlines()[-1] == "1 connection"
    assert "name some with -h or -g, or -a for all connections" in done.stderr
    assert "nope" in done.stderr


def test_all_is_also_what_is_in_no_inventory(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    (clean_home / ".ssh").mkdir(mode=0o700)
    (clean_home / ".ssh" / "id_ed25519").write_bytes(Path(client_key.path).read_bytes())
    (clean_home / ".ssh" / "id_ed25519").chmod(0o600)
    moment = f"{accounts[0].name}@{sshd.address}:{sshd.port}"
    with session_on(tmp_path, sshd, accounts[0], client_key, ["a", "b"]) as session:
        run(session, "true", f"a,b,{moment}")
        assert open_to(session) == ["a", "b", moment]
        found, _ = session.survey(Targets(everything=True, exclude=("a", moment)), close=True)
        assert [one.host for one in found] == ["b"]
        assert open_to(session) == ["a", moment]
        found, _ = session.survey(Targets(everything=True), close=True)
        assert [one.host for one in found] == ["a", moment]
        assert open_to(session) == []
