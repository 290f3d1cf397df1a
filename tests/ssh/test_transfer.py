"""put and get against a real OpenSSH server: where things land, and what they look like there."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostshell.ssh.transfer import TransferError
from tests.ssh.conftest import Copier, connect, folder_of
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd

ODD_NAMES = ["it's", 'say "hi"', "`id`", "$(id)", "a b", "two\nlines", "-rf", "*", "ünïcode 東京", "back\\slash", "~"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def make_tree(root: Path) -> None:
    """A tree with what trees have: files, an empty folder, links, modes and times."""
    (root / "a" / "empty").mkdir(parents=True)
    (root / "a" / "one").write_text("1")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o750)
    (root / "zero").touch()
    (root / "link").symlink_to("a/one")
    (root / "dangling").symlink_to("/nowhere/at all")
    (root / "a" / "empty").chmod(0o711)
    (root / "a").chmod(0o710)
    for path in (root / "run", root / "a", root):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def picture(root: Path, *, folder_times: bool = True) -> dict[str, tuple[int, int, bytes]]:
    """Everything below ``root``: mode, time and content; times of links are nobody's business."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        if path.is_symlink():
            found[str(path.relative_to(root))] = (0, 0, os.fsencode(path.readlink()))
        else:
            content = path.read_bytes() if path.is_file() else b""
            counts = folder_times or not path.is_dir()
            found[str(path.relative_to(root))] = (info.st_mode, int(info.st_mtime) if counts else 0, content)
    return found


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
    copier.put(source, remote, parents=True)
    assert (copier.there / remote / (source if remote.endswith("/") else "")).exists()


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


# --- get ---


def test_a_file_is_got_into_a_folder_of_its_host(copier: Copier) -> None:
    (copier.there / "hostname").write_text("web1\n")
    copied = copier.get("hostname", "deep/out")
    assert (copier.here / "deep/out/h1/hostname").read_text() == "web1\n"
    assert (copied.files, copied.bytes) == (1, 5)


def test_the_layout_decides_where_a_get_lands(copier: Copier) -> None:
    (copier.there / "hostname").write_text("web1\n")
    (copier.there / "tree").mkdir()
    (copier.there / "tree" / "file").write_text("f")
    copier.get("hostname", "flat/{host}.txt")
    copier.get("hostname", "flat/{host}")
    copier.get("tree", "trees/t-{host}")
    copier.get("tree/.", "contents")
    copier.get("tree/", "named")
    found = {str(path.relative_to(copier.here)) for path in copier.here.rglob("*") if path.is_file()}
    assert found == {
        "flat/h1.txt", "flat/h1/hostname", "trees/t-h1/file", "contents/h1/file", "named/h1/tree/file",
    }  # fmt: skip


def test_two_hosts_give_two_files(copier: Copier) -> None:
    (copier.there / "name").write_text("1")
    copier.get("name")
    copier.host = "h2"
    (copier.there / "name").write_text("2")
    copier.get("name")
    assert [(copier.here / "out" / host / "name").read_text() for host in ("h1", "h2")] == ["1", "2"]


def test_a_missing_remote_file_leaves_the_old_one_and_makes_no_folder(copier: Copier) -> None:
    old = copier.here / "out" / "h1" / "name"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    for local in ("out/", "new/deep/"):
        with pytest.raises(TransferError, match=r"no such file or directory on the host: .*name"):
            copier.get("name", local)
    assert old.read_text() == "old"
    assert names(copier.here) == ["out"]
    assert names(old.parent) == ["name"]


def test_an_unreadable_remote_file_makes_no_folder(copier: Copier) -> None:
    for name in ("file", "dir"):
        path = copier.there / name
        path.mkdir() if name == "dir" else path.write_text("secret")
        path.chmod(0)
        with pytest.raises(TransferError, match="no permission on the host"):
            copier.get(name)
    assert names(copier.here) == []


def test_a_link_planted_at_the_final_name_is_not_followed(copier: Copier) -> None:
    (copier.there / "name").write_text("new")
    victim = copier.here / "victim"
    victim.write_text("precious")
    place = copier.here / "out" / "h1"
    place.mkdir(parents=True)
    (place / "name").symlink_to(victim)
    copier.get("name")
    assert victim.read_text() == "precious"
    assert (place / "name").read_text() == "new"
    assert not (place / "name").is_symlink()


