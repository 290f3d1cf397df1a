"""What works about copies share: a folder at the login's home, how to empty it, and contestants that copy."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.fleet import Fleet
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Contestant, Sample

MB = 1_000_000
SMALL = 4096  # bytes of each of many files
THERE = "hs-bench-files"  # a folder in the home of the login, ours alone
FAR = ("hostshell", "-i", "far.ini", "--known-hosts", "known_hosts")


@contextlib.contextmanager
def place(stage: Stage) -> Iterator[Path]:
    """An empty folder in the login's home."""
    folder = stage.account.home / THERE
    folder.mkdir()
    os.chown(folder, stage.account.uid, pwd.getpwuid(stage.account.uid).pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def graves_of(folder: Path) -> Iterator[Callable[[], None]]:
    """Empties ``folder`` by moving what is in it elsewhere, until the end.

    ext4 gives no inode away within a minute of its deletion, and looks at each such one when a file is made: whoever
    comes later would pay for thousands of files that were deleted for it.
    """
    graves = folder.with_name(f"{folder.name}.graves")
    graves.mkdir()
    numbers = itertools.count()

    def empty() -> None:
        for path in folder.iterdir():
            path.rename(graves / str(next(numbers)))

    try:
        yield empty
    finally:
        shutil.rmtree(graves)


def scp_words(hosts: Fleet, *more: str, port: int = 0) -> list[str]:
    """scp as ssh is given its options: it writes the port in a way of its own."""
    *options, _, number, _, _ = hosts.ssh_options(*more, port=port)
    return ["scp", "-q", *options, "-P", number]


def many_files(folder: Path, count: int) -> None:
    """``count`` small files of random bytes in a few directories."""
    for number in range(count):
        below = folder / f"d{number % 20:02d}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"f{number:04d}").write_bytes(os.urandom(SMALL))


def copies(
    stage: Stage, name: str, words: Sequence[str], before: Callable[[], object], *, size: int = 0, rounds: int = 0
) -> Contestant:
    """A contestant that copies ``size`` bytes with a command."""

    def once() -> Sample:
        before()
        cost = stage.cost(words, limit=600.0)
        sample = {"wall": cost.wall, "cpu": cost.cpu}
        return sample | ({"rate": size / cost.wall / MB} if size else {})

    return Contestant(name, shlex.join(words), once, rounds, peer=name != "hostshell")
