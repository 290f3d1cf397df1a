"""Paths to an inventory: which file it is when none is named, who may have written it, and what may be read by others.

The only place of this room that opens files. What stands in them is the business of `sections` and `model`.
"""

from __future__ import annotations

import gc
import os
import pwd
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.inventory.model import Inventory
from hostshell.inventory.sections import FileSections, read

VARIABLE = "HOSTSHELL_INVENTORY"
NAME = "hosts.ini"
MOST_BYTES = 64 * 1024 * 1024  # of one file: far more than 100,000 hosts need, and /dev/zero ends somewhere


def load(paths: Sequence[str]) -> Inventory:
    """The inventory that the files make together, later ones over earlier ones. A path may start with ``~``.

    Raises `InventoryError` for a file that cannot be read, is no inventory, holds a password that others can read, and
    for files that name no host at all.
    """
    with _collector_paused():
        files = [_load(path) for path in paths]
        inventory = Inventory(files)
    if not inventory.host_names:
        raise InventoryError(f"no hosts in {clean(', '.join(paths))}", "give it a section such as [host:h1]")
    return inventory


def find(environ: Mapping[str, str], cwd: str) -> str | None:
    """The inventory to take when no ``-i`` names one, or None when there is none.

    ``$HOSTSHELL_INVENTORY``, else ``hosts.ini`` in ``cwd``, else ``$XDG_CONFIG_HOME/hostshell/hosts.ini``. Raises
    `InventoryError` when the variable points to nothing, and for a ``hosts.ini`` that somebody else could have written.
    """
    home = environ.get("HOME", "")
    named = environ.get(VARIABLE, "")
    if named:
        path = home + named[1:] if home and (named == "~" or named.startswith("~/")) else named
        if not Path(cwd, path).exists():
            raise InventoryError(f"${VARIABLE} names {clean(named)}, and there is no such file", f"unset {VARIABLE}")
        return path
    here = Path(cwd, NAME)
    if os.path.lexists(here):
        _distrust(here)
        return NAME if Path(cwd) == Path.cwd() else str(here)  # short in messages: hosts.ini:12
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the XDG specification: a relative one counts as unset
        if not home:
            return None
        base = f"{home}/.config"
    path = f"{base}/hostshell/{NAME}"
    return path if os.path.lexists(path) else None


def why_unsafe(status: os.stat_result, user: int) -> str:
    """Why a file that nobody named must not be used by ``user`` (a number), in words; "" when it may be."""
    if status.st_uid not in (user, 0):
        return f"belongs to {_owner(status.st_uid)}"
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by others"
    return ""


def _distrust(path: Path) -> None:
    """Raise unless the file, and the link that may lead to it, are ours or root's and nobody else's to write."""
    try:
        statuses = [path.lstat(), path.stat()]
    except OSError:
        return  # a link to nothing: `load` says so
    for status in statuses:
        why = why_unsafe(status, os.geteuid())
        if why.startswith("belongs"):
            hint = f"it could run commands of theirs; if you trust it, name it: -i ./{NAME}"
            raise InventoryError(f"./{NAME} {why}, not to you: it was not used", hint)
        if why:
            raise InventoryError(f"./{NAME} {why}: it was not used", f"look at it, then: chmod go-w {NAME}")


def _owner(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _load(path: str) -> FileSections:
    shown = clean(path) or "''"
    try:
        with Path(path).expanduser().open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InventoryError(f"no such inventory: {shown}", "-i FILE names one") from None
    except IsADirectoryError:
        raise InventoryError(f"the inventory {shown} is a directory", f"name the file in it, such as {NAME}") from None
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError: ~nobody-of-that-name; ValueError: a NUL in the path
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "bad path"
        raise InventoryError(f"the inventory {shown} cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        raise InventoryError(f"the inventory {shown} is larger than {MOST_BYTES // 1024 // 1024} MiB")
    found = read(_decode(content, shown), shown)
    if found.literal is not None and mode & (stat.S_IRGRP | stat.S_IROTH):
        raise InventoryError(
            f"{found.literal}: a password stands in this file, and others can read it",
            f"chmod 600 {shlex.quote(str(Path(path).expanduser()))}",
        )
    return found


def _decode(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        # where, not what: it may be part of a password
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        raise InventoryError(
            f"{shown}:{line}: byte {column} of the line is not UTF-8", "save the file as UTF-8"
        ) from None


@contextmanager
def _collector_paused() -> Iterator[None]:
    """100,000 sections make a million objects, none of them garbage; looking for some takes longer than the rest."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