@pytest.mark.parametrize("planted", ["out/h1", "out/h1/tree"])
def test_a_link_planted_as_a_folder_is_refused(copier: Copier, planted: str) -> None:
    (copier.there / "tree").mkdir()
    (copier.there / "tree" / "name").write_text("new")
    victim = copier.here / "victim"
    victim.mkdir()
    (copier.here / planted).parent.mkdir(parents=True)
    (copier.here / planted).symlink_to(victim)
    with pytest.raises(TransferError, match="a symlink on this machine"):
        copier.get("tree")
    assert names(victim) == []


def test_a_link_in_the_persons_own_path_counts(copier: Copier) -> None:
    (copier.there / "name").write_text("new")
    (copier.here / "real").mkdir()
    (copier.here / "out").symlink_to("real")
    copier.get("name")
    assert (copier.here / "real" / "h1" / "name").read_text() == "new"


def test_a_directory_or_fifo_in_the_way_of_a_download_is_left_alone(copier: Copier) -> None:
    (copier.there / "name").write_text("new")
    place = copier.here / "out" / "h1"
    (place / "name").mkdir(parents=True)
    with pytest.raises(TransferError, match="in the way"):
        copier.get("name")
    (place / "name").rmdir()
    os.mkfifo(place / "name")
    with pytest.raises(TransferError, match="in the way"):
        copier.get("name")
    assert names(place) == ["name"]


def test_a_tree_is_got_whole_and_again(copier: Copier) -> None:
    make_tree(copier.there / "tree")
    copier.give(copier.there / "tree")
    (copier.there / "tree" / "a").chmod(0o555)
    copier.get("tree")
    first = picture(copier.here / "out" / "h1" / "tree")
    assert first == picture(copier.there / "tree")
    (copier.here / "out" / "h1" / "tree" / "a").chmod(0o755)
    copier.get("tree")
    assert picture(copier.here / "out" / "h1" / "tree").keys() == first.keys()


def test_one_unreadable_remote_file_does_not_cost_the_rest(copier: Copier) -> None:
    tree = copier.there / "tree"
    tree.mkdir()
    for name in ("a", "secret", "z"):
        (tree / name).write_text(name)
    (tree / "secret").chmod(0)
    with pytest.raises(
        TransferError, match=r"not copied: tree/secret \(.*no permission on the host\); the rest was copied"
    ):
        copier.get("tree")
    assert names(copier.here / "out" / "h1" / "tree") == ["a", "z"]


def test_a_remote_device_is_not_copied(copier: Copier) -> None:
    with pytest.raises(TransferError, match="is a device"):
        copier.get("/dev/zero")
    assert names(copier.here) == []


def test_a_file_that_says_it_is_empty_is_read_to_its_end(copier: Copier) -> None:
    copier.get("/proc/self/limits")
    assert "Max open files" in (copier.here / "out/h1/limits").read_text()


# --- there and back ---

_NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
_LEAVES = st.one_of(
    st.binary(max_size=200).map(lambda content: ("file", content)),
    st.integers(100_000, 600_000).map(lambda size: ("file", os.urandom(size))),
    _NAMES.map(lambda text: ("link", text)),
)
_TREES = st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner, max_size=4), max_leaves=8)


def _build(path: Path, tree: object) -> None:
    match tree:
        case dict():
            path.mkdir()
            for name, below in tree.items():
                _build(path / name, below)
        case ("file", bytes(content)):
            path.write_bytes(content)
        case ("link", str(text)):
            path.symlink_to(text)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(_NAMES, _TREES, max_size=5))
def test_a_tree_put_and_got_is_the_same(copier: Copier, tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory(dir=copier.here) as here:
        copier.reports.clear()
        source = Path(here) / "tree"
        _build(source, tree)
        target = f"copy-{os.path.basename(here)}"  # noqa: PTH119 - text
        copier.put(source, target)
        copier.get(target, f"{Path(here).name}/{{host}}")
        assert picture(Path(here) / "h1" / target) == picture(source)
