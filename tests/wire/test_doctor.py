"""``doctor``: one server for each thing that can be wrong, and the sentence that names it with what to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hostshell.core.events import Examined, Failure
from hostshell.core.model import Examine, Ping
from hostshell.core.steps import STEPS, Step
from hostshell.core.targets import Targets
from hostshell.session import Session
from tests.support.accounts import Account, public_folder
from tests.support.faulty import Faulty, Mute, OnlyRetired, Slam
from tests.support.keys import Key, make_key
from tests.support.rude import PASSWORD, NeverOpens, RefusesCommands, TurnsAway
from tests.support.running import Outcome, collect, host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd, free_port


class Looked:
    """What was found about one host."""

    def __init__(self, found: Outcome, steps: list[Step]) -> None:
        self.steps = steps
        self.finished = found.finished["h1"]
        self.error: Failure = self.finished.error or Failure("exit", "", "")

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def last(self) -> Step:
        return self.steps[-1]


def look(
    folder: Path,
    section: str,
    *known: str,
    sudo: bool = False,
    connect_timeout: float = 20.0,
    target: str = "h1",
    ssh_config: str | None = None,
) -> Looked:
    """Examine h1."""
    known_hosts = write_known_hosts(folder, *known)
    steps: list[Step] = []

    def keep(event: object) -> None:
        if isinstance(event, Examined):
            steps.append(event.step)

    with Session(write_inventory(folder, section), known_hosts=known_hosts, ssh_config=ssh_config) as session:
        names = session.targets(Targets(hosts=(target,)))
        job = session.job(Examine(sudo), names, label="doctor", connect_timeout=connect_timeout)
        return Looked(collect(session.stream(job), keep), steps)


def at(server: Faulty, **more: str) -> str:
    settings = {"address": server.address, "port": str(server.port), "user": "somebody", "password": PASSWORD, **more}
    return "[host:h1]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


@contextmanager
def own_sshd(folder: Path, account: Account, key: Key | None, options: str = "", **settings: str) -> Iterator[Sshd]:
    """A server of this test alone; ``options`` are those of the key."""
    with Sshd(folder / "own-sshd", options=settings) as server:
        if key is not None:
            server.authorize(account, key.public, options or "no-agent-forwarding")
        yield server


# --- a host that works ---


def test_a_host_that_works_tells_every_step(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    found = look(tmp_path, host_section("h1", sshd, accounts[0], client_key), sshd.known_hosts_line)
    assert found.finished.status == "ok"
    assert [step.name for step in found.steps] == [name for name in STEPS if name != "sudo"]
    assert {step.result for step in found.steps} == {"ok"}, found.steps
    assert found.step("command").facts["user"] == accounts[0].name


# --- name, port, banner, key exchange, host key ---


def test_a_name_without_an_address(tmp_path: Path, clean_home: Path) -> None:
    found = look(tmp_path, "[group:all-of-it]\nhosts = h1\n", target="h1")
    assert (found.last.name, found.last.result) == ("name", "failed")
    assert "h1 has no `address`" in found.error.hint
    assert "search domain" in found.error.hint


def test_an_address_without_a_dot(tmp_path: Path, clean_home: Path) -> None:
    found = look(tmp_path, "[host:h1]\naddress = no-such-host-here\n")
    assert "search domain" in found.error.hint


def test_a_port_where_nobody_listens(tmp_path: Path, clean_home: Path) -> None:
    found = look(tmp_path, f"[host:h1]\naddress = 127.0.0.1\nport = {free_port('127.0.0.1')}\n")
    assert found.last.name == "port"
    assert found.last.facts["tried"] == ("127.0.0.1: connection refused",)
    assert "is sshd running there" in found.error.hint


class SaysAtOnce(Faulty):
    """Greets as a server of another kind does."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def play(self, link: socket.socket) -> None:
        link.recv(65536)  # a web server waits for the request, which our banner is not
        link.sendall(self._text)
        link.shutdown(socket.SHUT_WR)
        self.hold(link)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "a web server"),
        (b"220 mail.example.net ESMTP\r\n500 5.5.1 unknown command\r\n", "a mail or FTP server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server"),
    ],
)
def test_a_port_of_something_else(tmp_path: Path, clean_home: Path, text: bytes, what: str) -> None:
    with SaysAtOnce(text) as server:
        found = look(tmp_path, at(server))
    assert found.last.name == "banner"
    assert found.error.message == f"no SSH server answers there, but {what}"
    assert "`port`" in found.error.hint


