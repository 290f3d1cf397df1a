"""A person's ssh_config, obeyed against a real sshd: from the command line, from the Python API, and after `reload`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostshell import Finished, Output, Session
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd


def config(sshd: Sshd, account: Account, key: Key, name: str = "alias") -> str:
    return (
        f"Host {name}\n  HostName {sshd.address}\n  Port {sshd.port}\n  User {account.name}\n"
        f"  IdentityFile {key.path}\n  IdentitiesOnly yes\n  UserKnownHostsFile ~/.ssh/fleet\n"
        "  StrictHostKeyChecking accept-new\n"
    )


def hostshell(home: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HOME": str(home), **environ}
    return subprocess.run(
        [sys.executable, "-m", "hostshell", *words], cwd=home, env=env, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def home(clean_home: Path) -> Path:
    (clean_home / ".ssh").mkdir(mode=0o700)
    return clean_home


def test_a_host_that_only_the_configuration_knows_is_reached(
    home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    (home / ".ssh" / "config").write_text(config(sshd, accounts[0], client_key))
    (home / ".ssh" / "config").chmod(0o600)
    (home / "hosts.ini").write_text("[group:g]\nhosts = alias\n")
    done = hostshell(home, "run", "echo", "hello", HOSTSHELL_SSH_CONFIG="~/.ssh/config")
    assert done.returncode == 2, done.stderr  # no targets
    done = hostshell(home, "batch_run", "-g", "g", "-cmd", "echo hello", HOSTSHELL_SSH_CONFIG="~/.ssh/config")
    assert (done.stdout, done.returncode) == ("alias: hello\n", 0), done.stderr
    assert (home / ".ssh" / "fleet").exists()  # where the new host key went


def test_f_names_a_file_and_none(home: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> None:
    (home / "other").write_text(config(sshd, accounts[0], client_key))
    (home / "hosts.ini").write_text("[group:g]\nhosts = alias\n")
    shown = hostshell(home, "-F", "other", "--json", "show", "alias")
    settings = json.loads(shown.stdout)["data"]["settings"]
    assert settings["address"] == {"value": sshd.address, "from": "~/other:2"} or settings["address"] == {
        "value": sshd.address,
        "from": "other:2",
    }
    shown = hostshell(home, "-F", "none", "--json", "show", "alias")
    assert json.loads(shown.stdout)["data"]["settings"]["address"]["from"] == "built in"


def test_what_is_wrong_in_it_is_one_sentence_and_nothing_runs(home: Path) -> None:
    (home / "other").write_text("Host a\n  HosName b\n")
    done = hostshell(home, "-F", "other", "batch_run", "-h", "me@a", "-cmd", "true")
    assert done.returncode == 2
    assert done.stderr == "error: other:2: unknown keyword `hosname`\n  did you mean hostname?\n"


def test_a_proxycommand_that_is_not_allowed_is_never_a_direct_connection(
    home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    named = home / "other"
    named.write_text(config(sshd, accounts[0], client_key) + f"  ProxyCommand touch {home}/ran\n")
    with Session(ssh_config=str(named)) as session:
        (end,) = [
            event for event in session.run("true", hosts="alias:" + str(sshd.port)) if isinstance(event, Finished)
        ]
    assert end.status == "unreachable"
    assert end.error is not None and "proxy_command = yes" in end.error.message
    assert not (home / "ran").exists()


def test_reload_reads_it_again(home: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> None:
    named = home / "other"
    named.write_text("Host nobody\n  Port 1\n")
    with Session(ssh_config=str(named)) as session:
        target = f"{accounts[0].name}@alias"
        assert session.inventory.host(target).address == "alias"
        named.write_text("Nonsense yes\n")
        with pytest.raises(Exception, match="unknown keyword"):
            session.reload()
        assert session.inventory.host(target).address == "alias"  # as it was
        named.write_text(config(sshd, accounts[0], client_key))
        session.reload()
        said = [event.data for event in session.run("echo hello", hosts=target) if isinstance(event, Output)]
    assert said == ["hello"]


def test_the_hosts_of_the_configuration_are_an_inventory(
    home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    text = config(sshd, accounts[0], client_key, "web1 web2") + "Host *.example.net\n  User nobody\n"
    (home / ".ssh" / "config").write_text(text)
    (home / ".ssh" / "config").chmod(0o600)
    usual = {"HOSTSHELL_SSH_CONFIG": "~/.ssh/config"}
    done = hostshell(home, "-i", "ssh", "batch_run", "-a", "-cmd", "echo hello", **usual)
    assert (sorted(done.stdout.splitlines()), done.returncode) == (["web1: hello", "web2: hello"], 0), done.stderr
    # -F names another file for both: who there is, and how each is reached
    (home / "other").write_text(config(sshd, accounts[0], client_key, "alone"))
    done = hostshell(home, "-F", "other", "-i", "ssh", "batch_run", "-a", "-cmd", "echo hello", **usual)
    assert (done.stdout, done.returncode) == ("alone: hello\n", 0), done.stderr


def test_reload_finds_new_hosts_of_the_configuration(home: Path) -> None:
    named = home / "other"
    named.write_text("Host a\n")
    with Session("ssh", ssh_config=str(named)) as session:
        named.write_text("Host a b\n  Port 2222\n")
        session.reload()
        assert list(session.inventory.host_names) == ["a", "b"]
        assert session.inventory.host("b").port == 2222


def test_several_hops_of_proxyjump_lead_to_the_host(
    home: Path, tmp_path: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "one") as one, Sshd(tmp_path / "two") as two:
        hops = ""
        for name, server in (("one", one), ("two", two)):
            server.authorize(accounts[0], client_key.public)
            hops += config(server, accounts[0], client_key, name)
        (home / "config").write_text(hops + config(sshd, accounts[0], client_key, "far") + "  ProxyJump one,two\n")
        (home / "hosts.ini").write_text("[host:far]\n")
        done = hostshell(home, "-F", "config", "-c", "batch_run -a -cmd 'echo hello'", "-c", "connections --json")
    hello, answer = done.stdout.splitlines()
    assert hello == "far: hello", done.stderr
    assert [one["via"] for one in json.loads(answer)["data"] if one["host"] == "far"] == [["one", "two"]]


def test_a_proxycommand_that_a_setting_allows_is_the_connection(
    home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    relay = home / "relay.py"
    relay.write_text(
        "import socket, sys, threading, os\n"
        "link = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536):\n"
        "        link.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := link.recv(65536):\n"
        "    os.write(1, data)\n"
    )
    (home / "config").write_text(
        config(sshd, accounts[0], client_key) + f"  ProxyCommand {sys.executable} {relay} %h %p\n"
    )
    (home / "hosts.ini").write_text("[host:alias]\nproxy_command = yes\n")
    done = hostshell(home, "-F", "config", "batch_run", "-a", "-cmd", "echo $SSH_CONNECTION | wc -w")
    assert (done.stdout, done.returncode) == ("alias: 4\n", 0), done.stderr
    (home / "hosts.ini").write_text("[host:alias]\n")
    refused = hostshell(home, "-F", "config", "batch_run", "-a", "-cmd", "echo hello")
    assert (refused.stdout, refused.returncode) == ("", 4)
    assert "proxy_command = yes" in refused.stderr
