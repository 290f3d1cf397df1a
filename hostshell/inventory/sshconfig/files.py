"""Paths to sections: reads an ssh_config and what it includes, checks who may have written it, and lays it flat.

The only place of this package that opens files. Must not know which host is asked for.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.core.records import dataclass
from hostshell.inventory.settings import bad, shown
from hostshell.inventory.sshconfig.parse import HostLine, IncludeLine, Line, MatchLine, Setting, Unknown, parse

SYSTEM = "/etc/ssh/ssh_config"
DEEPEST = 16  # Includes in Includes: OpenSSH's limit
MOST_FILES = 4096  # read for one configuration: a file that includes itself twice would go on for days
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Section:
    """Lines that hold together: where ``condition`` does (None: always), and those of the section ``parent`` do.

    ``parent`` is an index into all sections, -1 for none: the section that an `Include` stands in, or goes on after it.
    """

    parent: int
    condition: HostLine | MatchLine | None
    file: str
    items: list[Setting | Unknown] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a configuration may ask about where it is read: our home directory, the environment."""

    home: str
    environ: Mapping[str, str]

    def shown(self, path: str) -> str:
        """``path`` as a person writes it."""
        home = self.home.rstrip("/")
        return clean("~" + path[len(home) :] if home and path.startswith(home + "/") else path)

    def at_home(self, path: str) -> str:
        """``path`` with a leading ``~`` replaced. Raises ValueError for a user whom nobody knows."""
        if path == "~" or path.startswith("~/"):
            return self.home.rstrip("/") + "/" + path[2:].lstrip("/")
        expanded = os.path.expanduser(path)
        if expanded.startswith("~"):
            raise ValueError(f"no such user: {path.partition('/')[0]}")
        return expanded


def read_named(path: str, around: Surroundings) -> list[Section]:
    """What ``-F FILE`` says. Raises `InventoryError`, also for a file that is not there."""
    reader = _Reader(around)
    try:
        named = around.at_home(path)
        content = _content(named)
    except ValueError as error:
        raise InventoryError(f"the ssh_config {clean(path)} cannot be read: {error}") from None
    except OSError as error:
        why = (error.strerror or "error").lower()
        raise InventoryError(f"the ssh_config {clean(path)} cannot be read: {why}", "-F none reads none") from None
    reader.add(content, around.shown(named), user=True)
    return reader.sections


def read_standard(around: Surroundings, system: str = SYSTEM) -> list[Section]:
    """What ``~/.ssh/config`` and the system's file say, the user's first. Those that cannot be read are passed over."""
    reader = _Reader(around)
    own = around.home.rstrip("/") + "/.ssh/config"
    for path, user in ((own, True), (system, False)):
        try:
            content = _content(path, trusted=user)
        except OSError:
            continue  # as ssh does
        reader.add(content, around.shown(path), user=user)
    return reader.sections


class _Reader:
    def __init__(self, around: Surroundings) -> None:
        self.sections: list[Section] = []
        self._around = around
        self._parsed: dict[str, list[Line]] = {}
        self._files = 0

    def add(self, content: str, file: str, *, user: bool) -> None:
        """One more file, behind those that were read before."""
        self._lay(parse(content, file, self._around.environ), file, user, -1, 0)

    def _open(self, parent: int, condition: HostLine | MatchLine | None, file: str) -> int:
        self.sections.append(Section(parent, condition, file))
        return len(self.sections) - 1

    def _lay(self, lines: list[Line], file: str, user: bool, parent: int, depth: int) -> None:
        at = self._open(parent, None, file)
        for line in lines:
            if isinstance(line, IncludeLine):
                place = Place(file, line.line)
                for path in self._included(line, place, user):
                    self._include(path, place, user, at, depth + 1)
                at = self._open(at, None, file)
            elif isinstance(line, (Setting, Unknown)):
                self.sections[at].items.append(line)
            else:
                at = self._open(parent, line, file)

    def _included(self, line: IncludeLine, place: Place, user: bool) -> Iterator[str]:
        for path in line.paths:
            if path.startswith("~") and not user:
                raise bad(place, f"`include`: {shown(path)}", "the system's configuration knows no home directory")
            if not path.startswith(("/", "~")):
                path = (self._around.home.rstrip("/") + "/.ssh/" if user else os.path.dirname(SYSTEM) + "/") + path
            try:
                path = self._around.at_home(path)
            except ValueError:
                continue  # it matches no file, as for OpenSSH
            if glob.has_magic(path):
                yield from sorted(glob.glob(path))
            elif os.path.lexists(path):
                yield path

    def _include(self, path: str, place: Place, user: bool, parent: int, depth: int) -> None:
        self._files += 1
        if depth > DEEPEST or self._files > MOST_FILES:
            raise bad(place, "too many files include each other", "take one of the `Include` away")
        file = self._around.shown(path)
        lines = self._parsed.get(path)
        if lines is None:
            try:
                content = _content(path, trusted=True)
            except OSError as error:
                why = (error.strerror or "error").lower()
                raise bad(place, f"`include`: {file} cannot be read: {why}") from None
            lines = self._parsed[path] = parse(content, file, self._around.environ)
        self._lay(lines, file, user, parent, depth)


def _content(path: str, *, trusted: bool = False) -> str:
    """The text of a file. A directory is empty, as for OpenSSH. Raises OSError, and `InventoryError` for a bad owner.

    With ``trusted`` it must be ours or root's, and nobody else's to write: it may name commands.
    """
    try:
        stream = Path(path).open("rb")  # noqa: SIM115  # closed below; the open itself may fail on a directory
    except IsADirectoryError:
        return ""
    with stream:
        status = os.fstat(stream.fileno())
        if trusted and (status.st_uid not in (0, os.getuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            hint = f"it must be yours, and nobody else's to write: chmod go-w {clean(path)}"
            raise InventoryError(f"bad owner or permissions on {clean(path)}", hint)
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InventoryError(f"{clean(path)} is larger than {MOST_BYTES // 1024 // 1024} MiB")
    return content.decode("utf-8", "surrogateescape")
