"""Copies that were cut go on where they stopped: over SFTP and without it, to and from real sshds."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
import pytest

from hostshell.ssh import digests, localdigests, partials, plan
from hostshell.ssh.partials import CANNOT_GO_ON, KEPT, LEAST, Claims
from hostshell.ssh.transfer import CopyStopped, TransferError
from tests.ssh.conftest import Copier, connect, folder_of
from tests.ssh.trees import everything, make_tree, mode, names, picture
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.sshd import Sshd

SIZE = 20 * 1024 * 1024  # bytes; far more than is under way at once
LARGE = 72 * 1024 * 1024  # bytes of which a tenth is more than that, too
UNDER_WAY = 6 * 1024 * 1024  # bytes that may be lost with a link, in buffers here, on the way and there
OVERHEAD = 1.03  # what the SSH and SFTP packets add to the bytes that they carry
MIB = 1024 * 1024


@dataclass
class Far:
    """A host behind a relay: each connection is a new one, and all copiers share their folders."""

    relay: CutRelay
    account: Account
    key: Key
    here: Path
    there: Path
    opened: list[paramiko.Transport] = field(default_factory=list)

    def connect(self) -> Copier:
        transport = connect(self.relay.address, self.relay.port, self.account.name, self.key.path)
        self.opened.append(transport)
        return Copier(transport, self.there, self.here)

    def cut_put(self, *, up: int = SIZE // 2, size: int = SIZE) -> Path:
        """Send a new ``src`` as ``name`` until the link is cut; the partial that is left."""
        (self.here / "src").write_bytes(os.urandom(size))
        copier = self.connect()
        self.relay.cut_after(up=up)
        with pytest.raises(TransferError, match=r"the same copy again goes on from \S+\.part on the host"):
            copier.put("src", "name")
        return self.partial(self.there)

    def cut_get(self, *, down: int = SIZE // 2, size: int = SIZE) -> Path:
        """Fetch ``name`` until the link is cut; the partial that is left."""
        if not (self.there / "name").exists():
            (self.there / "name").write_bytes(os.urandom(size))
        copier = self.connect()
        self.relay.cut_after(down=down)
        with pytest.raises(TransferError, match=r"the same copy again goes on from \S+\.part here"):
            copier.get("name")
        return self.partial(self.here / "out" / "h1")

    @staticmethod
    def partial(folder: Path) -> Path:
        """The partial in ``folder``, once nobody writes it any more: a server goes on for a moment after a cut."""
        (found,) = folder.glob(".name.hostshell-*.part")
        seen = -1
        while seen != (seen := found.stat().st_size):
            time.sleep(0.2)
        return found

    def close(self) -> None:
        for transport in self.opened:
            transport.close()


@pytest.fixture(scope="module", params=["sftp", "shell"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, accounts: list[Account], client_key: Key
) -> Iterator[Sshd]:
    options = {"Subsystem": None} if request.param == "shell" else {}
    with Sshd(tmp_path_factory.mktemp("resume-sshd"), options=options) as sshd:
        sshd.authorize(accounts[0], client_key.public, "restrict")
        yield sshd


@pytest.fixture
def far(server: Sshd, accounts: list[Account], client_key: Key, tmp_path: Path) -> Iterator[Far]:
    (tmp_path / "here").mkdir()
    with CutRelay((server.address, server.port)) as relay:
        made = Far(relay, accounts[0], client_key, tmp_path / "here", folder_of(accounts[0]))
        yield made
        made.close()


# --- put ---


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_a_put_that_was_cut_goes_on_where_it_stopped(far: Far, percent: int) -> None:
    (far.there / "name").write_text("old")
    partial = far.cut_put(up=LARGE * percent // 100, size=LARGE)
    assert (far.there / "name").read_text() == "old"
    assert mode(partial) == 0o600
    again = far.connect()
    sent = far.relay.up
    copied = again.put("src", "name", verify=True)
    sent = far.relay.up - sent
    assert copied.saved >= max(LEAST, LARGE * percent // 100 - UNDER_WAY)
    assert copied.bytes + copied.saved == LARGE
    assert sent < copied.bytes * OVERHEAD + MIB
    assert any("went on where an earlier try had stopped: src" in note for note in copied.notes)
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert names(far.there) == ["name"]
    assert everything(again.partials) == []
    assert again.reports[-1][1:] == (LARGE, LARGE)


def test_progress_tells_what_was_there_apart(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the line would seem to be as fast as what nobody sent."""
    monkeypatch.setattr(plan, "TOLD", 1)
    far.cut_put()
    again = far.connect()
    copied = again.put("src", "name")
    assert again.compared == [copied.saved]
    assert again.saved[0] == 0  # the comparison comes first
    assert again.saved[1] == again.saved[-1] == copied.saved > 0
    far.cut_get()
    again = far.connect()
    copied = again.get("name")
    assert again.compared == [copied.saved]
    assert again.saved[0] == 0  # the comparison comes first
    assert again.saved[1] == again.saved[-1] == copied.saved > 0


