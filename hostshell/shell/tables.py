"""Tables for a person, through rich, which is loaded only when one is drawn. Plain lines where rich would be slow."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

_PADDING = re.compile(r" *(\x1b\[0m)? *$")  # of the last column: it would wrap on a narrow terminal
MOST_ROWS = 1000  # rich measures every cell; beyond this, columns are joined by tabs


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, colour: bool = False) -> str:
    """Rows under headings, cells wrapped to ``width`` columns. Cells must have been cleaned."""
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


def _keep(match: re.Match[str]) -> str:
    return match[1] or ""
