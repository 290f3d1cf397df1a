"""Waiting for what happens by itself: above all, whether what was stopped has really ended, as root and not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.support import processes
from tests.support.accounts import can_make_users

PATIENCE = 30.0  # seconds for what happens by itself; far more than it takes


def eventually(true: Callable[[], object]) -> bool:
    """Whether ``true`` comes true."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ended(which: Callable[[], set[int]]) -> bool:
    """Whether ``which`` finds no process, after a moment."""
    return eventually(lambda: not which())


def within_tries(seen: Callable[[], bool], left: Callable[[], set[int]]) -> bool:
    """Whether ``seen`` is true once within three tries; what ``left`` finds after another is ended.

    For what the product bounds by fractions of a second, and names where it did not see it: a machine that stands still
    for as long is no fault of it.
    """
    for _ in range(3):
        if seen():
            return True
        processes.end_all(left)
    return False


def with_command(text: str) -> set[int]:
    """The processes whose command line holds ``text`` (words are separated by NUL)."""
    found = set()
    for process in processes.processes():
        try:
            line = Path(f"/proc/{process.pid}/cmdline").read_text(errors="replace")
        except OSError:
            continue
        if text in line:
            found.add(process.pid)
    return found


def ended_or_named(which: Callable[[], set[int]], said: str, *, waited: bool = True) -> bool:
    """Whether what was cancelled has ended. Without root our servers force a command on each login, and OpenSSH sends
    no signal to those; and a second Ctrl-C (not ``waited``) does not wait for any: then hostshell has to say so, and
    what ``which`` finds is ended here.
    """
    if (can_make_users() and waited) or not which():
        return ended(which)
    named = "may still run on" in said
    processes.end_all(which)
    return named
