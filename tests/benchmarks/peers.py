"""The others: an environment of their own, what is in it, and why somebody is not.

They are installed by the ordinary clients of the registries (pip; apt-get where we are root). hostshell itself never
imports or calls one of them. Must not know what they are measured at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".benchmarks" / "peers"
SCRIPTS = Path(__file__).parent / "scripts"
LINK = "peers"  # the environment's name in the stage's folder, so that commands tell no path of this machine
PATIENCE = 300.0  # seconds for one installation
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Way:
    """A way to get a peer with pip or apt. ``words`` begin its command line; ``check`` tells its version."""

    installer: str
    package: str
    words: tuple[str, ...]
    check: tuple[str, ...]


def _program(installer: str, package: str, program: str, *check: str) -> Way:
    words = (program if installer == "apt" else f"{LINK}/bin/{program}",)
    return Way(installer, package, words, (*words, *check))


def _library(package: str, script: str, imports: str) -> Way:
    python = f"{LINK}/bin/python"
    code = f"import {imports}; from importlib.metadata import version; print(version('{package}'))"
    return Way("pip", package, (python, script), (python, "-c", code))


PEERS: dict[str, tuple[Way, ...]] = {
    "pdsh": (_program("apt", "pdsh", "pdsh", "-V"),),
    "clush": (_program("pip", "clustershell", "clush", "--version"),),
    "pssh": (
        _program("pip", "pssh", "pssh", "--version"),
        _program("apt", "pssh", "parallel-ssh", "--version"),  # what Debian calls it
    ),
    "parallel-ssh": (_library("parallel-ssh", "with_parallel_ssh.py", "pssh.clients"),),
    "asyncssh": (_library("asyncssh", "with_asyncssh.py", "asyncssh"),),
    "Fabric": (_library("fabric", "with_fabric.py", "fabric"),),
    "ansible": (_program("pip", "ansible-core", "ansible", "--version"),),
}


@dataclass(frozen=True)
class Peers:
    """Who is here, with the words that begin a command line and the version, and who is not, with the reason."""

    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.words


class CannotInstall(Exception):
    """The reason, in a few words."""


def gathered(
    ways: dict[str, tuple[Way, ...]],
    version_of: Callable[[Way], str],
    install: Callable[[Way], None],
    say: Callable[[str], None],
) -> Peers:
    """Find every peer: by the first of its ways that starts, else by the first that does once it is installed.

    ``version_of`` and ``install`` raise `CannotInstall`; the reasons of all ways of a peer that is not to be had are
    kept.
    """
    peers = Peers()
    for name, its_ways in ways.items():
        reasons = []
        for installing, way in [(False, way) for way in its_ways] + [(True, way) for way in its_ways]:
            try:
                if installing:
                    say(f"installing {way.package} with {way.installer}")
                    install(way)
                peers.versions[name] = version_of(way)
                peers.words[name] = way.words
                break
            except CannotInstall as reason:
                if installing:
                    reasons.append(f"{way.package} ({way.installer}): {reason}")
        else:
            peers.absent[name] = "; ".join(reasons)
    return peers


def made(folder: Path, say: Callable[[str], None], ways: dict[str, tuple[Way, ...]] = PEERS) -> Peers:
    """Make the environment if it is not there, get the peers into it, and lay it and the scripts into ``folder``."""
    try:
        _make_environment(say)
        (folder / LINK).symlink_to(ENVIRONMENT)
    except (OSError, subprocess.SubprocessError) as error:
        return Peers(absent=dict.fromkeys(ways, f"no environment for it: {error}"))
    for script in SCRIPTS.glob("with_*.py"):
        shutil.copy(script, folder)
    return gathered(ways, lambda way: _version_of(way, folder), _install, say)


def _make_environment(say: Callable[[str], None]) -> None:
    python = ENVIRONMENT / "bin" / "python"
    if python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    say("making an environment for the peers")
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True, capture_output=True)


def _version_of(way: Way, folder: Path) -> str:
    try:
        found = subprocess.run(way.check, cwd=folder, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise CannotInstall("not installed") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotInstall(f"does not start: {error}") from None
    if found.returncode != 0:
        raise CannotInstall(f"does not start: {last_line(found.stderr)}")
    version = _VERSION.search(found.stdout + found.stderr)
    return version[0] if version else "unknown"


def _install(way: Way) -> None:
    if way.installer == "pip":
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "install", "--retries", "1", "--timeout", "20", way.package])
        return
    if shutil.which("apt-get") is None:
        raise CannotInstall("not installed, and there is no apt-get here")
    if os.geteuid() != 0:
        raise CannotInstall("not installed, and apt-get wants root")
    apt = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", way.package]
    try:
        _run(apt)
    except CannotInstall:
        _run(["apt-get", "update", "--quiet"])
        _run(apt)


def _run(words: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotInstall(f"cannot be installed: {error}") from None
    if done.returncode != 0:
        raise CannotInstall(f"cannot be installed: {last_line(done.stderr)}")


def last_line(text: str) -> str:
    """The last line that says something, in at most 200 characters and without paths."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    return re.sub(r"(?<![\w.])/[^\s'\"]+/", "", lines[-1])[:200]