def test_a_put_that_is_cut_again_and_again_comes_to_its_end(far: Far) -> None:
    far.cut_put(up=LARGE // 5, size=LARGE)
    for _ in range(2):
        copier = far.connect()
        far.relay.cut_after(up=LARGE // 5)
        with pytest.raises(TransferError, match="the same copy again goes on"):
            copier.put("src", "name")
    copied = far.connect().put("src", "name")
    assert copied.saved >= 3 * (LARGE // 5 - UNDER_WAY)
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()


def test_all_of_it_there_and_only_the_name_missing_is_the_end_of_a_put_too(far: Far) -> None:
    partial = far.cut_put()
    partial.write_bytes((far.here / "src").read_bytes())
    copied = far.connect().put("src", "name", verify=True)
    assert (copied.bytes, copied.saved) == (0, SIZE)
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert names(far.there) == ["name"]


def test_what_is_not_how_the_source_begins_is_sent_anew(far: Far) -> None:
    partial = far.cut_put()
    with partial.open("r+b") as file:
        file.seek(MIB)
        byte = file.read(1)
        file.seek(MIB)
        file.write(bytes([byte[0] ^ 1]))
    copied = far.connect().put("src", "name", verify=True)
    assert copied.saved == 0
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert names(far.there) == ["name"]


def test_a_partial_longer_than_the_source_is_sent_anew(far: Far) -> None:
    partial = far.cut_put()
    with partial.open("ab") as file:
        file.truncate(SIZE + 1)
    assert far.connect().put("src", "name").saved == 0
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()


def test_a_source_that_has_changed_is_sent_anew_and_the_old_partial_goes(far: Far) -> None:
    partial = far.cut_put()
    with (far.here / "src").open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"!")
    copied = far.connect().put("src", "name")
    assert copied.saved == 0
    assert not partial.exists()
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert names(far.there) == ["name"]


def test_force_does_not_go_on(far: Far) -> None:
    far.cut_put()
    assert far.connect().put("src", "name", force=True).saved == 0
    assert names(far.there) == ["name"]


def test_a_link_planted_in_place_of_a_partial_is_not_followed(far: Far) -> None:
    partial = far.cut_put()
    content = (far.here / "src").read_bytes()
    victim = far.there / "victim"
    victim.write_bytes(content[: 2 * LEAST])
    shutil.chown(victim, far.account.uid)
    partial.unlink()
    partial.symlink_to(victim)
    assert far.connect().put("src", "name").saved == 0
    assert victim.read_bytes() == content[: 2 * LEAST]
    assert (far.there / "name").read_bytes() == content
    assert not (far.there / "name").is_symlink()
    assert names(far.there) == ["name", "victim"]


def test_a_partial_that_others_may_write_is_sent_anew(far: Far) -> None:
    partial = far.cut_put()
    partial.chmod(0o666)
    with partial.open("rb") as held:  # so that its inode's number is not given to the new file
        assert far.connect().put("src", "name").saved == 0
        assert not os.path.samestat(os.fstat(held.fileno()), (far.there / "name").stat())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_somebody_elses_file_under_a_partials_name_gets_no_byte_and_stays(far: Far) -> None:
    partial = far.cut_put()
    far.there.chmod(0o1777)
    os.chown(far.there, 0, 0)
    os.chown(partial, 0, 0)
    partial.chmod(0o644)
    held = partial.read_bytes()
    assert far.connect().put("src", "name").saved == 0
    assert partial.read_bytes() == held
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert (far.there / "name").stat().st_uid == far.account.uid


def test_another_copy_of_the_same_at_the_same_time_has_a_name_of_its_own(far: Far) -> None:
    partial = far.cut_put()
    held = partial.read_bytes()
    copier = far.connect()
    other = Claims(copier.partials, "h1").claim(
        os.fsencode(far.here / "src"), os.fsencode(far.there / "name"), (1, 2, 3)
    )
    assert other is not None
    assert copier.put("src", "name").saved == 0
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert partial.read_bytes() == held
    other.settle(left=True)


def test_two_hosts_with_one_disk_have_partials_of_their_own(far: Far) -> None:
    mine = far.cut_put()
    other = far.connect()
    other.host = "h2"
    far.relay.cut_after(up=SIZE // 2)
    with pytest.raises(TransferError, match="goes on from"):
        other.put("src", "name")
    (theirs,) = set(far.there.glob(".name.*")) - {mine}
    assert far.connect().put("src", "name").saved > 0
    assert names(far.there) == [theirs.name, "name"]


def test_a_partial_that_nobody_came_back_for_is_cleaned_by_a_later_copy(far: Far) -> None:
    partial = far.cut_put()
    (far.here / "other").write_text("x")
    copier = far.connect()
    copier.put("other", "other")
    assert partial.exists()
    (record,) = copier.partials.glob("*/*")
    os.utime(record, (record.stat().st_mtime - KEPT - 60,) * 2)
    copier.put("other", "other", force=True)
    assert names(far.there) == ["other"]
    assert everything(copier.partials) == []


def test_a_stopped_put_leaves_what_a_later_one_goes_on_with(far: Far) -> None:
    (far.here / "src").write_bytes(os.urandom(SIZE))
    copier = far.connect()
    copier.stopped = lambda: far.relay.up > SIZE // 2
    with pytest.raises(CopyStopped, match=r"the same copy again goes on from \S+/\.name\.hostshell-\*\.part on the h"):
        copier.put("src", "name")
    assert far.connect().put("src", "name").saved > SIZE // 4
    assert (far.there / "name").read_bytes() == (far.here / "src").read_bytes()
    assert names(far.there) == ["name"]


@pytest.mark.parametrize("copy", ["put", "get"])
def test_both_sides_read_what_is_there_at_the_same_time(far: Far, copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (far.cut_put if copy == "put" else far.cut_get)()
    asks, reads = digests.of_start, localdigests.start_of
    happened: list[str] = []

    def asking(*arguments: Any) -> object:
        happened.append("asked")
        found = asks(*arguments)
        happened.append("answered")
        return found

    def reading(*arguments: Any) -> object:
        happened.append("read")
        return reads(*arguments)

    monkeypatch.setattr(digests, "of_start", asking)
    monkeypatch.setattr(localdigests, "start_of", reading)
    copier = far.connect()
    copied = copier.put("src", "name") if copy == "put" else copier.get("name")
    assert copied.saved >= LEAST
    assert happened == ["asked", "read", "answered"]


@pytest.mark.parametrize("copy", ["put", "get"])
def test_a_stop_while_a_partial_is_checked_leaves_it_as_it_was(
    far: Far, copy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = far.cut_put() if copy == "put" else far.cut_get()
    size = partial.stat().st_size
    copier = far.connect()
    start_of = localdigests.start_of
    reached: list[int] = []
    copier.stopped = lambda: bool(reached)

    def stopped_meanwhile(descriptor: int, size: int, stopped: Callable[[], bool]) -> object:
        reached.append(size)
        return start_of(descriptor, size, stopped)

    monkeypatch.setattr(localdigests, "start_of", stopped_meanwhile)
    with pytest.raises(CopyStopped, match=r"the same copy again goes on from \S+/\.name\.hostshell-\*\.part"):
        copier.put("src", "name") if copy == "put" else copier.get("name")
    assert partial.stat().st_size == size


def test_a_stop_while_a_partial_is_checked_lets_the_files_beside_it_clean_up(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits outside SFTP's own must not use up the moment that is left for cleaning up."""
    tree = far.here / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(os.urandom(3 * LEAST))
    for number in range(60):
        with (tree / f"b{number:02}").open("wb") as file:
            file.truncate(LEAST - 1)
    copier = far.connect()
    there = far.there / "tree"
    there.mkdir()
    info = (tree / "a").stat()
    version = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
    claim = Claims(copier.partials, "h1").claim(os.fsencode(tree / "a"), os.fsencode(there / "a"), version)
    assert claim is not None
    partial = Path(os.fsdecode(claim.path))
    partial.write_bytes((tree / "a").read_bytes()[: 2 * LEAST])
    partial.chmod(0o600)
    claim.settle(left=True)
    copier.give(there)
    reached: list[int] = []
    copier.stopped = lambda: bool(reached)

    def stopped_meanwhile(descriptor: int, size: int, stopped: Callable[[], bool]) -> None:
        reached.append(size)

    monkeypatch.setattr(localdigests, "start_of", stopped_meanwhile)
    with pytest.raises(CopyStopped) as caught:
        copier.put("tree", "tree")
    assert reached == [2 * LEAST]
    assert "may have stayed" not in str(caught.value)
    assert [name for name in names(there) if name.endswith(".part")] == [partial.name]


@pytest.mark.parametrize("copy", ["put", "get"])
def test_with_force_nothing_is_left_for_a_copy_that_would_not_go_on(far: Far, copy: str) -> None:
    (far.here / "src").write_bytes(os.urandom(SIZE))
    (far.there / "name").write_bytes(os.urandom(SIZE))
    copier = far.connect()
    copier.stopped = lambda: (far.relay.up if copy == "put" else far.relay.down) > SIZE // 2
    with pytest.raises(CopyStopped) as caught:
        copier.put("src", "name", force=True) if copy == "put" else copier.get("name", force=True)
    assert str(caught.value) == ""
    assert names(far.there) == ["name"]
    assert list(far.here.rglob("*.part")) == []
    assert everything(copier.partials) == []


def test_a_put_that_is_stopped_at_its_beginning_leaves_nothing(far: Far) -> None:
    (far.here / "src").write_bytes(os.urandom(SIZE))
    copier = far.connect()
    begun = far.relay.up
    copier.stopped = lambda: far.relay.up > begun + 300_000
    with pytest.raises(CopyStopped) as caught:
        copier.put("src", "name")
    if str(caught.value) == "":  # else more was on its way at once than is thrown away
        assert names(far.there) == []
        assert everything(copier.partials) == []


def test_a_small_file_is_sent_again_and_leaves_no_record(far: Far) -> None:
    (far.here / "src").write_bytes(os.urandom(LEAST - 1))
    copier = far.connect()
    copier.put("src", "name")
    assert not copier.partials.exists()


def test_a_put_without_a_folder_for_records_copies_all_the_same(far: Far) -> None:
    far.here.with_name(f"{far.here.name}-partials").write_text("in the way")
    (far.here / "src").write_bytes(os.urandom(2 * LEAST))
    far.connect().put("src", "name")
    assert names(far.there) == ["name"]


def test_a_tree_that_was_cut_goes_on_and_comes_out_whole(far: Far) -> None:
    tree = far.here / "tree"
    make_tree(tree)
    tree.chmod(0o755)
    (tree / "z").write_bytes(os.urandom(SIZE))
    os.utime(tree, (1_000_000_000, 1_000_000_000))
    copier = far.connect()
    far.relay.cut_after(up=SIZE // 2)
    with pytest.raises(TransferError, match=r"goes on from \S+/tree/\.z\."):
        copier.put("tree", "./")
    assert mode(far.there / "tree") == 0o755
    copied = far.connect().put("tree", "./")
    assert copied.saved > SIZE // 4
    assert copied.unchanged == 1  # what has no bytes is always sent, and what lies deeper had not begun
    assert picture(far.there / "tree", folder_times=False) == picture(tree, folder_times=False)


# --- get ---


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_a_get_that_was_cut_goes_on_where_it_stopped(far: Far, percent: int) -> None:
    old = far.here / "out" / "h1" / "name"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    partial = far.cut_get(down=LARGE * percent // 100, size=LARGE)
    assert old.read_text() == "old"
    assert mode(partial) == 0o600
    again = far.connect()
    came = far.relay.down
    copied = again.get("name", verify=True)
    came = far.relay.down - came
    assert copied.saved >= max(LEAST, LARGE * percent // 100 - UNDER_WAY)
    assert copied.bytes + copied.saved == LARGE
    assert came < copied.bytes * OVERHEAD + MIB
    assert any("went on where an earlier try had stopped: name" in note for note in copied.notes)
    assert old.read_bytes() == (far.there / "name").read_bytes()
    assert names(old.parent) == ["name"]


def _flip(partial: Path, far: Far) -> None:
    with partial.open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


def _lengthen(partial: Path, far: Far) -> None:
    with partial.open("ab") as file:
        file.truncate(SIZE + 1)


def _open_to_others(partial: Path, far: Far) -> None:
    partial.chmod(0o666)


def _link(partial: Path, far: Far) -> None:
    victim = far.here / "victim"
    victim.write_bytes(partial.read_bytes())
    partial.unlink()
    partial.symlink_to(victim)


def _second_name(partial: Path, far: Far) -> None:
    os.link(partial, far.here / "victim")


@pytest.mark.parametrize("spoil", [_flip, _lengthen, _open_to_others, _link, _second_name])
def test_a_partial_that_is_not_as_it_was_left_is_not_gone_on_with(far: Far, spoil: Callable[[Path, Far], None]) -> None:
    partial = far.cut_get()
    spoil(partial, far)
    victim = far.here / "victim"
    held = victim.read_bytes() if victim.exists() else b""
    assert far.connect().get("name", verify=True).saved == 0
    assert (far.here / "out/h1/name").read_bytes() == (far.there / "name").read_bytes()
    assert not held or victim.read_bytes() == held


def test_a_file_that_has_changed_on_the_host_is_fetched_anew_and_the_old_partial_goes(far: Far) -> None:
    partial = far.cut_get()
    with (far.there / "name").open("ab") as file:
        file.write(b"more")
    assert far.connect().get("name").saved == 0
    assert not partial.exists()
    assert (far.here / "out/h1/name").read_bytes() == (far.there / "name").read_bytes()


def test_a_second_get_of_the_same_at_the_same_time_has_a_name_of_its_own(far: Far) -> None:
    partial = far.cut_get()
    held = partial.read_bytes()
    descriptor = os.open(partial, os.O_RDWR)
    try:
        assert partials.lock(descriptor)
        assert far.connect().get("name").saved == 0
    finally:
        os.close(descriptor)
    assert partial.read_bytes() == held
    assert (far.here / "out/h1/name").read_bytes() == (far.there / "name").read_bytes()


def test_force_does_not_go_on_with_a_get(far: Far) -> None:
    far.cut_get()
    assert far.connect().get("name", force=True).saved == 0
    assert names(far.here / "out/h1") == ["name"]


def test_an_old_partial_here_is_cleaned_by_a_later_get(far: Far) -> None:
    partial = far.cut_get()
    os.utime(partial, (partial.stat().st_mtime - KEPT - 60,) * 2)
    (far.there / "other").write_bytes(os.urandom(2 * LEAST))
    far.connect().get("other")
    assert names(far.here / "out/h1") == ["other"]


def test_a_stopped_get_leaves_what_a_later_one_goes_on_with(far: Far) -> None:
    (far.there / "name").write_bytes(os.urandom(SIZE))
    copier = far.connect()
    copier.stopped = lambda: far.relay.down > SIZE // 2
    with pytest.raises(CopyStopped, match=r"the same copy again goes on from \S+/h1/\.name\.hostshell-\*\.part here"):
        copier.get("name")
    assert far.connect().get("name").saved > SIZE // 4
    assert (far.here / "out/h1/name").read_bytes() == (far.there / "name").read_bytes()


# --- a host that computes nothing ---


@pytest.fixture
def sftp_only(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Far]:
    """A host that lets this login do nothing but SFTP."""
    options = {"Subsystem": "sftp internal-sftp", "ForceCommand": "internal-sftp"}
    (tmp_path / "here").mkdir()
    with Sshd(tmp_path / "sshd", options=options) as sshd, CutRelay((sshd.address, sshd.port)) as relay:
        sshd.authorize(accounts[0], client_key.public)
        made = Far(relay, accounts[0], client_key, tmp_path / "here", folder_of(accounts[0]))
        yield made
        made.close()


def test_what_no_tool_of_the_host_can_check_is_copied_anew_and_that_is_said(sftp_only: Far) -> None:
    sftp_only.cut_put()
    copied = sftp_only.connect().put("src", "name")
    assert copied.saved == 0
    assert CANNOT_GO_ON in copied.notes
    assert names(sftp_only.there) == ["name"]
    sftp_only.cut_get()
    copied = sftp_only.connect().get("name")
    assert copied.saved == 0
    assert CANNOT_GO_ON in copied.notes
    assert names(sftp_only.here / "out/h1") == ["name"]
