"""The folder of the forkserver's socket, which a hostshell that was killed outright leaves: removed by whoever is left.

Its workers do it, and the forkserver, which may be all that there was yet. Must not import anything of ours: the
forkserver loads it first.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import time

FOLDER = "_HOSTSHELL_FOLDER"  # in the forkserver's environment


def remove(folder: str) -> None:
    """Remove ``folder`` if the process that held it is gone; it may be just going, hence the patience."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for _ in range(50):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.02)
                continue
            shutil.rmtree(folder, ignore_errors=True)
            return
    finally:
        os.close(descriptor)


if FOLDER in os.environ:  # this is the forkserver, which ends when its last user does; workers leave without this
    atexit.register(remove, os.environ.pop(FOLDER))
