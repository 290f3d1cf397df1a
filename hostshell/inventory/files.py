"""Inventory files as text: who may read and write them, and what is too large or no text.

The only place of this room that opens files. What stands in them is the business of others.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import sys
from dataclasses import field
from functools import cache
from pathlib import Path

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.core.names import check_name
from hostshell.core.records import dataclass

MOST_BYTES = 64 * 1024 * 1024  # of one file: far more than 100,000 hosts need, and /dev/zero ends somewhere
STANDARD_INPUT = "-"
_STANDARD_INPUT_SHOWN = "standard input"


@dataclass(frozen=True, slots=True)
class Content:
    """One file. ``path`` can be opened ("" for standard input); ``shown`` is for messages. The text may hold secrets.

    ``program``: it is one that can be run, and ``text`` is empty.
    """

    path: str
    shown: str
    text: str = field(repr=False)
    mode: int
    program: bool = False


def read_file(path: str, shown: str | None = None) -> Content:
    """The file at ``path``, which may start with ``~``. Raises `InventoryError` for what cannot be read as text."""
    shown = shown or clean(path) or "''"
    try:
        opened = Path(path).expanduser()
        with opened.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(MOST_BYTES + 1)
        program = _is_program(opened, mode, content)
    except FileNotFoundError:
        raise InventoryError(f"no such inventory: {shown}", _not_there(path)) from None
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError: ~nobody-of-that-name; ValueError: a NUL in the path
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "bad path"
        raise InventoryError(f"the inventory {shown} cannot be read: {reason}") from None
    if len(content) > MOST_BYTES and not program:
        raise InventoryError(f"the inventory {shown} is larger than {MOST_BYTES // 1024 // 1024} MiB")
    return Content(str(opened), shown, "" if program else decode(content, shown), mode, program)


def _not_there(path: str) -> str:
    """What a person may have meant by a file that is not there."""
    try:
        check_name(path)
    except ValueError:
        return "-i FILE names one"
    return f"-i takes a file; with a comma it is hosts: `-i {clean(path)},` is one, `-i {clean(path)},other` are two"


def read_standard_input() -> Content:
    """Standard input to its end; it is read once, and is the same again after a `reload`."""
    content = _standard_input()
    if len(content) > MOST_BYTES:
        raise InventoryError(f"{_STANDARD_INPUT_SHOWN} is larger than {MOST_BYTES // 1024 // 1024} MiB")
    return Content("", _STANDARD_INPUT_SHOWN, decode(content, _STANDARD_INPUT_SHOWN), 0)


@cache
def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InventoryError(f"{_STANDARD_INPUT_SHOWN} cannot be read: {error}") from None


def decode(content: bytes, shown: str) -> str:
    """UTF-8 to text. Raises `InventoryError` with the line of what is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        # where, not what: it may be part of a password
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        raise InventoryError(
            f"{shown}:{line}: byte {column} of the line is not UTF-8", "save the file as UTF-8"
        ) from None


def guard_secret(literal: Place | None, content: Content) -> None:
    """Raise `InventoryError` where a password stands in a file that others can read."""
    if literal is not None and content.mode & (stat.S_IRGRP | stat.S_IROTH):
        raise InventoryError(
            f"{literal}: a password stands in this file, and others can read it",
            f"chmod 600 {shlex.quote(content.path)}",
        )


def why_unsafe(status: os.stat_result, user: int) -> str:
    """Why a file that nobody named must not be used by ``user`` (a number), in words; "" when it may be."""
    if status.st_uid not in (user, 0):
        return f"belongs to {_owner(status.st_uid)}"
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by others"
    return ""


def _is_program(path: Path, mode: int, content: bytes) -> bool:
    # the x bit alone says little: on some file systems every file has it
    return stat.S_ISREG(mode) and content.startswith((b"#!", b"\x7fELF")) and os.access(path, os.X_OK)


def _owner(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
