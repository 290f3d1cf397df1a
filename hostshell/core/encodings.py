"""Hosts that do not speak UTF-8: which encodings will do, and text to bytes and back without loss.

Pure. Undecodable bytes travel as lone surrogates (PEP 383), in every encoding. Must not know hosts.
"""

from __future__ import annotations

import codecs
import encodings.aliases
from functools import cache

from hostshell.core.errors import nearest

UTF_8 = "utf-8"
_PLAIN = "".join(map(chr, range(0x20, 0x7F))) + "\t\n\r"


class UnfitEncoding(ValueError):
    """Not an encoding that will do; its text says why, ``hint`` what may have been meant."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def encode(text: str, encoding: str = UTF_8) -> bytes:
    """``text`` as a host's bytes. Raises `UnicodeEncodeError` where the encoding lacks a character."""
    return text.encode(encoding, "surrogateescape")


def decode(raw: bytes, encoding: str = UTF_8) -> str:
    """A host's bytes as text, those that are not valid kept apart, for `clean` and for names that go back."""
    return raw.decode(encoding, "surrogateescape")


@cache
def known_encoding(name: str) -> str:
    """The name under which Python knows an encoding. Raises `UnfitEncoding` for what will not do.

    Lines are cut before they are decoded, and names of paths at slashes: ASCII characters have to be single bytes, and
    never a part of another character's.
    """
    try:
        found = codecs.lookup(name)
        plain = _PLAIN.encode(name)
        same = plain == _PLAIN.encode("ascii") and plain.decode(name) == _PLAIN and _is_stateless(name)
    except (LookupError, ValueError):  # ValueError: such as a NUL, or what the encoding cannot say at all
        names = encodings.aliases.aliases
        close = nearest(name.lower().replace("-", "_"), {*names, *names.values()})
        hint = f"did you mean {close}?" if close else "as in gbk"
        raise UnfitEncoding("Python knows no such encoding", hint) from None
    if not same:
        raise UnfitEncoding("its ASCII characters are not single bytes of their own", "as in utf-8, gbk or latin-1")
    return found.name


def _is_stateless(name: str) -> bool:
    """Whether no escape sequence changes what bytes mean, and a newline is one whatever stands before it."""
    try:
        texts = [decode(bytes([lead, 0x0A, 0x41, 0x0A]), name) for lead in range(0x80, 0x100)]
        return decode(b"\x1b$B/", name) == "\x1b$B/" and all(text.count("\n") == 2 for text in texts)
    except ValueError:  # it cannot keep bytes apart that are not valid in it
        return False
