"""Hosts that print as fast as they can: memory of all our processes, and whether every byte arrives."""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
from collections.abc import Iterator

from tests.benchmarks.stage import MIB, Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work

HOSTS = 4
LOOK_EVERY = 0.1  # seconds
LIMIT = 900.0  # seconds


@contextlib.contextmanager
def flood(stage: Stage) -> Iterator[Work]:
    """`yes` on four hosts into a reader that counts. Without names before the lines, so that the count is exact."""
    each, size = (2048 * MIB, "2G") if stage.full else (128 * MIB, "128M")
    with stage.fleet(HOSTS):
        words = ["hostshell", "-i", "hosts.ini", "--known-hosts", "known_hosts"]
        words += ["batch_run", "-a", "-N", "-cmd", f"yes | head -c {size}"]
        yield Work(
            f"`yes | head -c {size}` on four hosts",
            (Contestant("hostshell", f"{shlex.join(words)}    # into a pipe", lambda: _once(stage, words, each)),),
            (
                Bar("memory of all processes under a flood, in sum (PSS)", "hostshell", "pss", 400.0, "MB"),
                Bar("bytes that did not arrive, or came twice", "hostshell", "astray", 0.0, "bytes"),
            ),
            {"pss": "MB", "bound": "MB", "astray": "bytes", "wall": "s", "cpu": "s", "rate": "MB/s"},
            rounds=1,
            warm_up=False,
            notes=(
                f"{size} is {each:,} bytes a host, {HOSTS * each:,} in all, counted by the reader of the pipe. -N "
                "prints lines without the hosts' names, so what arrives is what the hosts sent.",
                "pss: the highest sum of proportional set sizes over the whole tree of processes, looked at every "
                f"{LOOK_EVERY:g} s. bound: the sum of the largest resident set that each process ever had, as "
                "the kernel keeps it; no peak between two looks can be higher (shared pages count each time).",
                *stage.reduced("128M in place of 2G"),
            ),
        )


def _once(stage: Stage, words: list[str], each: int) -> Sample:
    out, into = os.pipe()
    counted = [0]

    def count() -> None:
        while piece := os.read(out, MIB):
            counted[0] += len(piece)

    reader = threading.Thread(target=count)
    reader.start()
    try:
        cost = stage.cost(words, stdout=into, look_every=LOOK_EVERY, limit=LIMIT)
    finally:
        os.close(into)
        reader.join()
        os.close(out)
    astray = abs(counted[0] - HOSTS * each)
    return {
        "pss": cost.pss / 1e6,
        "bound": cost.bound / 1e6,
        "astray": float(astray),
        "wall": cost.wall,
        "cpu": cost.cpu,
        "rate": counted[0] / 1e6 / cost.wall,
    }
