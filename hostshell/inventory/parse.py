"""The text of a hosts.ini to sections with values and line numbers.

configparser reads the values; a scan of ours before it knows the lines, and refuses what configparser would swallow or
join. Must not know files, nor what a section or a setting means.
"""

from __future__ import annotations

import configparser
import re
from dataclasses import field

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.records import dataclass

_COMMENTS = ("#", ";")
_VISIBLE = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class Value:
    """One value, byte for byte, and its line. It may be a secret, so it is not in the repr."""

    text: str = field(repr=False)
    line: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section: what stands in its brackets, the line of that, and its values in the order written."""

    header: str
    line: int
    values: dict[str, Value]


def parse(text: str, file: str) -> list[Section]:
    """The sections of ``text`` in order; ``file`` is for messages. A byte order mark and CRLF are tolerated.

    Raises `InventoryError` with ``FILE:LINE:`` for what is no hosts.ini. A line is never shown: it may hold a password.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    places = _scan(lines, file)
    parser = _parser()
    parser.read_string("\n".join(lines), file)
    return [
        Section(header, line, {key: Value(text, keys[key]) for key, text in parser.items(header)})
        for header, (line, keys) in places.items()
    ]


def _parser() -> configparser.RawConfigParser:
    # strict: the scan has refused duplicates before; a header of one NUL cannot stand in a file that passed it
    parser = configparser.RawConfigParser(
        delimiters=("=",),
        comment_prefixes=_COMMENTS,
        inline_comment_prefixes=None,
        strict=True,
        empty_lines_in_values=False,
        default_section="\0",
        interpolation=None,
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # configparser's own way to keep the case of keys
    return parser


def _scan(lines: list[str], file: str) -> dict[str, tuple[int, dict[str, int]]]:
    """Header to (its line, key to line), in order."""
    found: dict[str, tuple[int, dict[str, int]]] = {}
    keys: dict[str, int] | None = None
    value_indent: int | None = None  # of the line above, where it holds a value that configparser would go on with
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise _error(file, number, "a NUL byte: this is no text file")
        if "\r" in line.rstrip("\r"):
            raise _error(file, number, "a carriage return in the middle of a line", "end lines with LF or CRLF")
        content = line.strip()
        if not content or content.startswith(_COMMENTS):
            value_indent = None
            continue
        visible = _VISIBLE.search(line)
        indent = visible.start() if visible else 0
        if value_indent is not None and indent > value_indent:
            raise _error(
                file, number, "an indented line would join the value above", "take the blanks at its start away"
            )
        if content.startswith("["):
            header = _header(content, file, number)
            if header in found:
                raise _error(file, number, f"[{clean(header)}] stands in line {found[header][0]} already")
            keys = {}
            found[header] = (number, keys)
            value_indent = None
            continue
        key, delimiter, value = content.partition("=")
        key = key.rstrip()
        if not delimiter:
            raise _error(file, number, "no `=` in this line", "settings are written `name = value`")
        if not key:
            raise _error(file, number, "no name before the `=`", "settings are written `name = value`")
        if keys is None:
            raise _error(file, number, f"`{_short(key)}` stands before the first section", "begin with [defaults]")
        if key in keys:
            raise _error(file, number, f"`{_short(key)}` stands in line {keys[key]} of this section already")
        if not value.strip():
            raise _error(file, number, f"`{_short(key)}` has no value", "take the line away to leave it unset")
        keys[key] = number
        value_indent = indent
    return found


def _header(content: str, file: str, number: int) -> str:
    depth = 0
    for position, char in enumerate(content):
        depth += (char == "[") - (char == "]")
        if depth == 0:
            if position + 1 < len(content):
                raise _error(file, number, "text after the section's closing bracket", "put it on a line of its own")
            if position == 1:
                raise _error(file, number, "a section without a name")
            return content[1:-1]
    raise _error(file, number, "a section's bracket is not closed", "as in [host:h1] or [host:web[01-20]]")


def _short(text: str) -> str:
    return clean(text if len(text) <= 60 else text[:60] + "…")


def _error(file: str, line: int, what: str, hint: str = "") -> InventoryError:
    return InventoryError(f"{file}:{line}: {what}", hint)
