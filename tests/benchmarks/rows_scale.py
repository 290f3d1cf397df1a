"""A thousand hosts: what each costs, cold and warm, and what their connections cost while nothing happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tests.benchmarks import tree
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.kept import Prompt
from tests.benchmarks.rows_hosts import OURS
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work, percentile

FEW = 100
FANOUT = 100
SETTLE = 2.0  # seconds after a command before idle begins
GONE = 30.0  # seconds that servers may take to notice that a client has gone


def _line(hosts: Fleet, count: int) -> str:
    return f"batch_run -h n[{hosts.names[0][1:]}-{hosts.names[count - 1][1:]}] -f {min(count, FANOUT)} -cmd true"


def _memory(pid: int) -> int:
    return sum(tree.pss(member) for member in tree.members(pid))


def _until_gone(hosts: Fleet) -> None:
    """The servers' ends of closed connections weigh on whoever comes next."""
    deadline = time.monotonic() + GONE
    while hosts.connections() and time.monotonic() < deadline:
        time.sleep(0.1)


def _session(stage: Stage, hosts: Fleet, count: int, warm_turns: int) -> Sample:
    """A prompt's first command on so many hosts, and some after it; a host's share of each."""
    with Prompt(stage, OURS) as prompt:
        line, says = _line(hosts, count), f"{count} ok"
        before = tree.cpu_seconds(prompt.pid)
        cold = prompt.turn(line, says)
        between = tree.cpu_seconds(prompt.pid)
        warm = percentile((prompt.turn(line, says) for _ in range(warm_turns)), 0.5)
        after = tree.cpu_seconds(prompt.pid)
    _until_gone(hosts)
    return {
        "cold": cold / count * 1000,
        "cold cpu": (between - before) / count * 1000,
        "warm": warm / count * 1000,
        "warm cpu": (after - between) / warm_turns / count * 1000,
        "whole cold": cold,
        "whole warm": warm,
    }


@contextlib.contextmanager
def scale(stage: Stage) -> Iterator[Work]:
    """Many hosts against a hundred: what one host costs."""
    many = 1000 if stage.full else 200
    with stage.fleet(many) as hosts:
        few_name, many_name = f"{FEW} hosts", f"{many:,} hosts"
        few_turns, many_turns = stage.rounds(10, 20), stage.rounds(3, 5)

        def told(count: int) -> str:
            return f"{' '.join(OURS)}    # at a terminal, {_line(hosts, count)}"

        yield Work(
            f"{many:,} hosts in one command, cold then warm",
            (
                Contestant(few_name, told(FEW), lambda: _session(stage, hosts, FEW, few_turns)),
                Contestant(many_name, told(many), lambda: _session(stage, hosts, many, many_turns)),
            ),
            tuple(
                Bar(f"{many:,} hosts, {what}, against {FEW} hosts", many_name, measure, 1.3, "ms", (few_name,))
                for measure, what in (
                    ("cold", "wall a host, cold"),
                    ("warm", "wall a host, warm"),
                    ("cold cpu", "client CPU a host, cold"),
                    ("warm cpu", "client CPU a host, warm"),
                )
            ),
            {"cold": "ms", "warm": "ms", "cold cpu": "ms", "warm cpu": "ms", "whole cold": "s", "whole warm": "s"},
            rounds=stage.rounds(1, 2),
            warm_up=False,
            notes=(
                f"A host's share of the wall time and of the client's CPU, with a fan-out of {FANOUT} in both. A host "
                "that failed would end the benchmark. Servers run on the same cores.",
                *stage.reduced("rounds, and 200 hosts in place of 1,000"),
            ),
        )


@contextlib.contextmanager
def idle(stage: Stage) -> Iterator[Work]:
    """Connections that are kept and not used."""
    many = 1000 if stage.full else 200
    seconds = 30.0 if stage.full else 4.0
    with stage.fleet(many) as hosts:

        def once() -> Sample:
            with Prompt(stage, OURS) as prompt:
                prompt.turn(_line(hosts, 2), "2 ok")  # the workers have loaded all that they need
                pool = _memory(prompt.pid)
                cold = prompt.turn(_line(hosts, many), f"{many} ok")
                time.sleep(SETTLE)
                before = hosts.connections()
                spent = tree.cpu_seconds(prompt.pid)
                time.sleep(seconds)
                spent = tree.cpu_seconds(prompt.pid) - spent
                held = _memory(prompt.pid)
                after = hosts.connections()
                warm = prompt.turn(_line(hosts, many), f"{many} ok")
            _until_gone(hosts)
            return {
                "cpu": spent / seconds * 100,
                "memory": (held - pool) / (many - 2) / 1000,
                "before": before,
                "after": after,
                "missing": many - min(before, after),
                "cold": cold,
                "next": warm,
            }

        yield Work(
            f"{many:,} connections that are idle",
            (
                Contestant(
                    "hostshell", f"{' '.join(OURS)}    # at a terminal, {_line(hosts, many)}, then nothing", once
                ),
            ),
            (
                Bar(f"{many:,} idle connections, share of a core", "hostshell", "cpu", 1.0, "%"),
                Bar(
                    f"{many:,} idle connections, memory of each above the idle pool", "hostshell", "memory", 150.0, "KB"
                ),
                Bar(f"{many:,} idle connections, of which the servers miss", "hostshell", "missing", 0.0, "number"),
            ),
            {
                "cpu": "%",
                "memory": "KB",
                "before": "number",
                "after": "number",
                "missing": "number",
                "cold": "s",
                "next": "s",
            },
            rounds=1,
            warm_up=False,
            notes=(
                f"cpu: of all our processes, over {seconds:g} s in which nothing happens. memory: the sum of the "
                "proportional set sizes of all our processes, less the same when two hosts were connected, by "
                "connection. before and after: connections that the servers' kernel has at the beginning and the end "
                "of that time. next: the command after it, which is warm, on all hosts; cold: the one before.",
                *stage.reduced("time, and 200 connections in place of 1,000"),
            ),
        )
