"""The modes of our terminal as SSH tells them to a server (RFC 4254, section 8; IUTF8 is RFC 8160).

Must not know SSH itself: gives the bytes.
"""

from __future__ import annotations

import struct
import termios

_END, _ISPEED, _OSPEED = 0, 128, 129
_DISABLED = 255  # a character that is switched off
_SPEED = 38400  # what servers expect of a terminal that is no line

# opcode: the name of the character
_CHARACTERS = {
    1: "VINTR", 2: "VQUIT", 3: "VERASE", 4: "VKILL", 5: "VEOF", 6: "VEOL", 7: "VEOL2", 8: "VSTART", 9: "VSTOP",
    10: "VSUSP", 11: "VDSUSP", 12: "VREPRINT", 13: "VWERASE", 14: "VLNEXT", 18: "VDISCARD",
}  # fmt: skip
# opcode: the name of the flag, by the number of its field in what tcgetattr gives
_FLAGS: dict[int, dict[int, str]] = {
    0: {
        30: "IGNPAR", 31: "PARMRK", 32: "INPCK", 33: "ISTRIP", 34: "INLCR", 35: "IGNCR", 36: "ICRNL", 37: "IUCLC",
        38: "IXON", 39: "IXANY", 40: "IXOFF", 41: "IMAXBEL", 42: "IUTF8",
    },
    3: {
        50: "ISIG", 51: "ICANON", 52: "XCASE", 53: "ECHO", 54: "ECHOE", 55: "ECHOK", 56: "ECHONL", 57: "NOFLSH",
        58: "TOSTOP", 59: "IEXTEN", 60: "ECHOCTL", 61: "ECHOKE", 62: "PENDIN",
    },
    1: {70: "OPOST", 71: "OLCUC", 72: "ONLCR", 73: "OCRNL", 74: "ONOCR", 75: "ONLRET"},
    2: {90: "CS7", 91: "CS8", 92: "PARENB", 93: "PARODD"},
}  # fmt: skip
_IUTF8 = 0x4000  # Linux and macOS; Python's termios does not have it everywhere


def encode(descriptor: int) -> bytes:
    """The modes of the terminal at ``descriptor``; only "none given" where they cannot be had."""
    try:
        attributes = termios.tcgetattr(descriptor)
    except termios.error:
        return bytes([_END])
    parts = [struct.pack(">BI", opcode, _SPEED) for opcode in (_ISPEED, _OSPEED)]
    characters = attributes[6]
    for opcode, name in _CHARACTERS.items():
        index = getattr(termios, name, None)
        if index is not None:
            code = characters[index]
            value = code[0] if isinstance(code, bytes) else int(code)
            parts.append(struct.pack(">BI", opcode, value or _DISABLED))
    for place, flags in _FLAGS.items():
        for opcode, name in flags.items():
            bit = getattr(termios, name, _IUTF8 if name == "IUTF8" else None)
            if bit is not None:
                held = attributes[place] & bit
                # CS7 and CS8 are values of a field of two bits
                on = held == bit if name in ("CS7", "CS8") else bool(held)
                parts.append(struct.pack(">BI", opcode, int(on)))
    return b"".join(parts) + bytes([_END])