def test_a_server_that_says_nothing(tmp_path: Path, clean_home: Path) -> None:
    with Mute() as server:
        found = look(tmp_path, at(server), connect_timeout=2.0)
    assert (found.last.name, found.error.kind) == ("banner", "timeout")
    assert "no SSH banner" in found.error.message


def test_a_server_that_turns_us_away_for_a_while(tmp_path: Path, clean_home: Path) -> None:
    with Slam(b"Not allowed at this time\r\n") as server:
        found = look(tmp_path, at(server))
    assert "turns this machine away for a while (PerSourcePenalties)" in found.error.message
    assert "failed logins" in found.error.hint


def test_a_server_with_retired_algorithms(tmp_path: Path, clean_home: Path) -> None:
    with OnlyRetired() as server:
        found = look(tmp_path, at(server))
    assert (found.last.name, found.error.kind) == ("key exchange", "algorithms")
    assert found.last.facts["cipher of the server"] == ("3des-cbc", "arcfour")
    assert "3des-cbc" in found.error.message


def test_a_host_key_that_nobody_knows_and_one_that_has_changed(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    section = host_section("h1", sshd, accounts[0], client_key)
    found = look(tmp_path, section)
    assert (found.last.name, found.error.kind) == ("host key", "hostkey")
    assert "--host-keys" in found.error.hint
    other = make_key(tmp_path / "other")
    found = look(tmp_path, section, f"[{sshd.address}]:{sshd.port} {other.public}")
    assert found.last.facts["decision"] == "changed"
    assert f"{tmp_path}/known_hosts:1" in found.last.facts["known"][0]  # type: ignore[index]  # a tuple
    assert "ssh-keygen -R" in found.error.hint


# --- login ---


def test_a_key_that_the_account_does_not_know(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    stranger = make_key(tmp_path / "stranger")
    found = look(tmp_path, host_section("h1", sshd, accounts[0], stranger), sshd.known_hosts_line)
    assert (found.last.name, found.error.kind) == ("login", "auth")
    assert found.last.facts["offered"] == (f"the key {stranger.path}: refused",)
    assert "publickey" in found.last.facts["allowed"]  # type: ignore[operator]  # a tuple
    user = accounts[0].name
    assert f"ssh-copy-id -i {stranger.path} -p {sshd.port} {user}@{sshd.address}" in found.error.hint
    assert f"authorized_keys of {user}" in found.error.hint


def test_a_wrong_password_is_not_shown(tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]) -> None:
    section = host_section("h1", sshd, accounts[0], None, password="no-such-secret")
    found = look(tmp_path, section, sshd.known_hosts_line)
    assert "the password or `user` is wrong" in found.error.hint
    assert "no-such-secret" not in repr((found.steps, found.finished))


def test_a_password_that_was_refused_before_is_what_it_says_and_where_that_stands(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    inventory = write_inventory(tmp_path, host_section("h1", sshd, accounts[0], None, password="no-such-secret"))
    place = f"{inventory}:5 [host:h1]"
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        first = collect(session.ping(hosts="h1")).finished["h1"].error
        assert first is not None
        assert first.hint == f"the password or `user` is wrong: correct it in {place}, then `reload`"
        for task in (Ping(), Examine()):
            error = collect(session.stream(session.job(task, ["h1"]))).finished["h1"].error
            assert error is not None
            assert error.message == f"the password of {accounts[0].name} was refused before, and is not offered again"
            assert error.hint == f"correct it in {place}, then `reload`"


def test_a_host_of_the_moment_is_helped_by_options_and_not_by_an_inventory(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    name = f"{accounts[0].name}@{sshd.address}:{sshd.port}"
    with Session(known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        for task, wanted in ((Ping(), "-i KEY names a key, -k asks for a password"), (Examine(), "-")):
            error = collect(session.stream(session.job(task, [name]))).finished[name].error
            assert error is not None
            assert wanted in error.hint
            assert "`" not in error.hint  # no setting of an inventory


def test_a_password_where_only_keys_are_taken(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with own_sshd(tmp_path, accounts[0], client_key, PasswordAuthentication="no") as server:
        section = host_section("h1", server, accounts[0], None, password="x")
        found = look(tmp_path, section, server.known_hosts_line)
    assert "it takes publickey, and there is nothing of that: set `key`" in found.error.hint


def test_a_server_that_takes_a_password_and_none_is_set(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    section = f"[host:h1]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\n"
    found = look(tmp_path, section, sshd.known_hosts_line)
    assert found.last.name == "login"
    assert "password_from = ask" in found.error.hint or "set `key`" in found.error.hint


def test_a_key_that_is_not_there(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    section = host_section("h1", sshd, accounts[0], replace(client_key, path=tmp_path / "gone"))
    found = look(tmp_path, section, sshd.known_hosts_line)
    assert found.step("settings").result == "warning"
    assert "no such file" in found.step("settings").message
    assert f"cannot use the key {tmp_path / 'gone'}: no such file" in found.error.message


def test_an_encrypted_key_with_a_wrong_passphrase(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_keys: dict[str, Key]
) -> None:
    section = host_section("h1", sshd, accounts[0], client_keys["rsa"], passphrase_from="env:WRONG_PASSPHRASE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WRONG_PASSPHRASE", "wrong-pass-77")
        found = look(tmp_path, section, sshd.known_hosts_line)
    assert "the passphrase does not open it" in found.error.message
    assert "passphrase_from" in found.error.hint
    assert "wrong-pass-77" not in repr((found.steps, found.finished))


def test_a_key_that_others_may_read(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    loose = tmp_path / "loose"
    loose.write_bytes(client_key.path.read_bytes())
    loose.chmod(0o644)
    found = look(
        tmp_path, host_section("h1", sshd, accounts[0], replace(client_key, path=loose)), sshd.known_hosts_line
    )
    settings = found.step("settings")
    assert (settings.result, found.finished.status) == ("warning", "ok")
    assert "(mode 0644)" in settings.message
    assert f"chmod 600 {loose}" in settings.hint


def test_an_agent_that_does_not_answer(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    section = f"[host:h1]\naddress = {sshd.address}\nport = {sshd.port}\nuser = {accounts[0].name}\n"
    found = look(tmp_path, section, sshd.known_hosts_line)
    assert f"the agent gives no answer at {tmp_path / 'no-agent'}" in found.error.hint


def test_too_many_credentials(tmp_path: Path, clean_home: Path) -> None:
    with TurnsAway() as server:
        found = look(tmp_path, at(server), server.known_hosts_line())
    assert "Too many authentication failures" in found.error.message
    assert "MaxAuthTries" in found.error.hint
    assert found.error.hint.endswith(
        "set `key` so that the right one comes first, or IdentitiesOnly yes in your ssh_config"
    )


# --- session, command, SFTP, sudo ---


def test_a_server_that_opens_no_session(tmp_path: Path, clean_home: Path) -> None:
    with NeverOpens() as server:
        found = look(tmp_path, at(server), server.known_hosts_line(), connect_timeout=3.0)
    assert found.last.name == "session"
    assert "opened no session in time" in found.error.message


def test_a_server_that_runs_nothing(tmp_path: Path, clean_home: Path) -> None:
    with RefusesCommands() as server:
        found = look(tmp_path, at(server), server.known_hosts_line())
    assert found.last.name == "command"
    assert "refused to run a command" in found.error.message


def test_a_key_bound_to_a_command_of_its_own(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with own_sshd(tmp_path, accounts[0], client_key, 'command="echo only this"') as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], client_key), server.known_hosts_line)
    assert found.last.name == "command"
    assert 'binds this key to a command of its own, which ran in place of ours: "only this"' in found.error.message


def test_a_forced_command_of_the_server(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with own_sshd(tmp_path, accounts[0], client_key, ForceCommand="echo forced") as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], client_key), server.known_hosts_line)
    assert 'what ran is not what was asked for: "forced"' in found.error.message
    assert "ForceCommand" in found.error.hint


def test_a_nologin_shell(tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key) -> None:
    nologin = "echo This account is currently not available.; exit 1"
    with own_sshd(tmp_path, accounts[0], client_key, ForceCommand=nologin) as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], client_key), server.known_hosts_line)
    assert "no command can run: exit code 1" in found.error.message
    assert "nologin" in found.error.hint


def test_a_login_shell_that_prints_text_of_its_own(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    noisy = 'echo Welcome to a noisy host; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
    with own_sshd(tmp_path, accounts[0], client_key, ForceCommand=noisy) as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], client_key), server.known_hosts_line)
    command = found.step("command")
    assert command.result == "warning"
    assert 'prints text of its own around a command: "Welcome to a noisy host"' in command.message
    assert ".bashrc" in command.hint
    assert "printed text where SFTP was to start" in found.error.message


