"""A plain list of hosts: one a line, as ``web01``, ``deploy@web01:2222``, ``web[01-20]`` or an address.

Takes text. Must not know files. A ``#`` begins a comment, also behind a blank.
"""

from __future__ import annotations

import re

from hostshell.core.model import Place
from hostshell.core.names import check_name, expand, is_ipv6, split
from hostshell.inventory.ansible.ranges import expand_pattern
from hostshell.inventory.sections import FileSections, HostSection, Layer
from hostshell.inventory.settings import SETTINGS, Converted, bad, shown

_COMMENT = re.compile(r"(?:^|\s)#.*")
_PORT = re.compile(r"(\[[^\]]*\]|(?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_COLON_RANGE = re.compile(r"\[[0-9A-Za-z]*:[0-9A-Za-z]+(?::[0-9]+)?\]")


def read(text: str, file: str) -> FileSections:
    """The hosts of ``text``. Raises `InventoryError` with ``FILE:LINE:`` for what is none."""
    found = FileSections(file)
    known: dict[str, tuple[int, object]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        content = _COMMENT.sub("", line).strip()
        if not content or content.startswith(";"):
            continue
        place = Place(file, number)
        if len(content.split()) > 1:
            raise bad(place, "more than one word in a line", "one host a line, as in web01 or deploy@web01:2222")
        try:
            items = [part for _, part in split(content.rstrip(","))]
        except ValueError as error:
            raise bad(place, f"bad host `{shown(content)}`: {error}") from None
        for item in items:
            names, said = _item(item, place)
            for name in names:
                before = known.setdefault(name, (number, _plain(said)))
                if before[1] != _plain(said):
                    hint = f"in a hosts.ini each can have a name of its own: [host:NAME] with address = {shown(name)}"
                    raise bad(place, f"{shown(name)} stands in line {before[0]} with another user or port", hint)
                if before[0] == number:
                    found.sections.append(HostSection((name,), Layer(file, "", said)))
    return found


def _item(text: str, place: Place) -> tuple[list[str], dict[str, tuple[Converted, int]]]:
    """The hosts of ``user@web[01-20]:port``, and what it says of them."""
    said: dict[str, tuple[Converted, int]] = {}
    user, at, rest = text.rpartition("@")
    if at:
        said["user"] = (SETTINGS["user"](user, place), place.line)
    match = _PORT.fullmatch(rest)
    if match is not None and not is_ipv6(rest):
        rest = match[1]
        said["port"] = (SETTINGS["port"](match[2], place), place.line)
    try:
        if rest.startswith("[") and rest.endswith("]") and is_ipv6(rest[1:-1]):
            names = [rest[1:-1]]
        elif _COLON_RANGE.search(rest):
            names = expand_pattern(rest)[0]
        else:
            names = expand(rest)
        for name in names:
            check_name(name)
    except ValueError as error:
        raise bad(place, f"bad host `{shown(text)}`: {error}", "as in web01, web[01-20] or deploy@web01:2222") from None
    return names, said


def _plain(said: dict[str, tuple[Converted, int]]) -> dict[str, Converted]:
    return {key: value for key, (value, _) in said.items()}
