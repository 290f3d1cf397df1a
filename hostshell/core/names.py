"""Names: which characters they may hold, ranges of them expanded, many of them folded for display.

Pure text. Must not know groups, inventories or what a name stands for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from itertools import product

from ClusterShell.RangeSet import RangeSet, RangeSetException

from hostshell.core.clean import clean

MOST_PORT = 65535
MOST_NAMES = 1_000_000  # that one pattern may stand for: "[1-999999999]" is a slip, and would eat the memory
LONGEST_NAME = 255  # a name becomes a directory's name when files are fetched (NAME_MAX)

# OpenSSH's valid_hostname() and valid_ruser() (ssh.c, misc.c) refuse these, and a leading "-", where they are typed.
# That they and blanks are refused wherever they stand is ours: names also come to stand in commands and in user@host.
_SHELL_IN_HOST = "'`\"$\\;&<>|(){},"
_SHELL_IN_USER = "'`\"$;&<>|(){}"  # "$" is ours: no shell character at all; "\" stays, for DOMAIN\user
_NODE_SET = "[],!&^*?@"

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGITS = re.compile(r"([0-9]{1,18})")  # longer runs are cut: nobody counts that far, and int() of them has limits
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18})(?:/([0-9]{1,18}))?)?")


# --- characters ---


def check_name(text: str) -> None:
    """Raise ValueError, with the reason in words, unless ``text`` may name a host or a group.

    OpenSSH's rules for host names, none of the characters of node sets, and what a directory may be called. An IPv6
    address is a name too; no other name holds a colon, so that ``name:port`` is never in doubt.
    """
    if _PLAIN.fullmatch(text) and len(text) <= LONGEST_NAME:
        return
    _check(text, _SHELL_IN_HOST + _NODE_SET + "/")
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise ValueError(f"it is longer than {LONGEST_NAME} bytes")
    if text in (".", ".."):
        raise ValueError("it is a directory's name")
    if any(char.isdecimal() and not char.isascii() for char in text):
        raise ValueError("it holds a digit that is not one of 0-9")
    if ":" in text and not is_ipv6(text):
        raise ValueError("it holds `:`")


def check_user(text: str) -> None:
    """Raise ValueError, with the reason in words, unless ``text`` may be a user's name."""
    if _PLAIN.fullmatch(text):
        return
    _check(text, _SHELL_IN_USER)
    if text.endswith("\\"):
        raise ValueError("it ends with `\\`")


def check_port(number: int) -> None:
    """Raise ValueError unless ``number`` may be a TCP port."""
    if not 1 <= number <= MOST_PORT:
        raise ValueError(f"{number} is no port; a port is a number from 1 to {MOST_PORT}")


def check_address(text: str) -> None:
    """Raise ValueError, with the reason in words, unless ``text`` may be a host name or an IP address to connect to."""
    if _PLAIN.fullmatch(text):
        return
    _check(text, _SHELL_IN_HOST)
    if "@" in text:
        raise ValueError("it holds `@`; the user goes into `user`")
    if "[" in text or "]" in text:
        raise ValueError("it holds a bracket; an IPv6 address stands without, and the port goes into `port`")
    if "/" in text:
        raise ValueError("it holds `/`")
    if ":" in text and not is_ipv6(text):
        raise ValueError("it holds `:`; the port goes into `port`")


