"""-l, -p, -i and -k: what is said for one command holds for that command, on top of the inventory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hostshell.core.errors import LocalFileError, SecretError, UsageError
from hostshell.core.model import Login, Ping, Run, Secret
from hostshell.core.targets import Targets
from hostshell.inventory.secrets import SecretDesk
from hostshell.session import Session
from tests.support.accounts import Account, can_make_users
from tests.support.agent import ssh_agent
from tests.support.keys import Key, make_key
from tests.support.running import Outcome, collect, host_section, write_inventory
from tests.support.sshd import Sshd

needs_users = pytest.mark.skipif(
    not can_make_users(), reason="not root: one user of the system cannot log in as another (said in the header)"
)


def run_as(session: Session, login: Login, hosts: str = "a", command: str = "id -un") -> Outcome:
    names = session.targets(Targets(hosts=(hosts,)))
    return collect(session.stream(session.job(Run(command), names, label=command, login=login)))


@needs_users
def test_another_user_and_back_leaves_both_connections_warm(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[0], client_key))
    first, second = accounts[0].name, accounts[1].name
    before = sshd.log.read_text(errors="replace").count("Accepted publickey")
    for _ in range(2):
        assert run_as(session, Login(user=second)).out == {"a": [second]}
        assert run_as(session, Login()).out == {"a": [first]}
    assert sshd.log.read_text(errors="replace").count("Accepted publickey") == before + 2
    assert [(one.host, one.user) for one in session.connections()] == [("a", second), ("a", first)]
    assert len(session.disconnect(hosts="a")) == 2
    assert session.connections() == ()


def test_a_connection_is_never_used_for_a_login_with_another_key_or_another_way(
    open_session: Callable[..., Session], tmp_path: Path, accounts: list[Account]
) -> None:
    one, two = make_key(tmp_path / "one"), make_key(tmp_path / "two")
    with Sshd(tmp_path / "own") as server, Sshd(tmp_path / "bastion") as bastion:
        for key, says in ((one, "one"), (two, "two")):
            server.authorize(accounts[0], key.public, f'command="echo {says}"')
        bastion.authorize(accounts[0], one.public)
        sections = [
            host_section("bastion", bastion, accounts[0], one),
            host_section("a", server, accounts[0], one),
        ]
        session = open_session(server, *sections, others=(bastion,))
        for _ in range(2):
            assert run_as(session, Login()).out["a"][0] == "one"
            assert run_as(session, Login(key=str(two.path))).out["a"][0] == "two"
        before = server.log.read_text(errors="replace").count("Accepted publickey")
        sections[1] = host_section("a", server, accounts[0], one, jump="bastion")
        (tmp_path / "hosts.ini").write_text("".join(sections))
        session.reload()
        assert run_as(session, Login()).out["a"][0] == "one"
        assert [one.via for one in session.connections()] == [("bastion",)]
        assert server.log.read_text(errors="replace").count("Accepted publickey") == before + 1


@needs_users
def test_tab_does_not_look_through_the_connection_of_another_login(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[0], client_key))
    run_as(session, Login(user=accounts[1].name))
    assert session.glance(Targets(hosts=("a",)), "/", "etc") == ()
    run_as(session, Login())
    run_as(session, Login(user=accounts[1].name))
    assert [one.host for one in session.glance(Targets(hosts=("a",)), "/", "etc")] == ["a"]


@needs_users
def test_the_inventorys_password_goes_to_its_own_user_only(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account]
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[3], None))
    before = sshd.log.read_text(errors="replace").count("Failed password")
    found = run_as(session, Login(user=accounts[4].name))
    assert (found.status(), found.kind("a")) == ({"a": "unreachable"}, "auth")
    assert sshd.log.read_text(errors="replace").count("Failed password") == before
    assert run_as(session, Login(user=accounts[3].name)).out == {"a": [accounts[3].name]}


@needs_users
def test_a_password_is_asked_for_once_before_the_job_and_for_that_job_alone(
    open_session: Callable[..., Session],
    sshd: Sshd,
    accounts: list[Account],
    answers: list[str],
    asked: list[str],
) -> None:
    place = f"address = {sshd.address}\nport = {sshd.port}\nuser = {accounts[4].name}\n"
    session = open_session(sshd, f"[host:a]\n{place}", f"[host:b]\n{place}")
    answers += [accounts[4].password, "wrong"]
    assert run_as(session, Login(ask_password=True), "a,b").status() == {"a": "ok", "b": "ok"}
    assert asked == ["Password: "]
    assert accounts[4].password in list(session.secrets())  # so that no line with it enters the history
    session.disconnect(hosts="a,b")
    assert run_as(session, Login()).kind("a") == "auth"
    assert run_as(session, Login(user=accounts[4].name, ask_password=True)).kind("a") == "auth"
    assert asked[1:] == [f"Password of {accounts[4].name}: "]
    with pytest.raises(SecretError, match="nothing was run"):  # the person gives none
        session.job(Ping(), ["a"], login=Login(ask_password=True))
    # a wrong answer is not a refusal of what the inventory knows, nor of the next answer
    answers.append(accounts[4].password)
    assert run_as(session, Login(ask_password=True)).status() == {"a": "ok"}


def test_a_password_that_is_to_be_asked_for_needs_a_terminal(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[0], client_key), terminal=False)
    with pytest.raises(SecretError, match="no terminal to ask at"):
        session.job(Ping(), ["a"], login=Login(ask_password=True))


def test_an_interrupt_is_a_passphrase_not_given_only_where_one_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    locked = make_key(tmp_path / "locked", "ed25519", "a phrase")
    inventory = write_inventory(tmp_path, f"[host:a]\naddress = 127.0.0.1\nkey = {locked.path}\n")
    with Session(inventory, ask_secret=interrupt) as session:
        with pytest.raises(SecretError, match="no passphrase was given"):
            session.job(Ping(), ["a"])
        monkeypatch.setattr(SecretDesk, "passphrase", interrupt)  # it comes while the file is read
        with pytest.raises(KeyboardInterrupt):
            session.job(Ping(), ["a"])


def test_a_default_key_is_asked_for_where_nothing_else_may_do(
    tmp_path: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean_home / ".ssh").mkdir()
    plain, locked = make_key(tmp_path / "mine", "ecdsa"), clean_home / ".ssh/id_ecdsa"
    shutil.copy(plain.path, locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "a phrase", "-f", locked], check=True, stdout=subprocess.DEVNULL)
    other = make_key(tmp_path / "other", "ed25519")
    (tmp_path / "config").write_text("Host e\n IdentitiesOnly yes\nHost f\n PubkeyAuthentication no\n")
    hosts = "[host:b]\npassword = x\n[host:c]\nkey = other\n[host:d]\n[host:e]\n[host:f]\n"
    inventory = write_inventory(tmp_path, f"[defaults]\naddress = 127.0.0.1\n[host:a]\n{hosts}")
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "a phrase"

    def questions(host: str) -> int:
        asked.clear()
        with Session(inventory, ask_secret=answer, ssh_config=str(tmp_path / "config")) as session:
            for _ in range(2):
                (made,) = session.job(Ping(), [host]).hosts
        assert [path for path, _ in made.passphrases] == ["~/.ssh/id_ecdsa"] * len(asked)
        return len(asked)

    assert [questions(name) for name in "abcdef"] == [1, 0, 0, 1, 1, 0]
    with ssh_agent(other) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        assert [questions(name) for name in "ae"] == [0, 1]
    with ssh_agent(plain) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        assert [questions(name) for name in "ae"] == [0, 0]
    monkeypatch.delenv("SSH_AUTH_SOCK")
    make_key(clean_home / ".ssh/id_rsa", "rsa")
    assert questions("a") == 0, "a plain one is there"


def test_key_and_port_of_the_command_line_beat_the_inventory(
    open_session: Callable[..., Session], tmp_path: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    stranger = make_key(tmp_path / "stranger")
    session = open_session(sshd, host_section("a", sshd, accounts[0], stranger, port="1"))
    assert run_as(session, Login(port=sshd.port)).kind("a") == "auth"
    assert run_as(session, Login(key=str(client_key.path))).kind("a") == "refused"
    assert run_as(session, Login(port=sshd.port, key=str(client_key.path))).status() == {"a": "ok"}
    assert run_as(session, Login()).kind("a") == "refused"  # nothing of it is kept


def test_what_is_typed_with_a_hosts_name_beats_what_holds_for_all(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    session = open_session(sshd, f"[defaults]\nkey = {client_key.path}\n[host:a]\naddress = {sshd.address}\n")
    name = f"{accounts[0].name}@{sshd.address}:{sshd.port}"
    assert run_as(session, Login(user="nobody", port=1), name).status() == {name: "ok"}
    assert run_as(session, Login(user=accounts[0].name, port=sshd.port), sshd.address).status() == {sshd.address: "ok"}


@pytest.mark.parametrize(
    ("login", "error"),
    [(Login(key="/nowhere/key"), LocalFileError), (Login(user="-oX"), UsageError), (Login(port=70_000), UsageError)],
)
def test_what_cannot_be_is_said_before_any_host_is_touched(
    open_session: Callable[..., Session],
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
    login: Login,
    error: type[Exception],
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[0], client_key))
    with pytest.raises(error):
        session.job(Ping(), ["a"], login=login)


def test_a_password_given_in_python_is_known_as_a_secret(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    session = open_session(sshd, host_section("a", sshd, accounts[0], client_key))
    job = session.job(Ping(), ["a"], login=Login(password=Secret("canary-19")))
    assert "canary-19" not in repr(job)
    assert "canary-19" in list(session.secrets())
