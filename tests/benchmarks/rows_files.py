"""Copies: a large file, one file to eight hosts, thousands of small ones, nothing new, far away, and a huge sparse one.

Whole commands, from the start of a program to its end. What a run has made is removed before the next one, untimed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks import findings
from tests.benchmarks.distance import Distance
from tests.benchmarks.fleet import KEY, Fleet
from tests.benchmarks.kept import Prompt
from tests.benchmarks.rows_distance import ADDRESS, write_far
from tests.benchmarks.rows_hosts import OURS, node_set
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work, without_absent

MB = 1_000_000
FAN = 8  # hosts
SMALL = 4096  # bytes of each of many files
THERE = "hs-bench-files"  # a folder in the home of the login, ours alone
LOOK_EVERY = 0.1  # seconds between two looks at the memory
FAR = ("hostshell", "-i", "far.ini", "--known-hosts", "known_hosts")


@contextlib.contextmanager
def _place(stage: Stage) -> Iterator[Path]:
    """An empty folder in the login's home."""
    folder = stage.account.home / THERE
    folder.mkdir()
    os.chown(folder, stage.account.uid, pwd.getpwuid(stage.account.uid).pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def _graves(folder: Path) -> Iterator[Callable[[], None]]:
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


def _scp(hosts: Fleet, *more: str, port: int = 0) -> list[str]:
    """scp as ssh is given its options: it writes the port in a way of its own."""
    *options, _, number, _, _ = hosts.ssh_options(*more, port=port)
    return ["scp", "-q", *options, "-P", number]


def _many(folder: Path, count: int) -> None:
    """``count`` small files of random bytes in a few directories."""
    for number in range(count):
        below = folder / f"d{number % 20:02d}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"f{number:04d}").write_bytes(os.urandom(SMALL))


def _copies(
    stage: Stage, name: str, words: Sequence[str], before: Callable[[], object], *, size: int = 0, rounds: int = 0
) -> Contestant:
    """A contestant that copies ``size`` bytes with a command."""

    def once() -> Sample:
        before()
        cost = stage.cost(words, limit=600.0)
        sample = {"wall": cost.wall, "cpu": cost.cpu}
        return sample | ({"rate": size / cost.wall / MB} if size else {})

    return Contestant(name, shlex.join(words), once, rounds, peer=name != "hostshell")


# --- one large file ---


@contextlib.contextmanager
def put_large(stage: Stage) -> Iterator[Work]:
    """One large file to one host."""
    size = 200 * MB
    with stage.fleet(1) as hosts, _place(stage) as there:
        (stage.folder / "data").write_bytes(os.urandom(size))
        login = f"{hosts.account.name}@{hosts.addresses[0]}"
        ours = [*OURS, "put", "data", f"{THERE}/", "-a"]
        scp = [*_scp(hosts), "data", f"{login}:{THERE}/"]
        yield _large(stage, "put", size, ours, scp, lambda: _empty(there))
        (stage.folder / "data").unlink()


@contextlib.contextmanager
def get_large(stage: Stage) -> Iterator[Work]:
    """One large file from one host."""
    size = 200 * MB
    with stage.fleet(1) as hosts, _place(stage) as there:
        (there / "data").write_bytes(os.urandom(size))
        (there / "data").chmod(0o644)
        out = stage.folder / "fetched"
        login = f"{hosts.account.name}@{hosts.addresses[0]}"
        ours = [*OURS, "get", f"{THERE}/data", "fetched/", "-a"]
        scp = [*_scp(hosts), f"{login}:{THERE}/data", "fetched/"]

        def before() -> None:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()

        yield _large(stage, "get", size, ours, scp, before)
        shutil.rmtree(out, ignore_errors=True)


def _large(
    stage: Stage, action: str, size: int, ours: Sequence[str], scp: Sequence[str], before: Callable[[], object]
) -> Work:
    cpu = Bar(f"{action} {size // MB} MB, client CPU, against scp", "hostshell", "cpu", 1.5, "s", ("scp",))
    return Work(
        f"{action} {size // MB} MB, one host",
        (
            _copies(stage, "hostshell", ours, before, size=size),
            _copies(stage, "scp", scp, before, size=size),
        ),
        (
            Bar(f"{action} {size // MB} MB, wall, against scp", "hostshell", "wall", 1 / 0.9, "s", ("scp",)),
            *([cpu] if action == "put" else []),
        ),
        {"wall": "s", "cpu": "s", "rate": "MB/s"},
        rounds=stage.rounds(1, 3),
        warm_up=stage.full,
        chart=("wall",),
        notes=("1.11 × of scp's wall time is 0.9 × of its rate. cpu is the client's whole tree of processes.",),
    )


# --- one file, many hosts ---


@contextlib.contextmanager
def put_fan(stage: Stage) -> Iterator[Work]:
    """One file to eight hosts."""
    size = (50 if stage.full else 10) * MB
    with stage.fleet(FAN) as hosts, _place(stage) as there:
        (stage.folder / "data").write_bytes(os.urandom(size))
        # the hosts are one machine with one home: each gets a name of its own, but with clush, which cannot do that
        ours = [*OURS, "put", "data", f"{THERE}/{{host}}", "-a"]
        options = [*hosts.ssh_options()[:-4], "-o", f"Port={hosts.port}", "-o", f"User={hosts.account.name}"]

        def clush() -> Contestant | None:
            if "clush" not in stage.peers:
                return None
            words = [*stage.peers.words["clush"], "-S", "-q", "-f", str(FAN), "-o", shlex.join(options)]
            words += ["-w", node_set(hosts.addresses), "--copy", "data", "--dest", f"{hosts.account.home}/{THERE}/"]
            made = _copies(stage, "clush --copy", words, lambda: _empty(there), size=size * FAN)
            shown = shlex.join(words).replace(str(hosts.account.home), "HOME")
            return Contestant(made.name, shown, made.once, peer=True)

        yield Work(
            f"put {size // MB} MB to {FAN} hosts",
            without_absent(
                [_copies(stage, "hostshell", ours, lambda: _empty(there), size=size * FAN), clush()],
            ),
            (Bar(f"put {size // MB} MB to {FAN} hosts, wall", "hostshell", "wall", 1.0, "s", ("clush --copy",)),),
            {"wall": "s", "cpu": "s", "rate": "MB/s"},
            rounds=stage.rounds(1, 2),
            warm_up=False,
            chart=("wall",),
            absent=("clush --copy",),
            notes=(
                "rate: of all hosts together. All hosts are this machine: hostshell writes a file for each, and "
                "clush's scp the same one for all.",
            ),
        )
        (stage.folder / "data").unlink()


# --- many small files ---


@contextlib.contextmanager
def put_many(stage: Stage) -> Iterator[Work]:
    """Thousands of small files to one host, and once more when nothing has changed."""
    count = 2000
    with stage.fleet(1) as hosts, _place(stage) as there, _graves(there) as empty, Prompt(stage, OURS) as prompt:
        _many(stage.folder / "many", count)
        line = f"put many {THERE}/ -a"
        prompt.turn("ping -a", "1 ok")
        at_the_prompt = f"{shlex.join(OURS)}    # at a terminal, {line}"

        def first() -> Sample:
            empty()
            return {"wall": prompt.turn(line, "1 ok")}

        def again() -> Sample:
            if not any(there.iterdir()):
                first()
            return {"wall": prompt.turn(line, "1 ok")}

        scp = [*_scp(hosts), "-r", "many", f"{hosts.account.name}@{hosts.addresses[0]}:{THERE}/"]
        what = f"put {count:,} files of {SMALL} bytes"
        yield Work(
            f"{what}, one host",
            (
                _copies(stage, "scp -r", scp, empty),
                _copies(stage, "hostshell", [*OURS, *shlex.split(line)], empty),
                Contestant("hostshell, at a prompt", at_the_prompt, first),
                Contestant("hostshell, again", f"{at_the_prompt}, again", again),
            ),
            (
                Bar(f"{what}, wall, against scp -r", "hostshell", "wall", 0.5, "s", ("scp -r",)),
                Bar(
                    f"{what} again, nothing changed, wall",
                    "hostshell, again",
                    "wall",
                    0.1,
                    "s",
                    ("hostshell, at a prompt",),
                ),
            ),
            {"wall": "s", "cpu": "s"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            chart=("wall",),
            notes=(
                "scp and the first hostshell are whole commands. The other two are lines at a prompt whose connection "
                "is open, so that what is compared is the copy; again: every file is held against the host's by its "
                "SHA-256.",
                findings.MANY_FILES,
            ),
        )
        shutil.rmtree(stage.folder / "many")


@contextlib.contextmanager
def put_many_far(stage: Stage, round_trip: float = 0.05) -> Iterator[Work]:
    """Small files to a host that is far away."""
    count = 100 if stage.full else 30
    with (
        stage.fleet(1) as hosts,
        _place(stage) as there,
        Distance((hosts.addresses[0], hosts.port), round_trip, ADDRESS) as relay,
    ):
        write_far(stage, hosts, relay)
        _many(stage.folder / "many", count)
        ours = [*FAR, "put", "many", f"{THERE}/", "-h", "far"]
        scp = [*_scp(hosts, port=relay.port), "-r", "many", f"{hosts.account.name}@{ADDRESS}:{THERE}/"]
        what = f"put {count} files of {SMALL} bytes, {round_trip * 1000:.0f} ms away"
        yield Work(
            what,
            (
                _copies(stage, "hostshell", ours, lambda: _empty(there)),
                _copies(stage, "scp -r", scp, lambda: _empty(there), rounds=1),
            ),
            (Bar(f"{what}, wall, against scp -r", "hostshell", "wall", 0.1, "s", ("scp -r",)),),
            {"wall": "s", "cpu": "s"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            chart=("wall",),
            notes=("Through a relay on loopback that holds every byte for half a round trip, each way.",),
        )
        shutil.rmtree(stage.folder / "many")


# --- far away, and huge ---


@contextlib.contextmanager
def get_far(stage: Stage, round_trip: float = 0.2) -> Iterator[Work]:
    """A large file from a host that is far away."""
    size = (100 if stage.full else 20) * MB
    with (
        stage.fleet(1) as hosts,
        _place(stage) as there,
        Distance((hosts.addresses[0], hosts.port), round_trip, ADDRESS) as relay,
    ):
        write_far(stage, hosts, relay)
        (there / "data").write_bytes(os.urandom(size))
        (there / "data").chmod(0o644)
        out = stage.folder / "fetched"
        ours = [*FAR, "get", f"{THERE}/data", "fetched/", "-h", "far"]
        plain = ["python", "with_paramiko.py", ADDRESS, str(relay.port), hosts.account.name, KEY]
        plain += [f"{THERE}/data", "fetched/data"]

        def before() -> None:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()

        what = f"get {size // MB} MB, {round_trip * 1000:.0f} ms away"
        yield Work(
            what,
            (
                _copies(stage, "hostshell", ours, before, size=size),
                _copies(stage, "paramiko's get", plain, before, size=size, rounds=1),
            ),
            (Bar(f"{what}, wall, against paramiko", "hostshell", "wall", 1 / 3, "s", ("paramiko's get",)),),
            {"wall": "s", "cpu": "s", "rate": "MB/s"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            chart=("wall",),
            notes=("Through the same relay; start, login and their round trips count for both.",),
        )
        shutil.rmtree(out, ignore_errors=True)


@contextlib.contextmanager
def get_sparse(stage: Stage) -> Iterator[Work]:
    """The memory of the client for a huge file, beside that for a tenth of it."""
    huge = (10_000 if stage.full else 500) * MB
    with stage.fleet(1) as hosts, _place(stage) as there:
        out = stage.folder / "fetched"
        for name, size in (("huge", huge), ("small", huge // 10)):
            (there / name).touch(mode=0o644)
            os.truncate(there / name, size)

        def of(name: str, size: int) -> Contestant:
            words = [*OURS, "get", f"{THERE}/{name}", "fetched/", "-h", hosts.names[0]]

            def once() -> Sample:
                shutil.rmtree(out, ignore_errors=True)
                cost = stage.cost(words, limit=900.0, look_every=LOOK_EVERY)
                shutil.rmtree(out, ignore_errors=True)
                return {"wall": cost.wall, "memory": cost.pss / MB, "rate": size / cost.wall / MB}

            return Contestant(f"{size / 1e9:g} GB", shlex.join(words), once)

        large, small = of("huge", huge), of("small", huge // 10)
        yield Work(
            f"get a sparse file of {huge / 1e9:g} GB",
            (large, small),
            (Bar(f"memory for {large.name}, against {small.name}", large.name, "memory", 1.25, "MB", (small.name,)),),
            {"wall": "s", "memory": "MB", "rate": "MB/s"},
            rounds=1,
            warm_up=False,
            notes=(
                "memory: the largest sum of proportional set sizes over the client's tree of processes, looked at "
                f"every {LOOK_EVERY} s.",
            ),
        )
