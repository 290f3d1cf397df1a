"""Installs hostshell as a stranger would: from a copy without git, into an environment that has nothing else.

Run by `make package-check`. Must not import hostshell itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_PART = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")


def main() -> None:
    """Copy, install, and ask the installed program for its version and its help from another folder."""
    with tempfile.TemporaryDirectory(prefix="hostshell-package-") as scratch:
        copy, venv, elsewhere = (Path(scratch, name) for name in ("copy", "venv", "elsewhere"))
        shutil.copytree(ROOT, copy, ignore=NOT_PART)
        elsewhere.mkdir()
        run(scratch, sys.executable, "-m", "venv", str(venv))
        python = str(venv / "bin/python")
        run(scratch, python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", str(copy))
        shutil.rmtree(copy)  # what is installed has to stand alone
        run(elsewhere, str(venv / "bin/hostshell"), "--version")
        run(elsewhere, python, "-m", "hostshell", "--help")
        here = (
            "import pathlib, hostshell; print(pathlib.Path(hostshell.__file__).parent.joinpath('py.typed').is_file())"
        )
        if run(elsewhere, python, "-c", here).strip() != "True":
            sys.exit("package-check: hostshell/py.typed is missing from the installed package")
        run(elsewhere, python, "-c", "import tests", expect=1)  # ours are no part of what is installed


def run(folder: Path | str, *command: str, expect: int = 0) -> str:
    """Run in ``folder`` with nothing of ours in the environment; another exit code than ``expect`` ends it all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HOSTSHELL_"))}
    print("+", *command, flush=True)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != expect:
        sys.exit(f"{done.stdout}{done.stderr}package-check: {' '.join(command)} gave exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
