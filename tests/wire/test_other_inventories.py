"""Inventories of other kinds on a real sshd: who is reached as they say, who says why not, and standard input."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.model import Examine, Ping
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import collect, run, write_known_hosts
from tests.support.sshd import Sshd
from tests.support.terminal import CTRL_D, Terminal

PIPE = Path(__file__).parents[1] / "support" / "pipe.py"


@pytest.fixture
def fleet(tmp_path: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> str:
    """An inventory of Ansible's with two hosts that can be reached and three that say why not."""
    return (
        "[web]\nweb[01:02]\n[odd]\nhere ansible_connection=local\nbox ansible_connection=docker\n"
        "late ansible_host='{{ somewhere }}'\n[all:vars]\n"
        f"ansible_host={sshd.address}\nansible_port={sshd.port}\nansible_user={accounts[0].name}\n"
        f"ansible_ssh_private_key_file={client_key.path}\n"
    )


@pytest.fixture
def known(tmp_path: Path, sshd: Sshd) -> str:
    return write_known_hosts(tmp_path, sshd.known_hosts_line)


def test_hosts_are_reached_as_the_inventory_says_and_the_others_say_why_not(
    tmp_path: Path, fleet: str, known: str, clean_home: Path
) -> None:
    (tmp_path / "hosts").write_text(fleet)
    with Session(str(tmp_path / "hosts"), known_hosts=known) as session:
        found = run(session, "echo hello", "@all")
    unusable = ("here", "box", "late")
    assert found.status() == {"web01": "ok", "web02": "ok"} | dict.fromkeys(unusable, "unreachable")
    assert {found.kind(name) for name in unusable} == {"unreachable"}


def test_a_command_under_sudo_for_a_user_that_is_not_known_does_not_run_and_all_else_does(
    tmp_path: Path, fleet: str, known: str, clean_home: Path
) -> None:
    more = "[web:vars]\nansible_become_user='{{ app_user }}'\n"
    (tmp_path / "hosts").write_text(fleet.replace("web[01:02]", "web01\nweb02 ansible_become=yes") + more)
    with Session(str(tmp_path / "hosts"), known_hosts=known) as session:
        plain = run(session, "echo hello", "@web")
        ping = collect(session.stream(session.job(Ping(), ["web01", "web02"])))
        both = ["web01", "web02"]
        asked = collect(session.stream(session.job(session.inputs.command("echo hello", sudo=True), both)))
        task = session.inputs.command("echo hello", sudo=True, sudo_user="nobody")
        named = collect(session.stream(session.job(task, both)))
        looked = collect(session.stream(session.job(Examine(), ["web02"])))
    assert plain.status() == {"web01": "ok", "web02": "unreachable"}
    assert ping.status() == dict.fromkeys(both, "ok")
    assert "unreachable" not in named.status().values()
    assert asked.status() == dict.fromkeys(both, "unreachable")
    for found in (plain, asked, looked):
        error = found.finished["web02"].error
        assert error is not None
        assert error.message == "its sudo_user is a template, and not known here; `--sudo -u USER` names one"


def call(arguments: list[str], text: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hostshell", *arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        start_new_session=True,  # no terminal to ask at
        check=False,
    )


def test_the_hosts_of_a_one_shot_call_may_come_from_standard_input(
    tmp_path: Path, fleet: str, known: str, clean_home: Path
) -> None:
    arguments = ["-i", "-", "--known-hosts", known, "batch_run", "-g", "web", "-b", "-cmd", "cat; echo hello"]
    done = call(arguments, fleet, tmp_path)
    assert (done.returncode, "hello" in done.stdout) == (0, True), done.stderr
    assert "standard input:6: ansible_host is a template: not read" in done.stderr


def test_hosts_and_a_script_cannot_both_come_from_standard_input(tmp_path: Path, clean_home: Path) -> None:
    done = call(["-i", "-"], "h1\n", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: `-i -` takes standard input")
    assert "-c LINE" in done.stderr


@pytest.fixture
def piped(tmp_path: Path, fleet: str, known: str, clean_home: Path) -> Iterator[Terminal]:
    """hostshell at a terminal, with its hosts from a pipe."""
    (tmp_path / "hosts").write_text(fleet)
    program = f"{shlex.quote(sys.executable)} -m hostshell -i - --known-hosts {shlex.quote(known)}"
    opened = Terminal(["sh", "-c", f"cat hosts | {program}"], tmp_path, 80, {"PYTHONPATH": os.getcwd()})
    yield opened
    opened.close()


def test_the_prompt_is_on_the_terminal_when_the_hosts_come_from_a_pipe(piped: Terminal) -> None:
    assert "standard input" in piped.run("inventory")
    assert "web01: hello" in piped.run("batch_run -h web01 -cmd 'echo hello'")
    said = piped.run("reload")
    assert "standard input: 5 hosts, 2 groups; connections are closed" in said
    assert "nothing has changed" in said
    piped.wait_for_prompt()
    piped.type(CTRL_D)
    assert piped.wait_for_end() == 0


def test_a_proxy_command_of_ansibles_carries_the_connection_where_a_setting_allows_it(
    tmp_path: Path, fleet: str, known: str, clean_home: Path
) -> None:
    command = f"sh -c 'touch {tmp_path}/ran-%h-%p; exec {sys.executable} {PIPE} %h %p'"
    (tmp_path / "hosts").write_text(fleet + f'ansible_ssh_common_args=-o "ProxyCommand={command}"\n')
    (tmp_path / "mine.ini").write_text("[host:web01]\nproxy_command = yes\n")
    with Session([str(tmp_path / "hosts"), str(tmp_path / "mine.ini")], known_hosts=known) as session:
        found = run(session, "echo hello", "@web")
    assert found.status() == {"web01": "ok", "web02": "unreachable"}
    assert len(list(tmp_path.glob("ran-*"))) == 1
