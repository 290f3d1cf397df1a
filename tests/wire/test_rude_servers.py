"""Servers that break the protocol after the handshake: a bound for everything, one sentence, and the others go on."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from hostshell.core.events import Event
from hostshell.core.model import Connect, Get, Ping, Run, Task, Terminal
from hostshell.core.turns import Note
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.faulty import IDENT, Faulty, Slam
from tests.support.keyboard import nobody
from tests.support.keys import Key
from tests.support.rude import (
    PASSWORD,
    CutsAtSecond,
    EndsWithoutStatus,
    HugePacket,
    IgnoresWindow,
    KilledByNothing,
    ManyExtensions,
    ManyQuestions,
    NeverAnswers,
    NeverOpens,
    NeverStartsSftp,
    RefusesCommands,
    Rude,
    SaysGoodbye,
    TurnsAway,
)
from tests.support.running import Outcome, collect, host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

PIPE = Path(__file__).parents[1] / "support" / "pipe.py"
LIMIT = 30.0  # seconds for a host's turn: a bound that is missing shows as a status `timeout`


@pytest.fixture
def good(sshd: Sshd, accounts: list[Account], client_key: Key) -> str:
    return host_section("good", sshd, accounts[0], client_key, connect_timeout="60")


def beside_a_good_host(folder: Path, sshd: Sshd, good: str, bad: Faulty) -> Outcome:
    """Run on a good host and on a bad one, then on the good one again."""
    section = f"[host:bad]\naddress = {bad.address}\nport = {bad.port}\nuser = anybody\npassword = {PASSWORD}\n"
    section += "connect_timeout = 3\n"
    lines = [sshd.known_hosts_line]
    if isinstance(bad, Rude):
        lines.append(bad.known_hosts_line())
    known = write_known_hosts(folder, *lines)
    with Session(write_inventory(folder, good, section), known_hosts=known) as session:
        found = run(session, "echo right", "good,bad", timeout=LIMIT)
        assert found.out["good"] == ["right"]
        assert run(session, "echo again", "good").out == {"good": ["again"]}
    return found


@pytest.mark.parametrize(
    ("server", "status", "kind", "sentence"),
    [
        (NeverOpens, "unreachable", "timeout", "opened no session in time"),
        (NeverAnswers, "lost", "lost", "did not answer the request"),
        (RefusesCommands, "failed", "exit", "refused to run a command"),
        (EndsWithoutStatus, "lost", "lost", "without an exit status"),
        (KilledByNothing, "failed", "signal", "killed by signal ?"),
        (IgnoresWindow, "lost", "lost", "more than it was allowed to"),
        (HugePacket, "lost", "lost", "impossible size"),
        (SaysGoodbye, "lost", "lost", "maintenance begins"),
        (TurnsAway, "unreachable", "auth", "Too many authentication failures"),
        (ManyExtensions, "unreachable", "auth", "more extensions than"),
        (ManyQuestions, "unreachable", "auth", "more questions than"),
    ],
)
def test_a_server_that_breaks_the_protocol_costs_itself_alone(
    tmp_path: Path,
    clean_home: Path,
    sshd: Sshd,
    good: str,
    server: type[Rude],
    status: str,
    kind: str,
    sentence: str,
) -> None:
    with server() as rude:
        found = beside_a_good_host(tmp_path, sshd, good, rude)
    bad = found.finished["bad"]
    assert (bad.status, found.kind("bad")) == (status, kind)
    assert bad.error is not None
    assert sentence in bad.error.message


def test_a_copy_to_a_server_that_never_answers_can_be_stopped_and_costs_the_connection_nothing(
    tmp_path: Path, clean_home: Path
) -> None:
    with NeverStartsSftp() as rude:
        section = f"[host:bad]\naddress = {rude.address}\nport = {rude.port}\nuser = u\npassword = {PASSWORD}\n"
        known = write_known_hosts(tmp_path, rude.known_hosts_line())
        with Session(write_inventory(tmp_path, section), known_hosts=known) as session:
            collect(session.stream(session.job(Ping(), ["bad"])))
            found = collect(session.stream(session.job(Get("x", str(tmp_path)), ["bad"], label="x", timeout=1.0)))
            assert found.status() == {"bad": "timeout"}
            assert [one.host for one in session.connections()] == ["bad"]


def test_the_servers_own_manners_are_no_fault(tmp_path: Path, clean_home: Path, sshd: Sshd, good: str) -> None:
    with Rude() as polite:
        assert beside_a_good_host(tmp_path, sshd, good, polite).finished["bad"].status == "ok"


@pytest.mark.parametrize(
    "task",
    [
        Run("deploy"),
        Run("deploy", terminal=Terminal(80, 24)),
        Run("deploy", sudo=True),
        Connect("deploy"),
        Connect(),  # a key may start anything in place of a shell
    ],
    ids=["run", "tty", "sudo", "connect-command", "connect"],
)
def test_what_a_server_got_is_never_sent_again_although_the_warm_connection_died_before_its_answer(
    tmp_path: Path, clean_home: Path, task: Task
) -> None:
    with CutsAtSecond() as rude:
        sent_once(tmp_path, rude, "", (), task)


@pytest.mark.parametrize("way", ["jump", "proxy"])
def test_nor_is_it_behind_a_jump_host_or_a_proxy_command(
    tmp_path: Path, clean_home: Path, sshd: Sshd, good: str, way: str
) -> None:
    with CutsAtSecond() as rude:
        if way == "jump":
            sent_once(tmp_path, rude, "jump = good\n" + good, (sshd.known_hosts_line,), Run("deploy"))
        else:
            command = f"{sys.executable} {PIPE} {rude.address} {rude.port}"
            (tmp_path / "ssh_config").write_text(f"Host bad\n  ProxyCommand {command}\n")
            sent_once(tmp_path, rude, "proxy_command = yes\n", (), Run("deploy"))


def sent_once(folder: Path, rude: CutsAtSecond, more: str, known: tuple[str, ...], task: Task) -> None:
    """Warm up, then have ``task`` arrive at ``rude``, which ends the link: it arrives once, and may still run."""
    section = f"[host:bad]\naddress = {rude.address}\nport = {rude.port}\nuser = u\npassword = {PASSWORD}\n{more}"
    config = folder / "ssh_config"
    with (
        nobody() as keyboard,
        Session(
            write_inventory(folder, section),
            known_hosts=write_known_hosts(folder, rude.known_hosts_line(), *known),
            ssh_config=str(config) if config.exists() else "none",
        ) as session,
    ):
        assert run(session, "warm up", "bad").status() == {"bad": "ok"}
        job = session.job(task, ["bad"], label="x", timeout=LIMIT)
        news = session.interact(job, keyboard) if isinstance(task, Connect) else session.stream(job)
        found = collect(item for item in news if isinstance(item, (Event, Note)))
    assert len(rude.commands) == 2
    assert found.status() == {"bad": "lost"}
    assert found.finished["bad"].may_still_run


@pytest.mark.parametrize(
    ("said", "kind", "sentence"),
    [
        (b"Not allowed at this time\r\n", "refused", "PerSourcePenalties"),
        (b"Exceeded MaxStartups\r\n", "refused", "closed the connection during the SSH handshake"),
        (b"Too many connections from your address\r\n", "refused", 'the server said "Too many connections'),
        (b"SSH-1.5-ancient\r\n", "algorithms", "old version of SSH (1.5"),
    ],
)
def test_what_a_server_says_before_it_hangs_up_is_told(
    tmp_path: Path, clean_home: Path, sshd: Sshd, good: str, said: bytes, kind: str, sentence: str
) -> None:
    with Slam(said) as server:
        found = beside_a_good_host(tmp_path, sshd, good, server)
    bad = found.finished["bad"]
    assert (bad.status, found.kind("bad")) == ("unreachable", kind)
    assert bad.error is not None
    assert sentence in bad.error.message


class HugeHello(Faulty):
    """Announces a packet of two gigabytes as the first of the handshake."""

    def play(self, link: socket.socket) -> None:
        link.sendall(IDENT + b"\x7f\xff\xff\xf4" + bytes(64))
        self.hold(link)


def test_a_packet_without_measure_is_refused_in_the_handshake_too(
    tmp_path: Path, clean_home: Path, sshd: Sshd, good: str
) -> None:
    with HugeHello() as server:
        found = beside_a_good_host(tmp_path, sshd, good, server)
    error = found.finished["bad"].error
    assert error is not None
    assert (error.kind, "impossible size" in error.message) == ("refused", True)


class Nonsense(Faulty):
    """Greets, then sends what is no packet."""

    def play(self, link: socket.socket) -> None:
        link.sendall(IDENT + bytes(range(256)))
        self.hold(link)


def test_nonsense_in_the_handshake_is_not_taken_for_a_full_server(
    tmp_path: Path, clean_home: Path, sshd: Sshd, good: str
) -> None:
    with Nonsense() as server:
        found = beside_a_good_host(tmp_path, sshd, good, server)
        assert server.accepted == 1
    error = found.finished["bad"].error
    assert error is not None
    assert (error.kind, error.message[:25]) == ("refused", "the SSH handshake failed:")
