"""The forkserver as a fork of the program itself, in place of a new interpreter that loads everything anew.

For the command line alone, at its very start, when it has one thread and has opened nothing; a caller of the Python API
may have threads and gets a new interpreter. Must not know workers.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import multiprocessing.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import NoReturn

from hostshell.engine.ourselves import search_path


def may_fork() -> bool:
    """Whether this process may be forked: frameworks of macOS start threads that Python does not know of."""
    return sys.platform == "linux" and threading.active_count() == 1


@contextlib.contextmanager
def in_place_of_a_start(at_end: Callable[[], None]) -> Iterator[None]:
    """In this block what multiprocessing starts as a new interpreter is a fork; ``at_end`` is called when that ends."""
    plain = multiprocessing.util.spawnv_passfds
    path = search_path()  # modules of a stranger's folder are not run, as little as by ``python -I``

    def fork(_path: str, args: Sequence[str], descriptors: Sequence[int]) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or both would write what waits
        pid = os.fork()
        if pid:
            return pid
        _be_helper(args[-1], path, descriptors, at_end)

    multiprocessing.util.spawnv_passfds = fork  # type: ignore[assignment]  # of what it takes, what it gets
    try:
        yield
    finally:
        multiprocessing.util.spawnv_passfds = plain


def no_tracker() -> None:
    """Do without multiprocessing's resource tracker, a process that looks after shared memory: we have none.

    What it would be told goes to /dev/null, here and in every worker.
    """
    tracker = resource_tracker._resource_tracker
    if getattr(tracker, "_fd", None) is None:
        tracker._fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)  # type: ignore[attr-defined]  # private


def _be_helper(code: str, path: Sequence[str], descriptors: Sequence[int], at_end: Callable[[], None]) -> NoReturn:
    """The child: what a new interpreter would have done with ``-c code``, and nothing of what it comes from."""
    failed = 1
    try:
        atexit._clear()
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _close_all_but({0, 1, 2, *descriptors})
        sys.argv[:] = ["-c"]
        sys.path[:] = path
        gc.disable()  # while modules are loaded there is no garbage to be found
        exec(code, {"__name__": "__helper__"})  # noqa: S102  # multiprocessing's own line
        failed = 0
    except SystemExit:
        failed = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            at_end()
        os._exit(failed)


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in kept:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(descriptor)
