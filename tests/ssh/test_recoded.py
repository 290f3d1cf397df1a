"""Copies to and from hosts whose file names are not UTF-8: translated both ways, and no byte of a name is ever lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.model import Get, Put
from hostshell.core.paths import local_layout
from hostshell.ssh import transfer
from hostshell.ssh.recoded import Names
from hostshell.ssh.sftpwire import SftpError
from tests.ssh.conftest import Copier

BYTES = st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name)


def put(copier: Copier, encoding: str, local: str, remote: str) -> transfer.Copied:
    task = Put(f"{copier.here}/{local}", f"{copier.there}/{remote}")
    return transfer.put(copier.transport, task, "h1", report=lambda *_: None, stopped=lambda: False, encoding=encoding)


def get(copier: Copier, encoding: str, remote: str) -> transfer.Copied:
    task = Get(f"{copier.there}/{remote}", local_layout(f"{copier.here}/out/").replace("{host}", "h1"))
    return transfer.get(copier.transport, task, "h1", report=lambda *_: None, stopped=lambda: False, encoding=encoding)


@pytest.mark.parametrize(("encoding", "word"), [("gbk", "数据"), ("latin-1", "café"), ("shift_jis", "表ソ")])
def test_a_tree_has_the_hosts_names_there_and_ours_here(copier: Copier, encoding: str, word: str) -> None:
    tree = copier.here / f"tree-{word}"
    (tree / word).mkdir(parents=True)
    (tree / word / f"{word}.txt").write_text("one")
    (tree / "link").symlink_to(f"{word}/{word}.txt")
    assert put(copier, encoding, tree.name, "").files == 1
    there = os.fsencode(copier.there) + b"/tree-" + word.encode(encoding)
    assert Path(os.fsdecode(there + b"/link")).read_text() == "one"
    assert os.listdir(there + b"/" + word.encode(encoding)) == [word.encode(encoding) + b".txt"]
    assert put(copier, encoding, tree.name, "").unchanged == 1  # seen by a digest, under the host's name
    assert get(copier, encoding, f"tree-{word}").files == 1
    back = copier.here / "out" / "h1" / f"tree-{word}"
    assert (back / "link").read_text() == "one"
    assert get(copier, encoding, f"tree-{word}/{word}/*.txt").files == 1


def test_a_name_that_cannot_be_said_there_fails_alone(copier: Copier) -> None:
    (copier.here / "tree").mkdir()
    for name in ("数.txt", "plain.txt"):
        (copier.here / "tree" / name).write_text("one")
    with pytest.raises(transfer.TransferError, match=r"cannot be said in latin-1.*; the rest was copied"):
        put(copier, "latin-1", "tree", "")
    assert os.listdir(copier.there / "tree") == ["plain.txt"]


def test_two_names_of_the_host_never_land_on_one_here(copier: Copier) -> None:
    # in cp932 both are read as the same character
    folder = os.fsencode(copier.there) + b"/both"
    os.mkdir(folder)
    for name in (b"\x87\x90", b"\x81\xe0"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(name)
    copier.give(copier.there / "both")
    with pytest.raises(transfer.TransferError, match="two names of the host would be one here"):
        get(copier, "cp932", "both")


@given(
    st.lists(BYTES, max_size=6), st.sampled_from(["gbk", "big5", "shift_jis", "cp932", "latin-1", "ascii", "euc_kr"])
)
def test_any_name_of_a_host_comes_back_to_it_as_it_was_or_is_refused(found: list[bytes], encoding: str) -> None:
    names = Names(encoding)
    here: dict[bytes, bytes] = {}
    for name in found:
        try:
            ours = names.here(name)
        except SftpError:
            continue
        assert here.setdefault(ours, name) == name
    for ours, name in here.items():
        assert names.there(ours) == name
