"""Keyboard-interactive logins: what the password answers, what a person is asked, and what is refused without one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hostshell.core.model import Host, Secret
from hostshell.core.turns import Inquiry
from hostshell.engine.pool import Pool
from hostshell.session import Session
from hostshell.ssh.connect import Connector
from hostshell.ssh.failures import TurnStopped
from hostshell.ssh.interview import MOST_ROUNDS
from hostshell.ssh.stopping import Stopper
from tests.support.accounts import Account
from tests.support.keys import Key, make_key
from tests.support.relay import CutRelay
from tests.support.rude import AsksForEver, Rude
from tests.support.running import Outcome, host_section, ping, run, write_inventory, write_known_hosts
from tests.support.scripted import Scripted
from tests.support.sshd import Sshd, known_hosts_name
from tests.support.twosteps import TwoSteps

PASSWORD = ("Password: ", False, "hunter2")
CODE = ("Verification code: ", False, "123456")
HOST = "[host:{name}]\naddress = {server.address}\nport = {server.port}\nuser = u\n"


class Person:
    """Answers what it is asked, and remembers it."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked: list[Inquiry] = []

    def __call__(self, inquiry: Inquiry) -> tuple[Secret, ...] | None:
        self.asked.append(inquiry)
        answers = [self.answers.pop(0) for _ in inquiry.prompts]
        return None if None in answers else tuple(Secret(str(answer)) for answer in answers)


@contextmanager
def session_at(
    folder: Path, server: Scripted | TwoSteps, *sections: str, person: Person | None = None
) -> Iterator[Session]:
    inventory = write_inventory(folder, *sections)
    known = write_known_hosts(folder, server.known_hosts_line)
    with Session(inventory, known_hosts=known, ask_prompts=person, pool=Pool(2)) as session:
        yield session


def login(
    folder: Path, rounds: Sequence[Sequence[tuple[str, bool, str]]], person: Person | None = None, more: str = ""
) -> tuple[Outcome, Scripted]:
    with Scripted(folder / "server", questions=rounds, instructions="Hello\x1b[31m") as server:
        section = HOST.format(name="h1", server=server) + more
        with session_at(folder, server, section, person=person) as session:
            return run(session, "hello", "h1"), server


WITH_PASSWORD = "password = hunter2\n"


def test_a_password_prompt_is_answered_by_the_password(tmp_path: Path, clean_home: Path) -> None:
    person = Person()
    found, server = login(tmp_path, [[PASSWORD]], person, WITH_PASSWORD)
    assert found.out == {"h1": ["hello"]}
    assert (server.answers, person.asked) == ([["hunter2"]], [])


