"""A large download is brought to the disk while it comes, by a sync beside it that may fail, or take its time."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostshell.ssh import localflushing, transfer
from hostshell.ssh.flushing import STEP, WORTH
from hostshell.ssh.localflushing import LocalFlushing
from tests.ssh.conftest import Copier
from tests.ssh.trees import names

PATIENCE = 20.0  # seconds; far more than anything here takes


class Disk:
    """Stands in for the kernel's sync: notes the file, then waits until ``ready``, and fails with ``error`` if set."""

    def __init__(self) -> None:
        self.inodes: list[int] = []
        self.descriptors: list[int] = []
        self.begun = threading.Event()
        self.ready = threading.Event()
        self.ready.set()
        self.error: OSError | None = None

    def sync(self, descriptor: int) -> None:
        self.descriptors.append(descriptor)
        self.inodes.append(os.fstat(descriptor).st_ino)
        self.begun.set()
        assert self.ready.wait(PATIENCE)
        if self.error is not None:
            raise self.error

    def settle(self) -> None:
        """Wait until the sync that is under way is over, and its opening closed."""
        assert localflushing._FREE.acquire(timeout=PATIENCE)
        localflushing._FREE.release()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    disk.settle()
    monkeypatch.setattr(localflushing, "_sync", disk.sync)
    yield disk
    disk.ready.set()
    disk.settle()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "part").write_bytes(b"content")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_it_syncs_at_every_step_through_an_opening_of_its_own(tmp_path: Path, folder: int, disk: Disk) -> None:
    flushing = LocalFlushing(folder, b"part", 100)
    for offset in (100 + STEP - 1, 100 + STEP, 100 + STEP + 1, 100 + 2 * STEP - 1, 100 + 2 * STEP):
        flushing.reached(offset)
        disk.settle()
    assert disk.inodes == 2 * [(tmp_path / "part").stat().st_ino]
    for descriptor in disk.descriptors:
        with pytest.raises(OSError):
            os.fstat(descriptor)


def test_a_copy_does_not_wait_for_a_sync_that_takes_its_time(folder: int, disk: Disk) -> None:
    disk.ready.clear()
    flushing = LocalFlushing(folder, b"part", 0)
    flushing.reached(STEP)
    assert disk.begun.wait(PATIENCE)
    flushing.reached(2 * STEP)
    LocalFlushing(folder, b"part", 0).reached(STEP)  # of another copy
    disk.ready.set()
    disk.settle()
    assert len(disk.inodes) == 1
    flushing.reached(2 * STEP + 1)  # what was left out is made up for at the next piece
    disk.settle()
    assert len(disk.inodes) == 2


def test_a_sync_that_cannot_be_done_leaves_it_to_the_last_one(folder: int, disk: Disk) -> None:
    disk.error = OSError(errno.EINVAL, "Invalid argument")
    flushing = LocalFlushing(folder, b"part", 0)
    for count in (1, 2):
        flushing.reached(count * STEP)
        disk.settle()
        assert len(disk.inodes) == count
    flushing.rest(lambda: None)
    flushing.settled()


def test_a_disk_that_fails_is_told_though_a_later_sync_says_nothing(folder: int, disk: Disk) -> None:
    """Before Linux 4.13 a failed write was told to one sync only, whichever came first (fsync(2))."""
    disk.error = OSError(errno.EIO, "Input/output error")
    disk.ready.clear()
    flushing = LocalFlushing(folder, b"part", 0)
    flushing.reached(STEP)
    threading.Timer(0.05, disk.ready.set).start()

    def heed() -> None:
        if len(disk.inodes) == 2:
            disk.error = None

    flushing.rest(heed)  # the first one's failure, whatever the second says
    with pytest.raises(OSError, match="Input/output error"):
        flushing.settled()
    assert len(disk.inodes) == 2


def test_a_download_onto_a_disk_that_fails_while_it_comes_is_no_success(copier: Copier, disk: Disk) -> None:
    disk.error = OSError(errno.EIO, "Input/output error")
    (copier.there / "big").write_bytes(b"")
    os.truncate(copier.there / "big", WORTH + STEP)
    copier.get("big", "out", expect="cannot be written: input/output error")
    assert not any(path.is_file() for path in copier.here.rglob("*"))


def test_a_stop_is_heeded_during_the_last_sync_and_the_same_copy_goes_on(
    copier: Copier, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()
    rest = LocalFlushing.rest

    def begun(self: LocalFlushing, heed: Callable[[], None]) -> None:
        written.set()
        rest(self, heed)

    monkeypatch.setattr(LocalFlushing, "rest", begun)
    source = copier.there / "big"
    source.write_bytes(os.urandom(1000))
    os.truncate(source, WORTH + STEP)
    disk.ready.clear()
    copier.stopped = written.is_set
    with pytest.raises(transfer.CopyStopped, match="the same copy again goes on from"):
        copier.get("big")
    (partial,) = names(copier.here / "out/h1")
    assert partial.startswith(".big.hostshell-")
    assert written.is_set()
    disk.ready.set()
    copier.stopped = lambda: False
    copier.get("big")
    assert names(copier.here / "out/h1") == ["big"]
    assert (copier.here / "out/h1/big").read_bytes() == source.read_bytes()


def test_where_no_thread_can_be_had_nothing_is_left_open(
    folder: int, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        LocalFlushing(folder, b"part", 0).reached(STEP)
    assert os.listdir("/proc/self/fd") == before
    LocalFlushing(folder, b"part", 0).reached(STEP)
    disk.settle()
    assert len(disk.inodes) == 1


def test_a_program_is_not_open_to_be_written_once_its_copy_has_ended(folder: int, disk: Disk) -> None:
    disk.ready.clear()
    flushing = LocalFlushing(folder, b"part", 0)
    flushing.reached(STEP)
    assert disk.begun.wait(PATIENCE)
    assert fcntl.fcntl(disk.descriptors[0], fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    disk.ready.set()


def test_a_file_that_is_gone_is_left_alone(tmp_path: Path, folder: int, disk: Disk) -> None:
    (tmp_path / "part").unlink()
    os.symlink("/etc/passwd", tmp_path / "part")
    for name in (b"part", b"none"):
        flushing = LocalFlushing(folder, name, 0)
        flushing.reached(STEP)
        flushing.reached(3 * STEP)
    disk.settle()
    assert disk.inodes == []


@pytest.mark.parametrize(("size", "is_worth_it"), [(WORTH + STEP, True), (WORTH - 1, False)])
def test_a_large_file_is_synced_while_it_comes(copier: Copier, disk: Disk, size: int, is_worth_it: bool) -> None:
    source = copier.there / "big"
    source.write_bytes(os.urandom(1000))
    os.truncate(source, size)
    copier.get("big", "out")
    arrived = next(path for path in copier.here.rglob("*") if path.is_file())
    assert arrived.read_bytes() == source.read_bytes()
    disk.settle()
    assert bool(disk.inodes) == is_worth_it
    assert set(disk.inodes) <= {arrived.stat().st_ino}
