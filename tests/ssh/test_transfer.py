"""put against a real OpenSSH server, and there and back: where things land, and what they look like there."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostshell.core.model import Put
from hostshell.ssh import transfer
from hostshell.ssh.plan import typed
from hostshell.ssh.transfer import TransferError
from tests.ssh.conftest import Copier, connect, folder_of
from tests.ssh.trees import make_tree, mode, names, picture
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd

ODD_NAMES = ["it's", 'say "hi"', "`id`", "$(id)", "a b", "two\nlines", "-rf", "*", "ünïcode 東京", "back\\slash", "~"]


# --- put: where it lands ---


@pytest.mark.parametrize(
    ("remote", "lands"),
    [("new", "new"), ("dir/", "dir/src"), ("dir", "dir/src"), ("dir/.", "dir/src"), ("dir/x", "dir/x")],
)
def test_a_file_lands_where_the_text_says(copier: Copier, remote: str, lands: str) -> None:
    (copier.here / "src").write_text("content")
    (copier.there / "dir").mkdir(mode=0o777)
    (copier.there / "dir").chmod(0o777)
    copied = copier.put("src", remote)
    assert (copier.there / lands).read_text() == "content"
    assert (copied.files, copied.bytes, copied.notes) == (1, 7, ())


def test_home_is_where_a_leading_tilde_points(copier: Copier) -> None:
    (copier.here / "src").write_text("content")
    copier.put("src", f"~/{copier.there.name}/")
    assert (copier.there / "src").read_text() == "content"


def test_a_directory_merges_into_the_name_on_every_run(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    copier.put("tree", "app")
    assert picture(copier.there / "app") == picture(copier.here / "tree")
    (copier.here / "tree" / "zero").write_text("no more")
    (copier.there / "app" / "other").write_text("theirs")
    copier.put("tree", "app")
    after = picture(copier.there / "app", folder_times=False)
    assert after.pop("other")[2] == b"theirs"
    assert after == picture(copier.here / "tree", folder_times=False)


def test_a_read_only_folder_arrives_with_what_is_in_it(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    (copier.here / "tree" / "a").chmod(0o500)
    copier.put("tree", "app")
    assert picture(copier.there / "app") == picture(copier.here / "tree")


def test_a_directory_goes_into_a_directory_under_its_own_name(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    (copier.there / "dir").mkdir()
    (copier.there / "dir").chmod(0o777)
    copier.put("tree/", "dir/")
    copier.put("tree/a/..", "dir/")
    assert names(copier.there / "dir") == ["tree"]
    assert picture(copier.there / "dir" / "tree", folder_times=False) == picture(
        copier.here / "tree", folder_times=False
    )


@pytest.mark.parametrize("remote", ["no/", "no/name", "no/such/"])
@pytest.mark.parametrize("source", ["src", "tree"])
def test_a_missing_directory_is_an_error_unless_parents(copier: Copier, remote: str, source: str) -> None:
    (copier.here / "src").write_text("content")
    make_tree(copier.here / "tree")
    with pytest.raises(TransferError, match=r"no such directory on the host: .*no") as caught:
        copier.put(source, remote)
    assert "--parents" in caught.value.hint
    assert names(copier.there) == []
    copied = copier.put(source, remote, parents=True)
    assert (copier.there / remote / (source if remote.endswith("/") else "")).exists()
    assert copied.directories == sum(path.is_dir() for path in copier.there.rglob("*"))
    assert copier.put(source, remote, parents=True).directories == 0


@pytest.mark.parametrize(
    ("remote", "shown"), [("~/no/", "~/no"), ("~/no/name", "~/no"), ("no/name", "no"), ("~/a b/", "~/a b")]
)
def test_a_path_below_home_is_shown_as_it_is_typed(copier: Copier, remote: str, shown: str) -> None:
    (copier.here / "src").write_text("content")
    task = Put(str(copier.here / "src"), remote)
    with pytest.raises(TransferError, match=f"no such directory on the host: {shown}$"):
        transfer.put(copier.transport, task, "h1", report=lambda *_: None, stopped=lambda: False)


def test_the_home_directory_is_called_so() -> None:
    assert [typed(path) for path in (b".", b"./x", b"x/y", b"/x")] == ["~/", "~/x", "x/y", "/x"]


def test_directories_made_for_a_copy_that_fails_are_taken_back(copier: Copier) -> None:
    (copier.here / "src").touch()
    os.truncate(copier.here / "src", 10)
    (copier.there / "loop").symlink_to("loop")
    with pytest.raises(TransferError):
        copier.put("src", "a/b/" + "n" * 300, parents=True)
    assert names(copier.there) == ["loop"]


@pytest.mark.parametrize(
    ("source", "remote"), [("src", "file/"), ("tree", "file"), ("tree", "file/"), ("src", "file/x")]
)
def test_a_file_in_the_way_of_a_directory_is_left_alone(copier: Copier, source: str, remote: str) -> None:
    (copier.here / "src").write_text("content")
    make_tree(copier.here / "tree")
    (copier.there / "file").write_text("old")
    with pytest.raises(TransferError):
        copier.put(source, remote, parents=True)
    assert (copier.there / "file").read_text() == "old"
    assert names(copier.there) == ["file"]


def test_a_directory_or_a_fifo_in_the_way_of_a_file_is_left_alone(copier: Copier) -> None:
    (copier.here / "src").write_text("content")
    (copier.there / "dir" / "src").mkdir(parents=True)
    os.mkfifo(copier.there / "fifo")
    with pytest.raises(TransferError, match="is a directory on the host"):
        copier.put("src", "dir/")
    with pytest.raises(TransferError, match="FIFO"):
        copier.put("src", "fifo")
    assert stat.S_ISFIFO((copier.there / "fifo").lstat().st_mode)


def test_a_link_to_nowhere_in_the_way_of_a_directory_is_named(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    (copier.there / "app").symlink_to("nowhere")
    with pytest.raises(TransferError, match="a symlink that leads nowhere"):
        copier.put("tree", "app")


def test_a_path_that_can_name_nothing_is_one_sentence(copier: Copier) -> None:
    (copier.here / "src").write_text("content")
    for local, remote in (("src\0", "name"), ("src", "/na\0me"), ("\ud800", "name")):
        with pytest.raises(TransferError, match=r"NUL|no valid text"):
            copier.put(local, remote)


@pytest.mark.parametrize("old", ["text", None])
def test_a_link_at_the_target_survives_and_its_end_gets_the_file(copier: Copier, old: str | None) -> None:
    (copier.here / "src").write_text("new")
    (copier.there / "real").mkdir()
    (copier.there / "real").chmod(0o777)
    if old is not None:
        (copier.there / "real" / "file").write_text(old)
    (copier.there / "second").symlink_to("real/../real/file")
    (copier.there / "first").symlink_to(copier.there / "second")
    copier.put("src", "first")
    assert (copier.there / "first").is_symlink()
    assert (copier.there / "second").is_symlink()
    assert (copier.there / "real" / "file").read_text() == "new"
    assert names(copier.there) == ["first", "real", "second"]


def test_a_circle_of_links_is_an_error(copier: Copier) -> None:
    (copier.here / "src").write_text("new")
    (copier.there / "a").symlink_to("b")
    (copier.there / "b").symlink_to("a")
    with pytest.raises(TransferError, match="circle of symlinks"):
        copier.put("src", "a")


# --- what a copy looks like ---


def test_a_new_file_has_the_sources_mode_and_time_but_never_setuid(copier: Copier) -> None:
    source = copier.here / "src"
    source.write_text("content")
    source.chmod(0o6751)
    os.utime(source, (1_000_000_000, 1_100_000_000))
    copier.put("src", "new")
    copier.get("new")
    for copy in (copier.there / "new", copier.here / "out" / "h1" / "new"):
        assert mode(copy) == 0o751
        assert int(copy.stat().st_mtime) == 1_100_000_000


@pytest.mark.parametrize(("preserve", "expected"), [(False, 0o604), (True, 0o640)])
def test_an_existing_file_keeps_its_mode_unless_preserve(copier: Copier, preserve: bool, expected: int) -> None:
    (copier.here / "src").write_text("content")
    (copier.here / "src").chmod(0o640)
    old = copier.here / "out" / "h1" / "name"
    old.parent.mkdir(parents=True)
    for path in (copier.there / "name", old):
        path.write_text("old")
        path.chmod(0o604)
    copier.put("src", "name", preserve=preserve)
    assert mode(copier.there / "name") == expected
    (copier.there / "name").chmod(0o640)
    copier.get("name", preserve=preserve)
    assert mode(old) == expected
    assert old.read_text() == "content"


def test_an_existing_file_keeps_its_owner_where_that_is_permitted(
    sshd: Sshd, accounts: list[Account], client_key: Key, tmp_path: Path
) -> None:
    # As root it belongs to somebody else; without, it can only be ours.
    us = Account(pwd.getpwuid(os.getuid()).pw_name, "", tmp_path, real=os.geteuid() == 0)
    sshd.authorize(us, client_key.public)
    transport = connect(sshd.address, sshd.port, us.name, client_key.path)
    try:
        copier = Copier(transport, folder_of(accounts[0]), tmp_path)
        (copier.here / "src").write_text("content")
        (copier.there / "name").write_text("old")
        os.chown(copier.there / "name", accounts[0].uid, pwd.getpwuid(accounts[0].uid).pw_gid)
        (copier.there / "name").chmod(0o4700)
        copier.put("src", "name")
        found = (copier.there / "name").stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (accounts[0].uid, 0o4700)
        assert (copier.there / "name").read_text() == "content"
    finally:
        transport.close()


def test_what_is_no_file_directory_or_link_is_left_out_and_named(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    os.mkfifo(copier.here / "tree" / "pipe")
    copied = copier.put("tree", "tree")
    assert copied.notes == ("left out, being no files, directories or links: tree/pipe",)
    os.mkfifo(copier.there / "tree" / "other")
    copied = copier.get("tree")
    assert copied.notes == ("left out, being no files, directories or links: tree/other",)
    assert picture(copier.here / "out" / "h1" / "tree").keys() == picture(copier.here / "tree").keys() - {"pipe"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_literal_both_ways(copier: Copier, name: str) -> None:
    (copier.here / name).write_text("content")
    copier.put(name, ".")
    assert names(copier.there) == [name]
    copier.get(f"./{name}")
    assert (copier.here / "out" / "h1" / name).read_text() == "content"


def test_names_that_are_no_text_are_copied_as_bytes(copier: Copier) -> None:
    tree = copier.here / "tree"
    tree.mkdir()
    (tree / os.fsdecode(b"caf\xe9")).write_text("content")
    (tree / "link").symlink_to(os.fsdecode(b"caf\xe9"))
    copier.put("tree", "tree")
    copier.get("tree")
    assert picture(copier.here / "out" / "h1" / "tree") == picture(tree)


def test_the_longest_name_has_room_for_the_temporary_one(copier: Copier) -> None:
    name = "n" * 255
    (copier.here / name).write_text("content")
    copier.put(name, ".")
    copier.get(name)
    assert (copier.here / "out" / "h1" / name).read_text() == "content"


def test_progress_ends_with_all_bytes(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    (copier.here / "tree" / "big").write_bytes(os.urandom(3_000_001))
    copied = copier.put("tree", "tree")
    assert copier.reports[-1][1:] == (copied.bytes, copied.bytes) == (3_000_012, 3_000_012)
    copied = copier.get("tree")
    assert copier.reports[-1][1:] == (copied.bytes, copied.bytes) == (3_000_012, 3_000_012)
    assert (copier.here / "out/h1/tree/big").read_bytes() == (copier.here / "tree/big").read_bytes()


def test_the_local_tree_must_not_cost_the_rest_for_one_unreadable_file(copier: Copier) -> None:
    tree = copier.here / "tree"
    tree.mkdir()
    (tree / "a").write_text("a")
    (tree / "secret").write_text("s")
    (tree / "secret").chmod(0)
    (tree / "z").write_text("z")
    with _as_ordinary_user(copier.here), pytest.raises(TransferError, match=r"tree/secret \(.*no permission") as caught:
        copier.put("tree", "tree")
    assert "the rest was copied" in caught.value.message
    assert names(copier.there / "tree") == ["a", "z"]


@contextmanager
def _as_ordinary_user(folder: Path) -> Iterator[None]:
    """Give up root for a while, for to root nothing is unreadable."""
    if os.geteuid() != 0:
        yield
        return
    for above in (folder, *folder.parents):
        if above.stat().st_uid == 0 and above.is_relative_to(tempfile.gettempdir()):
            above.chmod(above.stat().st_mode | 0o011)
    for path in folder.rglob("*"):
        if mode(path):
            path.chmod(0o755)
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
