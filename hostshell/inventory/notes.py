"""What a source holds that we do not use, in a few lines for a person: nothing is dropped silently.

Must not know formats. No note ever holds a variable's value.
"""

from __future__ import annotations

from hostshell.core.clean import clean
from hostshell.core.records import dataclass

MOST_NAMED = 8  # variables that one line names


@dataclass(frozen=True, slots=True)
class Note:
    """One line. ``loud``: it has to do with how hosts are reached, so it is said at once and not only when asked."""

    text: str
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What one ``-i`` or one file of a folder gave: its kind in words, how many hosts and groups, what is not used."""

    name: str
    kind: str
    hosts: int
    groups: int
    notes: tuple[Note, ...] = ()


class Notes:
    """Gathers the notes of one file; what is said often is one line."""

    def __init__(self, file: str) -> None:
        self._file = self._reading = file
        self._unused: dict[str, int] = {}  # variable to its first line
        self._said: dict[str, list[str | int]] = {}  # text to (first place, how many more)

    def reading(self, file: str) -> None:
        """What follows stands in another file, of the same folder."""
        self._reading = file

    def unused(self, variable: str, line: int) -> None:
        """A variable that means nothing to us: all of them make one line."""
        self._unused.setdefault(variable, line)

    def say(self, line: int, text: str) -> None:
        """Something about how hosts are reached. The same text is one line, with the place where it stands first."""
        entry = self._said.get(text)
        if entry is None:
            self._said[text] = [f"{self._reading}:{line}" if line else self._reading, 0]
        else:
            assert isinstance(entry[1], int)
            entry[1] += 1

    def lines(self) -> tuple[Note, ...]:
        """The loud ones first, in the order of the file."""
        found = []
        for text, (place, more) in self._said.items():
            often = f" (and {more:,} more)" if more else ""
            found.append(Note(f"{place}{often}: {clean(text)}", loud=True))
        if self._unused:
            names = [clean(name[:60]) for name in self._unused]
            shown = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
            what = "1 variable is" if len(names) == 1 else f"{len(names):,} variables are"
            line = next(iter(self._unused.values()))
            place = f"{self._file}:{line}" if line and len(names) == 1 else self._file
            found.append(Note(f"{place}: {what} not used: {shown}"))
        return tuple(found)
