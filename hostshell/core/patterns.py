"""Patterns for names of files: which of a tree are left out, and which names on a host a glob means.

Pure: asks no file system. As in a shell: ``*`` and ``?`` stop at a slash, ``[a-z]`` and ``[!a-z]`` are sets. Names are
bytes in any encoding; what is valid UTF-8 counts as characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_MAGIC = re.compile(r"[*?\[]")


def is_glob(text: str) -> bool:
    """Whether the text holds a character that stands for others."""
    return _MAGIC.search(text) is not None


def matcher(pattern: str) -> Callable[[bytes], bool]:
    """Whether a whole name is meant by one part of a glob. A leading dot is matched only by a dot, as in a shell."""
    hidden = "" if pattern.startswith(".") else r"(?!\.)"
    expression = re.compile(hidden + _part(pattern) + r"\Z", re.DOTALL)
    return lambda name: expression.match(_text(name)) is not None


class LeftOut:
    """What ``--exclude-files`` leaves out of a tree.

    A pattern without a slash is about a name at any depth; one with a slash about the path from the top of the tree.
    One that ends in a slash is about directories alone. What is below a directory that is left out is left out too.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names: list[tuple[re.Pattern[str], bool]] = []
        self._paths: list[tuple[re.Pattern[str], bool]] = []
        for text in patterns:
            expression = re.compile("/".join(_part(part) for part in text.strip("/").split("/")) + r"\Z", re.DOTALL)
            kind = self._paths if "/" in text.rstrip("/") else self._names
            kind.append((expression, text.endswith("/")))

    def has(self, below: bytes, is_directory: bool) -> bool:
        """Whether what stands at ``below`` (its path from the top of the tree) is left out."""
        if not self._names and not self._paths:
            return False
        path = _text(below)
        return any(
            (is_directory or not only_directories) and expression.match(text) is not None
            for text, expressions in ((path.rpartition("/")[2], self._names), (path, self._paths))
            for expression, only_directories in expressions
        )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _part(pattern: str) -> str:
    """One part of a path as a piece of an expression, in which no wildcard passes a slash."""
    text = ""
    at = 0
    while at < len(pattern):
        one = pattern[at]
        at += 1
        if one == "*":
            text += "[^/]*"
        elif one == "?":
            text += "[^/]"
        elif one == "[" and (end := pattern.find("]", at + 1 + (pattern[at : at + 1] == "!"))) > 0:
            piece = _set(pattern[at:end])
            at = end + 1 if piece else at
            text += piece or r"\["
        else:
            text += re.escape(one)
    return text


def _set(inside: str) -> str:
    """A set as an expression; "" where it is none (``[z-a]``), and its bracket stands for itself."""
    escaped = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside.removeprefix("!"))
    piece = ("[^/" if inside.startswith("!") else "[") + escaped + "]"
    try:
        re.compile(piece)
    except re.error:
        return ""
    return piece
