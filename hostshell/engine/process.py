"""Starting one worker process, from a clean forkserver, without touching the caller's main module.

Must not know turns or jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker, spawn
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

from hostshell.engine import forked, orphans
from hostshell.engine.ourselves import found_by_helpers

_PRELOAD = "hostshell.engine.worker"
# a forkserver keeps the environment that it was started in; a worker is to have ours of now
_SURROUNDINGS = ("HOME", "SSH_AUTH_SOCK", "HOSTSHELL_DEBUG")
_starting = threading.Lock()


class _Folder:
    """Where multiprocessing puts the forkserver's socket: a folder that we hold locked, so that whoever is left after a
    SIGKILL can tell that we are gone, and remove it.
    """

    def __init__(self) -> None:
        self.path = multiprocessing.util.get_temp_dir()  # which removes it at a normal end
        self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(self._held, fcntl.LOCK_EX)

    def told(self) -> dict[str, str]:
        """What tells the forkserver, in its environment, what it has to remove if we are killed."""
        return {orphans.FOLDER: self.path}


_folder: _Folder | None = None


def context() -> multiprocessing.context.BaseContext:
    """Forkserver where there is one (paramiko is then imported once for all workers), else spawn. Never a bare fork:
    the caller may have threads.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen = multiprocessing.get_context("forkserver")
        chosen.set_forkserver_preload([orphans.__name__, _PRELOAD])
        return chosen
    return multiprocessing.get_context("spawn")


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """multiprocessing makes children import the caller's main module again, which would run an unguarded script
    twice. Ours need nothing from it, so an empty module stands in while a child is being described.
    """
    real = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


@contextlib.contextmanager
def _not_from_here() -> Iterator[None]:
    """multiprocessing starts its helpers with ``python -c``, which looks for modules in the current folder first: a
    stranger's ``socket.py`` there would run. ``-I`` does not look there (``-P`` is younger than Python 3.10).
    """
    plain = multiprocessing.util._args_from_interpreter_flags  # type: ignore[attr-defined]  # private
    multiprocessing.util._args_from_interpreter_flags = lambda: [*plain(), "-I"]  # type: ignore[attr-defined]  # private
    try:
        yield
    finally:
        multiprocessing.util._args_from_interpreter_flags = plain  # type: ignore[attr-defined]  # private


@contextlib.contextmanager
def _wherever_we_stand() -> Iterator[None]:
    """multiprocessing tells children the current directory, and neither side bears that somebody has removed it.

    Ours get it from `_place`.
    """
    plain = spawn.get_preparation_data

    def data(name: str) -> dict[str, object]:
        if _place() is None:
            gone = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.chdir("/")
                found = plain(name)
            finally:
                os.fchdir(gone)  # what is relative must not mean another file from now on
                os.close(gone)
        else:
            found = plain(name)
        found.pop("dir", None)
        return found

    spawn.get_preparation_data = data
    try:
        yield
    finally:
        spawn.get_preparation_data = plain


def _place() -> str | None:
    """The current directory; None where it is no longer there."""
    try:
        return os.getcwd()
    except OSError:
        return None


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Children inherit the signal mask: with SIGINT blocked from birth, no Ctrl-C hits one that is not ready for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _clean_start() -> Iterator[None]:
    """What holds for every child that is started in this block."""
    with _no_main_module(), _wherever_we_stand(), _no_interrupt():
        yield


def _run(pipe: Pipe, number: int, surroundings: dict[str, str | None], folder: str, place: str | None) -> None:
    if place is not None:
        with contextlib.suppress(OSError):  # it was removed meanwhile
            os.chdir(place)
    for name, value in surroundings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    from hostshell.engine import worker

    worker.main(pipe, number, lambda: orphans.remove(folder))


def prepare() -> None:
    """Start the forkserver: it imports paramiko while we read the inventory. Returns at once; `start` does it too.

    For a program that is all ours, before it has threads: where it can, the forkserver is a fork of it, which has
    loaded already what both need.
    """
    global _folder
    with _starting:
        if isinstance(context(), multiprocessing.context.ForkServerContext):
            fork = forked.may_fork()
            if fork:
                from hostshell.core import traffic, turns  # noqa: F401  # both need them

                forked.no_tracker()
            else:
                with _not_from_here(), _no_main_module():
                    resource_tracker.ensure_running()
            if _folder is None:
                # last of all: were we killed before the helper runs, nobody would remove it
                _folder = _Folder()
            folder = _folder.path
            if fork:
                with forked.in_place_of_a_start(lambda: orphans.remove(folder)), _clean_start():
                    forkserver.ensure_running()
            else:
                with _not_from_here(), found_by_helpers(_folder.told()), _clean_start():
                    forkserver.ensure_running()


def start(number: int) -> tuple[BaseProcess, Pipe]:
    """Start worker ``number``; the process and our end of its pipe. Raises `OSError` when that is not possible."""
    global _folder
    with _starting:
        if _folder is None:
            _folder = _Folder()
        chosen = context()
        ours, theirs = chosen.Pipe(duplex=True)
        try:
            with _not_from_here(), _no_main_module():
                # on its own first: it would unblock SIGINT for what is started after it
                resource_tracker.ensure_running()
            with _not_from_here(), found_by_helpers(_folder.told()), _clean_start():
                process = chosen.Process(  # type: ignore[attr-defined]  # of each kind of context
                    target=_run,
                    args=(
                        theirs,
                        number,
                        {name: os.environ.get(name) for name in _SURROUNDINGS},
                        _folder.path,
                        _place(),
                    ),
                    name=f"hostshell worker {number}",
                    daemon=True,
                )
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return process, ours
