"""Bars as SVG: what the works say that is to be drawn, ours and the others', the shorter the better.

Pure: gets what was done, gives text. The picture brings its own ground, light or dark as the reader's screen is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.benchmarks.report import shown
from tests.benchmarks.work import Done

WIDTH, LEFT, RIGHT, MARGIN = 760, 190, 110, 20  # LEFT and RIGHT: the room for names and for figures
ROW, BAR, GAP, HEAD = 22, 14, 18, 26
LINEAR = 20.0  # a panel in which the longest is more than this many times the shortest gets a logarithmic scale

STYLE = """
  .ground { fill: #ffffff; stroke: #d1d9e0; }
  text { fill: #1f2328; font: 13px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
  .title { font-weight: 600; }
  .quiet { fill: #59636e; }
  .ours { fill: #1a7f37; }
  .theirs { fill: #818b98; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .ours { fill: #3fb950; }
    .theirs { fill: #656c76; }
  }
"""


@dataclass(frozen=True)
class Bars:
    """One panel: names, medians and whether they are ours, shortest first."""

    title: str
    unit: str
    rows: tuple[tuple[str, float, bool], ...]

    @property
    def logarithmic(self) -> bool:
        """Whether the bars differ so much that a linear scale would show only the longest."""
        return self.rows[-1][1] > LINEAR * self.rows[0][1] > 0

    def share(self, value: float) -> float:
        """How much of the room a bar takes, 0 to 1."""
        shortest, longest = self.rows[0][1], self.rows[-1][1]
        if not self.logarithmic:
            return value / longest if longest else 0.0
        floor = math.floor(math.log10(shortest) - 0.2)  # so that the shortest has some length too
        return (math.log10(value) - floor) / (math.log10(longest) - floor)


def panels(done: Sequence[Done]) -> list[Bars]:
    """A panel for each measure that is to be drawn and that at least two gave."""
    found = []
    for one in done:
        ours = {bar.ours for bar in one.work.bars}
        for measure in one.work.chart:
            rows = [
                (name, one.median(name, measure), name in ours) for name in one.samples if one.values(name, measure)
            ]
            if len(rows) > 1:
                ordered = tuple(sorted(rows, key=lambda row: (row[1], row[0])))
                found.append(Bars(f"{one.work.title.replace('`', '')}: {measure}", one.work.units[measure], ordered))
    return found


def chart(done: Sequence[Done]) -> str:
    """docs/benchmarks.svg."""
    y = MARGIN + HEAD
    body: list[str] = [_text(MARGIN, y - 8, "Shorter is better. Medians of one run.", "quiet")]
    for panel in panels(done):
        y += GAP
        scale = " (logarithmic)" if panel.logarithmic else ""
        body.append(_text(MARGIN, y, panel.title + scale, "title"))
        y += 10
        for name, value, ours in panel.rows:
            length = max(2.0, panel.share(value) * (WIDTH - 2 * MARGIN - LEFT - RIGHT))
            kind = "ours" if ours else "theirs"
            x = MARGIN + LEFT
            body.append(_text(x - 10, y + BAR - 2, name, "", "end"))
            body.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>')
            body.append(_text(x + length + 8, y + BAR - 2, shown(value, panel.unit), "quiet"))
            y += ROW
        y += 8
    height = y + MARGIN - GAP // 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
            ' role="img" aria-label="hostshell beside others, by work">',
            f"<style>{STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
            *body,
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
