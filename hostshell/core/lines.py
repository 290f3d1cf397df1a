"""Pieces of a stream to whole lines, with bounded memory.

A lone CR ends a line, a CR before LF is dropped, and a piece of a line over 64 KiB is a line of its own. Must not know
encodings or what a line is for.
"""

from __future__ import annotations

PIECE = 64 * 1024  # bytes of a line after which it is passed on unfinished


class LineCutter:
    """Cuts one stream of one host. What it gives back is lines, each ended by LF, ready for `events.Block`."""

    __slots__ = ("_after_cr", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False  # the last byte seen was a CR, which has ended its line already

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Take a piece; give (lines, eol) in order.

        With ``eol`` true, ``lines`` is any number of whole lines, each ended by LF. With ``eol`` false it is one piece
        of an over-long line, without LF.
        """
        if self._after_cr and data:
            # the CR at the end of the piece before has ended its line; its LF, if that is what comes, belongs to it
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head, newline, tail = data.rpartition(b"\n")
        found: list[tuple[bytes, bool]] = []
        if newline:
            found.extend(_whole(self._rest + head + newline))
            self._rest = tail
        else:
            self._rest += tail
        while len(self._rest) > PIECE:
            found.append((self._rest[:PIECE], False))
            self._rest = self._rest[PIECE:]
        return found

    def end(self) -> list[tuple[bytes, bool]]:
        """The stream has ended: what is left, if anything."""
        rest, self._rest = self._rest, b""
        return [(rest, False)] if rest else []


def _whole(block: bytes) -> list[tuple[bytes, bool]]:
    """A block of whole lines; the rare line that is too long is cut into pieces, the last of which has its end."""
    if len(block) <= PIECE:
        return [(block, True)]
    found: list[tuple[bytes, bool]] = []
    start = 0  # of the lines not given yet
    position = 0
    while position < len(block):
        end = block.index(b"\n", position) + 1
        if end - 1 - position > PIECE:
            if position > start:
                found.append((block[start:position], True))
            while end - 1 - position > PIECE:
                found.append((block[position : position + PIECE], False))
                position += PIECE
            start = position
        position = end
    if start < len(block):
        found.append((block[start:], True))
    return found
