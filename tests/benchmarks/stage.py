"""What every work needs: a folder with a key, an account, a clean environment, and how large the works are to be.

Commands run in the folder, so that what is printed (``-i hosts.ini``) is what ran, and says nothing about this machine.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.benchmarks import fleet, peers
from tests.benchmarks.witness import Cost, witness
from tests.benchmarks.work import Contestant, Sample
from tests.support.accounts import Account, made_accounts
from tests.support.keys import Key, make_key

MIB = 1024 * 1024
# what of the surroundings would change an answer or a figure
_KEPT = ("PATH", "TMPDIR")


@dataclass(frozen=True)
class Stage:
    """``full`` chooses sizes and rounds. Words that contestants run find this interpreter's programs first in PATH.

    ``peers`` says who else is here.
    """

    folder: Path
    account: Account
    key: Key
    environment: dict[str, str]
    full: bool
    peers: peers.Peers = field(default_factory=peers.Peers)

    def rounds(self, quick: int, full: int) -> int:
        """So many rounds."""
        return full if self.full else quick

    def reduced(self, what: str) -> tuple[str, ...]:
        """The note about what is smaller in the quick form."""
        return () if self.full else (f"Reduced in this form: {what}.",)

    @contextlib.contextmanager
    def fleet(self, hosts: int, folders: Sequence[Path] = ()) -> Iterator[fleet.Fleet]:
        """Hosts on this stage, with their files in its folder. ``folders`` as `fleet.started` takes them."""
        with fleet.started(self.folder, self.account, self.key, hosts, folders) as made:
            yield made

    def cost(self, words: Sequence[str], *, code: int = 0, stdout: int | IO[Any] | None = None, **more: float) -> Cost:
        """What a command costs; what it says on standard error is shown if its exit code is not ``code``.

        ``more`` as `witness` takes it.
        """
        with tempfile.TemporaryFile() as errors:
            found = witness(
                words,
                cwd=self.folder,
                environment=self.environment,
                stdout=subprocess.DEVNULL if stdout is None else stdout,
                stderr=errors,
                **more,
            )
            if found.code != code:
                errors.seek(0)
                said = errors.read()[-2000:].decode(errors="replace")
                raise RuntimeError(f"`{shlex.join(words)}` ended with {found.code}, not {code}: {said}")
        return found

    def command(self, name: str, words: Sequence[str], *, rounds: int = 0, peer: bool = False) -> Contestant:
        """A contestant that runs a command to its end: measures ``wall`` and ``cpu``, in seconds."""

        def once() -> Sample:
            cost = self.cost(words)
            return {"wall": cost.wall, "cpu": cost.cpu}

        return Contestant(name, shlex.join(words), once, rounds, peer)


@contextlib.contextmanager
def built(full: bool, say: Callable[[str], None]) -> Iterator[Stage]:
    """A stage; at its end nothing of it is left."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    missing = [program for program in ("hostshell", "python", "ssh") if shutil.which(program, path=path) is None]
    if missing:
        raise RuntimeError(f"not installed here: {', '.join(missing)}; `make bench` does that")
    say("making accounts, keys and a folder")
    with made_accounts() as accounts, tempfile.TemporaryDirectory(prefix="hs-bench-") as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir(mode=0o700)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {
            "PATH": path,
            "HOME": str(home),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
        }
        key = make_key(folder / fleet.KEY)
        yield Stage(folder, accounts[0], key, environment, full, peers.made(folder, say))