def test_a_person_may_switch_keyboard_interactive_off(
    tmp_path: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh_config").write_text("Host *\n  KbdInteractiveAuthentication no\n")
    monkeypatch.setenv("HOSTSHELL_SSH_CONFIG", str(tmp_path / "ssh_config"))
    person = Person("hunter2")
    found, server = login(tmp_path, [[PASSWORD]], person, WITH_PASSWORD)
    assert found.kind("h1") == "auth"
    assert (server.answers, person.asked) == ([], [])


@pytest.mark.parametrize("rounds", [[[PASSWORD], [CODE]], [[PASSWORD, CODE]], [[CODE], [PASSWORD]]])
def test_any_other_prompt_is_asked_in_the_hosts_name(
    tmp_path: Path, clean_home: Path, rounds: list[list[tuple[str, bool, str]]]
) -> None:
    person = Person("123456")
    found, _ = login(tmp_path, rounds, person, WITH_PASSWORD)
    assert found.out == {"h1": ["hello"]}
    assert person.asked == [Inquiry("h1", "Hello\x1b[31m", (("Verification code:", False),))]


def test_a_prompt_whose_answer_may_be_seen_is_never_the_password(tmp_path: Path, clean_home: Path) -> None:
    person = Person("seen")
    found, _ = login(tmp_path, [[("Challenge 42, response: ", True, "seen")]], person, WITH_PASSWORD)
    assert found.out == {"h1": ["hello"]}
    assert person.asked[0].prompts == (("Challenge 42, response:", True),)


@pytest.mark.parametrize("person", [None, Person(None)])
def test_without_anybody_to_answer_it_is_refused_clearly(
    tmp_path: Path, clean_home: Path, person: Person | None
) -> None:
    found, _ = login(tmp_path, [[PASSWORD], [CODE]], person, WITH_PASSWORD)
    error = found.finished["h1"].error
    assert error is not None
    assert (error.kind, error.message) == ("auth", 'the server asks "Verification code:"')
    assert "at the prompt" in error.hint


def test_a_password_prompt_without_a_password_says_how_to_give_one(tmp_path: Path, clean_home: Path) -> None:
    person = Person()
    found, _ = login(tmp_path, [[PASSWORD]], person)
    error = found.finished["h1"].error
    assert error is not None
    assert error.hint == "give it one: `password_from = ask`"
    assert person.asked == []


def test_a_wrong_password_is_given_once(tmp_path: Path, clean_home: Path) -> None:
    with Scripted(tmp_path / "server", questions=[[PASSWORD]]) as server:
        section = HOST.format(name="h1", server=server) + "password = wrong\n"
        with session_at(tmp_path, server, section) as session:
            assert run(session, "x", "h1").kind("h1") == "auth"
            assert run(session, "x", "h1").kind("h1") == "auth"
        assert server.answers == [["wrong"]]


def test_a_key_and_then_a_code(tmp_path: Path, clean_home: Path, client_key: Key) -> None:
    person = Person("123456")
    with TwoSteps(tmp_path / "server", client_key, "123456") as server:
        section = HOST.format(name="h1", server=server) + f"key = {client_key.path}\n"
        with session_at(tmp_path, server, section, person=person) as session:
            assert run(session, "hello", "h1").out == {"h1": ["hello"]}
    assert [one.prompts for one in person.asked] == [(("Verification code:", False),)]


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "f\ufffdr"), ("latin-1", "f\xfcr")])
def test_a_server_that_asks_without_an_end_is_given_up_and_its_encoding_costs_no_login(
    tmp_path: Path, clean_home: Path, encoding: str, shown: str
) -> None:
    person = Person(*["x"] * 100)
    with AsksForEver() as server:
        known = write_known_hosts(tmp_path, server.known_hosts_line())
        inventory = write_inventory(tmp_path, HOST.format(name="h1", server=server) + f"encoding = {encoding}\n")
        with Session(inventory, known_hosts=known, ask_prompts=person, pool=Pool(1)) as session:
            error = run(session, "x", "h1", timeout=30.0).finished["h1"].error
    assert error is not None
    assert (error.kind, error.message) == ("auth", f"the server asked {MOST_ROUNDS} times and goes on asking")
    assert server.answers == ["x"] * MOST_ROUNDS
    assert person.asked[0].prompts == ((f"Losung {shown} heute:", True),)


