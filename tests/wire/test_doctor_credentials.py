"""``doctor`` and what a login has: key files that ssh_config names, the agent, certificates, secrets to be got."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostshell.core.errors import SecretError
from hostshell.core.model import Examine
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.agent import ScriptedAgent, never, ssh_agent
from tests.support.keys import Key, make_key, sign
from tests.support.running import collect, host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd
from tests.wire.test_doctor import look


def bare(server: Sshd, account: Account) -> str:
    """A host of which the inventory says no credential."""
    return f"[host:h1]\naddress = {server.address}\nport = {server.port}\nuser = {account.name}\n"


def names(folder: Path, *files: Path) -> str:
    """An ssh_config with an IdentityFile for each of these."""
    config = folder / "ssh_config"
    config.write_text("Host h1\n" + "".join(f"  IdentityFile {file}\n" for file in files))
    config.chmod(0o600)
    return str(config)


# --- key files that ssh_config names ---


@pytest.mark.parametrize(
    ("text", "why"), [(None, "no such file"), ("nothing of a key\n", "it holds no usable private key")]
)
def test_an_identity_file_that_cannot_be_used_is_named(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], text: str | None, why: str
) -> None:
    file = tmp_path / "named"
    if text is not None:
        file.write_text(text)
        file.chmod(0o600)
    found = look(tmp_path, bare(sshd, accounts[0]), sshd.known_hosts_line, ssh_config=names(tmp_path, file))
    settings = found.step("settings")
    assert (settings.result, settings.message) == ("warning", f"the key {file}: {why}")
    assert "correct its IdentityFile" in settings.hint
    assert found.error.message.endswith(f"; cannot use the key {file}: {why}")
    assert found.error.hint.startswith("correct the IdentityFile that cannot be used (show h1 says where it stands)")
    assert found.last.facts["offered"] == ("nothing: there is no key and no password",)
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    section, config = bare(sshd, accounts[0]), names(tmp_path, file)
    with Session(write_inventory(tmp_path, section), known_hosts=known, ssh_config=config) as session:
        error = run(session, "true", "h1").finished["h1"].error
    assert error is not None
    assert error.message.endswith(f"; cannot use the key {file}: {why}")
    assert error.hint.startswith("correct that IdentityFile, or check `user`, ")


def test_an_identity_file_that_others_may_read(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    loose = tmp_path / "loose"
    loose.write_bytes(client_key.path.read_bytes())
    loose.chmod(0o644)
    found = look(tmp_path, bare(sshd, accounts[0]), sshd.known_hosts_line, ssh_config=names(tmp_path, loose))
    settings = found.step("settings")
    assert (settings.result, found.finished.status) == ("warning", "ok")  # as with `key`
    assert settings.message == f"others may read the key {loose} (mode 0644)"
    assert settings.hint == f"chmod 600 {loose}: ssh refuses such a key"


# --- the agent ---


def test_an_agent_that_hangs(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedAgent(never) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", agent.path)
        found = look(tmp_path, bare(sshd, accounts[0]), sshd.known_hosts_line, connect_timeout=10.0)
    settings = found.step("settings")
    assert (settings.result, settings.message) == ("warning", f"the agent gives no answer in time at {agent.path}")
    assert "ssh-add -l` hangs as well" in settings.hint
    assert found.error.hint.startswith(f"the agent gives no answer in time at {agent.path}; ")


def test_an_agent_that_answers_says_how_many_keys_it_has(
    tmp_path: Path,
    clean_home: Path,
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ssh_agent(client_key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        found = look(tmp_path, bare(sshd, accounts[0]), sshd.known_hosts_line)
    assert found.finished.status == "ok"
    assert found.step("settings").facts["agent"] == f"answers at {path} and has 1 key"


# --- certificates ---


@contextmanager
def certified(
    folder: Path, account: Account, *, principals: str = "", validity: str = "", more: tuple[str, ...] = ()
) -> Iterator[tuple[Sshd, str]]:
    """A server that takes certificates of an authority, and the section of a host with one that was made so."""
    authority, mine = make_key(folder / "authority"), make_key(folder / "mine")
    options = [word for option in more for word in ("-O", option)]
    sign(authority, mine, principals=principals or account.name, validity=validity, more=options)
    with Sshd(folder / "own-sshd", options={"TrustedUserCAKeys": f"{authority.path}.pub"}) as server:
        yield server, host_section("h1", server, account, mine)


def test_a_certificate_with_a_command_of_its_own(tmp_path: Path, clean_home: Path, accounts: list[Account]) -> None:
    with certified(tmp_path, accounts[0], more=("force-command=echo only this",)) as (server, section):
        found = look(tmp_path, section, server.known_hosts_line)
        known = write_known_hosts(tmp_path, server.known_hosts_line)
        with Session(write_inventory(tmp_path, section), known_hosts=known) as session:
            ran = run(session, "hostname", "h1")
    bound = "the certificate binds this key to a command of its own"
    assert found.error.message == f'{bound}, which ran in place of ours: "only this"'
    assert "without force-command" in found.error.hint
    assert "authorized_keys" not in found.error.hint
    assert [note.text for note in ran.notes] == [f"{bound}; what ran may not be yours"]


@pytest.mark.parametrize(
    ("made", "wanted", "sure"),
    [
        ({"validity": "20200101:20200201"}, "expired 2020-02-01 00:00 by the clock here: have a new one made", True),
        ({"validity": "20600101:20600201"}, "is not valid before 2060-01-01 00:00 by the clock here: wait, or", True),
        ({"principals": "alice,bob"}, "is for alice, bob and not for {user}: set `user` to one of these, or", False),
        ({"more": ("source-address=203.0.113.0/24",)}, "is good from 203.0.113.0/24 only (source-address): log", False),
    ],
)
def test_a_certificate_that_no_server_takes_is_what_is_said(
    tmp_path: Path, clean_home: Path, accounts: list[Account], made: dict[str, object], wanted: str, sure: bool
) -> None:
    with certified(tmp_path, accounts[0], **made) as (server, section):  # type: ignore[arg-type]  # each its own
        found = look(tmp_path, section, server.known_hosts_line)
    certificate = f"the certificate {tmp_path}/mine-cert.pub "
    assert found.error.hint.startswith(certificate + wanted.format(user=accounts[0].name))
    settings = found.step("settings")
    assert settings.result == ("warning" if sure else "ok")
    assert settings.message.startswith(certificate if sure else "")


def test_a_certificate_of_an_authority_that_the_server_does_not_know(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    authority, mine = make_key(tmp_path / "authority"), make_key(tmp_path / "mine")
    sign(authority, mine, principals=accounts[0].name)
    found = look(tmp_path, host_section("h1", sshd, accounts[0], mine), sshd.known_hosts_line)
    assert "TrustedUserCAKeys" in found.error.hint


def test_a_certificate_that_serves_is_not_spoken_of(tmp_path: Path, clean_home: Path, accounts: list[Account]) -> None:
    with certified(tmp_path, accounts[0]) as (server, section):
        found = look(tmp_path, section, server.known_hosts_line)
    assert (found.finished.status, found.step("settings").result) == ("ok", "ok")
    assert "certificate" not in found.step("settings").facts


# --- secrets that cannot be got ---


def test_a_host_whose_secret_cannot_be_got_is_told_and_the_others_are_examined(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    sections = [
        host_section("a", sshd, accounts[0], client_key),
        host_section("enc", sshd, accounts[0], make_key(tmp_path / "enc", passphrase="open sesame")),
        *(
            bare(sshd, accounts[0]).replace("h1", name) + f"password_from = {source}\n\n"
            for name, source in (
                ("env1", "env:NO_SUCH"),
                ("ask", "ask"),
                ("cmd", f"cmd:echo x >> {tmp_path}/ran; false"),
            )
        ),
    ]
    inventory = write_inventory(tmp_path, *sections)
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    words = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known]
    wide = {**os.environ, "COLUMNS": "300"}
    done = subprocess.run(
        [*words, "doctor", "-a"],
        capture_output=True,
        text=True,
        env=wide,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert done.returncode == 4
    lines = done.stderr.splitlines()
    assert any(line.startswith("a: all well") for line in lines), done.stderr
    key = f"the key {tmp_path}/enc is encrypted, and there is no terminal to ask for its passphrase at"
    assert f"enc: {key}" in lines
    assert sum(line.startswith("  x  settings") for line in lines) == 4
    assert any(line.startswith("env1: ") and line.endswith("the environment has no variable NO_SUCH") for line in lines)
    assert any(line.startswith("ask: ") and "the password is to be asked for" in line for line in lines)
    assert any(line.startswith("cmd: ") and line.endswith("command ended with exit code 1") for line in lines)
    assert lines[-1].startswith("1 well, 4 not, in ")
    done = subprocess.run(
        [*words, "batch_run", "-h", "a,enc", "-cmd", "true"],
        capture_output=True, text=True, env=wide, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")  # nothing was run, as ever


def test_a_secret_that_many_hosts_share_is_tried_once(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    defaults = f"[defaults]\npassword_from = cmd:echo x >> {tmp_path}/ran; false\n\n"
    sections = [bare(sshd, accounts[0]).replace("h1", name) + "\n" for name in ("h1", "h2", "h3")]
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(write_inventory(tmp_path, defaults, *sections), known_hosts=known) as session:
        found = collect(session.stream(session.job(Examine(), ["h1", "h2", "h3"])))
    assert set(found.status().values()) == {"unreachable"}
    assert (tmp_path / "ran").read_text() == "x\n"


def test_a_secret_that_a_person_does_not_give_ends_doctor_as_any_command(
    open_session: Callable[..., Session], sshd: Sshd, accounts: list[Account], asked: list[str]
) -> None:
    sections = [bare(sshd, accounts[0]).replace("h1", name) + "password_from = ask\n\n" for name in ("h1", "h2")]
    session = open_session(sshd, *sections)
    with pytest.raises(SecretError, match="no password was given for h1; nothing was run"):
        session.job(Examine(), ["h1", "h2"])
    assert len(asked) == 1
