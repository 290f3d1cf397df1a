"""Copies of large files: to one host, from one, to eight, far away, and a huge sparse one.

Whole commands, from the start of a program to its end. What a run has made is removed before the next one, untimed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence

from tests.benchmarks import findings
from tests.benchmarks.copies import FAR, MB, THERE, copies, emptied, place, scp_words
from tests.benchmarks.distance import Distance
from tests.benchmarks.fleet import KEY
from tests.benchmarks.rows_distance import ADDRESS, write_far
from tests.benchmarks.rows_hosts import OURS, node_set
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work, without_absent

FAN = 8  # hosts
LOOK_EVERY = 0.1  # seconds between two looks at the memory


# --- one large file ---


@contextlib.contextmanager
def put_large(stage: Stage) -> Iterator[Work]:
    """One large file to one host."""
    size = 200 * MB
    with stage.fleet(1) as hosts, place(stage) as there:
        (stage.folder / "data").write_bytes(os.urandom(size))
        login = f"{hosts.account.name}@{hosts.addresses[0]}"
        ours = [*OURS, "put", "data", f"{THERE}/", "-a"]
        scp = [*scp_words(hosts), "data", f"{login}:{THERE}/"]
        yield _large(stage, "put", size, ours, scp, lambda: emptied(there))
        (stage.folder / "data").unlink()


@contextlib.contextmanager
def get_large(stage: Stage) -> Iterator[Work]:
    """One large file from one host."""
    size = 200 * MB
    with stage.fleet(1) as hosts, place(stage) as there:
        (there / "data").write_bytes(os.urandom(size))
        (there / "data").chmod(0o644)
        out = stage.folder / "fetched"
        login = f"{hosts.account.name}@{hosts.addresses[0]}"
        ours = [*OURS, "get", f"{THERE}/data", "fetched/", "-a"]
        scp = [*scp_words(hosts), f"{login}:{THERE}/data", "fetched/"]

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
            copies(stage, "hostshell", ours, before, size=size),
            copies(stage, "scp", scp, before, size=size),
        ),
        (
            Bar(f"{action} {size // MB} MB, wall, against scp", "hostshell", "wall", 1 / 0.9, "s", ("scp",)),
            *([cpu] if action == "put" else []),
        ),
        {"wall": "s", "cpu": "s", "rate": "MB/s"},
        rounds=stage.rounds(2, 3),
        warm_up=stage.full,
        chart=("wall",),
        notes=(
            "1.11 × of scp's wall time is 0.9 × of its rate. cpu is the client's whole tree of processes.",
            *(findings.PUT_LARGE if action == "put" else findings.GET_LARGE),
        ),
    )


# --- one file, many hosts ---


@contextlib.contextmanager
def put_fan(stage: Stage) -> Iterator[Work]:
    """One file to eight hosts."""
    size = (50 if stage.full else 10) * MB
    with place(stage) as there:
        folders = [there / str(number) for number in range(1, FAN + 1)]
        for folder in folders:
            folder.mkdir()
            os.chown(folder, stage.account.uid, there.stat().st_gid)

        def before() -> None:
            for folder in folders:
                emptied(folder)

        with stage.fleet(FAN, folders) as hosts:
            (stage.folder / "data").write_bytes(os.urandom(size))
            ours = [*OURS, "put", "data", "./", "-a"]
            options = [*hosts.ssh_options()[:-4], "-o", f"Port={hosts.port}", "-o", f"User={hosts.account.name}"]

            def checked(name: str, words: Sequence[str]) -> Contestant:
                made = copies(stage, name, words, before, size=size * FAN)

                def once() -> Sample:
                    sample = made.once()
                    if any((folder / "data").stat().st_size != size for folder in folders):
                        raise RuntimeError(f"{name} did not copy to each of {FAN} hosts")
                    return sample

                return Contestant(name, made.command, once, peer=made.peer)

            def clush() -> Contestant | None:
                if "clush" not in stage.peers:
                    return None
                words = [*stage.peers.words["clush"], "-S", "-q", "-f", str(FAN), "-o", shlex.join(options)]
                words += ["-w", node_set(hosts.addresses), "--copy", "data", "--dest", "./"]
                return checked("clush --copy", words)

            yield Work(
                f"put {size // MB} MB to {FAN} hosts",
                without_absent([checked("hostshell", ours), clush()]),
                (Bar(f"put {size // MB} MB to {FAN} hosts, wall", "hostshell", "wall", 1.0, "s", ("clush --copy",)),),
                {"wall": "s", "cpu": "s", "rate": "MB/s"},
                rounds=stage.rounds(1, 3),
                warm_up=False,
                chart=("wall",),
                absent=("clush --copy",),
                notes=(
                    "rate: of all hosts together. All hosts are this machine; SFTP begins in a folder of its own on "
                    "each, so that both write a file for each host.",
                    *stage.reduced("10 MB in place of 50"),
                ),
            )
            (stage.folder / "data").unlink()


# --- far away, and huge ---


@contextlib.contextmanager
def get_far(stage: Stage, round_trip: float = 0.2) -> Iterator[Work]:
    """A large file from a host that is far away."""
    size = (100 if stage.full else 20) * MB
    with (
        stage.fleet(1) as hosts,
        place(stage) as there,
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
        bar = Bar(f"{what}, wall, against paramiko", "hostshell", "wall", 1 / 3, "s", ("paramiko's get",))
        yield Work(
            what,
            (
                copies(stage, "hostshell", ours, before, size=size),
                copies(stage, "paramiko's get", plain, before, size=size, rounds=1),
            ),
            (bar,) if stage.full else (),
            {"wall": "s", "cpu": "s", "rate": "MB/s"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            chart=("wall",),
            notes=(
                "Through the same relay; start, login and their round trips count for both.",
                *stage.reduced("20 MB in place of 100, so start and login are most of ours, and no bar is held"),
            ),
        )
        shutil.rmtree(out, ignore_errors=True)


@contextlib.contextmanager
def get_sparse(stage: Stage) -> Iterator[Work]:
    """The memory of the client for a huge file, beside that for a tenth of it."""
    huge = (10_000 if stage.full else 500) * MB
    with stage.fleet(1) as hosts, place(stage) as there:
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
        bar = Bar(f"memory for {large.name}, against {small.name}", large.name, "memory", 1.25, "MB", (small.name,))
        yield Work(
            f"get a sparse file of {huge / 1e9:g} GB",
            (large, small),
            (bar,) if stage.full else (),
            {"wall": "s", "memory": "MB", "rate": "MB/s"},
            rounds=1,
            warm_up=False,
            notes=(
                "memory: the largest sum of proportional set sizes over the client's tree of processes, looked at "
                f"every {LOOK_EVERY} s.",
                *stage.reduced("0.5 GB in place of 10, too little to fill every buffer, so no bar is held"),
            ),
        )
