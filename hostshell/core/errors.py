"""Every error a person can meet: what happened, where, what to do next, and the exit code.

Must not know who raises it. All of them survive pickling, because some cross a process boundary.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

USAGE = 2  # exit code: usage or inventory error, nothing ran
INTERRUPTED = 130  # exit code: Ctrl-C, as every shell has it


class HostshellError(Exception):
    """An error for people: ``message`` says what and where, ``hint`` what to do next ("" when nothing helps).

    ``exit_code`` is what a one-shot call ends with when this error ended it.
    """

    exit_code = USAGE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(HostshellError):
    """A line that cannot be understood: unknown command or option, a missing or impossible value."""


class TargetError(HostshellError):
    """A target list that names nothing, or something that the inventory does not know: ``unknown`` hosts, if any.

    ``group``: the group that the hint says to name with its option, in place of a host.
    """

    unknown: tuple[str, ...] = ()
    group: str = ""


class InventoryError(HostshellError):
    """An inventory that cannot be used. The message begins with ``FILE:LINE:`` where there is a line."""


class SecretError(HostshellError):
    """A password or passphrase that could not be had. Never holds the secret itself."""


class SecretDeclined(SecretError):
    """A person was asked for it and gave none."""


class NotGiven(SecretDeclined):
    """The same, by Ctrl-C: then a script ends too."""

    exit_code = INTERRUPTED


class LocalFileError(HostshellError):
    """A file on this machine that a command needs and that is missing, unreadable or of the wrong kind."""


class EngineError(HostshellError):
    """The pool of worker processes could not be started or kept."""

    exit_code = 4


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that ``word`` was probably meant to be, or None when nothing is close."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    lowered = {name.lower(): name for name in names}
    return lowered.get(word.lower())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or "" when nothing is close."""
    name = nearest(word, known)
    return f"did you mean {name}?" if name else ""
