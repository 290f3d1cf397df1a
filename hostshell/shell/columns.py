"""How wide text is on a terminal, and how it is cut and broken to fit: wide, combining and coloured characters counted.

Pure. Widths are upper bounds: a terminal that joins an emoji out of several characters needs less, never more.
"""

from __future__ import annotations

import re

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_EMOJI_STYLE = "\ufe0f"  # the character before it may become two columns wide


def columns(text: str) -> int:
    """The columns that cleaned text takes. Colour sequences take none."""
    if "\x1b" in text:
        text = _SGR.sub("", text)
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, most: int) -> str:
    """The beginning of ``text`` that takes no more than ``most`` columns. ``text`` must hold no colour."""
    if text.isascii():
        return text[:most]
    used = 0
    for position, char in enumerate(text):
        used += _width(char)
        if used > most:
            return text[:position]
    return text


def broken(text: str, room: int) -> list[str]:
    """``text`` as lines of at most ``room`` columns, broken between words; a longer word stays whole, to be copied."""
    lines: list[str] = []
    line, used = "", 0
    for word in text.split(" "):
        width = columns(word)
        if line and used + 1 + width > room:
            lines.append(line)
            line, used = word, width
        else:
            line, used = (f"{line} {word}", used + 1 + width) if line else (word, width)
    return [*lines, line]


def _width(char: str) -> int:
    if char.isascii():
        return 1
    if char == _EMOJI_STYLE:
        return 1
    from wcwidth import wcwidth  # a one-shot call on plain text does without

    return max(0, wcwidth(char))
