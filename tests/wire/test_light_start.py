"""What a one-shot call loads: the way from argv to the exit code on a real host goes without the prompt's libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.six_hosts import SixHosts

PATIENCE = 60.0  # seconds for a process to end; far more than it takes
HEAVY = ("prompt_toolkit", "rich", "asyncssh", "pygments", "yaml")
UNWANTED = "importlib.metadata"  # with all that it loads: see hostshell/ssh/__init__.py
_IMPORTED = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [["-c", "batch_run -h h1 -cmd true"], ["batch_run", "-h", "h1", "-cmd", "true"], ["--json", "ping", "-h", "h1"]],
)
def test_a_one_shot_call_loads_no_prompt(six_hosts: SixHosts, clean_home: Path, words: list[str]) -> None:
    base = ["-i", str(six_hosts.hosts_ini), "--known-hosts", str(six_hosts.known_hosts)]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hostshell", *base, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    packages = {name.partition(".")[0] for name in _IMPORTED.findall(done.stderr)}
    assert "hostshell" in packages
    assert "paramiko" in packages  # the helpers of this call tell as well what they load
    assert not packages & set(HEAVY)
    assert UNWANTED not in _IMPORTED.findall(done.stderr)
