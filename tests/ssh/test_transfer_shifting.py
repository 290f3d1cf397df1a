"""Files that become shorter or longer while they are copied, on a real sshd: no name ever holds a mixture."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hostshell.ssh.transfer import TransferError
from tests.ssh.conftest import Copier
from tests.ssh.trees import everything, names

BIG = 24 * 1024 * 1024  # bytes: more than fits into buffers and windows on the way


def once_under_way(folder: Path, change: Callable[[], object]) -> Callable[[], bool]:
    """A ``stopped`` that never stops anything: when the first bytes have reached ``folder`` it calls ``change``."""
    done = False

    def stopped() -> bool:
        nonlocal done
        if not done and any(path.name != "name" and path.stat().st_size for path in folder.glob("*")):
            done = True
            change()
        return False

    return stopped


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more" * 100_000)


def test_a_local_file_that_shrinks_while_it_is_sent_is_refused_and_the_old_one_stays(copier: Copier) -> None:
    source = copier.here / "src"
    source.write_bytes(os.urandom(BIG))
    (copier.there / "name").write_text("old")
    copier.stopped = once_under_way(copier.there, lambda: os.truncate(source, 1000))
    with pytest.raises(TransferError, match="the local file became shorter while it was read"):
        copier.put("src", "name")
    assert source.stat().st_size == 1000
    assert names(copier.there) == ["name"]
    assert (copier.there / "name").read_text() == "old"


def test_of_a_local_file_that_grows_what_it_was_at_first_is_sent(copier: Copier) -> None:
    source = copier.here / "src"
    data = os.urandom(BIG)
    source.write_bytes(data)
    copier.stopped = once_under_way(copier.there, lambda: append(source))
    copier.put("src", "name", verify=True)
    assert source.stat().st_size > BIG
    assert (copier.there / "name").read_bytes() == data
    assert names(copier.there) == ["name"]


def test_a_remote_file_that_shrinks_while_it_is_fetched_is_refused_and_the_old_one_stays(copier: Copier) -> None:
    (copier.there / "name").write_bytes(os.urandom(BIG))
    place = copier.here / "out" / "h1"
    place.mkdir(parents=True)
    (place / "name").write_text("old")
    copier.stopped = once_under_way(place, lambda: os.truncate(copier.there / "name", 1000))
    copier.get("name", expect="the file became shorter on the host while it was read")
    assert (copier.there / "name").stat().st_size == 1000
    assert everything(copier.here / "out") == ["h1", "h1/name"]
    assert (place / "name").read_text() == "old"


def test_of_a_remote_file_that_grows_what_it_was_at_first_is_fetched(copier: Copier) -> None:
    data = os.urandom(BIG)
    (copier.there / "name").write_bytes(data)
    place = copier.here / "out" / "h1"
    copier.stopped = once_under_way(place, lambda: append(copier.there / "name"))
    copier.get("name")
    assert (copier.there / "name").stat().st_size > BIG
    assert (place / "name").read_bytes() == data
    assert names(place) == ["name"]
