"""What the figures were measured on and with. Says nothing by which this machine could be found."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import hostshell
from tests.benchmarks import tree


def machine() -> dict[str, str]:
    """Cores, processor, memory and kernel, by what they are called."""
    model = re.search(r"^model name\s*:\s*(.*)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _text("/proc/meminfo"), re.MULTILINE)
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": model[1].strip() if model else platform.machine(),
        "memory": f"{int(memory[1]) * 1024 / 1e9:.0f} GB" if memory else "unknown",
        "system": f"{platform.system()} {re.match(r'[0-9.]*', platform.release())[0].rstrip('.')}",
    }


def versions() -> dict[str, str]:
    """Versions of what took part."""
    found = {"hostshell": hostshell.__version__, "Python": platform.python_version()}
    found |= {name: version(name) for name in ("paramiko", "cryptography", "prompt_toolkit")}
    ssh = shutil.which("ssh")
    said = subprocess.run([ssh, "-V"], capture_output=True, text=True).stderr if ssh else ""
    openssh = re.match(r"OpenSSH_([^\s,]+)", said)
    found["OpenSSH"] = openssh[1] if openssh else "unknown"
    return found


def cores_spent() -> tuple[float, float]:
    """Seconds that all cores together have worked, and been idle or waiting for a disk, since the machine started.

    As /proc/stat has them (proc(5)), to 0.01 s a core: the difference of two calls is what was done between them.
    """
    numbers = [int(word) for word in _text("/proc/stat").split("\n", 1)[0].split()[1:9]]
    idle = numbers[3] + numbers[4]
    return (sum(numbers) - idle) / tree.TICKS, idle / tree.TICKS


def others_busy(seconds: float = 1.0) -> float:
    """The share of all cores (0 to 1) in use during the next ``seconds``, in which the caller does nothing."""
    busy_before, idle_before = cores_spent()
    time.sleep(seconds)
    busy_after, idle_after = cores_spent()
    busy, idle = busy_after - busy_before, idle_after - idle_before
    return busy / (busy + idle) if busy + idle else 0.0


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
