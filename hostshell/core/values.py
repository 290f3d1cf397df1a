"""Values of options: numbers, seconds, ports, names, checked and told what they need.

Pure. Must not know which command an option belongs to.
"""

from __future__ import annotations

import math
import re

from hostshell.core.errors import did_you_mean
from hostshell.core.faults import Fault, shown
from hostshell.core.names import MOST_PORT, check_user
from hostshell.core.options import MOST_FANOUT, Option

_COUNT = re.compile(r"[0-9]{1,9}")
SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]*)?|\.[0-9]+")
_IN_BRACKETS = re.compile(r"\[[^]]*\]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def value_of(place: str, option: Option, text: str) -> str | int | float | Fault:
    """The value of an option, checked. ``place`` is what needs it, as in "batch_run: -h"."""
    if not text.strip():
        return Fault(f"{place} needs {option.needs}")
    if "\0" in text:
        return Fault(f"{place}: its value cannot hold a NUL character", firm=True)
    value: str | int | float | None = text
    needs = option.needs
    if option.kind in ("hosts", "groups"):
        # no name holds a slash or begins with a dash: such a word went astray, as in -cmd df -h /tmp
        value = None if text.startswith("-") or "/" in _IN_BRACKETS.sub("", text) else text
    elif option.kind == "count":
        value = fanout_of(text)
        needs = f"a number from 1 to {MOST_FANOUT}"
    elif option.kind == "seconds":
        value = seconds_of(text)
        needs = "a number of seconds above 0"
    elif option.kind == "variable":
        name, equals, _ = text.partition("=")
        if not equals:
            return Fault(f"{place} needs {needs}", firm=True)
        if not _VARIABLE.fullmatch(name):
            what = f"{place}: {shown(name)} is no name of a variable"
            return Fault(what, "letters, digits and _, as in LANG=C", firm=True)
    elif option.kind == "port":
        value = port_of(text)
    elif option.kind == "user":
        try:
            if text.startswith(("/", "./", "~")):  # a path went astray, as in -cmd ls -l /tmp
                raise ValueError("it is a path")
            check_user(text)
        except ValueError as error:
            return Fault(f"{place}: {shown(text)} is no user's name: {error}")
    elif option.kind == "choice" and text not in option.choices:
        return Fault(f"{place} needs {needs}, not {shown(text)}", did_you_mean(text, option.choices), firm=True)
    return Fault(f"{place} needs {needs}, not {shown(text)}") if value is None else value


def count_of(text: str) -> int | None:
    """A whole number above 0, or None."""
    return int(text) or None if _COUNT.fullmatch(text) else None


def fanout_of(text: str) -> int | None:
    """A number of hosts at a time, or None."""
    count = count_of(text)
    return count if count is not None and count <= MOST_FANOUT else None


def port_of(text: str) -> int | None:
    """A port, or None."""
    count = count_of(text)
    return count if count is not None and count <= MOST_PORT else None


def seconds_of(text: str) -> float | None:
    """A finite number above 0, or None."""
    seconds = float(text) if SECONDS.fullmatch(text) else 0.0
    return seconds if 0 < seconds < math.inf else None
