"""What travels together: a login in as few round trips as the protocol allows, a warm command in one."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from hostshell.core.events import Finished
from hostshell.core.model import Put
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.keys import Key, make_key
from tests.support.relay import CutRelay
from tests.support.rounds import Rounds
from tests.support.rude import PASSWORD, Rude
from tests.support.running import collect, host_section, ping, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd


def test_a_cold_command_takes_four_round_trips_after_tcps_own_and_a_warm_one_takes_one(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    with Rounds((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port), "connect_timeout": "30"}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:
            assert run(session, "echo cold", "a").out == {"a": ["cold"]}
            # identification; key exchange; credential and request for a session; command
            assert relay.rounds == 4
            took = []
            for number in range(3):
                time.sleep(0.5)  # what is left to say of the last one
                before = relay.rounds
                assert run(session, f"echo {number}", "a").out == {"a": [str(number)]}
                took.append(relay.rounds - before)
            assert min(took) == 1, took  # a machine that stands still for a moment makes two of one


def test_a_login_that_is_refused_behind_the_request_for_a_session_reads_as_one(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    stranger = make_key(tmp_path / "stranger")
    inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], stranger))
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        found = run(session, "true", "a")
        assert (found.finished["a"].status, found.kind("a")) == ("unreachable", "auth")
        # the next credential is tried as if nothing had been asked for
        (clean_home / ".ssh").mkdir(mode=0o700)
        (clean_home / ".ssh" / "id_ed25519").write_bytes(Path(client_key.path).read_bytes())
        (clean_home / ".ssh" / "id_ed25519").chmod(0o600)
        session.reload()
        assert run(session, "echo second", "a").out == {"a": ["second"]}


@pytest.mark.parametrize("most", ["1", "2"])
def test_a_server_that_opens_few_sessions_at_once_still_runs_one_command_after_another(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key, most: str
) -> None:
    with Sshd(tmp_path / "sshd", options={"MaxSessions": most}) as server:
        server.authorize(accounts[0], client_key.public)
        inventory = write_inventory(tmp_path, host_section("a", server, accounts[0], client_key))
        with Session(inventory, known_hosts=write_known_hosts(tmp_path, server.known_hosts_line)) as session:
            for number in range(4):
                assert run(session, f"echo {number}", "a").out == {"a": [str(number)]}
                assert ping(session, "a").finished["a"].status == "ok"
            (tmp_path / "file").write_text("whole\n")
            for events in (
                session.put(str(tmp_path / "file"), "few-sessions", hosts="a"),
                session.get("few-sessions", f"{tmp_path}/out/", hosts="a"),
                session.run("rm few-sessions", hosts="a"),
                session.put(str(tmp_path / "file"), "few-sessions", hosts="a"),
                session.run("rm few-sessions", hosts="a"),
            ):
                assert [each.status for each in events if isinstance(each, Finished)] == ["ok"]
            assert (tmp_path / "out" / "a" / "few-sessions").read_text() == "whole\n"


class Recording(Rude):
    """Notes which sessions and commands it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def at_open(self) -> bool:
        self.asked.append("session")
        return True

    def at_exec(self, *about: object) -> bool:
        self.asked.append("command")
        return super().at_exec(*about)


def test_the_session_of_the_next_command_is_asked_for_with_this_one(tmp_path: Path, clean_home: Path) -> None:
    with Recording() as server:
        inventory = write_inventory(
            tmp_path,
            f"[host:a]\naddress = {server.address}\nport = {server.port}\nuser = anybody\npassword = {PASSWORD}\n",
        )
        with Session(inventory, known_hosts=write_known_hosts(tmp_path, server.known_hosts_line())) as session:
            for _ in range(3):
                assert run(session, "true", "a").finished["a"].status == "ok"
        assert server.asked == ["session", "command", *["session", "command"] * 2, "session"]


def test_a_link_that_died_while_nobody_looked_is_replaced_before_a_command_is_sent_on_it(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 22
    with CutRelay((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port), "connect_timeout": "2"}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:
            assert run(session, "echo one", "a").out == {"a": ["one"]}
            relay.abandon()
            time.sleep(5.2)  # longer than silence is trusted
            found = run(session, "echo ran >> died-unseen; wc -l < died-unseen; rm died-unseen", "a")
            assert (found.status(), found.out) == ({"a": "ok"}, {"a": ["1"]})  # and it ran once


def test_a_tree_that_is_there_already_is_known_as_such_within_few_round_trips(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    tree = tmp_path / f"tree-{secrets.token_hex(4)}"
    tree.mkdir()
    for number in range(500):  # more than come in one answer
        (tree / f"file-{number:03}").write_text("content")
    with Rounds((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port), "connect_timeout": "30"}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:
            for files, rounds in ((500, None), (0, 6)):
                time.sleep(1.0)  # what is left to say of the last one
                before = relay.rounds
                job = session.job(Put(str(tree), "~/"), ["a"])
                copied = collect(session.stream(job)).finished["a"].copied
                assert copied is not None
                assert copied.files == files
                if rounds is not None:
                    # the start of SFTP (two: it takes no input before), the target, the directory, which is opened
                    # with that, its names, their digests, whose tool was started with that
                    assert relay.rounds - before <= rounds, relay.rounds - before
            run(session, f"rm -r {tree.name}", "a")
