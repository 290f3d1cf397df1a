"""What `doctor` found, for a person: hosts that do not work with their steps and what to do, the others in one line.

Imports core only: replay a saved stream of events to test it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hostshell.core.clean import clean
from hostshell.core.events import Event, Examined, Failure, Finished, Started, Summary
from hostshell.core.names import fold
from hostshell.core.steps import Fact, Result, Step, StepName
from hostshell.core.turns import Note
from hostshell.shell.screen import BOLD, DIM, GREEN, RED, YELLOW, Screen
from hostshell.shell.summary import SummaryLines

_MARKS = {"ok": ("ok", GREEN), "warning": ("!", YELLOW), "failed": ("x", RED), "skipped": ("-", DIM)}
_NAME = 13  # columns of a step's name
_TOOK = 8  # columns of its time
_MOST = 3  # items of a fact that are shown
_FIRST = "settings"  # the step with which an attempt begins

_Way: TypeAlias = tuple[tuple[StepName, str, Result, tuple[str, ...]], ...]


class Checkup:
    """Hosts that fail alike, after the same steps, share one walk. It says what each of them saw where that differs."""

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
        alike: dict[tuple[str, str, str, _Way], list[str]] = {}
        fine: list[str] = []
        for host in self._hosts:  # in the order in which they were named
            finished = self._finished.get(host)
            if finished is None:
                continue
            if finished.status != "ok":
                error = finished.error or Failure("exit", finished.status)
                alike.setdefault((finished.status, error.message, error.hint, self._way(host)), []).append(host)
                continue
            warnings = [step for step in self._steps.get(host, ()) if step.result == "warning"]
            if warnings:
                alike.setdefault(("ok", warnings[0].message, warnings[0].hint, self._way(host)), []).append(host)
            else:
                fine.append(host)
        for (status, message, hint, _), hosts in alike.items():
            self._walk(status, message, hint, hosts)
        if fine:
            self._fine(fine)
        self._screen.err(self._counts(summary, len(fine)))
        self._summary.write(summary, quiet=True)  # notes

    def _way(self, host: str) -> _Way:
        """What a host's steps have to have in common with those of others that are told with them."""
        return tuple(
            (step.name, step.via, step.result, tuple(label for label, _ in _seen(step)))
            for step in self._steps.get(host, ())
        )

    def _walk(self, status: str, message: str, hint: str, hosts: list[str]) -> None:
        screen = self._screen
        colour = YELLOW if status == "ok" else RED
        count = f" ({len(hosts)})" if len(hosts) > 1 else ""
        heading = f"{fold(hosts)}{count}: {clean(message)}"
        lines = [screen.wrapped(heading, "", BOLD, colour)]
        if hint:
            lines.append(screen.wrapped(clean(hint), "    ", DIM))
        walks = zip(*(self._steps.get(host, ()) for host in hosts), strict=True)
        alike = [(same, _took(same)) for same in walks]
        width = max((len(took) for _, took in alike), default=0)
        lines += [self._line(same, took.rjust(max(_TOOK, width))) for same, took in alike]
        screen.err("\n".join(lines) + "\n")

    def _line(self, same: Sequence[Step], took: str) -> str:
        """One step, as it was taken for each host of a walk."""
        screen, step = self._screen, same[0]
        mark, colour = _MARKS[step.result]
        name = f"{step.name:<{_NAME}}"
        if step.via:
            name = f"{step.via}: {step.name}"
        pieces = zip(*(_seen(one) for one in same), strict=True)
        seen = "; ".join(_together(piece[0][0], [text for _, text in piece]) for piece in pieces)
        message = _together("", [one.message for one in same if one.message])
        if step.result != "ok" and message:
            seen = f"{seen}; {message}" if seen and step.result == "warning" else seen or message
        head = f"  {mark:<2} {name} {took}  "
        first, *more = screen.wrapped(clean(seen), " " * len(head)).split("\n")
        painted = f"  {screen.paint(f'{mark:<2}', colour)} {name} {screen.paint(took, DIM)}  "
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


def _seen(step: Step) -> tuple[tuple[str, str], ...]:
    """What a person wants to see of a step's facts: each with its name, "" where it speaks for itself, and its text."""
    facts = step.facts
    if step.name == "name":
        name, addresses = str(facts.get("name", "")), _some(facts.get("addresses"))
        if addresses == name:
            return (("", name),)
        return (("", f"{name} is {addresses}" if addresses else f"{name} is not found"),)
    if step.name in ("key exchange", "sftp"):
        return (("", step.message),) if step.result == "failed" else ()
    if step.name == "host key":
        known = _some(facts.get("known"))
        return (("", str(facts.get("key", ""))), *([("known: ", known)] if known else ()))
    told = ("certificate", "unusable")  # they are in the error and in what to do about it
    texts = ((name, _some(fact)) for name, fact in facts.items() if name not in told)
    bare = ("banner", "offered", "tried")
    return tuple(("" if name in bare else f"{name} ", text) for name, text in texts if text)


def _some(fact: Fact | None) -> str:
    if isinstance(fact, tuple):
        more = f" and {len(fact) - _MOST} more" if len(fact) > _MOST else ""
        return ", ".join(fact[:_MOST]) + more
    return "" if fact is None else str(fact)


def _together(label: str, texts: Sequence[str]) -> str:
    """What several hosts saw of one thing: each text once."""
    distinct = tuple(dict.fromkeys(texts))
    if len(distinct) > 1 and any(", " in text for text in distinct):  # lists themselves: where one ends has to be seen
        more = f" / {len(distinct) - _MOST} more" if len(distinct) > _MOST else ""
        return label + " / ".join(distinct[:_MOST]) + more
    return label + _some(distinct)


def _took(same: Sequence[Step]) -> str:
    """How long a step took, the shortest and the longest where that differs."""
    least, most = (f"{1000 * pick(step.seconds for step in same):.0f}" for pick in (min, max))
    return f"{most} ms" if least == most else f"{least}-{most} ms"
