"""From a line that a host prints to the terminal, while fifty other hosts of the same job are idle."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from collections.abc import Iterator

from tests.benchmarks.fleet import Fleet
from tests.benchmarks.stage import Stage
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.work import Bar, Contestant, Sample, Work, percentile

IDLE = 50
PAUSE = 0.02  # seconds between two lines
GO = "go"  # the talking host waits for this file in its home: until then the others connect
PATIENCE = 60.0
_STAMP = re.compile(rb"at (\d{19})\r?\n")


def _delays(terminal: Terminal, count: int) -> list[float]:
    """Milliseconds from the stamp of each line to its arrival."""
    delays: list[float] = []
    deadline = time.monotonic() + PATIENCE
    rest = b""
    while len(delays) < count:
        piece, _ = terminal.read(deadline)
        now = time.time_ns()
        *lines, rest = (rest + piece).split(b"\n")
        delays += [(now - int(found[1])) / 1e6 for line in lines if (found := _STAMP.search(line + b"\n"))]
    return delays[:count]


def _sample(delays: list[float]) -> Sample:
    return {"median": percentile(delays, 0.5), "p95": percentile(delays, 0.95), "worst": max(delays)}


@contextlib.contextmanager
def latency(stage: Stage) -> Iterator[Work]:
    """Both contestants draw on a terminal; ssh has the talking host alone and says what the way itself takes."""
    count = stage.rounds(100, 500)
    talk = f"while [ ! -e {GO} ]; do sleep 0.1; done; while :; do echo at $(date +%s%N); sleep {PAUSE}; done"
    with stage.fleet(IDLE + 1) as hosts:
        talker, idle = hosts.names[0], len(hosts.names) - 1
        command = f"case {{host}} in {talker}) {talk};; *) echo idle; exec sleep {PATIENCE:.0f};; esac"
        words = ["hostshell", "-i", "hosts.ini", "--known-hosts", "known_hosts"]
        words += ["batch_run", "-a", "-f", str(idle + 1), "-cmd", command]
        ssh = ["ssh", "-tt", "-F", "none", "-i", "key", "-o", "UserKnownHostsFile=known_hosts", "-p", str(hosts.port)]
        ssh += ["-l", hosts.account.name, hosts.addresses[0], f"stty -opost; {talk}"]
        yield Work(
            "latency of a line, with 50 other hosts idle in the job",
            (
                Contestant("hostshell", shlex.join(words), lambda: _ours(stage, hosts, words, idle, count)),
                Contestant("ssh, this host alone", shlex.join(ssh), lambda: _alone(stage, hosts, ssh, count)),
            ),
            (Bar("a line that a host prints is on the screen, median", "hostshell", "median", 50.0, "ms"),),
            {"median": "ms", "p95": "ms", "worst": "ms"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            notes=(
                f"The host stamps each line with its clock, every {PAUSE * 1000:.0f} ms (`date` stamps before it "
                "prints, so its own end counts too); the reader of the terminal compares with the same clock. "
                f"{count} lines a round, from when all others were idle. Ctrl-C ends the job.",
            ),
        )


@contextlib.contextmanager
def _may_go(hosts: Fleet) -> Iterator[None]:
    flag = hosts.account.home / GO
    flag.touch()
    try:
        yield
    finally:
        flag.unlink()


def _ours(stage: Stage, hosts: Fleet, words: list[str], idle: int, count: int) -> Sample:
    with Terminal(words, cwd=stage.folder, environment=stage.environment) as terminal:
        deadline = time.monotonic() + PATIENCE
        while terminal.raw.count(b"idle\r\n") < idle:
            terminal.read(deadline)
        with _may_go(hosts):
            delays = _delays(terminal, count)
        terminal.leave("\x03")
    return _sample(delays)


def _alone(stage: Stage, hosts: Fleet, words: list[str], count: int) -> Sample:
    with _may_go(hosts), Terminal(words, cwd=stage.folder, environment=stage.environment) as terminal:
        delays = _delays(terminal, count)
    return _sample(delays)
