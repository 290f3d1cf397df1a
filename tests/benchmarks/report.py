"""Figures as text: a table for the terminal, and docs/benchmarks.md.

Pure: gets what was done, gives text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.benchmarks.peers import Peers
from tests.benchmarks.work import Done, Figure

UNITS: dict[str, str] = {
    "s": "{:.3f} s",
    "ms": "{:.1f} ms",
    "MB": "{:.0f} MB",
    "MB/s": "{:.0f} MB/s",
    "bytes": "{:,.0f}",
    "KB": "{:.0f} KB",
    "%": "{:.2f} %",
    "times": "{:.2f} ×",
    "trips": "{:.1f}",
    "number": "{:,.0f}",
}
CHART = "benchmarks.svg"
QUICK = "The quick form does fewer rounds of everything; what is smaller besides is said with each work."
ROUNDS = (
    "rounds: in how many of them the bar was met, each held against the other's of the same round, or against its "
    "median where it did fewer. The verdict is that of the medians."
)
_HEAD = ("work", "bar", "figure", "met", "rounds")
_MOST_DIGITS = 6


def shown(value: float, unit: str) -> str:
    """A figure with its unit."""
    return UNITS[unit].format(value)


def bar_text(figure: Figure) -> str:
    """The bar as it is said: ``≤ 2.0 ×`` or ``≤ 20.0 ms``."""
    bar = figure.bar
    return f"≤ {bar.limit:.3g} × {figure.peer}" if bar.against else f"≤ {shown(bar.limit, bar.unit)}"


def figure_text(figure: Figure) -> str:
    """What was measured, with the medians behind a ratio."""
    unit = figure.bar.unit
    if figure.theirs is None:
        return shown(figure.value, unit)
    digits = 2 if figure.bar.limit >= 0.2 else 3
    # as many as it takes to see on which side of the limit it is
    while digits < _MOST_DIGITS and (round(figure.value, digits) <= figure.bar.limit) is not figure.met:
        digits += 1
    return f"{figure.value:.{digits}f} × ({shown(figure.ours, unit)} : {shown(figure.theirs, unit)})"


def anchor(title: str) -> str:
    """What a link inside a page calls the section of that title, as GitHub makes it."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def _rows(done: Sequence[Done], *, link: bool = False) -> list[tuple[str, ...]]:
    return [
        (
            f"[{figure.bar.what}](#{anchor(one.work.title)})" if link else figure.bar.what,
            bar_text(figure),
            figure_text(figure),
            "yes" if figure.met else "NO",
            f"{figure.rounds_met} of {len(figure.rounds)}",
        )
        for one in done
        for figure in one.figures()
    ]


def bars_met(done: Sequence[Done]) -> str:
    """How many of the bars are met."""
    met = [figure.met for one in done for figure in one.figures()]
    return f"Bars met: {sum(met)} of {len(met)}."


def table(done: Sequence[Done]) -> str:
    """All bars in columns, for a terminal."""
    rows = [_HEAD, *_rows(done)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], "", bars_met(done), ROUNDS])


def details(one: Done) -> list[str]:
    """A Markdown section: the commands, and of each measure the median and the range over the rounds."""
    work = one.work
    lines = [f"## {work.title}", ""]
    measures = list(work.units)
    lines += _markdown(("contestant", *measures, "rounds"), [_detail(one, name, measures) for name in one.samples])
    lines += ["", *(f"    {command}" for command in dict.fromkeys(c.command for c in work.contestants)), ""]
    for note in work.notes:
        lines += [note, ""]
    for name, reason in one.failed.items():
        lines += [f"{name} failed and took no further part: {' '.join(reason.split())[:300]}", ""]
    for bar in one.unheld():
        lines += [f"Not held: {bar.what}; {', '.join(bar.against)} took no part.", ""]
    return lines


def _detail(one: Done, contestant: str, measures: list[str]) -> tuple[str, ...]:
    cells = [contestant]
    for measure in measures:
        values = one.values(contestant, measure)
        if not values:
            cells.append("–")
            continue
        unit = one.work.units[measure]
        cell = shown(one.median(contestant, measure), unit)
        low, high = shown(min(values), unit), shown(max(values), unit)
        cells.append(cell if low == high else f"{cell} ({low} – {high})")
    return (*cells, str(len(one.samples[contestant])))


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]


def busy_text(busy: Sequence[float]) -> str:
    """How much of the machine others had before and after the run."""
    shares = " and ".join(f"{share:.0%}" for share in busy)
    return f"Before and after the run, other programs used {shares} of the cores: the less, the truer the figures."


def page(
    done: Sequence[Done],
    *,
    full: bool,
    date: str,
    machine: Mapping[str, str],
    versions: Mapping[str, str],
    busy: Sequence[float],
    peers: Peers = Peers(),  # noqa: B008  # nobody changes it
) -> str:
    """docs/benchmarks.md."""
    quick = "" if full else f" {QUICK}"
    command = "make bench ARGS='--full --write'" if full else "make bench ARGS=--write"
    lines = [
        "# Benchmarks",
        "",
        f"<!-- Written by `{command}` (tests/benchmarks). Do not edit: run it again. -->",
        "",
        "`make bench` measures this again in under 3 minutes, against real OpenSSH servers on loopback that it "
        "starts itself; `make bench ARGS=--full` takes larger sizes and more rounds; `--write` writes this page. The "
        "first time it also installs the other programs, into .benchmarks/peers.",
        "",
        f"Measured on {date}, {'full' if full else 'quick'} form. Contestants of one work take turns, round after "
        "round; what is compared is the ratio of their medians in that one run. Behind a median stands the range of "
        f"its rounds.{quick} Scripts named with_*.py are in tests/benchmarks/scripts.",
        "",
        busy_text(busy),
        "",
        *_markdown(("on", ""), [*machine.items()]),
        "",
        *_markdown(("with", "version"), [*versions.items(), *peers.versions.items()]),
        "",
        *(line for name, reason in peers.absent.items() for line in (f"{name} took no part. {reason}", "")),
        f"{bars_met(done)} {ROUNDS[0].upper()}{ROUNDS[1:]}",
        "",
        *_markdown(_HEAD, _rows(done, link=True)),
        "",
        f"![Bars of the main works, hostshell beside the others]({CHART})",
        "",
    ]
    for one in done:
        lines += details(one)
    return "\n".join(lines).rstrip() + "\n"
