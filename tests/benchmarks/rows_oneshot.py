"""One command on one host, from the command line: against ssh."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.benchmarks import findings
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Work


@contextlib.contextmanager
def one_shot(stage: Stage) -> Iterator[Work]:
    """`true` on one host, both ways of giving the command."""
    with stage.fleet(1) as hosts:
        ours = ["hostshell", "-i", "hosts.ini", "--known-hosts", "known_hosts"]
        host = hosts.names[0]
        ssh = ["ssh", *hosts.ssh_options()]
        yield Work(
            "one-shot `true` on one host",
            (
                stage.command("hostshell -c", [*ours, "-c", f"batch_run -h {host} -cmd true"]),
                stage.command("hostshell, words", [*ours, "batch_run", "-h", host, "-cmd", "true"]),
                stage.command("ssh", [*ssh, hosts.addresses[0], "true"]),
            ),
            (
                Bar("one-shot `true` with -c, against ssh", "hostshell -c", "wall", 2.2, "s", ("ssh",)),
                Bar("one-shot `true` as words, against ssh", "hostshell, words", "wall", 2.2, "s", ("ssh",)),
            ),
            {"wall": "s", "cpu": "s"},
            rounds=stage.rounds(7, 15),
            chart=("wall",),
            notes=(
                "wall is until the command itself has ended; cpu is user + system of its whole tree of processes.",
                findings.ONE_SHOT,
            ),
        )
