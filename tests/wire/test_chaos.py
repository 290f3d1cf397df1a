"""Sixty hosts of which twelve are broken in twelve ways: the others are right, and each of the twelve is named."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hostshell.core.events import Kind, Status
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.faulty import (
    EndlessBanner,
    Faulty,
    Mute,
    OnlyRetired,
    Slam,
    StallAfterKex,
    SynDropper,
)
from tests.support.keys import Key, make_key
from tests.support.running import host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd, free_port, known_hosts_name
from tests.support.standin import StandIn

GOOD = [f"g{number:02}" for number in range(48)]
COMMAND = "case {host} in kills-itself) kill -9 $$;; esac; echo right-{host}; echo err-{host} >&2"
SHORT = 3  # seconds that a host is given which never connects; the others have plenty, however slow this machine is
SILENT = ("drops-syn", "mute", "stalls", "slams")


class Broken(NamedTuple):
    """What has to be said about one broken host."""

    status: Status
    kind: Kind
    words: str


BROKEN: dict[str, Broken] = {
    "drops-syn": Broken("unreachable", "timeout", "no answer from port"),
    "mute": Broken("unreachable", "timeout", "no SSH banner"),
    "stalls": Broken("unreachable", "timeout", "handshake did not end"),
    "talks-on": Broken("unreachable", "refused", "does not speak SSH"),
    "slams": Broken("unreachable", "refused", "closed the connection during the SSH handshake"),
    "wrong-password": Broken("unreachable", "auth", "refused"),
    "unknown-key": Broken("unreachable", "hostkey", "key"),
    "changed-key": Broken("unreachable", "hostkey", "changed"),
    "retired": Broken("unreachable", "algorithms", "no algorithm in common"),
    "no-name": Broken("unreachable", "dns", "cannot be resolved"),
    "refuses": Broken("unreachable", "refused", "connection refused"),
    "kills-itself": Broken("failed", "signal", "killed by signal KILL"),
}


class Fleet(NamedTuple):
    """The files that describe the sixty."""

    inventory: str
    known_hosts: str


@pytest.fixture
def fleet(
    tmp_path: Path,
    clean_home: Path,
    password_sshd: Sshd | StandIn,
    accounts: list[Account],
    client_key: Key,
) -> Iterator[Fleet]:
    """48 good hosts at three servers, and twelve broken ones between them."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Sshd(tmp_path / f"sshd{number}")) for number in range(3)]
        for server in servers:
            server.authorize(accounts[0], client_key.public)
        stranger = stack.enter_context(Sshd(tmp_path / "stranger"))
        stranger.authorize(accounts[0], client_key.public)
        scripted: dict[str, Faulty] = {
            "drops-syn": SynDropper(),
            "mute": Mute(),
            "stalls": StallAfterKex(),
            "talks-on": EndlessBanner(),
            "slams": Slam(reset=True),
            "retired": OnlyRetired(),
        }
        places = {"no-name": ("no-such-host.invalid", 22), "refuses": ("127.0.0.1", free_port("127.0.0.1"))}
        for name, faulty in scripted.items():
            stack.enter_context(faulty)
            places[name] = (faulty.address, faulty.port)
        sections = [
            f"[host:{name}]\naddress = {address}\nport = {port}\nuser = nobody\npassword = x\n"
            for name, (address, port) in places.items()
        ]
        sections.append(
            f"[host:wrong-password]\naddress = {password_sshd.address}\nport = {password_sshd.port}\n"
            f"user = {accounts[-1].name}\npassword = this is not it\n"
        )
        sections.append(host_section("unknown-key", stranger, accounts[0], client_key))
        sections.append(host_section("changed-key", stranger, accounts[0], client_key, address="localhost"))
        sections = [
            f"{section.rstrip()}\nconnect_timeout = {SHORT if section[6:].partition(']')[0] in SILENT else 60}\n"
            for section in sections
        ]
        sections.append(host_section("kills-itself", servers[0], accounts[0], client_key, connect_timeout="60"))
        sections += [
            host_section(name, servers[number % 3], accounts[0], client_key, connect_timeout="60")
            for number, name in enumerate(GOOD)
        ]
        another = make_key(tmp_path / "another").public
        yield Fleet(
            write_inventory(tmp_path, *sections),
            write_known_hosts(
                tmp_path,
                *(server.known_hosts_line for server in (*servers, password_sshd)),
                f"{known_hosts_name('localhost', stranger.port)} {another}",
            ),
        )


def test_twelve_hosts_broken_in_twelve_ways_cost_themselves_alone(fleet: Fleet) -> None:
    with Session(fleet.inventory, known_hosts=fleet.known_hosts) as session:
        found = run(session, COMMAND, "*")
        assert len(found.finished) == 60
        assert found.out == {name: [f"right-{name}"] for name in GOOD}
        assert found.err == {name: [f"err-{name}"] for name in GOOD}
        said = {}
        for name, event in found.finished.items():
            if name not in BROKEN:
                assert event.status == "ok", name
                continue
            assert event.error is not None, name
            assert BROKEN[name].words in event.error.message
            said[name] = Broken(event.status, event.error.kind, BROKEN[name].words)
        assert said == BROKEN
        assert found.summary is not None
        assert (found.summary.ok, found.summary.failed, found.summary.unreachable) == (48, 1, 11)
        assert found.summary.exit_code == 4
        again = run(session, "echo again-{host}", "g[00-47]")
        assert again.out == {name: [f"again-{name}"] for name in GOOD}
        assert set(again.status().values()) == {"ok"}


def test_the_summary_names_each_of_the_twelve_and_no_line_stands_under_a_wrong_name(
    fleet: Fleet,
) -> None:
    words = [sys.executable, "-m", "hostshell", "-i", fleet.inventory, "--known-hosts", fleet.known_hosts]
    done = subprocess.run(
        [*words, "-c", f"batch_run -a -cmd '{COMMAND}'", "-c", "batch_run -h g[00-47] -cmd 'echo again-{host}'"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 4
    lines = done.stdout.splitlines()
    assert sorted(lines[:48]) == [f"{name}: right-{name}" for name in GOOD]
    assert sorted(lines[48:]) == [f"{name}: again-{name}" for name in GOOD]
    assert "Traceback" not in done.stderr
    assert re.search(r"^48 ok, 1 failed, 11 unreachable in ", done.stderr, re.M)
    assert re.search(r"^48 ok in ", done.stderr, re.M)
    for name, broken in BROKEN.items():
        named = [line for line in done.stderr.splitlines() if re.match(rf"  {broken.status} {name}: ", line)]
        assert len(named) == 1, (name, done.stderr)
        assert broken.words in named[0]
    assert sorted(line for line in done.stderr.splitlines() if re.match(r"g\d\d: ", line)) == [
        f"{name}: err-{name}" for name in GOOD
    ]