def test_a_password_that_is_no_utf_8_is_sent_as_it_is_and_no_error_shows_a_part_of_it(
    tmp_path: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATIN", os.fsdecode(b"caf\xe9"))
    with Rude() as server:
        known = write_known_hosts(tmp_path, server.known_hosts_line())
        section = HOST.format(name="h1", server=server) + "password_from = env:LATIN\n"
        with Session(write_inventory(tmp_path, section), known_hosts=known, pool=Pool(1)) as session:
            assert run(session, "x", "h1").status() == {"h1": "ok"}
    assert server.passwords == [b"caf\xe9"]


def test_each_of_many_hosts_is_asked_for_while_the_others_wait_in_no_fan_out(tmp_path: Path, clean_home: Path) -> None:
    person = Person(*["123456"] * 6)
    with Scripted(tmp_path / "server", questions=[[CODE]]) as server:
        sections = [HOST.format(name=f"h{number}", server=server) for number in range(6)]
        with session_at(tmp_path, server, *sections, person=person) as session:
            found = run(session, "hello", "h[0-5]", fanout=2, timeout=30.0)
    assert set(found.status().values()) == {"ok"}
    assert sorted(one.host for one in person.asked) == [f"h{number}" for number in range(6)]


def test_a_jump_host_asks_once_for_all_behind_it(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    person = Person("123456")
    with Scripted(tmp_path / "server", questions=[[CODE]]) as server:
        names = [f"h{number:02}" for number in range(12)]
        sections = [HOST.format(name="bastion", server=server)]
        sections += [host_section(name, sshd, accounts[0], client_key, jump="bastion") for name in names]
        inventory = write_inventory(tmp_path, *sections)
        known = write_known_hosts(tmp_path, server.known_hosts_line, sshd.known_hosts_line)
        with Session(inventory, known_hosts=known, ask_prompts=person, pool=Pool(2)) as session:
            assert set(run(session, "true", "h[00-11]").status().values()) == {"ok"}
        assert server.connections == 1
    assert [one.host for one in person.asked] == ["bastion"]


def test_ctrl_c_at_the_question_cancels_and_leaves_no_worker_hanging(tmp_path: Path, clean_home: Path) -> None:
    def interrupted(_: Inquiry) -> tuple[Secret, ...] | None:
        raise KeyboardInterrupt

    with Scripted(tmp_path / "server", questions=[[CODE]]) as server:
        sections = [HOST.format(name=f"h{number}", server=server) for number in range(3)]
        inventory = write_inventory(tmp_path, *sections)
        known = write_known_hosts(tmp_path, server.known_hosts_line)
        with Session(inventory, known_hosts=known, ask_prompts=interrupted, pool=Pool(1)) as session:
            found = run(session, "hello", "h[0-2]")
            assert set(found.status().values()) == {"cancelled"}
            assert session._pool._members[0].process.is_alive()


def test_a_login_in_place_of_a_connection_that_died_unseen_asks_as_well(tmp_path: Path, clean_home: Path) -> None:
    person = Person("123456", "123456")
    with (
        Scripted(tmp_path / "server", questions=[[CODE]]) as server,
        CutRelay((server.address, server.port)) as relay,
    ):
        assert server.host_key is not None
        known = write_known_hosts(tmp_path, f"{known_hosts_name(relay.address, relay.port)} {server.host_key.public}")
        section = f"[host:h1]\naddress = {relay.address}\nport = {relay.port}\nuser = u\nconnect_timeout = 2\n"
        with Session(
            write_inventory(tmp_path, section), known_hosts=known, ask_prompts=person, pool=Pool(1)
        ) as session:
            assert ping(session, "h1").status() == {"h1": "ok"}
            relay.abandon()
            assert ping(session, "h1", timeout=30.0).status() == {"h1": "ok"}
    assert len(person.asked) == 2


def test_a_passphrase_is_asked_for_before_the_job_once_for_all_hosts(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    asked: list[str] = []

    def person(question: str) -> str:
        asked.append(question)
        return "a phrase"

    locked = make_key(tmp_path / "locked", "ed25519", "a phrase")
    sshd.authorize(accounts[0], locked.public)
    sections = [host_section(name, sshd, accounts[0], locked) for name in ("h1", "h2", "h3")]
    inventory = write_inventory(tmp_path, *sections)
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(inventory, known_hosts=known, ask_secret=person, pool=Pool(2)) as session:
        assert set(run(session, "true", "h[1-3]").status().values()) == {"ok"}
        assert set(run(session, "true", "h[1-3]").status().values()) == {"ok"}
    assert asked == [f"Passphrase for the key {locked.path}: "]


def test_where_the_turn_that_asks_for_a_jump_host_is_stopped_the_next_one_asks(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    """The first question stays open while its turn's own time runs out; another turn's is then answered."""
    with Scripted(tmp_path / "server", questions=[[CODE]]) as server:
        known = write_known_hosts(tmp_path, server.known_hosts_line, sshd.known_hosts_line)
        jump = (Host("bastion", server.address, server.port, "u", known_hosts=known),)
        host = Host("h1", sshd.address, sshd.port, accounts[0].name, key=str(client_key.path), known_hosts=known)
        host = replace(host, jump=jump)
        connector, first, second = Connector(), Stopper(), Stopper()
        asked: list[str] = []
        waiting = threading.Event()

        def never(_: Inquiry) -> tuple[str, ...] | None:
            asked.append("first")
            with first.calling(waiting.set):
                waiting.wait()
            return None

        def at_once(_: Inquiry) -> tuple[str, ...] | None:
            asked.append("second")
            return ("123456",)

        stopped: list[BaseException] = []

        def begin() -> None:
            try:
                connector.connect(host, first, ask=never)
            except TurnStopped as error:
                stopped.append(error)

        thread = threading.Thread(target=begin)
        thread.start()
        while not asked:
            time.sleep(0.01)
        threading.Timer(0.3, first.stop).start()
        connection = connector.connect(host, second, ask=at_once)
        thread.join()
        assert connection.alive
        connection.close()
        connector.close()
    assert asked == ["first", "second"]
    assert stopped
