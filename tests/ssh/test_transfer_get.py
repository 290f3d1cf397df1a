"""get from a real OpenSSH server: where things land on this machine, and what is not followed."""

from __future__ import annotations

import os

import pytest

from hostshell.ssh.partials import LEAST, part_name
from hostshell.ssh.transfer import TransferError
from tests.ssh.conftest import Copier
from tests.ssh.trees import make_tree, names, picture

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


def test_a_file_where_the_hosts_folder_has_to_be_is_named_with_a_way_out(copier: Copier) -> None:
    (copier.there / "name").write_text("new")
    (copier.here / "out").mkdir()
    (copier.here / "out" / "h1").write_text("what --outdir wrote")
    with pytest.raises(TransferError, match="a file on this machine, where a directory has to be") as failure:
        copier.get("name")
    assert failure.value.hint == "remove it, or choose another -local"


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
    limits = copier.here / "out/h1/limits"
    assert "Max open files" in limits.read_text()
    limits.write_text("")
    assert copier.get("/proc/self/limits").files == 1
    assert "Max open files" in limits.read_text()


def test_a_file_that_is_empty_on_both_sides_is_unchanged(copier: Copier) -> None:
    (copier.there / "zero").touch()
    assert copier.get("zero", backup=True).files == 1
    again = copier.get("zero", backup=True)
    assert (again.files, again.unchanged) == (0, 1)
    assert copier.get("zero", dry_run=True).notes == ("dry run: 1 unchanged",)
    os.utime(copier.there / "zero", (1, 1))
    copier.get("zero", backup=True)
    assert names(copier.here / "out/h1") == ["zero"]
    assert (copier.here / "out/h1/zero").stat().st_mtime == 1
    assert copier.get("zero", force=True).files == 1


def test_each_file_of_a_tree_has_the_partials_of_its_older_versions_removed(copier: Copier) -> None:
    here = copier.here / "out" / "h1" / "tree"
    here.mkdir(parents=True)
    (copier.there / "tree").mkdir()
    for name in ("a", "b"):
        (copier.there / "tree" / name).write_bytes(bytes(LEAST))
        copy = (b"h1", os.fsencode(copier.there / "tree" / name), os.fsencode(here / name))
        (here / os.fsdecode(part_name(os.fsencode(name), copy, (1, 1)))).touch()
    copier.give(copier.there / "tree")
    copier.get("tree")
    assert names(here) == ["a", "b"]
