"""The host's tool for digests is begun before it is known to be needed: what becomes of it, and of those beside it."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.model import Put
from hostshell.session import Session
from hostshell.ssh import digests
from hostshell.ssh.partials import LEAST
from hostshell.ssh.put import MANY
from hostshell.ssh.sftp import Sftp
from tests.ssh.conftest import connect
from tests.support import processes
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.running import Outcome, collect, host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

BIG = 24 * 1024 * 1024  # bytes: far more than is under way at once
PATIENCE = 10.0  # seconds


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """So many files that the host's directory is listed, and its tool is begun."""
    made = tmp_path / f"tree-{secrets.token_hex(4)}"
    made.mkdir()
    for number in range(MANY):
        (made / f"file-{number:03}").write_text("content")
    return made


@pytest.fixture(params=["10", "2", "1"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, accounts: list[Account], client_key: Key
) -> Iterator[tuple[Sshd, int]]:
    """A server, and how many sessions it opens at once."""
    with Sshd(tmp_path / "sshd", options={"MaxSessions": request.param}) as sshd:
        sshd.authorize(accounts[0], client_key.public)
        yield sshd, int(request.param)


def tools_of(account: Account) -> set[int]:
    """The tools for digests that run in an account."""
    found = set()
    for pid in processes.of_user(account.uid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"xargs" in words[0] and b"sha256sum" in words:
            found.add(pid)
    return found


def test_a_large_file_among_many_goes_on_where_it_stopped_with_few_sessions_too(
    tmp_path: Path,
    clean_home: Path,
    server: tuple[Sshd, int],
    accounts: list[Account],
    client_key: Key,
    tree: Path,
) -> None:
    sshd, sessions = server
    there = accounts[0].home / tree.name
    with CutRelay((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port)}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:

            def put() -> Outcome:
                return collect(session.stream(session.job(Put(str(tree), "~/"), ["a"])))

            assert put().status() == {"a": "ok"}
            (tree / "big").write_bytes(os.urandom(BIG))
            relay.cut_after(up=BIG // 2)
            assert put().status() == {"a": "lost"}
            (partial,) = there.glob(".big.hostshell-*.part")
            seen = -1
            while seen != (seen := partial.stat().st_size):
                time.sleep(0.2)  # a server goes on for a moment after a cut
            (tree / "file-000").write_text("CONTENT")
            os.utime(tree / "file-000", ns=((there / "file-000").stat().st_mtime_ns,) * 2)
            outcome = put()
            copied = outcome.finished["a"].copied
            assert outcome.status() == {"a": "ok"}
            assert copied is not None
            assert (there / "big").read_bytes() == (tree / "big").read_bytes()
            if sessions > 1:
                assert copied.saved >= LEAST
                assert any("went on where an earlier try had stopped" in note.text for note in outcome.notes)
                # and the tool is there again for the others
                assert copied.compared == ("sha256sum",)
                assert (there / "file-000").read_text() == "CONTENT"
            else:
                assert copied.compared == ("size and time",)
            assert run(session, f"rm -r {tree.name}", "a").status() == {"a": "ok"}


def test_a_tool_that_nobody_asks_ends_with_the_copy_and_the_next_one_has_one_of_its_own(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key, tree: Path
) -> None:
    inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key))
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        for round_ in range(3):
            for path in tree.iterdir():
                path.write_text("content" * (round_ + 1))
            copied = collect(session.stream(session.job(Put(str(tree), "~/"), ["a"]))).finished["a"].copied
            assert copied is not None
            assert copied.files == MANY
            deadline = time.monotonic() + PATIENCE
            while tools_of(accounts[0]):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        run(session, f"rm -r {tree.name}", "a")


def test_a_tool_that_was_ended_while_it_waited_is_begun_again(
    sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    """A server may close what is silent for long (ChannelTimeout); what is compared then is still content."""
    path = accounts[0].home / f"digest-{secrets.token_hex(4)}"
    path.write_text("content")
    transport = connect(sshd.address, sshd.port, accounts[0].name, client_key.path)
    try:
        sftp = Sftp.over(transport, lambda: False)
        sftp.foresee_digests()
        foreseen = sftp._hashing
        assert foreseen is not None
        deadline = time.monotonic() + PATIENCE
        while not (tools := tools_of(accounts[0])):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for pid in tools:
            os.kill(pid, signal.SIGKILL)
        while foreseen.waits:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(StopIteration) as answer:
            sftp.digests([os.fsencode(path)]).send(None)
        expected = digests.of_files(transport, [os.fsencode(path)], lambda: None, lambda: None)
        assert expected is not None
        assert len(expected.of) == 1
        assert answer.value.value == expected
        sftp.close()
    finally:
        transport.close()
        path.unlink()
