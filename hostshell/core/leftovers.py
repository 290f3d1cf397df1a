"""The state in which a host's programs leave a terminal, and how to undo it: a `vi` that was cut off says no goodbye.

Pure: the bytes that went to the terminal in, the bytes that undo them out. Knows the modes that make a prompt unusable
(xterm's control sequences, "DEC Private Mode Set" and kin), not everything that a program can do.
"""

from __future__ import annotations

import re

# modes that are off at a prompt, and those that are on
_OFF = frozenset(
    (1, 5, 6, 9, 47, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1048, 1049, 2004, 2026)
)
_ON = frozenset((7, 25))
_LONGEST = 64  # bytes of a sequence that is looked at
_MOVED = 1048  # only saves the cursor, so there is nothing to take back

_SEQUENCE = re.compile(
    rb"\x1b\[\?(?P<modes>[0-9;]{1,48})(?P<way>[hl])"  # a private mode
    rb"|\x1b\[(?P<colour>[0-9;:]*)m"
    rb"|\x1b(?P<keypad>[=>])"
    rb"|\x1b\((?P<charset>[0-9A-Za-z])"
    rb"|(?P<shift>[\x0e\x0f])"
    rb"|\x1b\[(?P<region>[0-9]+;[0-9]+)r"
    rb"|\x1b(?P<all>c)"
)


class Leftovers:
    """Follows what is written to a terminal, piece by piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._clear()

    def _clear(self) -> None:
        self._changed: dict[int, None] = {}  # modes that are not as at a prompt, in the order of their change
        self._coloured = self._keypad = self._charset = self._shifted = self._region = False

    def feed(self, data: bytes) -> None:
        """So much more was written."""
        text = self._rest + data
        end = 0
        for match in _SEQUENCE.finditer(text):
            end = match.end()
            self._see(match)
        # a sequence may be cut in two; one that is longer than any of ours is none
        start = text.rfind(b"\x1b", end)
        self._rest = text[start:] if start >= 0 and len(text) - start < _LONGEST else b""

    def _see(self, match: re.Match[bytes]) -> None:
        if match["modes"]:
            for item in match["modes"].split(b";"):
                self._mode(int(item or b"0"), match["way"] == b"h")
        elif match["colour"] is not None:
            self._coloured = bool(match["colour"].strip(b"0;"))
        elif match["keypad"]:
            self._keypad = match["keypad"] == b"="
        elif match["charset"]:
            self._charset = match["charset"] != b"B"
        elif match["shift"]:
            self._shifted = match["shift"] == b"\x0e"
        elif match["region"]:
            self._region = True
        elif match["all"]:
            self._clear()

    def _mode(self, mode: int, on: bool) -> None:
        if mode in (_OFF if on else _ON) and mode != _MOVED:
            self._changed[mode] = None
        else:
            self._changed.pop(mode, None)

    def undo(self) -> bytes:
        """What brings the terminal back to what a prompt needs; nothing where nothing is left."""
        parts = [b"\x1b[?%d%s" % (mode, b"l" if mode in _OFF else b"h") for mode in reversed(self._changed)]
        if self._region:
            parts.insert(0, b"\x1b7\x1b[r\x1b8")  # it would move the cursor
        if self._keypad:
            parts.append(b"\x1b>")
        if self._charset:
            parts.append(b"\x1b(B")
        if self._shifted:
            parts.append(b"\x0f")
        if self._coloured:
            parts.append(b"\x1b[0m")
        self._rest = b""
        self._clear()
        return b"".join(parts)
