"""What jumps, sessions, sudo and scripts leave behind: no descriptor in a worker, no thread, no file on the host."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.events import Block, Event
from hostshell.core.model import Connect
from hostshell.core.traffic import Opened
from hostshell.core.turns import Note
from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support.accounts import Account, public_folder
from tests.support.endings import with_command
from tests.support.keyboard import Nobody, nobody
from tests.support.keys import Key
from tests.support.running import Outcome, collect, host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd
from tests.support.sudo import stand_in

PIPE = Path(__file__).parents[1] / "support" / "pipe.py"
PATIENCE = 20.0  # seconds for what closes by itself; far more than it takes
ROUNDS = 5


@pytest.fixture
def keyboard() -> Iterator[Nobody]:
    with nobody() as made:
        yield made


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where scripts lie on the host while they arrive."""
    folder = public_folder("temporary")
    folder.chmod(0o777)
    return folder


@pytest.fixture
def session(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key, temporary: Path
) -> Iterator[Session]:
    """``h0`` to ``h9`` behind ``bastion``, ``p`` behind a ProxyCommand, ``d``, and ``w`` with a wrong sudo password."""
    programs = stand_in(public_folder("sudo") / "bin", "pw", "lecture")
    own = {"SetEnv": f"PATH={programs}:/usr/bin:/bin TMPDIR={temporary}"}
    with Sshd(tmp_path / "far", options=own) as far, Sshd(tmp_path / "near") as near:
        for server, account in ((far, accounts[0]), (near, accounts[1])):
            server.authorize(account, client_key.public, "no-agent-forwarding")
        (tmp_path / "ssh_config").write_text(
            f"Host p\n  ProxyCommand {sys.executable} {PIPE} {far.address} {far.port}\n"
        )

        def at_far(name: str, **more: str) -> str:
            return host_section(name, far, accounts[0], client_key, **{"sudo_password": "pw", **more})

        inventory = write_inventory(
            tmp_path,
            "[defaults]\nproxy_command = yes\n",
            host_section("bastion", near, accounts[1], client_key),
            *(at_far(f"h{number}", jump="bastion") for number in range(10)),
            *(at_far("d"), at_far("p"), at_far("w", sudo_password="wrong")),
        )
        known = write_known_hosts(tmp_path, far.known_hosts_line, near.known_hosts_line)
        with Session(inventory, known_hosts=known, pool=Pool(1), ssh_config=str(tmp_path / "ssh_config")) as made:
            yield made


def held(session: Session) -> int:
    """The descriptors of the one worker."""
    return len(os.listdir(f"/proc/{session._pool._members[0].process.pid}/fd"))


def settles(session: Session, before: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while held(session) > before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def carry_out(session: Session, host: str, **around: object) -> Outcome:
    task = session.inputs.command(**around)  # type: ignore[arg-type]  # of the callers' choice
    return collect(session.stream(session.job(task, host.split(","), label="x")))


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")


@needs_proc
def test_jumps_and_proxy_commands(session: Session) -> None:
    before = None
    for _ in range(ROUNDS):
        assert set(run(session, "true", "h[0-9],p").status().values()) == {"ok"}
        session.reload()
        assert run(session, "true", "d").status() == {"d": "ok"}
        before = before or held(session)  # what stays for good is there now
        assert settles(session, before)


@needs_proc
def test_interactive_sessions(session: Session, keyboard: Nobody) -> None:
    assert run(session, "true", "d").status() == {"d": "ok"}
    before = held(session)
    for left in (False, True):
        for _ in range(ROUNDS):
            job = session.job(Connect("cat" if left else "true"), ["d"])
            found = []
            for item in session.interact(job, keyboard):
                if left and isinstance(item, Opened):
                    session.cancel()
                if isinstance(item, (Event, Note)):
                    found.append(item)
            assert collect(found).status() == {"d": "cancelled" if left else "ok"}
    assert settles(session, before)


@needs_proc
def test_sudo_that_lets_in_and_sudo_that_does_not(session: Session) -> None:
    assert run(session, "true", "d,w").status() == {"d": "ok", "w": "ok"}
    before = held(session)
    for _ in range(ROUNDS):
        found = carry_out(session, "d,w", command="cat", sudo=True, stdin=b"in\n" * 1000)
        assert found.status() == {"d": "ok", "w": "failed"}
    assert settles(session, before)


@needs_proc
def test_scripts_that_end_and_scripts_that_are_stopped(session: Session, tmp_path: Path, temporary: Path) -> None:
    script = tmp_path / "script"
    assert run(session, "true", "d").status() == {"d": "ok"}
    before = held(session)
    script.write_text("#!/bin/sh\ncat | tail -n 1\n")
    for _ in range(ROUNDS):
        assert carry_out(session, "d", script=str(script), stdin=b"in\n" * 1000).out == {"d": ["in"]}
    script.write_text("#!/bin/sh\necho up\nsleep 6418\n")
    for _ in range(ROUNDS):
        task = session.inputs.command(script=str(script), stdin=b"in\n" * 1_000_000)
        events = session.stream(session.job(task, ["d"], label="x"))
        found = collect(events, lambda event: session.cancel() if isinstance(event, Block) else None)
        assert found.status() == {"d": "cancelled"}
        assert found.finished["d"].may_still_run or not with_command("sleep\x006418")
    assert settles(session, before)
    assert os.listdir(temporary) == []
