"""Host keys against real servers: who is trusted, who is asked about, who is refused before any credential is sent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.model import HostKeyPolicy
from hostshell.core.turns import NewKey
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import host_section, ping, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd


@pytest.fixture
def server(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd", host_key_types=("ed25519", "ecdsa")) as made:
        made.authorize(accounts[0], client_key.public)
        yield made


@pytest.fixture
def inventory(tmp_path: Path, server: Sshd, accounts: list[Account], client_key: Key) -> str:
    return write_inventory(tmp_path, *(host_section(name, server, accounts[0], client_key) for name in ("a", "b")))


def accepted(server: Sshd) -> int:
    return server.log.read_text(errors="replace").count("Accepted")


def test_strict_refuses_an_unknown_key_before_any_credential(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str
) -> None:
    with Session(inventory, known_hosts=write_known_hosts(tmp_path)) as session:
        found = ping(session, "a")
    assert (found.finished["a"].status, found.kind("a")) == ("unreachable", "hostkey")
    assert accepted(server) == 0
    assert "userauth" not in server.log.read_text(errors="replace")


def test_accept_new_learns_the_key_and_then_knows_it(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str
) -> None:
    known = tmp_path / "new_known_hosts"
    with Session(inventory, known_hosts=str(known), host_keys="accept-new") as session:
        assert ping(session, "a,b").status() == {"a": "ok", "b": "ok"}
    assert len(known.read_text().splitlines()) == 1  # one server, one line, however many names it has
    with Session(inventory, known_hosts=str(known), host_keys="strict") as session:
        assert ping(session, "a").finished["a"].status == "ok"


def test_ssh_keygen_finds_what_was_learned(tmp_path: Path, clean_home: Path, server: Sshd, inventory: str) -> None:
    known = tmp_path / "new_known_hosts"
    with Session(inventory, known_hosts=str(known), host_keys="accept-new") as session:
        ping(session, "a")
    name = f"[{server.address}]:{server.port}"
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", str(known)], capture_output=True, text=True)
    assert found.returncode == 0


@pytest.mark.parametrize("policy", ["strict", "accept-new", "ask"])
def test_a_changed_key_is_always_refused_before_any_credential(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str, policy: HostKeyPolicy
) -> None:  # row 12
    known = write_known_hosts(tmp_path, server.known_hosts_line)
    server.restart(new_host_key=True)
    before = Path(known).read_bytes()
    asked: list[object] = []

    def ask(offers: tuple[NewKey, ...]) -> frozenset[str]:
        asked.append(offers)
        return frozenset(offer.host for offer in offers)

    with Session(inventory, known_hosts=known, host_keys=policy, ask_keys=ask) as session:
        found = ping(session, "a")
    assert (found.finished["a"].status, found.kind("a")) == ("unreachable", "hostkey")
    assert not asked
    assert accepted(server) == 0
    assert Path(known).read_bytes() == before
    error = found.finished["a"].error
    assert error is not None
    assert f"{known}:1" in f"{error.message} {error.hint}"


def test_a_revoked_key_is_refused_although_it_is_known(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str
) -> None:
    lines = server.known_hosts_line.splitlines()
    known = write_known_hosts(tmp_path, *lines, *(f"@revoked * {line.split(' ', 1)[1]}" for line in lines))
    with Session(inventory, known_hosts=known, host_keys="accept-new") as session:
        found = ping(session, "a")
    assert found.kind("a") == "hostkey"
    assert accepted(server) == 0


def test_a_key_of_the_type_that_is_known_is_asked_for(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str
) -> None:
    line = next(line for line in server.known_hosts_line.splitlines() if "ecdsa" in line)
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, line)) as session:
        assert ping(session, "a").finished["a"].status == "ok"


def test_a_hashed_entry_is_found(tmp_path: Path, clean_home: Path, server: Sshd, inventory: str) -> None:
    known = write_known_hosts(tmp_path, server.known_hosts_line)
    subprocess.run(["ssh-keygen", "-H", "-f", known], check=True, capture_output=True)
    assert server.address not in Path(known).read_text()
    with Session(inventory, known_hosts=known) as session:
        assert ping(session, "a").finished["a"].status == "ok"


def test_ask_lists_every_new_key_once_and_runs_on_those_that_are_accepted(
    tmp_path: Path, clean_home: Path, server: Sshd, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    inventory = write_inventory(
        tmp_path,
        host_section("known", sshd, accounts[0], client_key),
        *(host_section(name, server, accounts[0], client_key) for name in ("new1", "new2")),
    )
    questions: list[tuple[NewKey, ...]] = []

    def ask(offers: tuple[NewKey, ...]) -> frozenset[str]:
        questions.append(offers)
        return frozenset({"new1"})

    with Session(inventory, known_hosts=known, default_host_keys="ask", ask_keys=ask) as session:
        found = run(session, "echo {host}", "known,new1,new2")
    assert [sorted(offer.host for offer in offers) for offers in questions] == [["new1", "new2"]]
    public = server.host_keys["ed25519"].path.with_suffix(".pub")
    shown = subprocess.run(["ssh-keygen", "-lf", str(public)], capture_output=True, text=True, check=True).stdout
    assert questions[0][0].fingerprint == shown.split()[1]
    assert found.status() == {"known": "ok", "new1": "ok", "new2": "unreachable"}
    assert found.out == {"known": ["known"], "new1": ["new1"]}
    assert f"[{server.address}]:{server.port} ssh-ed25519" in Path(known).read_text()


def test_without_anybody_to_ask_nothing_is_accepted(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str
) -> None:
    with Session(inventory, known_hosts=write_known_hosts(tmp_path), host_keys="ask") as session:
        assert ping(session, "a").kind("a") == "hostkey"
    assert accepted(server) == 0


def test_the_users_own_known_hosts_is_read_and_written_when_no_file_is_named(
    tmp_path: Path, clean_home: Path, server: Sshd, inventory: str
) -> None:
    with Session(inventory, host_keys="accept-new") as session:
        assert ping(session, "a").finished["a"].status == "ok"
    own = clean_home / ".ssh" / "known_hosts"
    assert f"[{server.address}]:{server.port}" in own.read_text()
    assert own.stat().st_mode & 0o077 == 0
    assert own.parent.stat().st_mode & 0o077 == 0