def test_a_command_that_never_ends(tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key) -> None:
    with own_sshd(tmp_path, accounts[0], client_key, ForceCommand="exec sleep 600") as server:
        section = host_section("h1", server, accounts[0], client_key)
        found = look(tmp_path, section, server.known_hosts_line, connect_timeout=4.0)
    assert "a command did not end within 4 s" in found.error.message
    assert "start-up files" in found.error.hint


def test_no_sftp_subsystem(tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key) -> None:
    with own_sshd(tmp_path, accounts[0], client_key, Subsystem="nothing /bin/false") as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], client_key), server.known_hosts_line)
    assert (found.last.name, found.finished.status, found.error.kind) == ("sftp", "failed", "transfer")
    assert "no SFTP subsystem" in found.error.message
    assert "Subsystem sftp" in found.error.hint


def test_an_sftp_server_that_hangs(tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key) -> None:
    with own_sshd(tmp_path, accounts[0], client_key, Subsystem="sftp /bin/sleep 600") as server:
        found = look(tmp_path, host_section("h1", server, accounts[0], client_key), server.known_hosts_line)
    assert (found.last.name, found.finished.status, found.error.kind) == ("sftp", "failed", "transfer")
    assert found.error.message.startswith("SFTP did not start within ")


@contextmanager
def with_sudo(says: str) -> Iterator[str]:
    """A ForceCommand under which ``sudo`` is a stand-in that says and does this."""
    folder = public_folder("doctor")
    try:
        sudo, script = folder / "sudo", folder / "with-sudo"
        sudo.write_text(f"#!/bin/sh\n{says}\n")
        script.write_text(f'#!/bin/sh\nPATH={folder}:$PATH; export PATH; eval "$SSH_ORIGINAL_COMMAND"\n')
        for program in (sudo, script):
            program.chmod(0o755)
        yield str(script)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("says", "status", "wanted"),
    [
        ("exit 0", "ok", "works, and asks for no password"),
        ("echo 'sudo: a password is required' >&2; exit 1", "ok", "asks for a password"),
        ("echo 'somebody is not in the sudoers file.' >&2; exit 1", "failed", "sudo refuses: somebody is not in the"),
        ("exit 127", "failed", "there is no sudo on it"),
    ],
)
def test_sudo(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key, says: str, status: str, wanted: str
) -> None:
    sftp = "sftp /usr/lib/openssh/sftp-server"
    with (
        with_sudo(says) as forced,
        own_sshd(tmp_path, accounts[0], client_key, ForceCommand=forced, Subsystem=sftp) as server,
    ):
        section = host_section("h1", server, accounts[0], client_key)
        found = look(tmp_path, section, server.known_hosts_line, sudo=True)
    assert (found.last.name, found.finished.status) == ("sudo", status), found.error
    assert wanted in (found.error.message or str(found.last.facts["sudo"]))


