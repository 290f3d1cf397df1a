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


def others_busy(seconds: float = 1.0) -> float:
    """The share of all cores (0 to 1) in use during the next ``seconds``, in which the caller does nothing."""

    def spent() -> tuple[int, int]:
        numbers = [int(word) for word in _text("/proc/stat").split("\n", 1)[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]  # all; idle and waiting for a disk (proc(5))

    all_before, idle_before = spent()
    time.sleep(seconds)
    all_after, idle_after = spent()
    passed = all_after - all_before
    return 1 - (idle_after - idle_before) / passed if passed else 0.0


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
