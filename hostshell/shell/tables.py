"""Tables for a person, through rich, which is loaded only when one is drawn.

Plain lines where rich would be slow; where columns would be crushed, a block of ``heading: value`` for each row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from hostshell.shell.columns import broken, columns

_PADDING = re.compile(r" *(\x1b\[0m)? *$")  # of the last column: it would wrap on a narrow terminal
MOST_ROWS = 1000  # rich measures every cell; beyond this, columns are joined by tabs
LEAST_COLUMN = 10  # columns of the terminal to which a cell may be wrapped
_GAP = 2  # between two columns
_HANGING = "  "


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, colour: bool = False) -> str:
    """Rows under headings, cells wrapped to ``width`` columns. Cells must have been cleaned."""
    if crushes(headings, rows, width, LEAST_COLUMN):
        return blocks(headings, rows, width, colour=colour)
    if len(rows) > MOST_ROWS:
        return "".join("\t".join(cells) + "\n" for cells in (headings, *rows))
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    drawn = Table(box=None, pad_edge=False, header_style="bold" if colour else "")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for cells in rows:
        drawn.add_row(*(Text(cell) for cell in cells))
    console.print(drawn)
    return "".join(f"{_PADDING.sub(_keep, line)}\n" for line in out.getvalue().splitlines())


def crushes(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, least: int) -> bool:
    """Whether a table in ``width`` columns would wrap some cell to fewer than ``least``."""
    needed = _GAP * (len(headings) - 1)
    for cells in zip(headings, *rows[:MOST_ROWS], strict=True):
        needed += min(least, max(map(columns, cells)))
        if needed > width:
            return True
    return False


def blocks(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, colour: bool = False) -> str:
    """Each row as lines ``heading: value`` and an empty one; cells that say nothing are left out."""
    shown = [f"\x1b[1m{heading}\x1b[0m" if colour else heading for heading in headings]
    parts = []
    for cells in rows:
        lines: list[str] = []
        for heading, cell in zip(shown, cells, strict=True):
            if cell:
                line = f"{heading}: {cell}"
                first, *more = [line] if columns(line) <= width else broken(line, width - len(_HANGING))
                lines += [first, *(_HANGING + line for line in more)]
        parts.append("".join(f"{line}\n" for line in lines) + "\n")
    return "".join(parts)


def _keep(match: re.Match[str]) -> str:
    return match[1] or ""
