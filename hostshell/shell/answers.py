"""Verbs that answer instead of running anything: hosts, groups, show, use, connections, disconnect, set and their kin.

Each gives its data and, for a person, its text: JSON and the terminal show the same facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from hostshell.core.clean import clean
from hostshell.core.commands import SETTINGS
from hostshell.core.errors import EngineError, TargetError, UsageError, did_you_mean
from hostshell.core.invocations import ChangeSetting
from hostshell.core.names import fold
from hostshell.core.records import dataclass
from hostshell.core.settings import Settings
from hostshell.core.targets import ALL, Targets, parse_moment
from hostshell.session import Session
from hostshell.shell.summary import duration
from hostshell.shell.tables import blocks, crushes, table

MOST_COMPARED = 10_000  # names among which the nearest is looked for: difflib is slow
LEAST_SETTING = 20  # columns of a terminal that each of the three of `show` must have
UNBOUNDED = 10_000  # columns: nothing wraps
MOST_FOLDED = 60  # characters of a folded list in a prompt or a cell


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb says: ``data`` for programs, ``text`` for people (whole lines)."""

    data: Any
    text: str


def hosts(session: Session, targets: Targets, width: int, colour: bool) -> Answer:
    """The hosts that a target list means."""
    which = ""
    if not targets.named:
        if session.defaults.named:
            which = " (the default targets; hosts -a shows all)"
        else:
            targets = replace(targets, everything=True)
    names = session.targets(targets)
    rows = []
    members = _groups_by_host(session)
    data = []
    for name in names:
        host = session.inventory.host(name)
        groups = members.get(name, [])
        place = {"address": host.address or None, "port": host.port or None, "user": host.user or None}
        shown = {key: "" if value is None else str(value) for key, value in place.items()}
        if None in place.values():  # there is a value, and it is not evaluated: what `show` says of it
            shown |= {one.key: one.text for one in session.inventory.settings(name) if place.get(one.key, "") is None}
        rows.append((name, *shown.values(), ",".join(groups)))
        data.append({"name": name, **place, "groups": groups})
    text = table(("host", "address", "port", "user", "groups"), rows, width, colour=colour)
    return Answer(data, text + f"{len(names)} host{'s' * (len(names) != 1)}{which}\n")


def groups(session: Session, width: int, colour: bool) -> Answer:
    """Every group, how many hosts, which."""
    found = session.inventory.groups
    rows = [(name, str(len(members)), fold(members)) for name, members in found.items()]
    data = [{"name": name, "hosts": list(members)} for name, members in found.items()]
    if not rows:
        return Answer(data, "no groups in the inventory\n")
    return Answer(data, table(("group", "count", "hosts"), rows, width, colour=colour))


def show(session: Session, name: str, width: int, colour: bool) -> Answer:
    """A host's settings and where each comes from, or a group's hosts."""
    inventory = session.inventory
    group = name.removeprefix("@")
    members = inventory.groups.get(group, tuple(inventory.host_names) if group == ALL else None)
    if name not in inventory.host_names and parse_moment(name) is None and members is not None:
        above = [other for other, hosts in inventory.groups.items() if other != group and set(members) < set(hosts)]
        lines = [f"group {group}: {len(members)} hosts", f"  hosts  {fold(members)}"]
        if above:
            lines.append(f"  within {', '.join(above)}")
        return Answer({"group": group, "hosts": list(members)}, "\n".join(lines) + "\n")
    if name not in inventory.host_names and parse_moment(name) is None:
        known = [*islice(inventory.host_names, MOST_COMPARED), *inventory.groups]
        hint = session.elsewhere([name]) or did_you_mean(name, known) or "`hosts -a` and `groups` show what there is"
        raise TargetError(f"no host or group is called {clean(name)}", hint)
    settings = inventory.settings(name)
    within = _groups_by_host(session).get(name, [])
    rows = [(item.key, clean(item.text), clean(item.source)) for item in settings]
    text = f"host {name}" + (f", in {', '.join(within)}" if within else "") + "\n"
    headings = ("setting", "value", "from")
    # paths stay whole, to be copied: what is too long goes beyond the width
    fits = not crushes(headings, rows, width, LEAST_SETTING)
    text += (table if fits else blocks)(headings, rows, UNBOUNDED if fits else width, colour=colour)
    data = {
        "host": name,
        "groups": within,
        "settings": {item.key: {"value": item.text, "from": item.source} for item in settings},
    }
    return Answer(data, text)


