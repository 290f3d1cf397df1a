"""The demo fleet's folder: made private, held while its server lives, removed whole, and swept when it was left behind.

Must not know SSH, nor what is in the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

PREFIX = "hostshell-demo-"
# The file whose lock says that the fleet lives: the system drops the lock with its last holder, after SIGKILL too, and
# no process number can be mistaken for another.
HOLD = "held"
UNCLAIMED = 3600.0  # seconds that a folder without that file may be one that is just being made
REMOVE_TRIES = 20  # a killed command may still write for a moment
REMOVE_PAUSE = 0.1  # seconds between tries


def make() -> tuple[str, int]:
    """Make a new folder (0700) in the system's temporary folder; its real path, and a descriptor that holds it.

    Close the descriptor when the folder has another holder. Raises `OSError`.
    """
    # the real path: the hosts' shells show it, and SFTP must name the same one
    root = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    try:
        # held first, named second: nobody ever finds the file without its lock
        unnamed = root / f"{HOLD}.new"
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        unnamed.rename(root / HOLD)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    return str(root), descriptor


def hold(root: str) -> int:
    """Hold ``root`` too, until the returned descriptor is closed. Raises `OSError` when it is gone or being removed."""
    descriptor = os.open(Path(root, HOLD), os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def remove(root: str) -> bool:
    """Remove ``root`` and all in it, following no link; True when nothing is left."""
    for attempt in range(REMOVE_TRIES):
        if attempt:
            time.sleep(REMOVE_PAUSE)
        _open_up(root)
        shutil.rmtree(root, ignore_errors=True)
        if not os.path.lexists(root):
            return True
    return False


def sweep() -> list[str]:
    """Remove the folders of this user's fleets that ended without doing so themselves; the paths that were removed.

    Touches only real directories that belong to this user, that nobody else may enter, and that nobody holds.
    """
    swept: list[str] = []
    place = tempfile.gettempdir()
    try:
        with os.scandir(place) as entries:
            found = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return swept
    for path in found:
        with contextlib.suppress(OSError), _Abandoned(path) as abandoned:
            if abandoned and remove(path):
                swept.append(path)
    return swept


class _Abandoned:
    """True inside the ``with`` when ``path`` is ours and nobody's; no other sweep takes it meanwhile."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: list[int] = []

    def __enter__(self) -> bool:
        try:
            return self._look()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        while self._open:
            os.close(self._open.pop())

    def _look(self) -> bool:
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._open.append(folder)
        facts = os.fstat(folder)
        if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            return False
        try:
            held = os.open(HOLD, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            return time.time() - facts.st_mtime > UNCLAIMED
        self._open.append(held)
        if not stat.S_ISREG(os.fstat(held).st_mode):
            return False
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError: somebody holds it
        return True


def _open_up(root: str) -> None:
    """Give ourselves back the directories that a command has closed (``chmod 000``), or they cannot be emptied."""
    for path, directories, _ in os.walk(root):
        for name in directories:
            inner = Path(path, name)
            with contextlib.suppress(OSError):
                mode = inner.lstat().st_mode
                if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                    inner.chmod(0o700)
