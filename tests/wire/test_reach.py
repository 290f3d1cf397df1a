"""Other ways to a host: IPv6 and both families raced, a ProxyCommand, an agent's security keys."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hostshell.core.events import Failure
from hostshell.core.model import Host, Job, Ping, Run, Task
from hostshell.core.turns import PasswordRefused
from hostshell.engine.pool import Chunk, Pool
from hostshell.session import Session
from hostshell.ssh import dial as dialling
from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import eventually, with_command
from tests.support.keys import Key
from tests.support.running import Outcome, collect, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

PATIENCE = 30.0


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@pytest.fixture
def on_ipv6(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    options = {"ListenAddress": [f"[::1]:{port}"]}
    server = Sshd(tmp_path / "sshd6", options=options)
    with server:
        server.address, server.port = "::1", port
        server.authorize(accounts[0], client_key.public)
        yield server


@needs_ipv6
def test_ipv6_in_the_inventory_of_the_moment_and_as_a_jump_host(
    tmp_path: Path, clean_home: Path, on_ipv6: Sshd, accounts: list[Account], client_key: Key
) -> None:
    name, port = accounts[0].name, on_ipv6.port
    inventory = write_inventory(
        tmp_path,
        f"[defaults]\nuser = {name}\nkey = {client_key.path}\n",
        f"[host:six]\naddress = ::1\nport = {port}\n",
        f"[host:long]\naddress = 0:0:0:0:0:0:0:1\nport = {port}\n",
        f"[host:behind]\naddress = 0:0:0:0:0:0:0:1\nport = {port}\njump = {name}@[::1]:{port}\n",
    )
    known = write_known_hosts(tmp_path, on_ipv6.known_hosts_line)
    with Session(inventory, known_hosts=known) as session:
        names = ("six", "long", f"[::1]:{port}", f"{name}@[::1]:{port}")
        found = run(session, "echo $SSH_CONNECTION", ",".join(names))
        assert found.status() == dict.fromkeys(names, "ok")
        assert {line.split()[2] for lines in found.out.values() for line in lines} == {"::1"}
        assert run(session, "true", "behind").kind("behind") == ""


@needs_ipv6
@pytest.mark.parametrize(("family", "wanted"), [("any", "127.0.0.1"), ("inet", "127.0.0.1"), ("inet6", "::1")])
def test_both_families_are_raced_and_one_may_be_chosen(
    monkeypatch: pytest.MonkeyPatch, family: str, wanted: str
) -> None:
    """::1 comes first and refuses, but for inet6: there it listens."""
    with socket.create_server(("127.0.0.1", 0)) as four:
        port = four.getsockname()[1]
        kinds = {socket.AF_INET: ("127.0.0.1", port), socket.AF_INET6: ("::1", port, 0, 0)}

        def lookup(_name: str, _port: int, only: int, kind: int, **_: object) -> list[object]:
            return [(f, kind, 6, "", kinds[f]) for f in (socket.AF_INET6, socket.AF_INET) if only in (0, f)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        six = None
        if family == "inet6":
            six = socket.create_server(("::1", port), family=socket.AF_INET6)
        deadline = time.monotonic() + PATIENCE
        with dialling.dial("both.example.net", port, deadline, lambda: False, family=family) as sock:  # type: ignore[arg-type]  # one of the three
            assert sock.getpeername()[0] == wanted
        if six is not None:
            six.close()


@needs_ipv6
def test_a_family_that_does_not_answer_holds_the_other_up_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as four, socket.socket(socket.AF_INET6) as deaf:
        deaf.bind(("::1", 0))
        deaf.listen(0)
        full = [socket.socket(socket.AF_INET6) for _ in range(4)]
        for each in full:  # its queue of connections is full: it answers nobody any more
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        places = [
            (socket.AF_INET6, 1, 6, "", deaf.getsockname()),
            (socket.AF_INET, 1, 6, "", four.getsockname()),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
        with dialling.dial("both.example.net", 22, time.monotonic() + PATIENCE, lambda: False) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
        for each in full:
            each.close()


# --- ProxyCommand ---

PIPE = Path(__file__).parents[1] / "support" / "pipe.py"


@contextmanager
def pooled() -> Iterator[Pool]:
    pool = Pool(1)
    try:
        yield pool
    finally:
        pool.close()


def carry_out(pool: Pool, host: Host, task: Task, number: int = 1) -> Outcome:
    events = pool.run(Job((host,), task, "a task", number=number))
    return collect(event for event in events if not isinstance(event, (Chunk, PasswordRefused)))


@pytest.fixture
def host(tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> Host:
    known = write_known_hosts(tmp_path, sshd.known_as("far.example.net", 2222))
    return Host("h1", "far.example.net", 2222, accounts[0].name, key=str(client_key.path), known_hosts=known)


def failure(found: Outcome) -> Failure:
    error = found.finished["h1"].error
    assert error is not None
    return error


def test_a_proxy_command_is_the_connection_and_ends_with_it(host: Host, sshd: Sshd, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sh -c 'echo $$ > {pid}; exec {sys.executable} {PIPE} {sshd.address} {sshd.port}'"
    with pooled() as pool:
        through = replace(host, proxy_command=command)
        assert carry_out(pool, through, Run("true")).status() == {"h1": "ok"}
        child = int(pid.read_text())
        assert processes.is_running(child)
        assert carry_out(pool, through, Run("seq 1 100000"), 2).status() == {"h1": "ok"}
        assert int(pid.read_text()) == child  # it is warm
        pool.survey(None, close=True)
        assert eventually(lambda: not processes.is_running(child))


def test_a_proxy_command_is_not_left_behind_when_the_pool_closes(host: Host, sshd: Sshd, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sh -c 'echo $$ > {pid}; exec {sys.executable} {PIPE} {sshd.address} {sshd.port}'"
    with pooled() as pool:
        assert carry_out(pool, replace(host, proxy_command=command), Ping()).status() == {"h1": "ok"}
        child = int(pid.read_text())
    assert eventually(lambda: not processes.is_running(child))


def test_a_proxy_command_that_heeds_nothing_ends_with_a_worker_that_is_killed(
    host: Host, sshd: Sshd, tmp_path: Path
) -> None:
    # no signal but KILL ends it, nor the end of its input
    stubborn = tmp_path / "stubborn.sh"
    relay = f"{sys.executable} {PIPE} {sshd.address} {sshd.port}"
    stubborn.write_text(f"trap '' TERM HUP\n{relay}\nwhile :; do sleep 1; done\n")
    through = replace(host, proxy_command=f"sh {stubborn}")
    with pooled() as pool:
        for number, name in enumerate(("h1", "h2"), 1):
            assert carry_out(pool, replace(through, name=name), Ping(), number).status() == {name: "ok"}
        assert len(with_command(f"sh\x00{stubborn}")) == 2
        pool._members[0].process.kill()
        assert eventually(lambda: not with_command(f"sh\x00{stubborn}"))
        assert carry_out(pool, through, Ping(), 3).status() == {"h1": "ok"}


def test_what_a_proxy_command_says_last_is_in_the_sentence(host: Host) -> None:
    with pooled() as pool:
        bad = replace(host, proxy_command="sh -c 'echo first >&2; echo no route there >&2; exit 3'")
        found = failure(carry_out(pool, bad, Ping()))
        assert (found.kind, found.message) == ("refused", "its ProxyCommand ended: no route there")
        missing = replace(host, proxy_command="/no/such/command")
        assert "not found" in failure(carry_out(pool, missing, Ping(), 2)).message


def test_a_proxy_command_that_says_nothing_ends_at_the_deadline(host: Host) -> None:
    before = set(os.listdir("/proc"))
    with pooled() as pool:
        mute = replace(host, proxy_command="sleep 4321", connect_timeout=0.5)
        found = failure(carry_out(pool, mute, Ping()))
        assert found.message == "connected, but no SSH banner came in time"
        assert eventually(lambda: not _sleeping(set(os.listdir("/proc")) - before))


def _sleeping(pids: set[str]) -> list[str]:
    found = []
    for pid in pids:
        try:
            words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += [pid] if b"4321" in words else []
    return found
