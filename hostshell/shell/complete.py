"""Tab: commands, options, hosts, groups, settings and paths, each with a short description. Made from the table.

Must not know how a line is carried out. Hosts and groups come from whatever catalog the caller has at the moment.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from hostshell.core.commands import COMMANDS, SETTINGS, Command, command_named, setting_named
from hostshell.core.options import Kind, Option
from hostshell.core.records import dataclass
from hostshell.core.targets import Catalog, Targets
from hostshell.core.words import BLANKS, Word, scan
from hostshell.core.words import quote as quoted
from hostshell.shell.nameindex import MOST_OFFERED, NameIndex
from hostshell.shell.remotepaths import RemotePaths
from hostshell.shell.summary import size

_OPERATORS = ",!&^"
_COPIES = ("put", "get")
_MOST_READ = 20_000  # entries of one directory that are looked at
_ITEM = re.compile(r"[^\s\"'\\]*")  # what may stand in an item of a list without quotes


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The word under the cursor, as far as the cursor.

    ``text`` is without quotes, ``raw`` as it stands, ``quote`` the quote that it begins with and that is still open,
    ``closing`` what is to close it ("" where the line goes on with it).
    """

    text: str
    raw: str
    quote: str
    closing: str

    @property
    def back(self) -> int:
        """Where a completion that leaves the opening quote alone begins, counted from the cursor."""
        return len(self.quote) - len(self.raw)


