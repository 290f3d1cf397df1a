"""The text of one ssh_config to its lines: settings with their values, `Host`, `Match`, `Include`, unknown keywords.

Takes text. Must not know other files, nor which host is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from hostshell.core.model import Place
from hostshell.core.records import dataclass
from hostshell.inventory.settings import bad, shown
from hostshell.inventory.sshconfig.keywords import ALIASES, READERS, USED, Value
from hostshell.inventory.sshconfig.lexer import BLANKS, first_word, keyword, lines, lower, words

ALWAYS = "all"
_PASSES = ("canonical", "final")
_WITH_VALUE = ("host", "originalhost", "user", "localuser", "exec", "tagged")
UNDECIDED = ("localnetwork", "version", "command", "sessiontype")  # of later OpenSSH; nobody here can tell


@dataclass(frozen=True, slots=True)
class Setting:
    """A keyword that we use, and its value."""

    line: int
    keyword: str
    value: Value = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A keyword that OpenSSH does not know either: an error, unless `IgnoreUnknown` covers it by then."""

    line: int
    keyword: str


@dataclass(frozen=True, slots=True)
class HostLine:
    """`Host`: what follows holds for names that match one pattern of ``wanted`` and none of ``unwanted``."""

    line: int
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition of `Match`, such as ``!user root,admin``."""

    negated: bool
    kind: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class MatchLine:
    """`Match`: what follows holds where every criterion does."""

    line: int
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class IncludeLine:
    """`Include`: paths, which may hold wildcards."""

    line: int
    paths: tuple[str, ...]


Line: TypeAlias = Setting | Unknown | HostLine | MatchLine | IncludeLine


def parse(text: str, file: str, environ: Mapping[str, str]) -> list[Line]:
    """The lines of ``text`` that say something to us. Raises `InventoryError` with ``FILE:LINE:``.

    ``environ`` is the environment: OpenSSH refuses an `IdentityAgent` with a variable that is not set, at once.
    """
    found: list[Line] = []
    for number, content in enumerate(lines(text), 1):
        cut = keyword(content)
        if cut is None:
            continue
        name, rest = cut
        name = ALIASES.get(name, name)
        place = Place(file, number)
        if not rest:
            raise bad(place, f"nothing follows `{shown(name)}`")
        try:
            line = _line(number, name, rest, environ)
        except ValueError as error:
            raise bad(place, f"`{shown(name)}`: {shown(str(error))}") from None
        if line is not None:
            found.append(line)
    return found


def _line(number: int, name: str, rest: str, environ: Mapping[str, str]) -> Line | None:
    match name:
        case "host":
            patterns = words(rest)
            if "" in patterns:
                raise ValueError("an empty pattern")
            wanted = tuple(pattern for pattern in patterns if not pattern.startswith("!"))
            return HostLine(number, wanted, tuple(pattern[1:] for pattern in patterns if pattern.startswith("!")))
        case "match":
            words(rest)  # OpenSSH wants the quotes of the whole line closed, whatever it reads of it
            return MatchLine(number, _criteria(rest))
        case "include":
            paths = words(rest)
            if "" in paths:
                raise ValueError("an empty path")
            return IncludeLine(number, tuple(paths))
        case _:
            read = READERS.get(name)
            if read is None:
                words(rest)
                return Unknown(number, name)
            value = read(rest, environ)
            return Setting(number, name, value) if name in USED else None


def _criteria(text: str) -> tuple[Criterion, ...]:
    found: list[Criterion] = []
    rest: str | None = text
    while True:
        word, rest = first_word(rest)
        if not word or word.startswith("#"):
            break
        negated = word.startswith("!")
        kind = lower(word[1:] if negated else word)
        if kind == ALWAYS:
            after, rest = first_word(rest)
            if len(found) > 1 or (after and not after.startswith("#")):
                raise ValueError("`all` stands alone, or behind one other criterion")
            found.append(Criterion(negated, kind))
            if not after:
                _nothing_left(rest)
            return tuple(found)
        if kind in _PASSES:
            found.append(Criterion(negated, kind))
            continue
        value, rest = first_word(rest)
        if not value or value.startswith("#"):
            raise ValueError(f"nothing follows `{kind}`")
        if kind not in _WITH_VALUE and kind not in UNDECIDED:
            raise ValueError(f"no criterion is called `{kind}`")
        found.append(Criterion(negated, kind, value))
    if word == "":
        _nothing_left(rest)
    if not found:
        raise ValueError("it needs a criterion, such as `host` or `all`")
    return tuple(found)


def _nothing_left(rest: str | None) -> None:
    if rest and rest.strip(BLANKS):
        raise ValueError(f"`{rest.strip(BLANKS)}` follows what ends the line")
