"""What the options of a copy do, against a real OpenSSH server: there and back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from hostshell.core.events import Planned
from hostshell.ssh import digests, plan
from hostshell.ssh.partials import LEAST
from hostshell.ssh.plan import MAX_DEPTH
from hostshell.ssh.sending import SYNCED
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import Kind
from hostshell.ssh.transfer import TransferError
from tests.ssh.conftest import Copier
from tests.ssh.trees import everything, make_tree, mode, names, picture
from tests.support.endings import eventually

TOOL = "sha256sum"


def same_time(*files: Path) -> None:
    for path in files:
        os.utime(path, (1_000_000_000, 1_000_000_000))


# --- nothing twice ---


def test_what_is_there_with_the_same_content_is_not_sent_again_and_counted(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    first = copier.put("tree", "tree")
    assert (first.files, first.unchanged, first.compared) == (3, 0, None)
    assert (first.links, first.directories) == (2, 3)
    inode = (copier.there / "tree" / "run").stat().st_ino
    again = copier.put("tree", "tree")
    assert (again.files, again.bytes, again.unchanged, again.saved) == (0, 0, 3, first.bytes)
    assert (again.links, again.directories) == (0, 0)
    assert again.compared == TOOL
    assert (copier.there / "tree" / "run").stat().st_ino == inode
    first = copier.get("tree")
    assert (first.files, first.unchanged, first.links, first.directories) == (3, 0, 2, 3)
    again = copier.get("tree")
    assert (again.files, again.unchanged, again.saved, again.compared) == (0, 3, first.bytes, TOOL)
    assert (again.links, again.directories) == (0, 0)
    assert picture(copier.here / "out/h1/tree", folder_times=False) == picture(copier.here / "tree", folder_times=False)


@pytest.mark.parametrize("count", [1, 60])
def test_the_same_size_and_time_but_other_bytes_are_sent(copier: Copier, count: int) -> None:
    for folder, content in ((copier.here / "tree", "new"), (copier.there / "tree", "old")):
        folder.mkdir()
        for number in range(count):
            (folder / f"f{number}").write_text(content)
            same_time(folder / f"f{number}")
    copier.give(copier.there / "tree")
    copied = copier.put("tree", "tree")
    assert (copied.files, copied.unchanged) == (count, 0)
    assert {path.read_text() for path in (copier.there / "tree").iterdir()} == {"new"}
    assert copier.put("tree/f0", "tree/f0").unchanged == 1
    (copier.there / "tree" / "f0").write_text("odd")
    same_time(copier.there / "tree" / "f0")
    copier.get("tree/f0", "back/")
    (copier.there / "tree" / "f0").write_text("ODD")
    same_time(copier.there / "tree" / "f0")
    assert copier.get("tree/f0", "back/").files == 1
    assert (copier.here / "back/h1/f0").read_text() == "ODD"


def test_a_changed_mode_or_time_alone_resends_no_byte(copier: Copier) -> None:
    source = copier.here / "src"
    source.write_text("content")
    source.chmod(0o640)
    copier.put("src", "name")
    source.chmod(0o600)
    same_time(source)
    assert copier.put("src", "name").bytes == 0
    assert mode(copier.there / "name") == 0o640
    assert int((copier.there / "name").stat().st_mtime) == 1_000_000_000
    assert copier.put("src", "name", preserve=True).bytes == 0
    assert mode(copier.there / "name") == 0o600
    copier.get("name")
    (copier.there / "name").chmod(0o644)
    assert copier.get("name", preserve=True).bytes == 0
    assert mode(copier.here / "out/h1/name") == 0o644


def test_comparing_large_files_is_told_both_ways(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 100_000
    monkeypatch.setattr(plan, "TOLD", size)
    (copier.here / "src").write_bytes(bytes(size))
    copier.put("src", "name", verify=True)
    assert copier.compared == [size]  # after the copy
    copier.put("src", "name")
    assert copier.compared == [size]
    assert copier.reports[0] == ("src", 0, size)
    copier.get("name")
    copier.get("name", dry_run=True)
    assert copier.compared == [size]


def test_force_sends_what_is_there(copier: Copier) -> None:
    (copier.here / "src").write_text("content")
    copier.put("src", "name")
    assert copier.put("src", "name", force=True).files == 1
    assert copier.get("name").files == 1
    assert copier.get("name", force=True).files == 1


def test_without_a_tool_size_and_time_decide_and_are_named(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_MANY", "sh -c 'exit 127'")
    (copier.here / "src").write_text("content")
    copier.put("src", "name")
    again = copier.put("src", "name")
    assert (again.files, again.unchanged, again.compared) == (0, 1, "size and time")
    same_time(copier.there / "name")
    assert copier.put("src", "name").files == 1
    with pytest.raises(TransferError, match="could not be verified"):
        copier.put("src", "name", verify=True, force=True)


@pytest.mark.parametrize(
    "name",
    ["it's", "a b", "-rf", "$(id)", "two\nlines", "cr\r", "b\\n\n", "back\\slash", " lead", "*star", "caf\udce9"],
)
def test_names_of_any_kind_are_compared_as_they_are(copier: Copier, name: str) -> None:
    (copier.here / name).write_text("content")
    copier.put(name, ".")
    again = copier.put(name, ".")
    assert again.unchanged == 1
    copier.put(name, ".", force=True, verify=True)
    assert (copier.there / name).read_text() == "content"


@pytest.mark.parametrize("tool", ["shasum -a 256", "openssl dgst -sha256 -r"])
def test_other_tools_are_understood_too(copier: Copier, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    monkeypatch.setattr(digests, "_MANY", digests._MANY.replace("sha256sum ", "no-such-tool "))
    if not tool.startswith("shasum"):
        monkeypatch.setattr(digests, "_MANY", digests._MANY.replace('"shasum -a 256"', "no-such-tool"))
    (copier.here / "a b").write_text("content")
    copier.put("a b", ".")
    assert copier.put("a b", ".").compared == tool.split()[0]


def test_the_digest_of_a_beginning(copier: Copier) -> None:
    (copier.there / "name").write_bytes(b"abc" * 1000)
    path = os.fsencode(copier.there / "name")
    found = digests.of_start(copier.transport, path, 100, lambda: None)
    assert found == hashlib.sha256((b"abc" * 1000)[:100]).digest()
    assert digests.of_start(copier.transport, path + b"x", 100, lambda: None) != found


def test_the_host_is_at_work_on_a_beginning_meanwhile(copier: Copier) -> None:
    fifo = copier.there / "fifo"
    os.mkfifo(fifo)
    copier.give(fifo)
    writers: list[int] = []

    def host_reads() -> bool:
        with contextlib.suppress(OSError):  # nobody has it open for reading
            writers.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writers)

    def meanwhile() -> None:
        assert eventually(host_reads)
        os.write(writers[0], b"abc" * 1000)
        os.close(writers[0])

    found = digests.of_start(copier.transport, os.fsencode(fifo), 100, lambda: None, meanwhile)
    assert found == hashlib.sha256((b"abc" * 1000)[:100]).digest()


# --- verify, sync, backup ---


def test_verify_is_content_with_an_honest_host(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    copier.put("tree", "tree", verify=True, sync=True)
    copier.get("tree", verify=True, sync=True)
    assert picture(copier.here / "out/h1/tree") == picture(copier.here / "tree")


def test_verify_finds_what_is_not_what_was_sent(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_digest", lambda line: bytes(32) if line else None)
    (copier.here / "src").write_text("content")
    # the new file has its name by then, and the sentence says so
    with pytest.raises(TransferError, match="is not what was sent; it has its name already"):
        copier.put("src", "name", verify=True)
    with pytest.raises(TransferError, match="is not what was sent; it has replaced the old file") as caught:
        copier.put("src", "name", verify=True, force=True)
    assert "--backup" in caught.value.hint
    with pytest.raises(TransferError, match="replaced the old file, which --backup kept"):
        copier.put("src", "name", verify=True, force=True, backup=True)
    with pytest.raises(TransferError, match="is not what is on the host's disk; it has its name already"):
        copier.get("name", verify=True)
    with pytest.raises(TransferError, match="replaced the old file"):
        copier.get("name", verify=True, force=True)


@pytest.mark.parametrize(("size", "sync", "synced"), [(100, False, 0), (100, True, 1), (SYNCED + 1, False, 1)])
def test_large_files_are_brought_to_the_disk_and_with_sync_all(
    copier: Copier, monkeypatch: pytest.MonkeyPatch, size: int, sync: bool, synced: int
) -> None:
    asked: list[bytes] = []
    here: list[int] = []
    send = Sftp.send

    def sending(self: Sftp, kind: Kind, body: bytes, data: bytes = b"") -> int:
        if b"fsync@openssh.com" in body:
            asked.append(body)
        return send(self, kind, body, data)

    monkeypatch.setattr(Sftp, "send", sending)
    monkeypatch.setattr(os, "fsync", here.append)
    (copier.here / "src").write_bytes(bytes(size))
    copier.put("src", "name", sync=sync)
    assert len(asked) == synced
    copier.get("name", sync=sync)
    assert len(here) == synced


def test_backup_keeps_the_old_file_beside_the_new(copier: Copier) -> None:
    (copier.here / "src").write_text("new")
    (copier.there / "name").write_text("old")
    (copier.there / "name").chmod(0o604)
    copier.give(copier.there / "name")
    copier.put("src", "name", backup=True)
    kept, new = sorted(names(copier.there), key=len, reverse=True)
    assert new == "name"
    assert kept.startswith(f"name.{time.strftime('%Y')}")
    assert (copier.there / kept).read_text() == "old"
    assert mode(copier.there / kept) == 0o604
    assert (copier.there / "name").read_text() == "new"
    copier.put("src", "name", backup=True)  # unchanged: nothing to keep
    assert len(names(copier.there)) == 2
    place = copier.here / "out" / "h1"
    place.mkdir(parents=True)
    (place / "name").write_text("older")
    copier.get("name", backup=True)
    assert sorted(path.read_text() for path in place.iterdir()) == ["new", "older"]


# --- dry run ---


def test_a_dry_run_changes_nothing_and_says_what_would_be_done(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    before = picture(copier.here)
    copied = copier.put("tree", "new/deep", parents=True, dry_run=True)
    assert names(copier.there) == []
    assert copied.notes == ("dry run: would send tree/run, tree/zero, tree/dangling, tree/link, tree/a/one",)
    copier.put("tree", "tree")
    (copier.here / "tree" / "run").write_text("other")
    (copier.here / "tree" / "more").write_text("more")
    before, there = picture(copier.here), picture(copier.there)
    copied = copier.put("tree", "tree", dry_run=True)
    assert copied.notes == ("dry run: would send tree/more; would replace tree/run; 2 unchanged",)
    assert (copied.files, copied.bytes, copied.links, copied.directories) == (0, 0, 0, 0)
    assert copied.planned == Planned(send=1, replace=1, bytes=9)
    copied = copier.get("tree", dry_run=True)
    assert copied.notes[0].startswith("dry run: would fetch tree/")
    assert copied.planned == Planned(send=5, replace=0, bytes=11)
    assert (picture(copier.here), picture(copier.there)) == (before, there)


# --- trees ---


def test_patterns_leave_out_of_trees_both_ways(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    (copier.here / "tree" / "a" / "x.pyc").touch()
    copier.put("tree", "tree", exclude=("*.pyc", "empty/", "/run"))
    assert "tree/run" not in everything(copier.there)
    assert everything(copier.there / "tree") == ["a", "a/one", "dangling", "link", "zero"]
    copier.get("tree", exclude=("a/", "link"))
    assert everything(copier.here / "out/h1/tree") == ["dangling", "zero"]


def test_follow_copies_what_links_point_to_and_sees_circles(copier: Copier) -> None:
    for root in (copier.here, copier.there):
        tree = root / "tree"
        (tree / "d").mkdir(parents=True)
        (tree / "d" / "f").write_text("content")
        (tree / "link").symlink_to("d/f")
        (tree / "folder").symlink_to("d")
    copier.give(copier.there / "tree")
    copier.put("tree", "copy", follow=True)
    copier.get("tree", follow=True)
    for copy in (copier.there / "copy", copier.here / "out/h1/tree"):
        assert everything(copy) == ["d", "d/f", "folder", "folder/f", "link"]
        assert not (copy / "link").is_symlink() and not (copy / "folder").is_symlink()
    for root in (copier.here, copier.there):
        (root / "tree" / "d" / "up").symlink_to("..")
    with pytest.raises(TransferError, match="leads back"):
        copier.put("tree", "copy2", follow=True)
    assert (copier.there / "copy2" / "d" / "f").read_text() == "content"
    with pytest.raises(TransferError, match="leads back"):
        copier.get("tree", "out2/", follow=True)


def test_a_tree_deeper_than_few_descriptors_allow_comes_and_goes(copier: Copier) -> None:
    import resource

    path = copier.here / "tree"
    for number in range(120):
        path = path / f"d{number}"
    path.mkdir(parents=True)
    (path / "f").write_text("deep")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
    try:
        copier.put("tree", "tree")
        copier.get("tree")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert everything(copier.here / "out/h1/tree") == everything(copier.here / "tree")
    assert len(os.listdir("/dev/fd")) <= used + 2


def test_many_large_files_come_and_go_with_few_descriptors(copier: Copier) -> None:
    import resource

    (copier.here / "tree").mkdir()
    for number in range(40):
        (copier.here / "tree" / f"{number:02}").write_bytes(os.urandom(LEAST + number))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
    try:
        copier.put("tree", "tree")
        copier.get("tree")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert everything(copier.here / "out/h1/tree") == everything(copier.here / "tree")
    assert len(os.listdir("/dev/fd")) <= used + 2


def test_where_no_file_can_be_opened_any_more_it_is_said_what_to_do(copier: Copier) -> None:
    import resource

    (copier.here / "src").write_text("content")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.open("/dev/null", os.O_RDONLY)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        with pytest.raises(TransferError, match="ulimit -n"):
            copier.put("src", "name")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_deepest_tree_comes_and_goes_and_of_a_deeper_one_the_rest_is_copied(copier: Copier) -> None:
    for name, depth in (("deep", MAX_DEPTH), ("deeper", 300)):
        path = copier.here / name / "/".join("d" * depth)
        path.mkdir(parents=True)
        (path / "f").write_text("deep")
        (copier.here / name / "f").write_text("high")
    copier.put("deep", "deep")
    copier.get("deep")
    bottom = "/".join("d" * MAX_DEPTH)
    assert (copier.here / "out/h1/deep" / bottom / "f").read_text() == "deep"
    words = f"more than {MAX_DEPTH} directories deep.*the rest was copied"
    with pytest.raises(TransferError, match=words):
        copier.put("deeper", "deeper")
    assert (copier.there / "deeper" / "f").read_text() == "high"
    assert (copier.there / "deeper" / bottom).is_dir()
    assert not (copier.there / "deeper" / bottom / "d").exists()
    shutil.copytree(copier.here / "deeper", copier.there / "whole")
    copier.get("whole", expect=words)
    assert (copier.here / "out/h1/whole" / "f").read_text() == "high"
    assert not (copier.here / "out/h1/whole" / bottom / "d").exists()


def test_hundreds_of_files_and_folders_arrive_side_by_side(copier: Copier) -> None:
    for number in range(300):
        folder = copier.here / "tree" / f"d{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_bytes(os.urandom(number * 37))
    (copier.here / "tree" / "big").write_bytes(os.urandom(3_000_000))
    copied = copier.put("tree", "tree")
    assert copied.files == 301
    copier.get("tree")
    assert picture(copier.here / "out/h1/tree") == picture(copier.here / "tree")
    assert not [name for name in everything(copier.there) if name.endswith(".part")]


# --- globs and several sources ---


def test_globs_of_a_get_are_resolved_on_the_host_and_a_literal_name_wins(copier: Copier) -> None:
    for name in ("a.log", "b.log", ".c.log", "d.txt"):
        (copier.there / name).write_text(name)
    (copier.there / "x").mkdir()
    (copier.there / "x" / "e.log").write_text("e")
    copier.get("*.log")
    assert names(copier.here / "out/h1") == ["a.log", "b.log"]
    copier.get("?/*.log", "deep/")
    assert names(copier.here / "deep/h1") == ["e.log"]
    (copier.there / "*.log").write_text("itself")
    copier.get("*.log", "one/")
    assert names(copier.here / "one/h1") == ["*.log"]


def test_a_file_that_is_called_as_the_home_directory_is_a_file(copier: Copier) -> None:
    home = copier.there.parent
    (home / "~").write_text("mine")
    copier.give(home / "~")
    try:
        copier.get("~*")
        assert names(copier.here / "out/h1") == ["~"]
    finally:
        (home / "~").unlink()


def test_a_glob_that_matches_nothing_is_one_failure(copier: Copier) -> None:
    with pytest.raises(TransferError, match=r"nothing on the host matches .*\*\.log"):
        copier.get("*.log")
    assert names(copier.here) == []


def test_several_files_cannot_become_one(copier: Copier) -> None:
    (copier.there / "a").write_text("a")
    (copier.there / "b").write_text("b")
    with pytest.raises(TransferError, match="cannot all become"):
        copier.get("[ab]", "flat-{host}.txt")
    (copier.there / "d").mkdir()
    (copier.there / "d" / "a").write_text("a")
    with pytest.raises(TransferError, match="would both be written as a"):
        copier.get("a", also=(str(copier.there / "d" / "a"),))


def test_several_sources_go_into_one_directory(copier: Copier) -> None:
    for name in ("a", "b"):
        (copier.here / name).write_text(name)
    make_tree(copier.here / "tree")
    also = (str(copier.here / "b"), str(copier.here / "tree"))
    with pytest.raises(TransferError, match="several sources need a directory") as caught:
        copier.put("a", "new", also=also)
    assert caught.value.hint == f"{copier.there}/new/ with --parents makes one"
    copier.put("a", "new/", parents=True, also=also)
    assert names(copier.there / "new") == ["a", "b", "tree"]
    copier.put("a", "new", also=also)
    assert names(copier.there / "new") == ["a", "b", "tree"]
    more = (str(copier.there / "new" / "tree"), str(copier.there / "new" / "no"))
    copier.get("new/a", also=more, expect="no such file")
    assert names(copier.here / "out/h1") == ["a", "tree"]


def test_setuid_of_a_host_never_arrives(copier: Copier) -> None:
    (copier.there / "name").write_text("x")
    (copier.there / "name").chmod(0o4755)
    copier.get("name", preserve=True)
    (copier.here / "out/h1/name").chmod(0o644)
    copier.get("name", preserve=True)
    found = (copier.here / "out/h1/name").stat().st_mode
    assert stat.S_IMODE(found) == 0o755
