"""Secrets in set-ups that people already have (Ansible, ssh_config, a program), looked for everywhere else."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hostshell.core.model import Run
from hostshell.core.targets import Targets
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.keys import Key, make_key
from tests.support.running import collect, write_known_hosts
from tests.support.sshd import Sshd
from tests.support.standin import StandIn
from tests.wire.test_canary import WRONG, Hunt, forms

BECOME = "bec0me-canary;#100%-$HOME"
PHRASE = "phr4se-canary;#100%"
COMMAND = "pr0xy-canary"
TOKEN = "t0ken-canary"
PIPE = Path(__file__).parents[1] / "support" / "pipe.py"
CALLS = (
    "batch_run -a -cmd 'echo {host} is in; sleep 0.3'",
    "batch_run -a --sudo -cmd 'echo {host}'",
    "batch_run -a -b -cmd 'exit 3'",
    "ping -a",
    "doctor -a",
    "doctor -a --sudo",
    "batch_scp -a -action get -remote /nowhere/x -local out",
    "batch_scp -a -action put -local /etc/hostname -remote /nowhere/x",
    *(f"show {name}" for name in ("good", "bad", "locked", "through", "broken")),
    *("inventory", "hosts -a", "groups", "connections", "reload", "history", "set", "use -a", "run true"),
)


@pytest.fixture
def hunt(
    clean_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sshd: Sshd,
    password_sshd: Sshd | StandIn,
    accounts: list[Account],
    client_key: Key,
) -> Hunt:
    """An inventory that a program prints, a hosts.ini over it and an ssh_config under it, with a canary in each."""
    mark = f"HS_CANARY_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    monkeypatch.setenv("HOSTSHELL_DEBUG", "1")
    account = accounts[3]
    locked = make_key(tmp_path / "locked", "ed25519", PHRASE)
    sshd.authorize(accounts[0], locked.public)

    def reached(server: Sshd | StandIn, user: Account, **more: str) -> dict[str, object]:
        place = {"ansible_host": server.address, "ansible_port": server.port, "ansible_user": user.name}
        return {**place, "ansible_become_password": BECOME, **more}

    variables = {
        "good": reached(password_sshd, account, ansible_password=account.password),
        "bad": reached(password_sshd, account, ansible_password=WRONG),
        "locked": reached(
            sshd,
            accounts[0],
            ansible_ssh_private_key_file=str(locked.path),
            ansible_private_key_passphrase=PHRASE,
        ),
        "through": reached(sshd, accounts[0], ansible_ssh_private_key_file=str(client_key.path)),
        "broken": {"ansible_host": "127.0.0.9", "ansible_ssh_extra_args": f"-o SetEnv=X={TOKEN} -Z {TOKEN}"},
    }
    listing = {"fleet": {"hosts": list(variables)}, "_meta": {"hostvars": variables}}
    for name, text in (
        ("listing.json", json.dumps(listing)),
        ("program", f"#!/bin/sh\ncat {shlex.quote(str(tmp_path / 'listing.json'))}\n"),
        ("mine.ini", "[defaults]\nproxy_command = yes\n"),
        (
            "ssh_config",
            f"Host through\n  ProxyCommand {sys.executable} {PIPE} {sshd.address} {sshd.port} {COMMAND}\n"
            f"Host broken\n  ProxyCommand sh -c 'echo no way there >&2; exit 7 # {COMMAND}'\n"
            f"Host *\n  SetEnv HS_TOKEN={TOKEN}\n",
        ),
    ):
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(text)
    (tmp_path / "program").chmod(0o700)
    known = write_known_hosts(tmp_path, *dict.fromkeys((sshd.known_hosts_line, password_sshd.known_hosts_line)))
    canaries = [form for secret in (account.password, WRONG, BECOME, PHRASE, TOKEN) for form in forms(secret)]
    return Hunt(clean_home, tmp_path / "program", Path(known), canaries, f"{mark}=1")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_other_peoples_files_hold_is_nowhere_else(hunt: Hunt, tmp_path: Path, as_json: bool) -> None:
    lines = (word for line in CALLS for word in ("-c", line))
    sources = ("-i", str(tmp_path / "mine.ini"), "-F", str(tmp_path / "ssh_config"))
    words = hunt.words(*sources, *(("--json",) if as_json else ()), *lines)
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        while piece := os.read(process.stdout.fileno(), 65536):
            hunt.said.append(piece)
            hunt.look_at_processes()
    everything = b"".join(hunt.said)
    hunt.said.append(everything)
    for name in ("good", "locked", "through"):
        said = f'"data": "{name} is in"' if as_json else f"{name}: {name} is in"
        assert said.encode() in everything
    assert b"no way there" in everything
    assert hunt.seen
    hunt.canaries += forms(COMMAND)  # whoever runs a command with a secret in it shows it: that is not ours to change
    hunt.look_at_what_was_said()
    hunt.look_at_files()


def test_no_object_shows_it(hunt: Hunt, tmp_path: Path) -> None:
    sources = [str(hunt.inventory), str(tmp_path / "mine.ini")]
    with Session(sources, known_hosts=str(hunt.known_hosts), ssh_config=str(tmp_path / "ssh_config")) as session:
        names = session.targets(Targets(everything=True))
        job = session.job(Run("true", sudo=True), names, label="x")
        assert [host.name for host in job.hosts if host.proxy_command and COMMAND in host.proxy_command] == [
            "through",
            "broken",
        ]
        assert {host.environment for host in job.hosts} == {(("HS_TOKEN", TOKEN),)}
        events: list[object] = []
        found = collect(session.stream(job), events.append)
        objects = [session, vars(session), session.inventory, vars(session.inventory), job, *job.hosts, found, *events]
        objects += [session.inventory.host(name) for name in names]
        objects += [session.inventory.settings(name) for name in names]
        objects += [session.inventory.reports]
        for thing in objects:
            hunt.said += [repr(thing).encode(), f"{thing}".encode()]
    hunt.canaries += forms(COMMAND)
    hunt.look_at_what_was_said()
