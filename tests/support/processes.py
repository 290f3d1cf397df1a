"""Processes of this machine: who descends from whom, who carries a mark, and how to end them by pid.

Must not know what runs in them. Reads /proc where there is one, else asks ps.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """One running process. Zombies do not count: they run no more, whoever has still to collect them.

    While a killed process ends, its environment and command line are empty already, and its files and locks are still
    its own: then `carrying` finds it no more, and `running` does.
    """

    pid: int
    parent: int
    uid: int


def processes() -> list[Process]:
    """All processes that run now."""
    return list(_from_proc()) if (PROC / "self/stat").exists() else list(_from_ps())


def _from_proc() -> Iterable[Process]:
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name in brackets may hold blanks and brackets itself: what follows the last one is plain.
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            uid = folder.stat().st_uid
            # its first thread may have ended before the others: these have its files still
            over = state in "ZX" and len(list((folder / "task").iterdir())) <= 1
        except OSError:
            continue  # it ended while we looked
        if not over:
            yield Process(int(folder.name), int(parent), uid)


def _from_ps() -> Iterable[Process]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,uid=,stat="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        pid, parent, uid, state = line.split()
        if not state.startswith("Z"):
            yield Process(int(pid), int(parent), int(uid))


def running() -> set[int]:
    """The pids of all processes that run now (a zombie does not)."""
    return {process.pid for process in processes()}


def is_running(pid: int) -> bool:
    """Whether ``pid`` runs (a zombie does not)."""
    return pid in running()


def descendants(ancestor: int) -> set[int]:
    """The children of ``ancestor``, their children, and so on. An orphan belongs to nobody here: see `carrying`."""
    children: dict[int, list[int]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [ancestor]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def of_user(uid: int) -> set[int]:
    """The processes that run as ``uid``."""
    return {process.pid for process in processes() if process.uid == uid}


def carrying(mark: str) -> set[int]:
    """The processes that were started with ``mark`` (NAME=VALUE) in their environment. None where there is no /proc."""
    wanted = mark.encode()
    found: set[int] = set()
    for process in processes():
        with contextlib.suppress(OSError):
            if wanted in (PROC / str(process.pid) / "environ").read_bytes().split(b"\0"):
                found.add(process.pid)
    return found


def end_all(which: Callable[[], set[int]], patience: float = 10.0) -> None:
    """Kill what ``which`` finds until it finds nothing more (new ones may appear), for at most ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while found := which() - {os.getpid()}:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise AssertionError(f"processes {sorted(found)} survived SIGKILL for {patience:.0f} s")
        time.sleep(0.01)
