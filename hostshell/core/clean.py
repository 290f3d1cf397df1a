"""Remote text made safe for a terminal and a log: no host can move the cursor, set a title or forge another's prefix.

Pure: text in, text out. TAB passes. Colour (SGR, without conceal) passes on a terminal and is reset at the line's end.
Every other C0, DEL, C1, line separator and bidirectional control is shown visibly.
"""

from __future__ import annotations

import re

RESET = "\x1b[0m"

# bidirectional controls as in the "Trojan Source" paper (CVE-2021-42574), and what a terminal may take for a new line
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029"
# undecodable bytes arrive as lone surrogates (PEP 383)
_UNSAFE = re.compile(f"[\x00-\x08\x0a-\x1f\x7f-\x9f{_BIDI}{_SEPARATORS}\ud800-\udfff\ufeff\ufff9-\ufffb]")
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern.replace("\x0a-\x1f", "\x0b-\x1f"))
_SGR = re.compile(r"\x1b\[([0-9;:]{0,64})m")


def clean(text: str, *, colour: bool = False) -> str:
    """One line of remote text, safe to print. With ``colour`` SGR sequences pass and are reset at the end.

    ``text`` may hold lone surrogates for bytes that could not be decoded (``errors="surrogateescape"``).
    """
    if text.isascii() and text.isprintable():
        return text
    if not _UNSAFE.search(text):
        return text
    if not colour or "\x1b[" not in text:
        return _UNSAFE.sub(_show, text)
    parts: list[str] = []
    position = 0
    coloured = False
    for match in _SGR.finditer(text):
        parts.append(_UNSAFE.sub(_show, text[position : match.start()]))
        kept = _without_conceal(match[1])
        if kept is not None:
            parts.append(f"\x1b[{kept}m")
            coloured = True
        position = match.end()
    parts.append(_UNSAFE.sub(_show, text[position:]))
    if coloured:
        parts.append(RESET)
    return "".join(parts)


def clean_lines(text: str, prefix: str, *, colour: bool = False) -> str:
    """Whole lines (each ended by LF), cleaned, each under ``prefix``."""
    if not _UNSAFE_IN_LINES.search(text):
        return prefix + text[:-1].replace("\n", "\n" + prefix) + "\n"
    return "".join(f"{prefix}{clean(line, colour=colour)}\n" for line in text[:-1].split("\n"))


def decode(raw: bytes) -> str:
    """Bytes of a host as text for `clean`: UTF-8, bytes that are not valid kept apart."""
    return raw.decode("utf-8", "surrogateescape")


def _without_conceal(parameters: str) -> str | None:
    """SGR parameters without 8 (conceal); None when nothing is left. What follows 38, 48 and 58 is a colour."""
    if "8" not in parameters:
        return parameters
    kept: list[str] = []
    items = parameters.split(";")
    skip = dropped = 0
    for index, item in enumerate(items):
        if skip:
            skip -= 1
            if dropped:
                dropped -= 1
                continue
        elif item in ("38", "48", "58"):
            follows = items[index + 1] if index + 1 < len(items) else ""
            skip = 2 if follows == "5" else 4 if follows == "2" else 0
            if item == "58":
                # a terminal that does not know underline colours would read "5;8" as blink and conceal
                dropped = skip
                continue
        elif item.partition(":")[0].lstrip("0") == "8":
            continue
        kept.append(item)
    return ";".join(kept) if kept else None


def _show(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return "^" + chr(code + 0x40)
    if code == 0x7F:
        return "^?"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"<U+{code:04X}>"
