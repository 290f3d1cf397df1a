"""The few lines at the end of a job: how many hosts ended how, who failed and why, and what to do about it.

Imports core only: replay a saved stream of events to test it.
"""

from __future__ import annotations

import contextlib
import os

from hostshell.core.clean import clean
from hostshell.core.events import CopyCounts, Finished, Planned, Status, Summary
from hostshell.core.names import fold
from hostshell.core.outcome import Reason, Tally
from hostshell.shell.screen import BOLD, DIM, GREEN, RED, YELLOW, Screen

_WORDS: dict[Status, str] = {
    "ok": "ok",
    "failed": "failed",
    "unreachable": "unreachable",
    "timeout": "timed out",
    "lost": "lost",
    "cancelled": "cancelled",
}
FETCHED = "fetched"
_MOST_HINTS = 5  # different ones of hosts that failed alike
_COLOURS: dict[Status, str] = {"ok": GREEN, "cancelled": YELLOW}


class SummaryLines:
    """Collects how hosts end, and writes the summary of one job to standard error."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tally = Tally()
        self._notes: dict[str, list[str]] = {}

    def ended(self, finished: Finished) -> None:
        """Count one host."""
        self._tally.add(finished)

    def note(self, host: str, text: str) -> None:
        """Keep a note about one host; hosts with the same note share a line."""
        self._notes.setdefault(text, []).append(host)

    def write(self, summary: Summary, *, quiet: bool = False) -> None:
        """All of it; with ``quiet`` only what a person must not miss: what may still run, and notes."""
        screen = self._screen
        counts = []
        for status, word in _WORDS.items():
            number = getattr(summary, status)
            if number:
                counts.append(screen.paint(f"{number} {word}", BOLD, _COLOURS.get(status, RED)))
        lines = []
        if not quiet:
            lines.append(self._counts(counts, summary.seconds))
            if summary.copied is not None and (text := copied_text(summary.copied)):
                text = f"  {text}"
                lines.append(screen.wrapped(text, "  ") if screen.overflows(text) else text)
            for reason in self._tally.reasons.values():
                lines.extend(self._reason(reason))
        indent = "" if quiet else "  "
        if self._tally.may_still_run:
            lines.append(screen.paint(f"{indent}may still run on {fold(self._tally.may_still_run)}", YELLOW))
        for text, hosts in self._notes.items():
            line = f"{indent}note: {fold(hosts)}: {clean(text)}"
            lines.append(screen.wrapped(line.lstrip(), indent) if screen.overflows(line) else line)
        if lines:
            screen.err("\n".join(lines) + "\n")

    def _counts(self, counts: list[str], seconds: float) -> str:
        text = f"{', '.join(counts) or 'no hosts'} in {duration(seconds)}"
        return self._screen.wrapped(text, "") if self._screen.overflows(text) else text

    def _reason(self, reason: Reason) -> list[str]:
        screen = self._screen
        word = _WORDS[reason.status]
        text = "" if clean(reason.message) == word else clean(reason.message)
        who = f"  {screen.paint(word, _COLOURS.get(reason.status, RED))} {fold(reason.hosts)}"
        lines = [f"{who}: {text}" if text else who]
        if text and screen.overflows(lines[0]):
            lines = [f"{who}:", screen.wrapped(text, "    ")]
        hints = [(hint, hosts) for hint, hosts in reason.hints.items() if hint]
        for hint, hosts in hints[:_MOST_HINTS]:
            whose = f"{fold(hosts)}: " if len(reason.hints) > 1 else ""
            lines.append(screen.wrapped(clean(whose + hint), "    ", DIM))
        more = sum(len(hosts) for _, hosts in hints[_MOST_HINTS:])
        if more:
            lines.append(screen.wrapped(f"and for {more} hosts in other words, which --json has", "    ", DIM))
        return lines


def copied_text(counts: CopyCounts) -> str:
    """``12 files, 1.2 MB; 2 links; 300 unchanged by sha256sum, 80.0 MB saved``; "" where there was nothing to do."""
    parts = _moved(counts)
    if counts.planned is not None and (counts.planned.send or counts.planned.replace):
        parts.insert(0, f"{planned_text(counts.planned)}, {size(counts.planned.bytes)}")
    if counts.unchanged:
        how = f" by {', '.join(counts.compared)}" if counts.compared else ""
        parts.append(f"{counts.unchanged} unchanged{how}")
    text = "; ".join(parts)
    return f"{text}, {size(counts.saved)} saved" if counts.saved else text


def ended_text(counts: CopyCounts | None, done: str) -> str:
    """``sent 1 file, 12 B -> /tmp/a`` where ``done`` is "sent"; ``unchanged: /tmp/a``; or what a dry run would do."""
    if counts is None:
        return done
    place = clean(counts.landed)
    if done == FETCHED:  # as it was typed, mostly
        with contextlib.suppress(OSError):  # it may have been removed
            place = place.removeprefix(f"{os.getcwd()}/")
    if counts.planned is not None:
        nothing, text = not (counts.planned.send or counts.planned.replace), planned_text(counts.planned)
    else:
        nothing = not counts.changed
        text = "unchanged" if nothing else f"{done} {'; '.join(_moved(counts))}"
    return f"{text}{':' if nothing else ' ->'} {place}" if place else text


def _moved(counts: CopyCounts) -> list[str]:
    """What was sent or fetched, or made."""
    parts = [f"{_number(counts.files, 'file')}, {size(counts.bytes)}"] if counts.files else []
    if counts.links:
        parts.append(_number(counts.links, "link"))
    if counts.directories and not parts:
        parts.append(f"{counts.directories} new {'directory' if counts.directories == 1 else 'directories'}")
    return parts


def planned_text(planned: Planned) -> str:
    """``would copy 3 files, replace 1``; a link counts as a file."""
    parts = []
    if planned.send:
        parts.append(f"copy {_number(planned.send, 'file')}")
    if planned.replace:
        parts.append(f"replace {planned.replace if parts else _number(planned.replace, 'file')}")
    return f"would {', '.join(parts)}" if parts else "would change nothing"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def size(number: float) -> str:
    """Bytes as a person says them, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``0.31 s``, ``12 s``, ``3 min 05 s``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
