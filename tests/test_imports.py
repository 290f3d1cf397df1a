"""Who may import whom: the contracts in pyproject.toml, and what really is loaded when a process starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_import_contracts_hold() -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def loaded_by(module: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after importing ``module``."""
    show = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def of_packages(modules: set[str], packages: list[str]) -> list[str]:
    return sorted(name for name in modules for package in packages if name == package or name.startswith(f"{package}."))


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        # One worker a core starts with every launch: it must not pay for what only the screen needs.
        ("hostshell.engine.worker", ["prompt_toolkit", "rich", "asyncssh", "hostshell.shell", "hostshell.demo"]),
        # `--help`, `--version` and usage errors answer before anything heavy is loaded.
        ("hostshell.__main__", ["paramiko", "prompt_toolkit", "rich", "asyncssh"]),
        ("hostshell", ["paramiko", "prompt_toolkit", "rich", "asyncssh"]),
    ],
)
def test_a_process_starts_without_what_it_does_not_need(module: str, heavy: list[str]) -> None:
    assert of_packages(loaded_by(module), heavy) == []
