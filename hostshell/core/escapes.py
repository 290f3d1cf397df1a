"""What a person types during `connect`, and the few keys of it that are ours: ``~.`` and its kin, as in ssh(1).

Pure: bytes in, bytes out. A tilde is looked at only as the first character of a line that the person types.
"""

from __future__ import annotations

from hostshell.core.records import dataclass

_ESCAPE = ord("~")
_ENDS = b"\r\n"

HELP = (
    "~.  leave: hang up and go back",
    "~?  this list",
    "~~  send one ~",
    "(each at the beginning of a line)",
)


@dataclass(frozen=True, slots=True)
class Typed:
    """What came of some input: ``data`` goes to the host. ``leave``: the person wants back, what follows is dropped.

    ``help``: the person asks which escapes there are.
    """

    data: bytes
    leave: bool = False
    help: bool = False


class Escapes:
    """Reads input piece by piece; however it is cut, the outcome is the same."""

    def __init__(self) -> None:
        self._at_start = True  # of a line
        self._escaped = False  # a tilde at the start of a line has been typed, and is kept back

    def feed(self, data: bytes) -> Typed:
        """The next piece of input."""
        out = bytearray()
        help_wanted = False
        for byte in data:
            if self._escaped:
                self._escaped = False
                if byte == ord("."):
                    return Typed(bytes(out), leave=True, help=help_wanted)
                if byte == ord("?"):
                    help_wanted = True
                    self._at_start = True  # the line has not been begun
                    continue
                if byte != _ESCAPE:
                    out.append(_ESCAPE)
            elif self._at_start and byte == _ESCAPE:
                self._escaped = True
                continue
            out.append(byte)
            self._at_start = byte in _ENDS
        return Typed(bytes(out), help=help_wanted)
