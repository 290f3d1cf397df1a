"""Patterns of ssh_config(5): ``*``, ``?``, and lists of them with ``!``. Each is compiled once.

Pure text. Must not know lines or hosts.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from hostshell.inventory.sshconfig.lexer import lower

Matcher: TypeAlias = Callable[[str], Any]  # true where the text matches as a whole


def is_literal(pattern: str) -> bool:
    """Whether it matches one text only: itself."""
    return "*" not in pattern and "?" not in pattern


def any_of(patterns: Iterable[str]) -> Matcher | None:
    """A matcher for texts that match one of ``patterns``; None where there are none."""
    # fnmatch makes expressions that never go back and forth over `*a*a*a*`; its brackets mean nothing to ssh
    parts = [fnmatch.translate(pattern.replace("[", "[[]")) for pattern in patterns]
    return re.compile("|".join(parts)).match if parts else None


@lru_cache(maxsize=4096)
def _split(patterns: str) -> tuple[Matcher | None, Matcher | None]:
    items = patterns.split(",")
    if items and not items[-1]:
        items.pop()  # OpenSSH does not look behind a last comma
    positive = [item for item in items if not item.startswith("!")]
    return any_of(positive), any_of([item[1:] for item in items if item.startswith("!")])


def in_list(text: str, patterns: str, *, caseless: bool = False) -> bool:
    """Whether ``text`` matches a list such as ``*.example.net,!db*``: one of it, and none with ``!``."""
    if caseless:
        text, patterns = lower(text), lower(patterns)
    wanted, unwanted = _split(patterns)
    if unwanted is not None and unwanted(text):
        return False
    return wanted is not None and bool(wanted(text))
