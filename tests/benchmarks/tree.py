"""What a tree of processes costs: CPU seconds and memory, read from /proc.

Must not know what runs in it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import processes

TICKS = os.sysconf("SC_CLK_TCK")  # a second, as /proc counts CPU


def members(root: int) -> set[int]:
    """``root`` and all that descends from it and runs now."""
    return {root} | processes.descendants(root)


def cpu_seconds(root: int) -> float:
    """User + system time of the tree at ``root`` until now, with what its members have waited for.

    For the time between two moments in the life of a program that stays, such as a prompt: the difference of two calls.
    It is right only if nobody left the tree between them (a daemon does), and exact to 0.01 s a process. What a whole
    run cost is better told by `witness`, which loses nobody.
    """
    total = 0
    for pid in members(root):
        with contextlib.suppress(OSError):  # it ended while we looked: its parent has its time then
            # what follows the name in brackets: state is the first, utime the twelfth (proc(5))
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            total += sum(int(number) for number in fields[11:15])  # utime stime cutime cstime
    return total / TICKS


def pss(pid: int) -> int:
    """The proportional set size of a process in bytes (a page that n processes share counts 1/n); 0 once it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def highest_rss(pid: int) -> int:
    """The largest resident set that one process ever had, in bytes; the kernel keeps it, so no peak is missed."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass
class Peak:
    """The most memory that a tree was seen to use.

    ``pss`` is the largest sum over all members at one `look`. A look can miss a short peak; ``bound`` cannot be passed:
    the sum over every process ever seen of the largest resident set it ever had (shared pages count each time).
    """

    pss: int = 0
    _highest: dict[int, int] = field(default_factory=dict)

    @property
    def bound(self) -> int:
        """See the class."""
        return sum(self._highest.values())

    def look(self, pids: set[int]) -> None:
        """Look at these processes now."""
        self.pss = max(self.pss, sum(pss(pid) for pid in pids))
        for pid in pids:
            self._highest[pid] = max(self._highest.get(pid, 0), highest_rss(pid))


def own_cpu_seconds(pid: int) -> float:
    """User + system time of one process until now, without what it has waited for; 0 once it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return sum(int(number) for number in fields[11:13]) / TICKS
    return 0.0


def timed(words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command that leaves others in the background; its wall time and CPU, without theirs, in seconds.

    Raises `RuntimeError` with what it said if it fails.
    """
    with tempfile.TemporaryFile() as said:
        begun = time.monotonic()
        process = subprocess.Popen(
            words, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            text = said.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"`{words[0]}` ended with {process.returncode}: {text}")
    return wall, used.ru_utime + used.ru_stime
