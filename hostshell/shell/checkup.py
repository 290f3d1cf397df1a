"""What `doctor` found, for a person: hosts that do not work with their steps and what to do, the others in one line.

Imports core only: replay a saved stream of events to test it.
"""

from __future__ import annotations

from collections.abc import Iterable

from hostshell.core.clean import clean
from hostshell.core.events import Event, Examined, Failure, Finished, Started, Summary
from hostshell.core.names import fold
from hostshell.core.steps import Fact, Step
from hostshell.core.turns import Note
from hostshell.shell.screen import BOLD, DIM, GREEN, RED, YELLOW, Screen
from hostshell.shell.summary import SummaryLines

_MARKS = {"ok": ("ok", GREEN), "warning": ("!", YELLOW), "failed": ("x", RED), "skipped": ("-", DIM)}
_NAME = 13  # columns of a step's name
_MOST = 3  # items of a fact that are shown
_FIRST = "settings"  # the step with which an attempt begins


class Checkup:
    """Hosts that fail alike, and at the same step, share one walk: that of the first of them."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._summary = SummaryLines(screen)
        self._steps: dict[str, list[Step]] = {}
        self._finished: dict[str, Finished] = {}
        self._hosts: tuple[str, ...] = ()

    def show(self, event: Event | Note) -> None:
        match event:
            case Started(_, _, hosts):
                self._hosts = hosts
            case Examined(_, host, step):
                if step.name == _FIRST and not step.via:
                    self._steps[host] = []  # tried again
                self._steps.setdefault(host, []).append(step)
            case Finished():
                self._finished[event.host] = event
                steps = self._steps.get(event.host, [])
                if event.status == "ok" and all(step.result == "ok" for step in steps):
                    # nobody looks at all of them: with 10,000 hosts they would be many
                    self._steps[event.host] = [max(steps, key=lambda step: step.seconds)] if steps else []
                self._screen.status(f"{len(self._finished)} of {len(self._hosts)} hosts have been looked at")
            case Note(host, text):
                self._summary.note(host, text)
            case Summary():
                self._screen.done()
                self._end(event)
            case _:
                pass

    def _end(self, summary: Summary) -> None:
        alike: dict[tuple[str, ...], list[str]] = {}
        fine: list[str] = []
        for host in self._hosts:  # in the order in which they were named
            finished = self._finished.get(host)
            if finished is None:
                continue
            if finished.status != "ok":
                error = finished.error or Failure("exit", finished.status)
                alike.setdefault((finished.status, error.message, error.hint), []).append(host)
                continue
            warnings = [step for step in self._steps.get(host, ()) if step.result == "warning"]
            if warnings:
                alike.setdefault(("ok", warnings[0].message, warnings[0].hint), []).append(host)
            else:
                fine.append(host)
        for (status, message, hint), hosts in alike.items():
            self._walk(status, message, hint, hosts)
        if fine:
            self._fine(fine)
        self._screen.err(self._counts(summary, len(fine)))
        self._summary.write(summary, quiet=True)  # notes

    def _walk(self, status: str, message: str, hint: str, hosts: list[str]) -> None:
        screen = self._screen
        colour = YELLOW if status == "ok" else RED
        count = f" ({len(hosts)})" if len(hosts) > 1 else ""
        heading = f"{fold(hosts)}{count}: {clean(message)}"
        lines = [screen.wrapped(heading, "", BOLD, colour)]
        if hint:
            lines.append(screen.wrapped(clean(hint), "    ", DIM))
        for step in self._steps.get(hosts[0], ()):
            lines.append(self._line(step))
        screen.err("\n".join(lines) + "\n")

    def _line(self, step: Step) -> str:
        screen = self._screen
        mark, colour = _MARKS[step.result]
        name = f"{step.name:<{_NAME}}"
        if step.via:
            name = f"{step.via}: {step.name}"
        seconds = f"{1000 * step.seconds:.0f} ms"
        seen = "; ".join(_seen(step))
        if step.result != "ok" and step.message:
            seen = f"{seen}; {step.message}" if seen and step.result == "warning" else seen or step.message
        head = f"  {mark:<2} {name} {seconds:>8}  "
        first, *more = screen.wrapped(clean(seen), " " * len(head)).split("\n")
        painted = f"  {screen.paint(f'{mark:<2}', colour)} {name} {screen.paint(f'{seconds:>8}', DIM)}  "
        return "\n".join([painted + first[len(head) :], *more]).rstrip()

    def _fine(self, hosts: list[str]) -> None:
        slowest = max(
            ((step.seconds, step.name, host) for host in hosts for step in self._steps.get(host, ())), default=None
        )
        count = f" ({len(hosts)})" if len(hosts) > 1 else ""
        text = f"{fold(hosts)}{count}: all well"
        if slowest is not None:
            seconds, name, host = slowest
            text += f"; the longest step took {1000 * seconds:.0f} ms ({name} of {host})"
        self._screen.err(self._screen.wrapped(clean(text), "", GREEN) + "\n")

    def _counts(self, summary: Summary, fine: int) -> str:
        warned = summary.ok - fine
        bad = len(self._finished) - summary.ok
        parts = [f"{fine} well"]
        if warned:
            parts.append(f"{warned} with a warning")
        if bad:
            parts.append(f"{bad} not")
        return f"{', '.join(parts)}, in {summary.seconds:.2f} s\n"


def _seen(step: Step) -> Iterable[str]:
    """What a person wants to see of a step's facts."""
    facts = step.facts
    if step.name == "name":
        name, addresses = str(facts.get("name", "")), _some(facts.get("addresses"))
        yield name if addresses == name else f"{name} is {addresses}" if addresses else f"{name} is not found"
    elif step.name == "key exchange":
        if step.result == "failed":
            yield step.message
        return
    elif step.name == "host key":
        yield str(facts.get("key", ""))
        known = _some(facts.get("known"))
        if known:
            yield f"known: {known}"
    elif step.name == "sftp":
        if step.result == "failed":
            yield step.message
        return
    else:
        for name, fact in facts.items():
            text = _some(fact)
            if text:
                yield text if name in ("banner", "offered", "tried") else f"{name} {text}"


def _some(fact: Fact | None) -> str:
    if isinstance(fact, tuple):
        more = f" and {len(fact) - _MOST} more" if len(fact) > _MOST else ""
        return ", ".join(fact[:_MOST]) + more
    return "" if fact is None else str(fact)
