"""A file of this machine while a download is written into it, on file systems that lack something."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.ssh import partials
from hostshell.ssh.partials import part_name
from hostshell.ssh.unfinished import Unfinished
from tests.ssh.trees import names

PARTIAL = part_name(b"name", (b"web1", b"/name", b"/out/web1/name"), (5, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def write(unfinished: Unfinished, data: bytes) -> None:
    unfinished.write(memoryview(data), 0)
    unfinished.finish(0o644, None, preserve=False)
    unfinished.abandon()


def test_a_disk_on_which_everybody_may_write_every_file_keeps_nothing_of_a_copy(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT, and Windows' own disks under Linux, show rights of their own whatever is asked for."""
    opening = os.open

    def open_to_all(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = opening(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o777)
        return descriptor

    monkeypatch.setattr(os, "open", open_to_all)
    unfinished = Unfinished(folder, b"name", PARTIAL)
    assert os.fsencode(names(tmp_path)[0]) != PARTIAL
    write(unfinished, b"whole")
    assert names(tmp_path) == ["name"]


def test_a_disk_without_locks_keeps_nothing_of_a_copy(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(partials, "lock", none)
    unfinished = Unfinished(folder, b"name", PARTIAL)
    write(unfinished, b"whole")
    assert names(tmp_path) == ["name"]


def test_another_copy_of_the_same_gets_a_name_of_its_own_and_leaves_ours(tmp_path: Path, folder: int) -> None:
    ours = Unfinished(folder, b"name", PARTIAL)
    write(Unfinished(folder, b"name", PARTIAL), b"theirs")
    assert names(tmp_path) == [os.fsdecode(PARTIAL), "name"]
    write(ours, b"ours")
    assert names(tmp_path) == ["name"]
    assert (tmp_path / "name").read_text() == "ours"


def test_a_backup_is_kept_on_a_disk_without_hard_links_too(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*names: object, **more: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    (tmp_path / "name").write_text("old")
    unfinished = Unfinished(folder, b"name")
    unfinished.write(memoryview(b"new"), 0)
    unfinished.finish(0o644, None, preserve=False, backup="20260101-000000")
    unfinished.abandon()
    assert (tmp_path / "name").read_text() == "new"
    assert (tmp_path / "name.20260101-000000").read_text() == "old"


def test_what_stands_where_a_backup_is_to_go_stays(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*names: object, **more: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    (tmp_path / "name").write_text("old")
    (tmp_path / "name.20260101-000000").write_text("older")
    unfinished = Unfinished(folder, b"name")
    with pytest.raises(FileExistsError):
        unfinished.finish(0o644, None, preserve=False, backup="20260101-000000")
    unfinished.abandon()
    assert (tmp_path / "name.20260101-000000").read_text() == "older"
    assert (tmp_path / "name").read_text() == "old"
    assert len(names(tmp_path)) == 2


def test_a_failure_at_the_beginning_leaves_no_descriptor_and_no_file(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "ftruncate", fails)
    before = os.listdir("/dev/fd")
    with pytest.raises(OSError, match="Input/output"):
        Unfinished(folder, b"name", PARTIAL)
    assert os.listdir("/dev/fd") == before
    assert names(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_where_the_new_file_gets_no_name_the_old_one_has_its_own_again(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_link(*names: object, **more: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    replacing = os.replace

    def fails_for_parts(one: bytes, other: bytes, **more: int) -> None:
        if one.endswith(b".part"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replacing(one, other, **more)

    if not links:
        monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(os, "replace", fails_for_parts)
    (tmp_path / "name").write_text("old")
    unfinished = Unfinished(folder, b"name")
    with pytest.raises(OSError, match="Input/output"):
        unfinished.finish(0o644, None, preserve=False, backup="20260101-000000")
    unfinished.abandon()
    assert names(tmp_path) == ["name"]
    assert (tmp_path / "name").read_text() == "old"
