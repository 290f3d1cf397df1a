"""Hosts that cannot be reached or logged in to: one clear sentence each, and the others go on."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.faulty import (
    DripBanner,
    EndlessBanner,
    EscapeBanner,
    Faulty,
    Mute,
    Slam,
    StallAfterKex,
    SynDropper,
)
from tests.support.keys import Key, make_key
from tests.support.running import Outcome, host_section, ping, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd, free_port
from tests.support.standin import StandIn


@pytest.fixture
def good(sshd: Sshd, accounts: list[Account], client_key: Key) -> str:
    return host_section("good", sshd, accounts[0], client_key, connect_timeout="60")


def beside_a_good_host(folder: Path, sshd: Sshd, good: str, address: str, port: int, seconds: float = 2.0) -> Outcome:
    """Run on a good host and on a bad one; the good one is right whatever the bad one does."""
    bad = (
        f"[host:bad]\naddress = {address}\nport = {port}\nuser = nobody\npassword = x\nconnect_timeout = {seconds:g}\n"
    )
    known = write_known_hosts(folder, sshd.known_hosts_line)
    with Session(write_inventory(folder, good, bad), known_hosts=known) as session:
        found = run(session, "echo right", "good,bad")
        assert found.out == {"good": ["right"]}
        assert found.finished["good"].status == "ok"
        assert run(session, "echo again", "good").out == {"good": ["again"]}
    return found


@pytest.mark.parametrize(
    ("server", "kind", "sentence"),
    [
        (SynDropper, "timeout", "no answer from port"),  # row 1
        (Mute, "timeout", "no SSH banner"),  # row 2
        (StallAfterKex, "timeout", "handshake did not end"),  # row 3
        (EndlessBanner, "refused", "does not speak SSH"),  # row 4
        (DripBanner, "timeout", "no SSH banner"),
        (Slam, "refused", "closed the connection during the SSH handshake"),  # row 9
        (EscapeBanner, "refused", ""),  # row 26
    ],
)
def test_a_server_that_misbehaves_before_the_login_costs_itself_alone(
    tmp_path: Path, clean_home: Path, sshd: Sshd, good: str, server: type[Faulty], kind: str, sentence: str
) -> None:
    with server() as faulty:
        found = beside_a_good_host(tmp_path, sshd, good, faulty.address, faulty.port)
    bad = found.finished["bad"]
    assert (bad.status, found.kind("bad")) == ("unreachable", kind)
    assert bad.error is not None
    assert sentence in bad.error.message
    assert found.summary is not None
    assert found.summary.exit_code == 4


def test_a_port_where_nobody_listens_is_refused(tmp_path: Path, clean_home: Path, sshd: Sshd, good: str) -> None:
    found = beside_a_good_host(tmp_path, sshd, good, "127.0.0.1", free_port("127.0.0.1"))
    assert (found.finished["bad"].status, found.kind("bad")) == ("unreachable", "refused")


def test_a_name_that_does_not_resolve_is_told_as_such(tmp_path: Path, clean_home: Path, sshd: Sshd, good: str) -> None:
    found = beside_a_good_host(tmp_path, sshd, good, "no-such-host.invalid", 22, seconds=5)  # row 8
    assert (found.finished["bad"].status, found.kind("bad")) == ("unreachable", "dns")


def test_the_first_address_that_answers_is_taken(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "sshd", address="127.0.0.1") as server:
        server.authorize(accounts[0], client_key.public)
        # "localhost" has two addresses on most machines, and this server listens at one of them
        inventory = write_inventory(tmp_path, host_section("a", server, accounts[0], client_key, address="localhost"))
        known = write_known_hosts(tmp_path, server.known_as("localhost", server.port))
        with Session(inventory, known_hosts=known) as session:
            assert run(session, "echo here", "a").out == {"a": ["here"]}


def test_a_wrong_password_is_tried_once_and_never_again_until_reload(
    tmp_path: Path, clean_home: Path, password_sshd: Sshd | StandIn, accounts: list[Account]
) -> None:  # row 6
    account = accounts[-1]
    where = f"address = {password_sshd.address}\nport = {password_sshd.port}\nuser = {account.name}\n"
    inventory = write_inventory(tmp_path, f"[host:a]\n{where}password = mistaken-canary\n")
    known = write_known_hosts(tmp_path, password_sshd.known_hosts_line)

    def attempts() -> int:
        return password_sshd.log.read_text(errors="replace").count(f"Failed password for {account.name}")

    before = attempts()
    with Session(inventory, known_hosts=known) as session:
        first = ping(session, "a")
        assert (first.finished["a"].status, first.kind("a")) == ("unreachable", "auth")
        second = ping(session, "a")
        assert second.kind("a") == "auth"
        error = second.finished["a"].error
        assert error is not None
        assert "not offered again" in error.message
        assert "reload" in error.hint
        assert attempts() == before + 1
        write_inventory(tmp_path, f"[host:a]\n{where}password = {account.password}\n")
        session.reload()
        assert ping(session, "a").finished["a"].status == "ok"
    text = f"{first.finished} {second.finished}"
    assert "mistaken-canary" not in text


def test_a_password_with_every_odd_character_reaches_the_server_byte_for_byte(
    tmp_path: Path, clean_home: Path, password_sshd: Sshd | StandIn, accounts: list[Account]
) -> None:  # row 36
    sections = [
        f"[host:p{number}]\naddress = {password_sshd.address}\nport = {password_sshd.port}\n"
        f"user = {account.name}\npassword = {account.password}\n"
        for number, account in enumerate(accounts[3:])
    ]
    known = write_known_hosts(tmp_path, password_sshd.known_hosts_line)
    with Session(write_inventory(tmp_path, *sections), known_hosts=known) as session:
        assert ping(session, "p[0-2]").status() == {"p0": "ok", "p1": "ok", "p2": "ok"}


def test_an_account_with_nothing_to_offer_says_so(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    section = f"[host:a]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\n"
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(write_inventory(tmp_path, section), known_hosts=known) as session:
        found = ping(session, "a")
    assert found.kind("a") == "auth"
    error = found.finished["a"].error
    assert error is not None
    assert "nothing to log in with" in error.message


def test_a_missing_key_file_is_named(tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]) -> None:
    section = (
        f"[host:a]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\nkey = ~/.ssh/not-there\n"
    )
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(write_inventory(tmp_path, section), known_hosts=known) as session:
        error = ping(session, "a").finished["a"].error
    assert error is not None
    assert error.kind == "auth"
    assert "not-there: no such file" in error.message


def test_the_users_own_default_key_is_tried(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    folder = clean_home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "id_ed25519").write_bytes(client_key.path.read_bytes())
    (folder / "id_ed25519").chmod(0o600)
    section = f"[host:a]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\n"
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(write_inventory(tmp_path, section), known_hosts=known) as session:
        assert ping(session, "a").finished["a"].status == "ok"


def test_the_inventorys_credential_is_tried_before_the_users_keys(
    tmp_path: Path, clean_home: Path, password_sshd: Sshd | StandIn, accounts: list[Account]
) -> None:  # row 7: default keys that are refused would use up MaxAuthTries
    folder = clean_home / ".ssh"
    folder.mkdir(mode=0o700)
    for name, kind in (("id_ed25519", "ed25519"), ("id_ecdsa", "ecdsa"), ("id_rsa", "rsa")):
        make_key(folder / name, kind)
    account = accounts[-1]
    with Sshd(tmp_path / "sshd", options={"MaxAuthTries": "2"}) as server:
        target: Sshd | StandIn = server if account.real else password_sshd
        section = (
            f"[host:a]\naddress = {target.address}\nport = {target.port}\n"
            f"user = {account.name}\npassword = {account.password}\n"
        )
        known = write_known_hosts(tmp_path, target.known_hosts_line)
        with Session(write_inventory(tmp_path, section), known_hosts=known) as session:
            assert ping(session, "a").finished["a"].status == "ok"


@pytest.fixture
def full_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent with six keys that no server knows."""
    place = str(tmp_path / "full-agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(place):
            assert agent.poll() is None
            time.sleep(0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", place)
        for number in range(6):
            key = make_key(tmp_path / f"strange-{number}")
            subprocess.run(["ssh-add", "-q", str(key.path)], check=True)
        yield
    finally:
        agent.terminate()
        agent.wait()


def test_the_inventorys_password_is_tried_before_six_keys_of_the_agent(
    tmp_path: Path, clean_home: Path, full_agent: None, password_sshd: Sshd | StandIn, accounts: list[Account]
) -> None:  # row 7
    account = accounts[-1]
    with Sshd(tmp_path / "sshd", options={"MaxAuthTries": "6"}) as server:
        target: Sshd | StandIn = server if account.real else password_sshd
        where = f"address = {target.address}\nport = {target.port}\nuser = {account.name}\n"
        inventory = write_inventory(
            tmp_path,
            f"[host:good]\n{where}password = {account.password}\n",
            f"[host:keys]\n{where}",
        )
        with Session(inventory, known_hosts=write_known_hosts(tmp_path, target.known_hosts_line)) as session:
            found = ping(session, "good,keys")
    assert found.finished["good"].status == "ok"
    assert (found.finished["keys"].status, found.kind("keys")) == ("unreachable", "auth")


def test_a_burst_that_the_server_drops_in_part_still_ends_well_and_runs_once(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 5
    with Sshd(tmp_path / "sshd", options={"MaxStartups": "4:60:10", "PerSourcePenalties": None}) as server:
        server.authorize(accounts[0], client_key.public)
        names = [f"n{number:02}" for number in range(64)]
        inventory = write_inventory(
            tmp_path,
            "[defaults]\nconnect_timeout = 30\n",
            *(host_section(name, server, accounts[0], client_key) for name in names),
        )
        known = write_known_hosts(tmp_path, server.known_hosts_line)
        with Session(inventory, known_hosts=known) as session:
            found = run(session, "echo {host} >> burst; echo ran", "n[00-63]")
            there = run(session, "sort burst; rm burst", "n00")
    assert found.out == {name: ["ran"] for name in names}
    assert there.out["n00"] == names  # each once


def test_a_retired_algorithm_is_not_agreed_on(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "sshd", options={"Ciphers": "aes128-cbc", "MACs": "hmac-sha1"}) as server:
        server.authorize(accounts[0], client_key.public)
        known = write_known_hosts(tmp_path, server.known_hosts_line)
        inventory = write_inventory(tmp_path, host_section("a", server, accounts[0], client_key))
        with Session(inventory, known_hosts=known) as session:
            found = ping(session, "a")
    assert (found.finished["a"].status, found.kind("a")) == ("unreachable", "algorithms")


def test_connections_carry_no_delay_of_nagles_and_notice_a_dead_peer(sshd: Sshd) -> None:
    from hostshell.ssh.link import tune

    with socket.create_connection((sshd.address, sshd.port)) as sock:
        tune(sock, 30)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_server_alive_count_max_is_how_many_probes_go_unanswered(sshd: Sshd) -> None:
    from hostshell.ssh.link import tune

    with socket.create_connection((sshd.address, sshd.port)) as sock:
        tune(sock, 20, 5)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 5
        # where it is shorter than the probes take, it is what counts (tcp(7))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
        tune(sock, 1_000_000, 1_000_000)  # more than the kernel takes: as much as it takes
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 32767


def test_an_agent_that_never_answers_costs_its_own_host_alone(
    tmp_path: Path,
    clean_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
) -> None:
    mute = socket.socket(socket.AF_UNIX)
    mute.bind(str(tmp_path / "agent"))
    mute.listen()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    keyless = f"[host:bad]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\n"
    inventory = write_inventory(tmp_path, host_section("good", sshd, accounts[0], client_key), keyless)
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with mute, Session(inventory, known_hosts=known, pool=Pool(1)) as session:
        found = run(session, "sleep 4; echo right", "good,bad")
    assert found.out == {"good": ["right"]}
    assert (found.finished["bad"].status, found.kind("bad")) == ("unreachable", "auth")
