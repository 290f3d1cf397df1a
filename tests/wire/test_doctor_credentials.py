"""`doctor` on what a person logs in with: key files, certificates, agents, secrets that cannot be had."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hostshell.core.model import Examine
from hostshell.core.targets import Targets
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.agent import ssh_agent
from tests.support.keys import Key, make_key, sign
from tests.support.running import collect, host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd
from tests.wire.test_doctor import look


def naming(monkeypatch: pytest.MonkeyPatch, path: Path, server: Sshd, account: Account) -> str:
    """A host of the inventory for which ssh_config names a key."""
    config = path.with_name("ssh_config")
    config.write_text(f"Host h1\nIdentityFile {path}\n")
    monkeypatch.setenv("HOSTSHELL_SSH_CONFIG", str(config))
    return f"[host:h1]\naddress = {server.address}\nport = {server.port}\nuser = {account.name}\n"


@pytest.mark.parametrize(("text", "says"), [(None, "no such file"), ("junk\n", "it holds no usable private key")])
def test_an_identity_file_that_is_none_is_named(
    tmp_path: Path,
    clean_home: Path,
    sshd: Sshd,
    accounts: list[Account],
    text: str | None,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "named"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    found = look(tmp_path, naming(monkeypatch, path, sshd, accounts[0]), sshd.known_hosts_line)
    assert f"cannot use the key {path}: {says}" in found.error.message
    assert found.error.hint.startswith("correct what is said of the key, or the IdentityFile that names it")


def test_an_identity_file_that_others_may_read_is_told(
    tmp_path: Path,
    clean_home: Path,
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "open"
    path.write_bytes(client_key.path.read_bytes())
    path.chmod(0o644)
    found = look(tmp_path, naming(monkeypatch, path, sshd, accounts[0]), sshd.known_hosts_line)
    assert found.finished.status == "ok"
    assert f"others may read the key {path} (mode 0644)" in found.step("settings").message


@pytest.mark.parametrize(
    ("principals", "validity", "says"),
    [("", "-2d:-1d", "it has expired on"), ("", "+1d:+2d", "it is not valid before"), ("deploy,ops", "", "it is for ")],
)
def test_a_certificate_that_no_server_takes_is_told(
    tmp_path: Path, clean_home: Path, accounts: list[Account], principals: str, validity: str, says: str
) -> None:
    authority, mine = make_key(tmp_path / "authority"), make_key(tmp_path / "mine")
    certificate = sign(authority, mine, principals=principals or accounts[0].name, validity=validity)
    with Sshd(tmp_path / "own", options={"TrustedUserCAKeys": f"{authority.path}.pub"}) as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], mine), server.known_hosts_line)
    assert f"the certificate {certificate} is of no use for {accounts[0].name}: {says}" in found.error.hint
    assert found.step("settings").result == "warning"


def test_a_certificate_with_a_command_of_its_own(tmp_path: Path, clean_home: Path, accounts: list[Account]) -> None:
    authority, mine = make_key(tmp_path / "authority"), make_key(tmp_path / "mine")
    sign(authority, mine, principals=accounts[0].name, more=["-O", "force-command=echo only this"])
    with Sshd(tmp_path / "own", options={"TrustedUserCAKeys": f"{authority.path}.pub"}) as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], mine), server.known_hosts_line)
    assert found.error.message.startswith("its certificate binds this key to a command of its own")
    assert "force-command" in found.error.hint


def test_an_agent_that_hangs_is_told(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_agent(make_key(tmp_path / "other")) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        pid = agent_at(path)
        os.kill(pid, signal.SIGSTOP)
        try:
            section = f"[host:h1]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\n"
            found = look(tmp_path, section, sshd.known_hosts_line, connect_timeout=20.0)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert str(found.step("settings").facts["agent"]).startswith(f"no answer at {path} within")
    assert f"the agent gives no answer at {path}" in found.error.hint


def agent_at(path: str) -> int:
    """The pid of the agent that was started for a socket."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and path.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
            return int(folder.name)
    raise AssertionError(f"nobody listens at {path}")


def test_a_secret_that_cannot_be_had_is_a_finding_and_the_others_are_looked_at(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    locked = make_key(tmp_path / "locked", "ed25519", "a phrase")
    inventory = write_inventory(
        tmp_path,
        host_section("good", sshd, accounts[0], client_key),
        host_section("locked", sshd, accounts[0], locked),
        f"[host:unset]\naddress = {sshd.address}\nport = {sshd.port}\npassword_from = env:NO_SUCH_VARIABLE_77\n",
        "[host:behind]\naddress = 127.0.0.9\njump = unset\n",
    )
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(inventory, known_hosts=known) as session:
        names = session.targets(Targets(hosts=("good,locked,unset,behind",)))
        found = collect(session.stream(session.job(Examine(), names, label="doctor")))
    assert found.status() == {"good": "ok", "locked": "unreachable", "unset": "unreachable", "behind": "unreachable"}
    said = {name: one.error.message for name, one in found.finished.items() if one.error is not None}
    assert f"the key {locked.path} is encrypted" in said["locked"]
    assert "no variable NO_SUCH_VARIABLE_77" in said["unset"]
    assert "no variable NO_SUCH_VARIABLE_77" in said["behind"]