def test_sudo_is_looked_at_where_the_settings_say_it(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    sftp = "sftp /usr/lib/openssh/sftp-server"
    with (
        with_sudo('echo "sudo: no $*" >&2; exit 1') as forced,
        own_sshd(tmp_path, accounts[0], client_key, ForceCommand=forced, Subsystem=sftp) as server,
    ):
        section = host_section("h1", server, accounts[0], client_key)
        more = "sudo = yes\nsudo_user = www\nsudo_password_from = ask\n"  # nobody is asked: it is tried without
        found = look(tmp_path, section.rstrip("\n") + "\n" + more, server.known_hosts_line)
    assert (found.last.name, found.finished.status, found.error.kind) == ("sudo", "failed", "sudo")
    assert found.error.message == "sudo refuses: sudo: no -n -u www true"


@pytest.mark.parametrize("more", [{}, {"sudo_password": "x"}, {"password": "x"}])
def test_a_sudo_that_wants_a_password_which_the_inventory_does_not_have(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key, more: dict[str, str]
) -> None:
    sftp = "sftp /usr/lib/openssh/sftp-server"
    with (
        with_sudo("echo 'sudo: a password is required' >&2; exit 1") as forced,
        own_sshd(tmp_path, accounts[0], client_key, ForceCommand=forced, Subsystem=sftp) as server,
    ):
        section = host_section("h1", server, accounts[0], client_key, sudo="yes", **more)
        found = look(tmp_path, section, server.known_hosts_line)
    wanted = "" if more else "sudo asks for a password, and the inventory has none"
    assert (found.last.name, found.last.message, found.finished.status) == ("sudo", wanted, "ok")
    assert more or "`sudo_password_from`" in found.last.hint


# --- jump hosts ---


def test_the_jump_host_that_fails_is_named(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    gate = f"[host:gate]\naddress = 127.0.0.1\nport = {free_port('127.0.0.1')}\nuser = x\n\n"
    section = host_section("h1", sshd, accounts[0], client_key, jump="gate")
    found = look(tmp_path, gate + section, sshd.known_hosts_line)
    failed = next(step for step in found.steps if step.result == "failed")
    assert (failed.via, failed.name) == ("gate", "port")
    assert "jump host gate: connection refused" in found.error.message


# --- what a person sees ---


@pytest.mark.parametrize("columns", [80, 200])
def test_what_is_printed(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key, columns: int
) -> None:
    closed = free_port("127.0.0.1")
    good = "".join(host_section(name, sshd, accounts[0], client_key) for name in ("web01", "web02"))
    bad = "".join(f"[host:db{n}]\naddress = 127.0.0.1\nport = {closed}\nuser = x\n\n" for n in (1, 2))
    inventory = write_inventory(tmp_path, good, bad)
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    words = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known, "doctor", "-a"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "COLUMNS": str(columns)})
    assert done.returncode == 4
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == f"db[1-2] (2): connection refused (port {closed})"
    assert lines[1] == "    is sshd running there, and is the port right?"
    assert any(line.startswith("  x  port") and "127.0.0.1: connection refused" in line for line in lines)
    assert any(line.startswith("web[01-02] (2): all well; the longest step took ") for line in lines)
    assert lines[-1].startswith("2 well, 2 not, in ")


def test_json_has_an_object_for_each_step(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    inventory = write_inventory(tmp_path, host_section("h1", sshd, accounts[0], client_key))
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    words = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known, "--json", "doctor", "h1"]
    done = subprocess.run(words, capture_output=True, text=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["event"] for one in found] == ["started", *["step"] * 10, "finished", "summary"]
    assert [one["step"] for one in found if one["event"] == "step"] == [name for name in STEPS if name != "sudo"]
    banner = found[4]
    assert banner["facts"]["banner"].startswith("SSH-2.0-OpenSSH")
    assert banner["via"] is None


def test_what_a_server_says_is_cleaned_and_bounded(tmp_path: Path, clean_home: Path) -> None:
    with Slam(b"\x1b]0;owned\x07" + b"x" * 5000 + b"\r\n") as server:
        inventory = write_inventory(tmp_path, at(server))
        words = [sys.executable, "-m", "hostshell", "-i", inventory, "doctor", "h1"]
        done = subprocess.run(words, capture_output=True)
    assert b"\x1b" not in done.stderr
    assert len(done.stderr) < 3000
