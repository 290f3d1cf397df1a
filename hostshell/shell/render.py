"""Views of one stream of events: live lines, gathered outputs, JSON. Equals, made from the same events.

Imports core only, blind to the session: replay a saved stream to test any of them.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from hostshell.core.clean import clean, clean_lines
from hostshell.core.encodings import decode
from hostshell.core.events import Block, CopyCounts, Event, Examined, Finished, Output, Progress, Started, Summary
from hostshell.core.names import fold
from hostshell.core.turns import Note
from hostshell.shell.gather import Gatherer
from hostshell.shell.progress import ProgressLine
from hostshell.shell.screen import BOLD, DIM, Screen
from hostshell.shell.summary import SummaryLines, duration, ended_text

MOST_CANCELLED = 256 * 1024  # bytes of a gathered output that are shown after Ctrl-C: the person wants the prompt back


class View(Protocol):
    """Shows one job."""

    def show(self, event: Event | Note) -> None:
        """One more event of the job, in order."""


class Live:
    """Each line as it arrives, as ``host: line``; the summary at the end.

    With ``each`` a line for each host that ended well, for tasks whose hosts print nothing (ping, copies). Without
    ``prefix`` output stands alone. ``quiet`` leaves out the summary and the lines of ``each``.
    """

    def __init__(self, screen: Screen, *, each: str = "", prefix: bool = True, quiet: bool = False) -> None:
        self._screen = screen
        self._each = "" if quiet else each
        self._named = prefix
        self._quiet = quiet
        self._lines = SummaryLines(screen)
        self._progress: ProgressLine | None = None
        self._prefixes: dict[str, tuple[str, str]] = {}

    def show(self, event: Event | Note) -> None:
        match event:
            case Block():
                self._block(event)
            case Started(_, _, hosts):
                self._progress = ProgressLine(self._screen, hosts)
            case Progress():
                if self._progress is not None:
                    self._progress.moved(event)
            case Finished():
                self._finished(event)
            case Note(host, text):
                self._lines.note(host, text)
            case Summary():
                self._screen.done()
                self._end(event)
            case _:
                pass

    def _prefix(self, host: str) -> tuple[str, str]:
        pair = self._prefixes.get(host)
        if pair is None:
            screen = self._screen
            pair = (screen.name(host, screen.out_colour), screen.name(host, screen.err_colour))
            self._prefixes[host] = pair
        return pair

    def _block(self, block: Block) -> None:
        screen = self._screen
        out, err = self._prefix(block.host) if self._named else ("", "")
        # a piece or an unfinished last line gets its newline here: every part stands under its host's name
        text = decode(block.raw, block.encoding) if block.eol else decode(block.raw, block.encoding) + "\n"
        if block.stream == "stdout":
            screen.out(clean_lines(text, out, colour=screen.out_colour))
        else:
            screen.err(clean_lines(text, err, colour=screen.err_colour))

    def _finished(self, event: Finished) -> None:
        self._lines.ended(event)
        if self._progress is not None:
            self._progress.host_done(event.host)
        if self._each and event.status == "ok":
            screen = self._screen
            text = screen.paint(ended_text(event.copied, self._each), DIM)
            screen.err(f"{self._prefix(event.host)[1]}{text} ({duration(event.seconds)})\n")
            if self._progress is not None:
                self._progress.again()

    def _end(self, event: Summary) -> None:
        self._lines.write(event, quiet=self._quiet)


class Gathered(Live):
    """Identical outputs once, under the folded names of their hosts, when all hosts have ended."""

    def __init__(self, screen: Screen, *, each: str = "", prefix: bool = True, quiet: bool = False) -> None:
        super().__init__(screen, each=each, prefix=prefix, quiet=quiet)
        self._gatherer = Gatherer()
        self._ended = 0
        self._hosts = 0

    def show(self, event: Event | Note) -> None:
        if isinstance(event, Started):
            self._hosts = len(event.hosts)
        super().show(event)

    def _block(self, block: Block) -> None:
        self._gatherer.add(block)

    def _finished(self, event: Finished) -> None:
        super()._finished(event)
        self._ended += 1
        self._screen.status(f"{self._ended} of {self._hosts} hosts have answered")

    def _end(self, event: Summary) -> None:
        self._screen.done()
        try:
            self._show_groups(MOST_CANCELLED if event.cancelled else None)
        except KeyboardInterrupt:
            self._screen.err("\ninterrupted: the rest of the output is left out\n")
        self._gatherer.close()
        super()._end(event)

    def _show_groups(self, most: int | None) -> None:
        """Every different output; of each at most ``most`` bytes, where there is such a limit."""
        screen = self._screen
        for stream, write, colour in (
            ("stdout", screen.out, screen.out_colour),
            ("stderr", screen.err, screen.err_colour),
        ):
            for hosts, pieces in self._gatherer.groups(stream):
                names = f"{fold(hosts)} ({len(hosts)})"
                rule = "-" * max(15, min(len(names), screen.width))
                if colour:
                    names = f"\x1b[{BOLD}m{names}\x1b[0m"
                if self._named:
                    write(f"{rule}\n{names}\n{rule}\n")
                written = 0
                for piece in pieces:
                    if most is not None and written > most:
                        screen.err(f"cancelled: the rest of what {fold(hosts)} printed is left out\n")
                        break
                    written += len(piece)
                    write(clean_lines(decode(piece), "", colour=colour))


class Json:
    """One object a line, as docs/json.md describes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def show(self, event: Event | Note) -> None:
        if isinstance(event, Block):
            self._screen.out("".join(dump(line) for line in event.lines()))
        elif isinstance(event, Note):
            self._screen.err(f"{event.host}: {clean(event.text)}\n")
        else:
            self._screen.out(dump(event))
            if isinstance(event, Finished) and event.may_still_run:
                self._screen.err(f"may still run on {event.host}\n")


