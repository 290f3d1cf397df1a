"""Copies that go wrong: refusals, links that end, a stop, servers that lie. No final name ever holds a part."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostshell.ssh import exchange
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.transfer import CopyStopped, TransferError
from tests.ssh.conftest import Copier, connect, folder_of
from tests.ssh.trees import everything, general, names
from tests.support.accounts import Account, public_folder
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.sshd import SFTP_SERVERS, Sshd

BIG = 24 * 1024 * 1024  # bytes: more than fits into buffers and windows on the way


def after(calls: int) -> Callable[[], bool]:
    """A ``stopped`` that says yes once it has been asked so many times."""
    asked = itertools.count(1)
    return lambda: next(asked) > calls


@pytest.fixture
def relayed(sshd: Sshd, accounts: list[Account], client_key: Key, tmp_path: Path) -> Iterator[tuple[Copier, CutRelay]]:
    """A copier whose link can be cut and frozen."""
    with CutRelay((sshd.address, sshd.port)) as relay:
        transport = connect(relay.address, relay.port, accounts[0].name, client_key.path)
        yield Copier(transport, folder_of(accounts[0]), tmp_path), relay
        transport.close()


# --- what the host refuses ---


def test_no_permission_to_write_is_said_and_the_old_file_stays(copier: Copier) -> None:
    (copier.here / "src").write_text("new")
    (copier.there / "name").write_text("old")
    copier.there.chmod(0o555)
    for remote in ("name", "other", "./"):
        with pytest.raises(TransferError, match="no permission to write in"):
            copier.put("src", remote)
    copier.there.chmod(0o755)
    assert names(copier.there) == ["name"]
    assert (copier.there / "name").read_text() == "old"


@pytest.fixture(scope="module")
def small_files_sshd(
    tmp_path_factory: pytest.TempPathFactory, accounts: list[Account], client_key: Key
) -> Iterator[Sshd]:
    """A server on which no file may be larger than 512 KiB: what a used-up quota looks like."""
    folder = public_folder("quota")
    script = folder / "sftp"
    server = next(path for path in SFTP_SERVERS if Path(path).exists())
    script.write_text(f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 1024\nexec {server} -d "$HOME"\n')
    script.chmod(0o755)
    options = {"Subsystem": f"sftp {script}"}
    with Sshd(tmp_path_factory.mktemp("quota-sshd"), options=options) as sshd:
        sshd.authorize(accounts[0], client_key.public, "restrict")
        yield sshd
    shutil.rmtree(folder)


def test_a_quota_is_guessed_at_and_leaves_no_temporary_file(
    small_files_sshd: Sshd, accounts: list[Account], client_key: Key, tmp_path: Path
) -> None:
    transport = connect(small_files_sshd.address, small_files_sshd.port, accounts[0].name, client_key.path)
    try:
        copier = Copier(transport, folder_of(accounts[0]), tmp_path)
        (copier.there / "name").write_text("old")
        (copier.here / "src").write_bytes(os.urandom(3_000_000))
        with pytest.raises(TransferError, match="failed to write in") as caught:
            copier.put("src", "name")
        assert "quota" in caught.value.hint
        assert names(copier.there) == ["name"]
        assert (copier.there / "name").read_text() == "old"
    finally:
        transport.close()


def test_keys_that_change_in_the_middle_of_a_copy_change_no_byte(
    tmp_path: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "sshd", options={"RekeyLimit": "1M"}) as server:
        server.authorize(accounts[0], client_key.public)
        transport = connect(server.address, server.port, accounts[0].name, client_key.path)
        copier = Copier(transport, folder_of(accounts[0]), tmp_path)
        (copier.here / "src").write_bytes(os.urandom(BIG))
        copier.put("src", "name")
        copier.get("name")
        assert (copier.here / "out/h1/name").read_bytes() == (copier.here / "src").read_bytes()
        transport.close()


# --- links that end ---


def test_a_link_cut_during_an_upload_leaves_the_old_file_whole_and_names_what_stayed(
    relayed: tuple[Copier, CutRelay],
) -> None:
    copier, relay = relayed
    (copier.here / "src").write_bytes(os.urandom(BIG))
    (copier.there / "name").write_text("old")
    relay.cut_after(up=BIG // 2)
    with pytest.raises(TransferError) as caught:
        copier.put("src", "name")
    (left,) = set(names(copier.there)) - {"name"}
    what = f"the same copy again goes on from {copier.there}/{general(left)} on the host"
    assert caught.value.message == f"the link ended during the copy; {what}"
    assert not copier.transport.is_active()
    assert (copier.there / "name").read_text() == "old"


def test_a_link_cut_during_a_download_leaves_the_old_file_and_the_partial_that_it_names(
    relayed: tuple[Copier, CutRelay],
) -> None:
    copier, relay = relayed
    (copier.there / "name").write_bytes(os.urandom(BIG))
    old = copier.here / "out" / "h1" / "name"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    relay.cut_after(down=BIG // 2)
    with pytest.raises(TransferError) as caught:
        copier.get("name")
    assert not copier.transport.is_active()
    assert old.read_text() == "old"
    (left,) = set(names(old.parent)) - {"name"}
    what = f"the same copy again goes on from {old.parent}/{general(left)} here"
    assert caught.value.message == f"the link ended during the copy; {what}"


def test_a_link_that_was_dead_before_is_told_apart(relayed: tuple[Copier, CutRelay]) -> None:
    copier, _ = relayed
    (copier.here / "src").write_text("x")
    copier.transport.close()
    with pytest.raises(LinkLost) as caught:
        copier.put("src", "name")
    assert caught.value.started is False


# --- stopping ---


@pytest.mark.parametrize("calls", [*range(1, 13), 40])  # while the file is being made on the host, too
def test_a_stopped_put_leaves_nothing_but_a_partial_that_it_names(
    copier: Copier, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "HURRY", 30.0)  # a busy machine is no reason to be unsure
    (copier.here / "src").write_bytes(os.urandom(BIG))
    (copier.there / "name").write_text("old")
    copier.stopped = after(calls)
    with pytest.raises(CopyStopped) as caught:
        copier.put("src", "name")
    left = [name for name in names(copier.there) if name != "name"]
    what = f"stopped; the same copy again goes on from {copier.there}/{general(left[0])} on the host" if left else ""
    assert str(caught.value) == what
    assert (copier.there / "name").read_text() == "old"


@pytest.mark.parametrize("calls", [3, 10, 40])
def test_a_stopped_get_leaves_nothing_but_a_partial_that_it_names(copier: Copier, calls: int) -> None:
    (copier.there / "name").write_bytes(os.urandom(BIG))
    copier.stopped = after(calls)
    with pytest.raises(CopyStopped) as caught:
        copier.get("name")
    left = everything(copier.here)
    if left:
        assert left[:2] == ["out", "out/h1"]
        assert str(caught.value) == f"stopped; the same copy again goes on from {copier.here}/{general(left[2])} here"
        assert len(left) == 3
    else:
        assert str(caught.value) == ""


def test_a_connection_serves_again_after_a_stop(copier: Copier) -> None:
    (copier.here / "src").write_bytes(os.urandom(BIG))
    frozen = time.monotonic()
    copier.stopped = lambda: time.monotonic() > frozen + 0.05
    with pytest.raises(CopyStopped):
        copier.put("src", "name")
    copier.stopped = lambda: False
    copier.put("src", "name")
    assert (copier.there / "name").stat().st_size == BIG
    assert names(copier.there) == ["name"]


def test_a_stop_does_not_wait_for_a_host_that_is_silent_and_names_what_stayed(relayed: tuple[Copier, CutRelay]) -> None:
    copier, relay = relayed
    (copier.here / "src").write_bytes(os.urandom(BIG))
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        if asked == 30:
            relay.freeze()
        return asked > 40

    copier.stopped = stopped
    with pytest.raises(CopyStopped, match=r"\.name\..*\.part may have stayed on the host"):
        copier.put("src", "name")
    relay.thaw()