class HostshellCompleter(Completer):
    """Completes one line. ``catalog`` gives the inventory of the moment; it is asked each time and indexed once.

    ``ended`` gives how many hosts of the last command ended in each status: these are groups as well. ``remote`` knows
    paths on the hosts; while it still asks there are no completions, and ``awaited`` is the line that waits for them.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        ended: Callable[[], Mapping[str, int]] = dict,
        remote: RemotePaths | None = None,
    ) -> None:
        self._catalog = catalog
        self._ended = ended
        self._remote = remote
        self.awaited: str | None = None
        self._index: NameIndex | None = None
        self._prepared: Catalog | None = None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002  # prompt_toolkit's names
        """Completions for the text before the cursor."""
        line = document.text_before_cursor
        self.awaited = None
        if line.startswith("#") or line.lstrip(BLANKS).startswith("!"):
            return
        words, open_end = scan(line)
        if open_end == "\\":
            return
        if words and words[-1].end == len(line) and (open_end or line[-1] not in BLANKS):
            last = words.pop()
            raw = line[last.start :]
        else:
            last, raw = Word("", len(line), len(line)), ""
        closing = "" if document.text_after_cursor.startswith(open_end) else open_end
        cursor = _Cursor(last.text, raw, open_end if raw[:1] == open_end else "", closing)
        if not words:
            offers = ((c.name, c.summary) for c in COMMANDS if c.name.startswith(cursor.text))
            yield from _spaced(offers, cursor)
            return
        command = command_named(words[0].text)
        if command is None:
            return
        try:
            if command.positional != "rest":
                yield from self._arguments(command, [word.text for word in words[1:]], cursor)
            elif len(words) > 1:  # what the command of `run` is called is for the hosts' shells to say
                paths = self._remote_paths(Targets(), cursor)
                at_home = cursor.text.startswith("~")  # which no shell looks for inside quotes
                yield from (path for path in paths if not (at_home and path.text[:1] in "\"'"))
        except _StillAsking:
            self.awaited = line

    # --- what may stand here ---

    def _arguments(self, command: Command, words: list[str], cursor: _Cursor) -> Iterator[Completion]:
        given, bare, pending = _read(command, words)
        if pending is not None:
            yield from self._values(command, words, pending, cursor)
            return
        if command.positional == "session" and bare:
            return  # the rest is for the host's shell
        name, equals, _ = cursor.text.partition("=")
        option = command.option(name) if equals and name.startswith("--") else None
        if option is not None:
            value = cursor.raw[cursor.raw.find("=") + 1 :]
            if option.takes_value and cursor.raw.startswith(name):
                quote = value[:1] if value[:1] == cursor.closing else ""
                yield from self._values(
                    command, words, option, _Cursor(cursor.text[len(name) + 1 :], value, quote, cursor.closing)
                )
            return
        if not cursor.text.startswith("-"):
            yield from self._positional(command, words, bare, cursor)
        # where a name or a value is due, options come only when asked for
        all_there = command.positional in ("none", "targets", "arguments") or (
            command.positional in _COPIES and len(bare) > 1
        )
        if cursor.text.startswith("-") or (not cursor.raw and all_there):
            yield from _spaced(_options(command, given, cursor.text), cursor)

    def _values(self, command: Command, words: list[str], option: Option, cursor: _Cursor) -> Iterator[Completion]:
        if option.kind in ("hosts", "groups"):
            yield from self._list(option.kind, cursor)
        elif option.kind == "choice":
            about = dict(part.split(": ", 1) for part in option.help.split("; ") if ": " in part)
            yield from _plain(((choice, about.get(choice, option.needs)) for choice in option.choices), cursor)
        elif option.kind == "local":
            yield from _paths(cursor)
        elif option.kind == "remote":
            yield from self._remote_paths(_targets(command, words), cursor)

    def _positional(self, command: Command, words: list[str], bare: list[str], cursor: _Cursor) -> Iterator[Completion]:
        if command.positional == "targets":
            yield from self._list("hosts", cursor)
        elif command.positional == "session" and not bare:
            yield from _plain(self._names().each(cursor.text), cursor)  # it takes one: no ranges such as web[01-20]
        elif command.positional == "name" and not bare:
            names = self._names()
            yield from _plain((*names.groups(cursor.text), *names.each(cursor.text)), cursor)
        elif command.positional == "setting" and not bare:
            yield from _plain(((setting.name, setting.help) for setting in SETTINGS), cursor)
        elif command.positional == "setting" and len(bare) == 1:
            setting = setting_named(bare[0])
            if setting is not None:
                yield from _plain(((choice, setting.help) for choice in setting.choices), cursor)
        elif command.positional in _COPIES:
            # what comes first is the source; the words after it may be sources as well, or the place at the end
            offers: list[Completion] = []
            if bare or command.positional == "get":
                offers += self._remote_paths(_targets(command, words), cursor)
            if bare or command.positional == "put":
                offers += _paths(cursor, " here" if bare else "")
            yield from _merged(offers)
        elif command.positional == "command" and not bare:
            yield from _plain(((known.name, known.summary) for known in COMMANDS), cursor)

    # --- hosts and groups ---

    def prepare(self) -> None:
        """Look through the catalog in the background, so that the first Tab among 10,000 names need not wait for it."""
        catalog = self._catalog()
        if self._prepared is not catalog:
            self._prepared = catalog
            threading.Thread(target=lambda: self._names().prepare(), name="names", daemon=True).start()

    def _names(self) -> NameIndex:
        catalog = self._catalog()
        if self._index is None or self._index.catalog is not catalog:
            self._index = NameIndex(catalog)
        return self._index

    def _last(self, prefix: str, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
        """Hosts of the last command by how they ended."""
        for name, count in self._ended().items():
            if name.startswith(prefix) and name not in without:
                yield name, f"{count:,} host{'s' * (count != 1)} of the last command"

    def _list(self, kind: Kind, cursor: _Cursor) -> Iterator[Completion]:
        """The item of a host or group list that the cursor is in: what stands after the last operator."""
        *before, item = _items(cursor.raw.removeprefix(cursor.quote))
        if not _ITEM.fullmatch(item):
            return
        names = self._names()
        others = frozenset(before)
        offers: Iterator[tuple[str, str]]
        if kind == "groups":
            offers = chain(names.groups(item, others), self._last(item, others))
        elif item.startswith("@"):
            groups = chain(names.groups(item[1:]), self._last(item[1:]))
            offers = (("@" + name, about) for name, about in groups if "@" + name not in others)
        else:
            offers = names.hosts(item, others)
        for text, about in islice(offers, MOST_OFFERED + len(self._ended())):
            yield Completion(text, -len(item), display_meta=about)
        if kind == "hosts" and not item:
            for name, about in chain(names.groups(""), self._last("")):
                if "@" + name not in others:
                    yield Completion("@" + name, 0, display_meta=about)

    # --- paths on the hosts ---

    def _remote_paths(self, targets: Targets, cursor: _Cursor) -> Iterator[Completion]:
        if self._remote is None:
            return
        if cursor.text == "~":
            yield Completion("~/", cursor.back, display_meta="home directory on the hosts")
            return
        folder, slash, begun = cursor.text.rpartition("/")
        names = self._remote.names(targets, folder + slash, begun)
        if names is None:
            raise _StillAsking
        for name in names[:MOST_OFFERED]:
            tail = name.name + ("/" if name.is_directory else "")
            word = _as_word(folder + slash + tail, cursor, name.is_directory)
            yield Completion(word, -len(cursor.raw), display=tail, display_meta=name.about)


class _StillAsking(Exception):
    """What stands on the hosts is not known yet."""


def _targets(command: Command, words: list[str]) -> Targets:
    """The hosts that the words of a line name so far."""
    values: dict[str, list[str]] = {"hosts": [], "groups": [], "exclude": []}
    everything = False
    pending: Option | None = None
    for word in words:
        if pending is not None:
            values.get(pending.field, []).append(word)
            pending = None
            continue
        name, equals, value = word.partition("=")
        option = command.option(name)
        if option is None:
            continue
        everything = everything or option.field == "all"
        if option.takes_value and equals:
            values.get(option.field, []).append(value)
        elif option.takes_value:
            pending = option
    return Targets(tuple(values["hosts"]), tuple(values["groups"]), tuple(values["exclude"]), everything)


def _read(command: Command, words: list[str]) -> tuple[set[str], list[str], Option | None]:
    """Options that are there (by field), words without one, and the option whose value comes next."""
    given: set[str] = set()
    bare: list[str] = []
    pending: Option | None = None
    for word in words:
        name, equals, _ = word.partition("=")
        option = command.option(name)
        if pending is not None:
            pending = None
        elif option is not None:
            given.add(option.field)
            pending = option if option.takes_value and not equals else None
        elif not word.startswith("-"):
            bare.append(word)
    return given, bare, pending


def _items(text: str) -> list[str]:
    """A list cut at its operators outside brackets, blanks after them dropped. The last one is being typed."""
    items = [""]
    depth = 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char in _OPERATORS and depth <= 0:
            items.append("")
        elif items[-1] or char not in BLANKS:
            items[-1] += char
    return items


# --- completions ---


def _options(command: Command, given: set[str], prefix: str) -> Iterator[tuple[str, str]]:
    """Options that may come next, each under the first of its names that begins with ``prefix``."""
    for option in command.options:
        name = next((name for name in option.names if name.startswith(prefix)), None)
        if name is not None and (option.repeatable or option.field not in given):
            yield name, option.help


def _spaced(offers: Iterable[tuple[str, str]], cursor: _Cursor) -> Iterator[Completion]:
    """Commands or options: a unique one comes with a blank."""
    found = list(offers)
    blank = " " if len(found) == 1 and not cursor.quote else ""
    for text, about in found:
        yield Completion(text + blank, cursor.back, display=text, display_meta=about)


def _plain(offers: Iterable[tuple[str, str]], cursor: _Cursor) -> Iterator[Completion]:
    """Words of a few choices: no blank, for they are often the last of the line."""
    for text, about in offers:
        if text.startswith(cursor.text):
            yield Completion(text, cursor.back, display_meta=about)


def _merged(offers: Iterable[Completion]) -> Iterator[Completion]:
    """The same word from both sides once, with what each says of it."""
    found: dict[str, Completion] = {}
    for one in offers:
        same = found.get(one.text)
        if same is not None:
            about = f"{same.display_meta_text}, {one.display_meta_text}"
            one = Completion(one.text, one.start_position, display=one.display, display_meta=about)
        found[one.text] = one
    yield from found.values()


def _paths(cursor: _Cursor, where: str = "") -> Iterator[Completion]:
    """Paths of this machine: in quotes where there are blanks, directories with a slash at the end."""
    folder, slash, begun = cursor.text.rpartition("/")
    if cursor.text == "~":
        yield Completion("~/", cursor.back, display_meta="home directory" + where)
        return
    try:
        place = Path(folder + slash)
        if folder == "~" or folder.startswith("~/"):
            place = place.expanduser()
        with os.scandir(place) as entries:
            found = [
                entry
                for entry in islice(entries, _MOST_READ)
                if entry.name.startswith(begun)
                and entry.name.isprintable()
                and (begun.startswith(".") or not entry.name.startswith("."))
            ]
    except (OSError, RuntimeError, ValueError):  # RuntimeError: there is no home directory
        return
    for entry in sorted(found, key=lambda entry: entry.name)[:MOST_OFFERED]:
        is_folder = _is_folder(entry)
        path = folder + slash + entry.name + ("/" if is_folder else "")
        shown = entry.name + ("/" if is_folder else "")
        about = ("directory" if is_folder else _size(entry)) + where
        yield Completion(_as_word(path, cursor, is_folder), -len(cursor.raw), display=shown, display_meta=about)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _size(entry: os.DirEntry[str]) -> str:
    try:
        return size(entry.stat().st_size)
    except OSError:
        return "file"


def _as_word(path: str, cursor: _Cursor, is_folder: bool) -> str:
    """The path as it is to stand in the line. The quotes of a directory stay open, for more is to come."""
    closing = "" if is_folder else cursor.closing
    if cursor.quote == "'" and "'" not in path:
        return f"'{path}{closing}"
    if cursor.quote == '"':
        return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + closing
    word = quoted(path)
    return word[:-1] if is_folder and word[-1] in "\"'" else word
