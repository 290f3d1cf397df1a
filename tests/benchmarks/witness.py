"""Runs one command and says what it and every process that came of it cost: ``witness(...)``, or as a program.

The command runs below a process of its own, which Linux makes the parent of every orphan below it
(PR_SET_CHILD_SUBREAPER, prctl(2)), and which waits for all of them. The kernel adds a process's time to that of whoever
waits for it, so in the end getrusage(RUSAGE_CHILDREN) of that process is the user + system time of the whole tree:
forkserver, workers, and what went into the background. Nothing is sampled; what runs below somebody else (a server)
does not count. Only a child whose parent ignores SIGCHLD is lost (wait(2)); none of ours does.
Must not know what the command is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_GRACE = 10.0  # seconds beyond the limits for the witness itself


@dataclass(frozen=True)
class Cost:
    """What a run cost. ``wall`` is until the command itself ended, ``cpu`` (user + system) is of all of its tree.

    ``pss`` and ``bound`` are the peak of memory in bytes as in `tree.Peak`, 0 where nobody looked; ``code`` is the exit
    code, negative for a signal; ``ended`` counts processes that outlived the command by too long and were ended.
    ``busy`` is the CPU of each process below the command that starts no other, as last looked at, highest first.
    ``cores`` is what all cores together have worked and been idle until the command itself ended, in seconds.
    """

    wall: float
    cpu: float
    pss: int
    bound: int
    code: int
    ended: int
    busy: tuple[float, ...] = ()
    cores: tuple[float, float] = (0.0, 0.0)


def witness(
    words: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    limit: float = 120.0,
    linger: float = 5.0,
    look_every: float = 0.0,
    stdout: int | IO[Any] = subprocess.DEVNULL,
    stderr: int | IO[Any] = subprocess.DEVNULL,
) -> Cost:
    """Run ``words`` to the end and say what they cost.

    After ``limit`` seconds the tree is killed and `TimeoutError` raised. What outlives the command is waited for
    ``linger`` seconds, then ended by its id; its CPU counts. The memory is looked at every ``look_every`` seconds, if
    that is not 0.
    """
    told, tell = os.pipe()
    task = {
        "words": list(words),
        "cwd": str(cwd),
        "environment": dict(environment),
        "limit": limit,
        "linger": linger,
        "look_every": look_every,
        "tell": tell,
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.witness", json.dumps(task)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(tell,),
        )
    finally:
        os.close(tell)
    with os.fdopen(told) as report:
        try:
            said = report.read()
            process.wait(_GRACE)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    answer = json.loads(said) if said else None
    if answer is None:
        raise RuntimeError(f"the witness of `{words[0]}` ended with {process.returncode} and said nothing")
    if answer.pop("late"):
        raise TimeoutError(f"`{' '.join(words)}` took more than {limit:.0f} s")
    return Cost(**answer | {"busy": tuple(answer["busy"]), "cores": tuple(answer["cores"])})


# --- in the process of its own ---


def main() -> None:
    """Do the task in argv and write the answer, as JSON, to the descriptor that it names."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    for number in (signal.SIGTERM, signal.SIGINT):  # a handler, for SIG_IGN would be inherited by the command
        signal.signal(number, _leave)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # nothing of ours outlives the benchmark
    task = json.loads(sys.argv[1])
    answer = _watched(task)
    os.write(task["tell"], json.dumps(answer).encode())


def _leave(_number: int, _frame: object) -> None:
    from tests.support import processes

    processes.end_all(lambda: processes.descendants(os.getpid()))
    os._exit(1)


def _watched(task: dict[str, Any]) -> dict[str, object]:
    from tests.benchmarks import tree
    from tests.benchmarks.machine import cores_spent
    from tests.support import processes

    os.set_inheritable(task["tell"], False)
    us = os.getpid()
    late = threading.Event()
    done = threading.Event()
    peak = tree.Peak()
    busy: dict[int, float] = {}
    parents: set[int] = set()

    def look() -> None:
        while not done.wait(task["look_every"]):
            pids = processes.descendants(us)
            peak.look(pids)
            busy.update((pid, max(busy.get(pid, 0.0), tree.own_cpu_seconds(pid))) for pid in pids)
            parents.update(process.parent for process in processes.processes())

    def give_up() -> None:
        if not done.wait(task["limit"]):
            late.set()
            processes.end_all(lambda: processes.descendants(us))

    threads = [threading.Thread(target=give_up)]
    if task["look_every"]:
        threads.append(threading.Thread(target=look))
    before = cores_spent()
    begun = time.monotonic()
    first = subprocess.Popen(task["words"], cwd=task["cwd"], env=task["environment"])
    for thread in threads:
        thread.start()
    status = os.waitpid(first.pid, 0)[1]
    wall = time.monotonic() - begun
    busy_cores, idle_cores = (after - now for after, now in zip(cores_spent(), before, strict=True))
    first.returncode = os.waitstatus_to_exitcode(status)
    ended = _reap(begun + wall + task["linger"])
    done.set()
    for thread in threads:
        thread.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    highest = tuple(sorted((spent for pid, spent in busy.items() if pid not in parents | {first.pid}), reverse=True))
    cost = Cost(
        wall,
        used.ru_utime + used.ru_stime,
        peak.pss,
        peak.bound,
        first.returncode,
        ended,
        highest,
        (busy_cores, idle_cores),
    )
    return {**asdict(cost), "late": late.is_set()}


def _reap(deadline: float) -> int:
    """Wait for all that is left below us; what is still there at the deadline is ended. How many those were."""
    from tests.support import processes

    ended = 0
    while True:
        with contextlib.suppress(InterruptedError):
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                if time.monotonic() > deadline:
                    left = processes.descendants(os.getpid())
                    ended += len(left)
                    for pid in left:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)


if __name__ == "__main__":
    main()
