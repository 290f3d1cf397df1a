"""What the paths of a copy mean, decided from their text: where a put lands, where a get lands, which names are safe.

Pure: asks no file system. Who calls it says what stands at a path. Undecodable bytes travel as surrogate escapes.
"""

from __future__ import annotations

import posixpath
import re
from typing import Literal, TypeAlias

from hostshell.core.errors import UsageError
from hostshell.core.model import HOST_FIELD

There: TypeAlias = Literal["missing", "file", "directory"]  # what stands at a path; "file" is all but a directory

MAX_NAME = 255  # bytes; file systems take no longer one, and a server could send one of any length
_PLACES = ("", ".", "..")  # last parts of a path that name a place, not a thing with a name of its own
# what a terminal obeys, apart from TAB and newline; C1 controls as they look in UTF-8
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def expand_home(text: str, home: str) -> str:
    """``text`` with a leading ``~/`` (or ``~`` alone) standing for ``home``. ``~user`` is an ordinary name."""
    if text == "~":
        return home
    return posixpath.join(home, text[2:].lstrip("/")) if text.startswith("~/") else text


def wire_path(text: str) -> bytes:
    """``text`` as a path for the host: home is where SFTP starts, trailing slashes are gone.

    Raises `UsageError` for a text that can name nothing.
    """
    if not text:
        raise UsageError("an empty path names nothing", "~/ is the home directory, / the top")
    if "\0" in text:
        raise UsageError(f"a path cannot hold a NUL character: {text!r}")
    path = expand_home(text, ".")
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError(f"a path that is no valid text: {text!r}") from None
    return raw.rstrip(b"/") or b"/"


def names_directory(text: str) -> bool:
    """Whether the text alone says "a directory, to copy into": ``DIR/``, ``.``, ``..``, ``~``."""
    return text == "~" or posixpath.basename(text) in _PLACES


def own_name(text: str) -> str:
    """The name that a source brings along: the last part of its path; "" where the text has none (``/ . .. ~``).

    Never asked from a server: names of local files come from the request only.
    """
    stripped = text.rstrip("/")
    name = posixpath.basename(stripped)
    return "" if name in _PLACES or stripped == "~" else name


def source_name(text: str, resolved: str) -> str:
    """A local source's own name. ``.`` and ``..`` have the name of the directory they stand for (``resolved``).

    Only ``/`` has none: its contents go straight into the target.
    """
    return own_name(text) or own_name(resolved)


def remote_destination(remote: str, name: str, source_is_directory: bool, there: There) -> bytes:
    """Where a source called ``name`` lands when aimed at the text ``remote``; ``there`` is what stands at that path.

    ``DIR/`` is into that directory; ``NAME`` is exactly that name, except that a file aimed at an existing directory
    goes into it. Whether a missing directory is made is the caller's to decide. Raises `UsageError`.
    """
    path = wire_path(remote)
    into = names_directory(remote)
    if there == "file" and into:
        raise UsageError(
            f"not a directory on the host: {remote}", f"without the last / it means the file {remote.rstrip('/')}"
        )
    if there == "file" and source_is_directory:
        raise UsageError(f"{remote} is a file on the host, and a directory was to be put there")
    if into or (there == "directory" and not source_is_directory):
        return join(path, name.encode("utf-8", "surrogateescape"))
    return path


def join(directory: bytes, name: bytes) -> bytes:
    """``directory/name``; the directory itself where ``name`` is empty. ``name`` never starts over at the top."""
    if not name:
        return directory
    return directory + name if directory.endswith(b"/") else directory + b"/" + name


def split(path: bytes) -> tuple[bytes, bytes]:
    """``(directory, name)`` of a path without trailing slashes; the directory of a bare name is ``.``."""
    directory, _, name = path.rpartition(b"/")
    if directory:
        return directory.rstrip(b"/") or b"/", name
    return (b"/" if path.startswith(b"/") else b"."), name


def local_layout(local: str) -> str:
    """The text of ``-local`` for get, made explicit: it holds ``{host}``, and ends in ``/`` where it means a directory.

    Without ``{host}`` one folder a host is added. With it the text says all: it is a directory, unless its last part
    holds ``{host}`` and something more (``out/{host}.txt``): that is the copy's whole name.
    """
    if HOST_FIELD not in local:
        return f"{local or '.'}/{HOST_FIELD}/".replace("//", "/")
    last = posixpath.basename(local)
    if HOST_FIELD in last and last != HOST_FIELD:
        return local
    return local if local.endswith("/") else local + "/"


def local_destination(local: str, host: str, remote: str) -> tuple[str, str]:
    """``(directory, name)`` of what a get of ``remote`` from ``host`` writes on this machine, before anything is asked.

    ``local`` is what the person typed or its `local_layout`; ``name`` is "" where the source has none: its contents go
    straight into the directory. Raises `UsageError` for a host's name that cannot be a folder's.
    """
    if unsafe_name(host.encode("utf-8", "surrogateescape")):
        raise UsageError(
            f"the host's name cannot be a folder's: {host!r}", "give the host a plain name in the inventory"
        )
    return landing(local_layout(local).replace(HOST_FIELD, host), own_name(remote.replace(HOST_FIELD, host)))


def landing(layout: str, name: str) -> tuple[str, str]:
    """``(directory, name)`` for a `local_layout` in which ``{host}`` has been replaced."""
    if names_directory(layout):
        return layout.rstrip("/") or "/", name
    directory, last = posixpath.split(layout)
    return directory or ".", last


def ours_from(directory: bytes, host: bytes) -> int:
    """How many leading parts of an absolute ``directory`` are the person's own choice.

    What follows (the host's folder and all below) we make ourselves: a symlink there was planted and is not followed.
    """
    parts = [part for part in directory.split(b"/") if part]
    for index in range(len(parts) - 1, -1, -1):
        if host in parts[index]:
            return index
    return len(parts)


def part_name(name: bytes, token: str) -> bytes:
    """The hidden temporary name beside ``name``. Cut so that it fits where ``name`` itself does (255 bytes)."""
    return b"." + name[:200] + b"." + token.encode("ascii") + b".part"


def backup_name(name: bytes, stamp: str) -> bytes:
    """The name beside ``name`` under which the old file is kept. Cut so that it fits where ``name`` itself does."""
    return name[:230] + b"." + stamp.encode("ascii")


def unsafe_name(name: bytes) -> str:
    """Why a name that a server lists must not become a local one, in words; "" for a good name.

    One that a terminal obeys would do so at the next plain ``ls``.
    """
    if not name:
        return "an empty name"
    if name in (b".", b".."):
        return "not a name of its own"
    if b"/" in name:
        return "a name with a slash"
    if _CONTROL.search(name):
        return "a name with control characters"
    if len(name) > MAX_NAME:
        return f"a name of more than {MAX_NAME} bytes"
    return ""


def unfinished_mode(mode: int | None) -> int:
    """The mode of a directory that is still being filled: its own, but for others' right to write in it.

    It may stay so where the copy is cut, so it should be as near to the final one as is safe.
    """
    return 0o700 | ((0o755 if mode is None else mode) & 0o755)


def mode_for(source: int | None, existing: int | None, *, preserve: bool, same_owner: bool) -> int | None:
    """The permission bits that a copied file gets; None leaves what the system gave.

    A new file takes the source's without setuid and setgid; an existing one keeps its own unless ``preserve``. Its
    setuid and setgid stay only with its owner.
    """
    if existing is not None and not preserve:
        return existing & (0o7777 if same_owner else 0o1777)
    return None if source is None else source & 0o1777
