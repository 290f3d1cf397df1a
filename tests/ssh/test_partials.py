"""Names of partials, claims on them, and what is cleaned: on this machine's own disk, without a host."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from hostshell.ssh import partials
from hostshell.ssh.partials import KEPT, Claims, LeftHere, is_partial, of_same_copy, part_name, pattern

NOW = 2_000_000_000.0


def test_a_name_is_hidden_fits_and_tells_copies_apart() -> None:
    copy = (b"web1", b"/src", b"/tmp/src")
    name = part_name(b"src", copy, (1, 2, 3))
    assert name.startswith(b".src.hostshell-")
    assert name.endswith(b".part")
    assert is_partial(name)
    assert name == part_name(b"src", copy, (1, 2, 3))
    others = [
        part_name(b"src", (b"web2", b"/src", b"/tmp/src"), (1, 2, 3)),
        part_name(b"src", (b"web1", b"/other", b"/tmp/src"), (1, 2, 3)),
        part_name(b"src", (b"web1", b"/src", b"/srv/src"), (1, 2, 3)),
        # what is one text when written side by side is two here
        part_name(b"src", (b"web1/", b"src", b"/tmp/src"), (1, 2, 3)),
    ]
    assert len({name, *others}) == 5
    assert not any(of_same_copy(name, other) for other in others)
    assert len(part_name(b"n" * 255, copy, (None, 5))) <= 255
    assert not is_partial(b".src.0123456789ab.part")
    assert not is_partial(b"src.hostshell-0123456789abcdef0123.part")


def test_a_sentence_says_a_name_that_is_the_same_on_every_host() -> None:
    name = part_name(b"src", (b"web1", b"/src", b"/tmp/src"), (1,))
    assert pattern(b"/tmp/" + name) == b"/tmp/.src.hostshell-*.part"
    assert pattern(b"/tmp/.src.0123456789ab.part") == b"/tmp/.src.0123456789ab.part"


def test_another_version_of_the_source_has_another_name_of_the_same_copy() -> None:
    copy = (b"web1", b"/src", b"/tmp/src")
    one, two = part_name(b"src", copy, (1, 2)), part_name(b"src", copy, (1, 3))
    assert one != two
    assert of_same_copy(one, two)


def test_another_machine_and_another_person_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {part_name(b"src", (b"web1",), (1,))}
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    found.add(part_name(b"src", (b"web1",), (1,)))
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((uname[0], "elsewhere", *uname[2:])))
    found.add(part_name(b"src", (b"web1",), (1,)))
    assert len(found) == 3


def test_a_claim_is_had_once_and_its_record_goes_with_it(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "partials", "web1")
    claim = claims.claim(b"/src", b"/tmp/src", (1,))
    assert claim is not None
    assert claims.claim(b"/src", b"/tmp/src", (1,)) is None
    assert claims.claim(b"/src", b"/tmp/src", (2,)) is None  # a source that changed meanwhile is the same copy
    other = Claims(tmp_path / "partials", "web2").claim(b"/src", b"/tmp/src", (1,))
    assert other is not None
    assert other.path != claim.path
    for one in (claim, other):
        one.settle(left=False)
        one.settle(left=False)
    assert list((tmp_path / "partials").iterdir()) == []


def test_what_was_left_is_found_again_and_other_versions_are_told(tmp_path: Path) -> None:
    claims = Claims(tmp_path, "web1")
    claim = claims.claim(b"/src", b"/tmp/src", (1,))
    assert claim is not None
    assert claim.former == []
    claim.settle(left=True)
    again = claims.claim(b"/src", b"/tmp/src", (1,))
    assert again is not None
    assert (again.path, again.former) == (claim.path, [])
    again.settle(left=True)
    changed = claims.claim(b"/src", b"/tmp/src", (2,))
    assert changed is not None
    assert changed.former == [claim.path]
    changed.settle(left=False)  # a version that is still there keeps the record
    third = claims.claim(b"/src", b"/tmp/src", (2,))
    assert third is not None
    third.forget(claim.path)
    third.settle(left=False)
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_came_back_for_is_told_after_a_week_unless_it_is_in_use(tmp_path: Path) -> None:
    claims = Claims(tmp_path, "web1")
    made = [claims.claim(b"/src", b"/tmp/%d" % number, (1,)) for number in range(3)]
    for claim in made:
        assert claim is not None
    records = sorted(tmp_path.glob("*/*"))
    assert len(records) == 3
    for record in records:
        os.utime(record, (NOW - KEPT - 1, NOW - KEPT - 1))
    made[0].settle(left=True)
    made[1].settle(left=True)
    fresh = next(record for record in records if made[1].path in record.read_bytes())
    os.utime(fresh, (NOW, NOW))
    found = list(claims.left_over(NOW))
    assert [claim.former for claim in found] == [[made[0].path]]
    found[0].forget(made[0].path)
    found[0].settle(left=False)
    assert list(claims.left_over(NOW)) == []


def test_without_a_folder_nothing_is_claimed(tmp_path: Path) -> None:
    assert Claims(None, "web1").claim(b"/src", b"/tmp/src", (1,)) is None
    (tmp_path / "file").touch()
    blocked = Claims(tmp_path / "file", "web1")
    assert blocked.claim(b"/src", b"/tmp/src", (1,)) is None
    assert list(blocked.left_over(NOW)) == []
    assert list(Claims(None, "web1").left_over(NOW)) == []


def test_a_record_and_all_folders_of_ours_are_nobody_elses_to_read(tmp_path: Path) -> None:
    claim = Claims(tmp_path / "hostshell" / "partials", "web1").claim(b"/src", b"/tmp/src", (1,))
    assert claim is not None
    made = list(tmp_path.rglob("*"))
    assert len(made) == 4
    for path in made:
        assert not path.stat().st_mode & 0o077, path
    claim.settle(left=True)


def test_another_login_on_the_same_host_neither_has_nor_forgets_what_was_left(tmp_path: Path) -> None:
    mine = Claims(tmp_path, "web1", "alice:22").claim(b"/src", b"./src", (1,))
    assert mine is not None
    mine.settle(left=True)
    theirs = Claims(tmp_path, "web1", "bob:22").claim(b"/src", b"./src", (2,))
    assert theirs is not None
    assert (theirs.path == mine.path, theirs.former) == (False, [])
    theirs.settle(left=False)
    again = Claims(tmp_path, "web1", "alice:22").claim(b"/src", b"./src", (2,))
    assert again is not None
    assert again.former == [mine.path]
    again.settle(left=False)


def test_a_full_disk_does_not_make_a_record_forget_what_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(tmp_path, "web1")
    first = claims.claim(b"/src", b"/tmp/src", (1,))
    assert first is not None
    first.settle(left=True)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        second = claims.claim(b"/src", b"/tmp/src", (2,))
    assert second is not None
    second.settle(left=True)
    third = claims.claim(b"/src", b"/tmp/src", (3,))
    assert third is not None
    assert third.former == [first.path]
    third.settle(left=True)


def test_a_folder_that_another_hostshell_has_just_removed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(tmp_path / "partials", "web1")
    opening = os.open
    removed: list[Path] = []

    def open_late(path: object, flags: int, mode: int = 0o777) -> int:
        if not removed:
            removed.append(Path(str(path)).parent)
            removed[0].rmdir()
        return opening(str(path), flags, mode)

    monkeypatch.setattr(os, "open", open_late)
    claim = claims.claim(b"/src", b"/tmp/src", (1,))
    assert removed
    assert claim is not None
    claim.settle(left=True)


def test_a_folder_here_is_cleaned_of_old_partials_and_of_nothing_else(tmp_path: Path) -> None:
    copy = (b"web1", b"/var/log/a", b"/out/web1/a")
    keep = part_name(b"a", copy, (10, 1))
    changed = part_name(b"a", copy, (11, 2))
    old = part_name(b"b", (b"web1", b"/b", b"/out/web1/b"), (1, 1))
    young = part_name(b"c", (b"web1", b"/c", b"/out/web1/c"), (1, 1))
    busy = part_name(b"d", (b"web1", b"/d", b"/out/web1/d"), (1, 1))
    link = part_name(b"e", (b"web1", b"/e", b"/out/web1/e"), (1, 1))
    for name in (keep, changed, old, young, busy, b".f.part", b"plain"):
        path = tmp_path / os.fsdecode(name)
        path.write_text("x")
        os.utime(path, (NOW - KEPT - 1, NOW - KEPT - 1))
    (tmp_path / os.fsdecode(link)).symlink_to("plain")
    for name in (young, changed):
        os.utime(tmp_path / os.fsdecode(name), (NOW, NOW))
    folder = os.open(tmp_path, os.O_RDONLY)
    held = os.open(tmp_path / os.fsdecode(busy), os.O_RDONLY)
    try:
        assert partials.lock(held)
        LeftHere(folder).clean(folder, keep, NOW)
    finally:
        os.close(folder)
        os.close(held)
    assert set(os.listdir(os.fsencode(tmp_path))) == {keep, young, busy, link, b".f.part", b"plain"}


def test_each_file_that_lands_in_a_folder_has_its_older_versions_removed(tmp_path: Path) -> None:
    copies = [(b"web1", b"/%d" % number, b"/out/web1/%d" % number) for number in range(3)]
    for copy in copies:
        (tmp_path / os.fsdecode(part_name(b"a", copy, (1, 1)))).touch()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        left = LeftHere(folder)
        for copy in copies[:2]:
            left.clean(folder, part_name(b"a", copy, (2, 2)))
    finally:
        os.close(folder)
    assert os.listdir(os.fsencode(tmp_path)) == [part_name(b"a", copies[2], (1, 1))]


def test_a_disk_that_locks_only_what_is_open_for_writing_is_cleaned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS, as flock(2) has it."""
    locking = fcntl.flock

    def lock(descriptor: int, operation: int) -> None:
        if not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_RDWR:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        locking(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock)
    copy = (b"web1", b"/a", b"/out/web1/a")
    (tmp_path / os.fsdecode(part_name(b"a", copy, (1, 1)))).touch()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        LeftHere(folder).clean(folder, part_name(b"a", copy, (2, 2)))
    finally:
        os.close(folder)
    assert os.listdir(tmp_path) == []
