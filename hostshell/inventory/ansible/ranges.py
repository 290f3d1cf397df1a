"""Host patterns of Ansible: ``web[01:20].example.net``, ``db-[a:f]``, steps, and a port behind them.

Pure text. The rules are those of Ansible's inventory plugins; what they silently take for nothing is an error.
"""

from __future__ import annotations

import re
import string
from itertools import product

from hostshell.core.names import MOST_NAMES, is_ipv6

_BRACKETED = re.compile(r"\[(.+)\]:([0-9]+)", re.DOTALL)
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])+):([0-9]+)")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"[0-9]{1,18}")


def expand_pattern(text: str) -> tuple[list[str], int | None]:
    """The hosts that ``text`` stands for, and the port behind it. Raises ValueError with the reason in words."""
    pattern, port = text, None
    match = _BRACKETED.fullmatch(text) or _PORT.fullmatch(text)
    if match is not None:
        pattern = match[1]
        port = int(match[2]) if len(match[2]) <= 5 else 0
        if not 1 <= port <= 65535:
            raise ValueError(f"`{match[2][:20]}` is no port: it is a number from 1 to 65535")
    if "[" not in pattern and "]" not in pattern:
        return [pattern], port
    pieces = _RANGE.split(pattern)
    if len(pieces) == 3 and not pieces[0] and not pieces[2] and is_ipv6(pieces[1]):
        return [pieces[1]], port
    if any("[" in piece or "]" in piece for piece in pieces):
        raise ValueError("a bracket without its partner")
    choices = [[piece] if at % 2 == 0 else _choices(piece) for at, piece in enumerate(pieces)]
    total = 1
    for choice in choices:
        total *= len(choice)
        if total > MOST_NAMES:
            raise ValueError(f"it stands for more than {MOST_NAMES:,} hosts")
    return ["".join(parts) for parts in product(*choices)], port


def _choices(text: str) -> list[str]:
    bounds = text.split(":")
    if len(bounds) not in (2, 3):
        raise ValueError(f"`[{text}]` is no range such as [1:5], [01:20:2] or [a:f]")
    first, last, step = bounds[0] or "0", bounds[1], bounds[2] if len(bounds) == 3 else "1"
    if not last:
        raise ValueError(f"the range [{text}] has no end")
    if not _NUMBER.fullmatch(step) or int(step) == 0:
        raise ValueError(f"the range [{text}] has no step such as 1 or 2")
    if len(first) > 1 and first[0] == "0" and len(first) != len(last):
        raise ValueError(f"the ends of the range [{text}] differ in their number of digits")
    letters = string.ascii_letters
    if len(first) == len(last) == 1 and first in letters and last in letters:
        low, high = letters.index(first), letters.index(last)
    elif _NUMBER.fullmatch(first) and _NUMBER.fullmatch(last):
        low, high = int(first), int(last)
        letters = ""
    else:
        raise ValueError(f"`[{text}]` is no range such as [1:5], [01:20:2] or [a:f]")
    if low > high:
        raise ValueError(f"the range [{text}] runs backwards")
    if (high - low) // int(step) >= MOST_NAMES:
        raise ValueError(f"it stands for more than {MOST_NAMES:,} hosts")
    numbers = range(low, high + 1, int(step))
    if letters:
        return [letters[at] for at in numbers]
    width = len(first) if len(first) > 1 and first[0] == "0" else 0
    return [str(number).zfill(width) for number in numbers]
