"""A line cut into words exactly as ``shlex.split(posix=True, comments=False)`` does, keeping where each word stands.

Pure text. Must not know any command: the parser, its suggestions and Tab need the same words, with their places.
"""

from __future__ import annotations

from hostshell.core.errors import UsageError
from hostshell.core.records import dataclass

BLANKS = " \t\r\n"
_NEEDS_QUOTES = frozenset(BLANKS + "\"'\\#;|<>()$`{}")
_NEEDS_SINGLE = frozenset('"$`\\!')  # double quotes do not protect these


class Unfinished(UsageError):
    """A line whose last quote is open, or that ends with a backslash: it goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its text without quotes and escapes, and its place ``[start, end)`` in the line."""

    text: str
    start: int
    end: int


def scan(line: str, *, comments: bool = False) -> tuple[list[Word], str]:
    """The words of ``line``, and what is still open at its end: ``"``, ``'``, a backslash, or "" for nothing.

    A word that is still open is the last one. With ``comments`` a word with ``#`` in front begins a comment, as in sh.
    """
    words: list[Word] = []
    chars: list[str] = []
    start = -1  # of the word that is being read; -1 between words
    quote = ""
    escaped = False
    comment = False
    for at, char in enumerate(line):
        if comment:
            comment = char != "\n"
        elif escaped:
            if quote and char not in ("\\", quote):
                chars.append("\\")
            chars.append(char)
            escaped = False
        elif quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"':
                escaped = True
            else:
                chars.append(char)
        elif char in BLANKS:
            if start >= 0:
                words.append(Word("".join(chars), start, at))
                chars, start = [], -1
        elif comments and char == "#" and start < 0:
            comment = True
        else:
            if start < 0:
                start = at
            if char in "\"'":
                quote = char
            elif char == "\\":
                escaped = True
            else:
                chars.append(char)
    if escaped and quote:
        chars.append("\\")
    if start >= 0:
        words.append(Word("".join(chars), start, len(line)))
    return words, quote or ("\\" if escaped else "")


def quote(text: str) -> str:
    """``text`` as one word of a line, quoted only if it must be; in single quotes what a local shell would expand."""
    if text and not _NEEDS_QUOTES.intersection(text):
        return text
    if not _NEEDS_SINGLE.intersection(text):
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