def use(session: Session, targets: Targets, clear: bool) -> Answer:
    """Set, clear or show the default targets."""
    if clear:
        if targets.named or targets.exclude:
            raise UsageError("use --clear takes no targets", "use --clear drops the defaults; use -g NAME sets others")
        session.defaults = Targets()
    elif targets.named:
        session.defaults = session.settled(targets)
    elif targets.exclude:
        if not session.defaults.named:
            raise TargetError("there are no default targets to leave hosts out of", "set some: use -g NAME")
        narrowed = replace(session.defaults, exclude=session.defaults.exclude + targets.exclude)
        session.defaults = session.settled(narrowed)
    if not session.defaults.named:
        return Answer({"targets": "", "hosts": []}, "no default targets; set some with: use -g GROUP\n")
    names = session.targets(Targets())
    word = "host" if len(names) == 1 else "hosts"
    text = f"{session.defaults.options()}  ({len(names)} {word}: {shorten(fold(names), 200)})\n"
    return Answer({"targets": session.defaults.options(), "hosts": list(names)}, text)


def connections(session: Session, targets: Targets, width: int, colour: bool) -> tuple[Answer, EngineError | None]:
    """What is open, and which workers did not say."""
    found, error = session.survey(targets)
    rows = []
    data = []
    for one in found:
        address = f"[{one.address}]" if ":" in one.address else one.address
        way = f" via {', '.join(one.via)}" if one.via else ""
        place = clean(f"{one.user}@{address}:{one.port}{way}")
        rows.append((clean(one.host), place, "" if one.busy else duration(one.idle), "yes" if one.busy else ""))
        data.append(
            {
                "host": one.host,
                "user": one.user,
                "address": one.address,
                "port": one.port,
                "via": list(one.via),
                "idle": None if one.busy else round(one.idle, 3),
                "busy": one.busy,
            }
        )
    text = table(("host", "connected to", "idle for", "busy"), rows, width, colour=colour) if rows else ""
    return Answer(data, f"{text}{_counted(len(found))}\n"), error


def disconnect(session: Session, targets: Targets) -> tuple[Answer, EngineError | None]:
    """Close connections; which workers did not say what they have."""
    found, error = session.survey(targets, close=True)
    closed = [one.host for one in found if not one.busy]
    busy = [one.host for one in found if one.busy]
    text = f"{_counted(len(closed))} closed"
    if busy:
        text += f"; left open, because a command is under way: {clean(shorten(fold(busy), 200))}"
    return Answer({"closed": closed, "busy": busy}, f"{text}\n"), error


def _counted(count: int) -> str:
    return f"{count or 'no'} connection{'s' * (count != 1)}"


def settings(session: Session, asked: ChangeSetting, width: int = UNBOUNDED, colour: bool = False) -> Answer:
    """Show all settings, show one, or change one."""
    current = session.settings
    if asked.name is None:
        data = {setting.name: getattr(current, setting.name) for setting in SETTINGS}
        rows = [(setting.name, _shown(current, setting.name), setting.help) for setting in SETTINGS]
        headings = ("setting", "value", "about")
        if crushes(headings, rows, width, LEAST_SETTING):
            return Answer(data, blocks(headings, rows, width, colour=colour))
        return Answer(data, "".join(f"{name:<16} {value:<6} {about}\n" for name, value, about in rows))
    if asked.change:
        setattr(current, asked.name, asked.value)
    return Answer({asked.name: getattr(current, asked.name)}, f"{asked.name} is {_shown(current, asked.name)}\n")


def history(lines: Sequence[str], count: int | None) -> Answer:
    """The lines typed before, oldest first, numbered."""
    first = 0 if count is None else max(0, len(lines) - count)
    text = "".join(f"{number:5}  {clean(line)}\n" for number, line in enumerate(lines, 1) if number > first)
    return Answer(list(lines[first:]), text or "nothing has been typed yet\n")


def shorten(text: str, most: int = MOST_FOLDED) -> str:
    """``text``, cut where it is longer than ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _shown(current: Settings, name: str) -> str:
    value = getattr(current, name)
    if value is None:
        return "auto" if name == "color" else "off"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}"


def _groups_by_host(session: Session) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, members in session.inventory.groups.items():
        for name in members:
            found.setdefault(name, []).append(group)
    return found
