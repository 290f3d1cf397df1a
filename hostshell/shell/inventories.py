"""What there is to say of the inventory itself: its sources, what of them is not used, and what a `reload` changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from hostshell.core.clean import clean
from hostshell.core.names import fold
from hostshell.inventory.changes import compare
from hostshell.inventory.model import Inventory
from hostshell.session import Session
from hostshell.shell import garbage
from hostshell.shell.answers import Answer, shorten
from hostshell.shell.tables import table

MOST_AT_START = 5  # notes that are shown unasked
_MOST_FOLDED = 200  # characters of a list of hosts


def inventory(session: Session, width: int, colour: bool) -> Answer:
    """Every source with its kind, counts, and what of it is not used."""
    found = session.inventory
    data = [
        {
            "source": report.name,
            "kind": report.kind,
            "hosts": report.hosts,
            "groups": report.groups,
            "notes": [note.text for note in report.notes],
        }
        for report in found.reports
    ]
    if not data:
        return Answer(data, "no inventory; name one with -i, or write a hosts.ini\n")
    rows = [(clean(report.name), report.kind, str(report.hosts), str(report.groups)) for report in found.reports]
    text = table(("source", "kind", "hosts", "groups"), rows, width, colour=colour)
    notes = [note.text for report in found.reports for note in report.notes]
    total = f"together {_counted(len(found.host_names), 'host')}, {_counted(len(found.groups), 'group')}\n"
    return Answer(data, text + total + "".join(f"{clean(note)}\n" for note in notes))


def reload(session: Session) -> Answer:
    """Read the inventory again."""
    before = session.inventory
    session.reload()
    after = session.inventory
    sources = ", ".join(after.sources) or "no inventory"
    changes = compare(before, after)
    del before
    garbage.leave_alone_anew()
    hosts, groups = len(after.host_names), len(after.groups)
    lines = [f"{clean(sources)}: {_counted(hosts, 'host')}, {_counted(groups, 'group')}; connections are closed"]
    lines += [f"{what}: {shorten(clean(fold(names)), _MOST_FOLDED)}" for what, names in _named(asdict(changes))]
    if not changes:
        lines.append("nothing has changed")
    lines += start_notes(after, quiet=False)
    data = {"sources": list(after.sources), "hosts": hosts, "groups": groups, **asdict(changes)}
    return Answer(data, "".join(f"{line}\n" for line in lines))


def start_notes(found: Inventory, *, quiet: bool) -> list[str]:
    """What is said unasked when an inventory has been read. ``quiet``: only what has to do with reaching hosts."""
    loud = [note.text for report in found.reports for note in report.notes if note.loud]
    others = sum(len(report.notes) for report in found.reports) - len(loud)
    lines = [f"note: {clean(text)}" for text in loud[:MOST_AT_START]]
    more = len(loud) - MOST_AT_START
    if more > 0:
        lines.append(f"note: and {more} more; `inventory` shows them")
    elif others and not quiet:
        lines.append("note: some of the inventory is not used; `inventory` shows what")
    return lines


def _named(changes: dict[str, Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [(key.replace("_", " "), names) for key, names in changes.items() if names]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