def dump(event: Event) -> str:
    """One event as a line of JSON."""
    return json.dumps(as_dict(event), ensure_ascii=True) + "\n"


def as_dict(event: Event) -> dict[str, Any]:
    """One event as the JSON object of the contract."""
    match event:
        case Started():
            return {"event": "started", "job": event.job, "command": event.command, "hosts": list(event.hosts)}
        case Output():
            found: dict[str, Any] = {
                "event": "output",
                "job": event.job,
                "host": event.host,
                "stream": event.stream,
                "data": event.data,
            }
            if not event.eol:
                found["eol"] = False
            encoded = event.data_base64
            if encoded is not None:
                found["data_base64"] = encoded
            return found
        case Progress():
            return {
                "event": "progress",
                "job": event.job,
                "host": event.host,
                "path": event.path,
                "bytes": event.bytes,
                "total": event.total,
                "saved": event.saved,
                "comparing": event.comparing,
            }
        case Examined():
            step = event.step
            return {
                "event": "step",
                "job": event.job,
                "host": event.host,
                "step": step.name,
                "via": step.via or None,
                "result": step.result,
                "seconds": step.seconds,
                "facts": {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in step.facts.items()},
                "message": step.message,
                "hint": step.hint,
            }
        case Finished():
            error = event.error
            found = {
                "event": "finished",
                "job": event.job,
                "host": event.host,
                "status": event.status,
                "exit_code": event.exit_code,
                "signal": event.signal,
                "seconds": event.seconds,
                "error": None if error is None else {"kind": error.kind, "message": error.message, "hint": error.hint},
            }
            return found | _copied(event.copied)
        case Summary():
            found = {
                "event": "summary",
                "job": event.job,
                "ok": event.ok,
                "failed": event.failed,
                "unreachable": event.unreachable,
                "timeout": event.timeout,
                "lost": event.lost,
                "cancelled": event.cancelled,
                "seconds": event.seconds,
                "exit_code": event.exit_code,
            }
            return found | _copied(event.copied)
        case _:
            raise TypeError(f"{type(event).__name__} is no event of the JSON contract")


def _copied(counts: CopyCounts | None) -> dict[str, Any]:
    """The counts of a copy as a field of their own; nothing for what is no copy."""
    if counts is None:
        return {}
    found: dict[str, Any] = {
        "files": counts.files,
        "bytes": counts.bytes,
        "links": counts.links,
        "directories": counts.directories,
        "unchanged": counts.unchanged,
        "saved": counts.saved,
        "compared": list(counts.compared),
    }
    if counts.landed:
        found["landed"] = counts.landed
    if counts.planned is not None:
        planned = counts.planned
        found["planned"] = {"send": planned.send, "replace": planned.replace, "bytes": planned.bytes}
    return {"copied": found}
