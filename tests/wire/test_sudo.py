"""--sudo: Debian's real one as root, and a stand-in that speaks its protocol, through the whole engine."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostshell.core.events import Block
from hostshell.core.model import Login, Secret
from hostshell.logins import NOTHING_SAID
from hostshell.session import Session
from hostshell.ssh.gate import STALL
from tests.support.accounts import Account, public_folder
from tests.support.endings import ended, with_command, within_tries
from tests.support.keys import Key
from tests.support.running import Outcome, collect, host_section
from tests.support.sshd import Sshd
from tests.support.sudo import real_sudo, stand_in, sudoers

needs_sudo = pytest.mark.skipif(
    not real_sudo(), reason="the real sudo needs root and sudo (sh tests/support/get-sudo); the stand-in is tested"
)
ASKS = "{user} ALL=(ALL) ALL"


def run(
    session: Session, command: str, hosts: tuple[str, ...] = ("a",), *, login: Login = NOTHING_SAID, **around: object
) -> Outcome:
    task = session.inputs.command(command, sudo=True, **around)  # type: ignore[arg-type]
    return collect(session.stream(session.job(task, hosts, label="sudo", timeout=60, login=login)))


def said(found: Outcome, host: str = "a") -> str:
    error = found.finished[host].error
    return f"{error.message} | {error.hint}" if error else ""


# --- the real one ---


@pytest.fixture
def person(accounts: list[Account]) -> Account:
    return accounts[0]


@needs_sudo
def test_without_a_password_for_sudo_none_is_asked_and_the_input_is_the_commands(
    open_session: Callable[..., Session], sshd: Sshd, person: Account, client_key: Key, asked: list[str]
) -> None:
    session = open_session(sshd, host_section("a", sshd, person, client_key))
    content = os.urandom(3_000_000)
    with sudoers(person, "{user} ALL=(ALL) NOPASSWD: ALL"):
        found = run(session, "id -un; sha256sum; echo err >&2; exit 7", stdin=content)
        assert found.out["a"] == ["root", f"{hashlib.sha256(content).hexdigest()}  -"]
        assert (found.err["a"], found.finished["a"].exit_code, found.kind("a")) == (["err"], 7, "exit")
        assert run(session, "cat; echo end").out["a"] == ["end"]
        assert run(session, "printf 'a\\000b\\377c\\n'").raw["a"] == b"a\x00b\xffc\n"
    assert asked == []


@needs_sudo
@pytest.mark.parametrize("index", range(6))
def test_the_hosts_own_password_serves_when_it_is_the_same_person(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], index: int, asked: list[str]
) -> None:  # row 36: passwords that break careless code
    person = accounts[index]
    session = open_session(sshd, host_section("a", sshd, person, None))
    with sudoers(person, ASKS):
        found = run(session, "id -un; cat; pwd", stdin=b"input\n", cwd="/", sudo_user=None)
        assert (found.out["a"], found.err) == (["root", "input", "/"], {})  # no prompt, no lecture
        assert run(session, "id -un", sudo_user="nobody").out["a"] == ["nobody"]
    assert asked == []


@needs_sudo
def test_a_wrong_password_is_tried_once_and_told_apart_from_the_commands_failure(
    open_session: Callable[..., Session], sshd: Sshd, person: Account, client_key: Key
) -> None:
    wrong = host_section("a", sshd, person, client_key, sudo_password="wr0ng")
    right = host_section("b", sshd, person, client_key, sudo_password=person.password)
    session = open_session(sshd, wrong, right)
    with sudoers(person, ASKS):
        found = run(session, "echo ran; exit 1", ("a", "b"))
    assert (found.kind("a"), found.finished["a"].exit_code) == ("sudo", None)
    assert said(found).startswith("sudo refused the password | tried once")
    assert (found.kind("b"), found.finished["b"].exit_code) == ("exit", 1)
    assert found.out == {"b": ["ran"]}


@needs_sudo
def test_who_may_not_use_sudo_is_told_in_its_own_words(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[1], None))
    found = run(session, "echo ran")
    assert (found.kind("a"), found.out) == ("sudo", {})
    assert "sudoers" in said(found)
    with sudoers(accounts[1], "{user} ALL=(ALL) /bin/true"):
        found = run(session, "echo ran")
    assert (found.kind("a"), found.out) == ("sudo", {})
    assert f"let {accounts[1].name} run a shell as root" in said(found)


@needs_sudo
def test_a_person_is_asked_once_for_many_hosts_and_for_the_next_command_not_again(
    open_session: Callable[..., Session],
    sshd: Sshd,
    person: Account,
    client_key: Key,
    answers: list[str],
    asked: list[str],
) -> None:
    names = tuple(f"h{number}" for number in range(12))
    session = open_session(sshd, *(host_section(name, sshd, person, client_key) for name in names))
    with sudoers(person, ASKS):
        answers += ["wrong", person.password]
        found = run(session, "id -un", names)
        assert {found.kind(name) for name in names} == {"sudo"}
        for _ in range(2):
            assert run(session, "id -un", names).out == {name: ["root"] for name in names}
    assert asked == [f"[sudo] password for {person.name}: "] * 2
    assert person.password in list(session.secrets())


@needs_sudo
def test_without_anybody_to_ask_it_says_what_is_missing(
    open_session: Callable[..., Session], sshd: Sshd, person: Account, client_key: Key
) -> None:
    session = open_session(sshd, host_section("a", sshd, person, client_key), terminal=False)
    with sudoers(person, ASKS):
        found = run(session, "echo ran")
    assert found.kind("a") == "sudo"
    assert said(found).startswith(f"sudo wants the password of {person.name}, and there is none | `sudo_password_from`")


@needs_sudo
def test_settings_of_the_inventory_and_k_serve_as_well(
    open_session: Callable[..., Session],
    sshd: Sshd,
    person: Account,
    client_key: Key,
    answers: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUDO_CANARY", person.password)
    always = host_section(
        "a", sshd, person, client_key, sudo="yes", sudo_user="nobody", sudo_password_from="env:SUDO_CANARY"
    )
    session = open_session(sshd, always, host_section("b", sshd, person, client_key))
    with sudoers(person, ASKS):
        plain = collect(session.stream(session.job(session.inputs.command("id -un"), ["a", "b"], label="x")))
        assert plain.out == {"a": ["nobody"], "b": [person.name]}
        assert run(session, "id -un", ("b",), login=Login(password=Secret(person.password))).out == {"b": ["root"]}


@needs_sudo
@pytest.mark.parametrize("rule", ["{user} ALL=(ALL) ALL", "{user} ALL=(ALL) NOPASSWD: ALL"])
def test_where_sudo_wants_a_terminal_it_gets_one_and_the_output_stays_clean(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], rule: str
) -> None:
    person = accounts[2]
    session = open_session(sshd, host_section("a", sshd, person, None))
    content = bytes(range(256)) * 2000
    with sudoers(person, "Defaults:{user} requiretty", rule):
        found = run(session, "id -un; printf 'a\\tb\\n'; cat; echo end; exit 5")
        assert (found.raw["a"], found.finished["a"].exit_code) == (b"root\na\tb\nend\n", 5)
        assert run(session, "sha256sum", stdin=content).out["a"] == [f"{hashlib.sha256(content).hexdigest()}  -"]
        assert run(session, "test -t 1 && id -un", tty=True).out["a"] == ["root"]


@needs_sudo
def test_a_script_runs_under_sudo(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], tmp_path: Path
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[3], None))
    (tmp_path / "s").write_text('#!/bin/bash\nid -un; echo "$1" $X; cat\n')
    with sudoers(accounts[3], ASKS):
        task = session.inputs.command(
            script=str(tmp_path / "s"), arguments=["it's"], env={"X": "é"}, stdin=b"in\n", sudo=True
        )
        found = collect(session.stream(session.job(task, ["a"], label="x")))
    assert found.out["a"] == ["root", "it's é", "in"]


@needs_sudo
@pytest.mark.parametrize("rules", [(ASKS,), ("Defaults:{user} requiretty", ASKS), ("Defaults:{user} !use_pty", ASKS)])
def test_a_command_under_sudo_is_stopped_with_the_same_rights(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], rules: tuple[str, ...]
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[4], None))

    def cancel_at_output(event: object) -> None:
        if isinstance(event, Block):
            session.cancel()

    def seen_to_end() -> bool:
        task = session.inputs.command("echo up; sleep 6511; echo down", sudo=True)
        found = collect(session.stream(session.job(task, ["a"], label="x")), cancel_at_output).finished["a"]
        assert found.status == "cancelled"
        return not found.may_still_run and ended(lambda: with_command("sleep\x006511"))

    with sudoers(accounts[4], *rules):
        assert within_tries(seen_to_end, lambda: with_command("sleep\x006511"))
        assert run(session, "echo next").out["a"] == ["next"]


# --- the stand-in: what the real one cannot be made to do here ---


@pytest.fixture
def server_with(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Callable[..., Sshd]]:
    servers: list[Sshd] = []

    def make(password: str | None, *manner: str) -> Sshd:
        folder = stand_in(public_folder("sudo") / "bin", password, *manner)
        folder.chmod(0o755)
        server = Sshd(tmp_path / f"sshd{len(servers)}", options={"SetEnv": f"PATH={folder}:/usr/bin:/bin"})
        server.start()
        servers.append(server)
        server.authorize(accounts[0], client_key.public)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.mark.parametrize("manner", [(), ("lecture",), ("requiretty",), ("requiretty", "lecture")])
@pytest.mark.parametrize("password", [None, "any;thing#100% 'q'"])
def test_the_stand_in_is_content(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
    password: str | None,
    manner: tuple[str, ...],
) -> None:
    server = server_with(password, *manner)
    known = {} if password is None else {"sudo_password": password}
    session = open_session(server, host_section("a", server, accounts[0], client_key, **known))
    found = run(session, "echo $STAND_IN_FOR; cat; exit 3", stdin=b"\x00\xffin\n", sudo_user="nobody")
    assert found.raw["a"] == b"nobody\n\x00\xffin\n"
    assert (found.err, found.finished["a"].exit_code) == ({}, 3)


def test_a_warning_of_sudos_is_shown(
    open_session: Callable[..., Session], server_with: Callable[..., Sshd], accounts: list[Account], client_key: Key
) -> None:
    server = server_with("pw", "warning", "lecture")
    session = open_session(server, host_section("a", server, accounts[0], client_key, sudo_password="pw"))
    assert run(session, "true").err["a"] == ["sudo: unable to resolve host here: Name or service not known"]


def test_the_login_password_is_not_given_for_another_users_name(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
    answers: list[str],
    asked: list[str],
) -> None:  # Defaults rootpw
    server = server_with("roots", "rootpw")
    session = open_session(server, host_section("a", server, accounts[0], client_key, password="own"))
    found = run(session, "echo ran")
    assert (found.kind("a"), asked) == ("sudo", ["[sudo] password for root: "])
    assert "password of root" in said(found)
    answers.append("roots")
    assert run(session, "echo ran").out["a"] == ["ran"]


def test_a_name_that_only_the_host_says_is_asked_for_in_the_hosts_name_and_its_answer_is_for_nobody_else(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
    answers: list[str],
    asked: list[str],
) -> None:
    one, other = server_with("alices", "alice"), server_with("alices", "alice")
    sections = [host_section(name, server, accounts[0], client_key) for name, server in (("a", one), ("b", other))]
    session = open_session(one, *sections, others=(other,))
    answers.append("alices")
    assert run(session, "echo ran").out == {"a": ["ran"]}
    found = run(session, "echo ran", ("b",))
    assert found.kind("b") == "sudo"
    assert asked == [f"[sudo] {name} asks for the password of alice: " for name in ("a", "b")]


def test_a_host_cannot_write_to_the_terminal_by_the_name_for_which_its_sudo_asks(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
    asked: list[str],
) -> None:
    server = server_with("pw", "escapes")
    session = open_session(server, host_section("a", server, accounts[0], client_key))
    assert run(session, "echo ran").kind("a") == "sudo"
    assert asked == ["[sudo] a asks for the password of root^[[2J^Jh9: forged: "]


def test_a_command_whose_beginning_was_not_seen_is_not_sent_again(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
) -> None:  # where something drops sudo's standard error, and a word of it looks like want of a terminal
    server = server_with("pw", "mute")
    session = open_session(server, host_section("a", server, accounts[0], client_key))
    found = run(session, "echo ran >> ran-once")
    ran = collect(session.stream(session.job(session.inputs.command("cat ran-once; rm ran-once"), ["a"], label="x")))
    assert ran.out["a"] == ["ran"]
    assert found.kind("a") == "sudo"
    assert "it may have run" in said(found)


def test_a_question_that_is_not_about_a_password_ends_in_a_sentence(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
) -> None:
    server = server_with("pw", "code")
    session = open_session(server, host_section("a", server, accounts[0], client_key, sudo_password="pw"))
    found = run(session, "echo ran")
    assert (found.kind("a"), found.out) == ("sudo", {})
    assert 'sudo asks "Verification code:"' in said(found)


def test_a_password_that_has_expired_is_what_it_says_and_soon(
    open_session: Callable[..., Session],
    server_with: Callable[..., Sshd],
    accounts: list[Account],
    client_key: Key,
) -> None:
    server = server_with("pw", "expired")
    session = open_session(server, host_section("a", server, accounts[0], client_key, sudo_password="pw"))
    began = time.monotonic()
    found = run(session, "echo ran")
    assert time.monotonic() - began < STALL
    assert (found.kind("a"), found.out) == ("sudo", {})
    assert said(found).startswith(
        "a password has expired: Account or password is expired, reset your password and try again |"
    )


def test_an_account_that_never_comes_to_sudo_is_told_by_what_it_said(
    open_session: Callable[..., Session], tmp_path: Path, accounts: list[Account], client_key: Key
) -> None:
    nologin = shutil.which("nologin", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    with Sshd(tmp_path / "sshd", options={"ForceCommand": nologin}) as server:
        server.authorize(accounts[0], client_key.public)
        session = open_session(server, host_section("a", server, accounts[0], client_key))
        found = run(session, "echo ran")
    assert found.kind("a") == "sudo"
    assert 'sudo said nothing; the host said "This account is currently not available.' in said(found)
    assert "its login shell is nologin, or a ForceCommand of sshd is" in said(found)


def test_without_sudo_it_says_so(
    open_session: Callable[..., Session], tmp_path: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "sshd", options={"SetEnv": "PATH=/nowhere"}) as server:
        server.authorize(accounts[0], client_key.public)
        session = open_session(server, host_section("a", server, accounts[0], client_key))
        found = run(session, "echo ran")
    assert found.kind("a") in ("sudo", "exit")


def test_a_command_that_prints_what_looks_like_a_prompt_gets_no_password(
    open_session: Callable[..., Session], server_with: Callable[..., Sshd], accounts: list[Account], client_key: Key
) -> None:
    server = server_with(None)
    session = open_session(server, host_section("a", server, accounts[0], client_key, sudo_password="canary-77"))
    found = run(session, "echo '[sudo] password for root: ' >&2; echo '[hostshell-0 password of root]' >&2; cat")
    assert "a" not in found.out
    assert len(found.err["a"]) == 2