def is_ipv6(text: str) -> bool:
    """Whether ``text`` is an IPv6 address, as in ``::1`` or ``fe80::1%eth0``."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_ip(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check(text: str, forbidden: str) -> None:
    if not text:
        raise ValueError("it is empty")
    if text.startswith("-"):
        raise ValueError("it starts with `-`")
    for char in text:
        if char.isspace():
            raise ValueError("it holds a blank" if char in " \t\xa0" else "it holds a control character")
        if not char.isprintable():
            raise ValueError("it holds a control character")
        if char in forbidden:
            raise ValueError(f"it holds `{char}`" if char != "`" else "it holds a backquote")


# --- expanding ---


def split(text: str, operators: str = ",") -> list[tuple[str, str]]:
    """Cut ``text`` at ``operators`` outside brackets: (operator before it, operand) in order, blanks trimmed.

    The first operator is "". Raises ValueError for a bracket that has no partner and for an operand that is missing, as
    ClusterShell does.
    """
    found: list[tuple[str, str]] = []
    operator = ""
    start = 0
    inside = False
    for match in re.finditer(f"[][{re.escape(operators)}]", text):
        char = match[0]
        if char in "[]":
            if (char == "[") is inside:
                raise ValueError("a bracket inside brackets" if inside else "`]` without `[`")
            inside = not inside
        elif not inside:
            found.append((operator, text[start : match.start()].strip()))
            operator, start = char, match.end()
    if inside:
        raise ValueError("`[` without `]`")
    found.append((operator, text[start:].strip()))
    if len(found) == 1 and not found[0][1]:
        raise ValueError("it names nothing")
    for position, (before, operand) in enumerate(found):
        if operand:
            continue
        if not before:
            raise ValueError(f"nothing before `{found[1][0]}`")
        if position + 1 == len(found):
            raise ValueError(f"nothing after `{before}`")
        raise ValueError(f"nothing between `{before}` and `{found[position + 1][0]}`")
    return found


def expand(pattern: str) -> list[str]:
    """The names that ``pattern`` stands for, each once: ``web[01-03],db1`` → web01, web02, web03, db1.

    Ranges are ClusterShell's (``[1-3,7,10-20/5]``, padding kept), several to a name if need be; the names of one range
    come in their own order, the parts between commas in the order typed. Groups, wildcards and ``@`` mean nothing here.
    Raises ValueError for what is no pattern, and before it makes more than `MOST_NAMES` names.
    """
    if "[" not in pattern and "," not in pattern and "]" not in pattern:
        name = pattern.strip()
        if not name:
            raise ValueError("it names nothing")
        return [name]
    items = [_pieces(item) for _, item in split(pattern)]
    total = 0
    for _, ranges in items:
        width = 1
        for text in ranges:
            width *= _width(text)
        total += width
        if total > MOST_NAMES:
            raise ValueError(f"it stands for more than {MOST_NAMES:,} names")
    names: dict[str, None] = {}
    for literals, ranges in items:
        if not ranges:
            names[literals[0]] = None
        elif len(ranges) == 1:
            head, tail = literals
            names.update(dict.fromkeys([f"{head}{index}{tail}" for index in _indexes(ranges[0])]))
        else:
            for indexes in product(*(_indexes(text) for text in ranges)):
                between = zip(literals[1:], indexes, strict=True)
                names[literals[0] + "".join(index + literal for literal, index in between)] = None
    return list(names)


def _pieces(item: str) -> tuple[list[str], list[str]]:
    """One name's literal parts and the ranges between them. The brackets of ``[::1]:22`` are literal."""
    literals, ranges = [""], []
    for position, piece in enumerate(_BRACKET.split(item)):
        if position % 2 == 0:
            literals[-1] += piece
        elif is_ipv6(piece):
            literals[-1] += f"[{piece}]"
        else:
            ranges.append(piece)
            literals.append("")
    if any(not literal or literal.isdecimal() for literal in literals[1:-1]):
        raise ValueError("two ranges side by side")  # ClusterShell's rule: nobody could tell the numbers apart
    return literals, ranges


def _width(ranges: str) -> int:
    """How many numbers ``1-3,7`` holds at most, without making them. Raises ValueError if it is no range."""
    total = 0
    for part in ranges.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"`[{clean(ranges)}]` is no range such as [1-5] or [01-20,25]")
        first, last, step = match[1], match[2] or match[1], int(match[3] or 1)
        if step == 0:
            raise ValueError(f"the range {part} has a step of 0")
        padded = (len(first) > 1 and first[0] == "0") or (len(last) > 1 and last[0] == "0")
        if padded and len(first) != len(last):
            raise ValueError(f"the ends of the range {part} differ in their number of digits")
        if int(first) > int(last):
            raise ValueError(f"the range {part} runs backwards")
        total += (int(last) - int(first)) // step + 1
    return total


def _indexes(ranges: str) -> list[str]:
    try:
        return list(RangeSet(ranges).striter())
    except RangeSetException as error:
        raise ValueError(f"`[{clean(ranges)}]` is no range: {error}") from None


# --- folding ---


def fold(names: Iterable[str]) -> str:
    """The names in short, each once, in natural order: ``db1,web[01-20]``. `expand` gives the same set again.

    Of names with several numbers one is folded, the one that leaves the fewest parts: folding all of them, as
    ``str(NodeSet)`` does, takes 11 s for 1,000 unrelated addresses.
    """
    families: dict[tuple[str, ...], list[list[str]]] = {}
    for name in dict.fromkeys(names):
        parts = [name] if "[" in name or "]" in name else _DIGITS.split(name)
        families.setdefault(tuple(parts[::2]), []).append(parts)
    found: list[tuple[list[str], str]] = []
    for family in families.values():
        found.extend(_fold_family(family))
    found.sort(key=lambda item: [(int(part), len(part)) if at % 2 else part for at, part in enumerate(item[0])])
    return ",".join(text for _, text in found)


def _fold_family(family: list[list[str]]) -> list[tuple[list[str], str]]:
    """Names that differ in their numbers only, folded: (parts of a first name, text)."""
    if len(family) == 1:
        return [(family[0], "".join(family[0]))]
    best: dict[tuple[str, ...], list[list[str]]] | None = None
    best_at = 0
    for at in range(len(family[0]) - 2, 0, -2):  # the last number first: it is the one that counts hosts
        groups: dict[tuple[str, ...], list[list[str]]] = {}
        for parts in family:
            groups.setdefault((*parts[:at], *parts[at + 1 :]), []).append(parts)
        if best is None or len(groups) < len(best):
            best, best_at = groups, at
    assert best is not None
    found: list[tuple[list[str], str]] = []
    for members in best.values():
        first = min(members, key=lambda parts: (int(parts[best_at]), len(parts[best_at])))
        if len(members) == 1:
            found.append((first, "".join(first)))
            continue
        numbers = RangeSet()
        numbers.update([parts[best_at] for parts in members])
        head, tail = "".join(first[:best_at]), "".join(first[best_at + 1 :])
        found.append((first, f"{head}[{numbers}]{tail}"))
    return found
