"""Endpoints that push back: hostshell slows down for those alone, says so, and no command is sent twice."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.scheduler import Scheduler
from hostshell.core.turns import Action, Begin, Ended, Report
from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support.accounts import Account, public_folder
from tests.support.keys import Key, make_key
from tests.support.running import host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

NARROW = {"MaxStartups": "4:60:10", "PerSourceMaxStartups": None, "PerSourcePenalties": None}


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder in which every user may write."""
    folder = public_folder("ran")
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def test_two_hundred_hosts_behind_a_server_that_takes_few_connects_all_end_well_and_run_once(
    tmp_path: Path, clean_home: Path, common: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    account = accounts[0]
    narrow = [f"n{number:03}" for number in range(200)]
    wide = [f"w{number:02}" for number in range(20)]
    played: list[tuple[Report, float, list[Action]]] = []
    with Sshd(tmp_path / "sshd", options=NARROW) as server:
        server.authorize(account, client_key.public)
        inventory = write_inventory(
            tmp_path,
            *(host_section(name, server, account, client_key) for name in narrow),
            *(host_section(name, sshd, account, client_key) for name in wide),
        )
        known = write_known_hosts(tmp_path, server.known_hosts_line, sshd.known_hosts_line)
        with Session(inventory, known_hosts=known, pool=Pool(2, record=lambda *step: played.append(step))) as session:
            found = run(session, f"echo x >> {common}/{{host}}; echo ran", "n*,w*", fanout=200)
            count = len(played)
            again = run(session, f"echo x >> {common}/{{host}}", "n*,w*", fanout=200)
    assert found.out == {name: ["ran"] for name in [*narrow, *wide]}
    assert set(again.status().values()) == {"ok"}
    # counted on the far side: once a command, however often its connect was tried
    assert Counter((common / name).read_text() for name in [*narrow, *wide]) == {"x\nx\n": 220}

    first = played[:count]
    tries = Counter(turn.host.name for _, _, actions in first for turn in actions if isinstance(turn, Begin))
    dropped = [report for report, _, _ in first if isinstance(report, Ended) and report.retriable]
    assert dropped
    assert {tries[name] for name in wide} == {1}
    assert sum(tries.values()) == 220 + len(dropped)

    # the good server beside it was not slowed, and nothing is said about it
    assert {note.host for note in found.notes} <= set(narrow)
    (text,) = {note.text for note in found.notes}
    where = re.escape(f"{server.address}:{server.port}")
    assert re.fullmatch(rf"{where} dropped {len(dropped)} connections; connected to it \d at a time", text)
    # warm hosts connect to nobody, so nobody waits
    assert again.notes == []
    assert not [report for report, _, _ in played[count:] if isinstance(report, Ended) and report.retriable]

    # and what was decided follows from what was reported, jitter too
    scheduler = Scheduler(2)
    assert [scheduler.handle(report, now) for report, now, _ in played] == [actions for _, _, actions in played]


def test_too_many_authentication_failures_are_our_own_and_nothing_is_offered_twice(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_keys: dict[str, Key]
) -> None:
    options = {"MaxAuthTries": "2", "PerSourcePenalties": None}
    (clean_home / ".ssh").mkdir(mode=0o700)
    for name in ("ed25519", "ecdsa"):
        shutil.copy(client_keys[name].path, clean_home / ".ssh" / f"id_{name}")
    stranger = make_key(tmp_path / "stranger")
    with Sshd(tmp_path / "sshd", options=options) as server:
        inventory = write_inventory(tmp_path, host_section("a", server, accounts[0], stranger))
        known = write_known_hosts(tmp_path, server.known_hosts_line)
        with Session(inventory, known_hosts=known, pool=Pool(1)) as session:
            found = run(session, "true", "a")
        log = server.log.read_text()
    assert (found.finished["a"].status, found.kind("a")) == ("unreachable", "auth")
    assert "Too many authentication failures" in log
    assert log.count("Connection from") == 1
