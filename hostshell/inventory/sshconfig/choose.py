"""Which sections of a configuration hold for a host, and what they say together: the first value of each keyword.

Patterns are compiled once, and hosts for which the same sections hold share one `Options`. Must not know files on disk,
nor what a value means to us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import cast

from hostshell.core.errors import did_you_mean
from hostshell.core.model import Place
from hostshell.core.records import dataclass
from hostshell.inventory.settings import bad, shown
from hostshell.inventory.sshconfig.files import Section
from hostshell.inventory.sshconfig.keywords import READERS, Value
from hostshell.inventory.sshconfig.parse import UNDECIDED, HostLine, MatchLine, Setting, Unknown
from hostshell.inventory.sshconfig.patterns import Matcher, any_of, in_list, is_literal

MOST_FILES = 100  # identity files, and certificates, of one host: OpenSSH's limit


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a configuration, as it would stand on ssh's command line.

    ``name`` is the host as the person calls it. ``address``, ``user`` and ``port`` beat the configuration; with an
    address the patterns of `Host` and of `Match originalhost` are held against both. ``run`` says how `Match exec` ends
    (a command with its tokens to true or false); None where it must not be run.
    """

    name: str
    local_user: str
    address: str | None = None
    user: str | None = None
    port: int | None = None
    run: Callable[[str, Names, Asked], bool] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the person may mean by a pattern."""
        if self.address is None or self.address == self.name:
            return (self.name,)
        return (self.name, self.address)


@dataclass(frozen=True, slots=True)
class Names:
    """What is known of a host in the middle of a configuration: for the tokens of `Match exec`."""

    host: str
    user: str
    port: int
    key_alias: str


@dataclass(slots=True)
class Options:
    """The first value of each keyword, and of some all values; each with its place."""

    single: dict[str, tuple[Value, Place]] = field(default_factory=dict)
    lists: dict[str, dict[str, Place]] = field(default_factory=dict)

    def add(self, keyword: str, value: Value, place: Place) -> None:
        """One more setting that holds. Raises `InventoryError` where there are too many."""
        match keyword:
            case "identityfile" | "certificatefile":
                files = self.lists.setdefault(keyword, {})
                if len(files) >= MOST_FILES:
                    raise bad(place, f"`{keyword}` stands more than {MOST_FILES} times")
                files.setdefault(str(value), place)
            case "sendenv":
                names = self.lists.setdefault(keyword, {})
                for name in cast("tuple[str, ...]", value):
                    if name.startswith("-"):
                        gone = any_of([name[1:]])
                        for sent in [sent for sent in names if gone is not None and gone(sent)]:
                            del names[sent]
                    else:
                        names.setdefault(name, place)
            case "setenv":
                if keyword not in self.lists and value:
                    first: dict[str, str] = {}
                    for text in cast("tuple[str, ...]", value):
                        first.setdefault(text.partition("=")[0], text)
                    self.lists[keyword] = dict.fromkeys(first.values(), place)
            case "proxycommand":
                if not self.value("proxyjump"):  # of the two the first counts; `ProxyJump none` leaves room
                    self.single.setdefault(keyword, (value, place))
            case "proxyjump":
                if "proxycommand" not in self.single:
                    self.single.setdefault(keyword, (value, place))
            case "connecttimeout" | "serveraliveinterval":
                if value is not None:  # `none` is as if it did not stand there, also for a value behind it
                    self.single.setdefault(keyword, (value, place))
            case "globalknownhostsfile" | "userknownhostsfile" | "canonicaldomains":
                if value:
                    self.single.setdefault(keyword, (value, place))
            case _:
                self.single.setdefault(keyword, (value, place))

    def value(self, keyword: str) -> Value:
        """The value alone; None where there is none."""
        found = self.single.get(keyword)
        return None if found is None else found[0]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What holds for a host. ``host`` is the name or address to connect to.

    ``undecided``: kind and place of each `Match` that nobody could decide, where it
    would make a difference.
    """

    host: str
    options: Options
    undecided: tuple[tuple[str, Place], ...] = ()


@dataclass(slots=True)
class _Walk:
    """One way through all sections; ``before``: those that held on the first one, whose values stay on the second."""

    asked: Asked
    final: bool
    assume: bool
    host: str | None
    user: str | None
    before: tuple[int, ...] = ()
    chosen: list[int] = field(default_factory=list)
    undecided: list[tuple[str, Place]] = field(default_factory=list)


class Choosing:
    """One configuration, compiled. ``work`` counts what was done, by kind, for tests."""

    def __init__(self, sections: Sequence[Section], canonical: Callable[[str], str]) -> None:
        """``canonical`` makes a host's name what OpenSSH makes of it: lower case, an address in its usual form."""
        self._sections = sections
        self._canonical = canonical
        self.work = {"compiled": 0, "matched": 0, "assembled": 0}
        self._literal: dict[str, list[int]] = {}
        self._wild: list[tuple[int, Matcher | None, Matcher | None]] = []
        self._always: set[int] = set()
        for at, section in enumerate(sections):
            if isinstance(section.condition, HostLine):
                self._compile(at, section.condition)
        # one look that tells of most hosts that none of the many patterns means them
        self._any_wild = any_of(pattern for at, _, _ in self._wild for pattern in self._wanted(at))
        # what has to be looked at for every host, whatever its name
        self._loose = frozenset(
            at for at, section in enumerate(sections) if not isinstance(section.condition, HostLine)
        )
        self._first = [self._firsts(section) for section in sections]
        self._twice = any(
            criterion.kind == "final"
            for section in sections
            if isinstance(section.condition, MatchLine)
            for criterion in section.condition.criteria
        )
        self._unknown = any(isinstance(item, Unknown) for section in sections for item in section.items)
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], Options] = {}
        if self._unknown and not any(item.keyword == "ignoreunknown" for section in sections for item in section.items):
            self._options((), ())  # no host could make it right: told now, and not with the first host

    def _compile(self, at: int, line: HostLine) -> None:
        self.work["compiled"] += 1
        if not line.unwanted and all(is_literal(pattern) for pattern in line.wanted):
            for pattern in line.wanted:
                self._literal.setdefault(pattern, []).append(at)
        elif line.wanted == ("*",) and not line.unwanted:
            self._always.add(at)
        else:
            self._wild.append((at, any_of(line.wanted), any_of(line.unwanted)))

    def _wanted(self, at: int) -> tuple[str, ...]:
        condition = self._sections[at].condition
        return condition.wanted if isinstance(condition, HostLine) else ()

    @staticmethod
    def _firsts(section: Section) -> tuple[str | None, str | None, tuple[int, str | None]]:
        """What of a section `Match` may ask further down: HostName, User, and (Port, HostKeyAlias) for exec."""
        first: dict[str, Value] = {}
        for item in section.items:
            if isinstance(item, Setting):
                first.setdefault(item.keyword, item.value)
        host, user, port, alias = (first.get(key) for key in ("hostname", "user", "port", "hostkeyalias"))
        return (
            host if isinstance(host, str) else None,
            user if isinstance(user, str) else None,
            (port if isinstance(port, int) else 0, alias if isinstance(alias, str) else None),
        )

    def choose(self, asked: Asked) -> Chosen:
        """What holds for a host. Raises `InventoryError` for a keyword that nobody knows."""
        chosen, undecided = self._both(asked, assume=False)
        if undecided:
            other, _ = self._both(asked, assume=True)
            if (other.host, other.options.single, other.options.lists) == (
                chosen.host,
                chosen.options.single,
                chosen.options.lists,
            ):
                undecided = ()
        return Chosen(chosen.host, chosen.options, undecided) if undecided else chosen

    def _both(self, asked: Asked, *, assume: bool) -> tuple[Chosen, tuple[tuple[str, Place], ...]]:
        """Both passes: the second where `Match final` or `CanonicalizeHostname` wants one."""
        first = self._walk(_Walk(asked, False, assume, asked.address, asked.user), asked.names)
        host = asked.address
        if host is None:
            host = asked.name if first.host is None else first.host
        host = self._canonical(host)
        one = tuple(first.chosen)
        options = self._options(one, ())
        undecided = first.undecided
        if self._twice or options.value("canonicalizehostname"):
            second = self._walk(
                _Walk(asked, True, assume, host, first.user, one),
                (host,) if asked.address is None else (asked.name, host),
            )
            options = self._options(one, tuple(second.chosen))
            undecided = [*undecided, *second.undecided]
        return Chosen(host, options), tuple(dict.fromkeys(undecided))

    # --- which sections hold ---

    def _walk(self, walk: _Walk, names: tuple[str, ...]) -> _Walk:
        holds = bytearray(len(self._sections))
        chosen = walk.chosen
        for at in sorted(self._loose | self._holding(names)):
            section = self._sections[at]
            if section.parent >= 0 and not holds[section.parent]:
                continue
            condition = section.condition
            if isinstance(condition, MatchLine) and not self._matches(walk, section, condition):
                continue
            holds[at] = 1
            if not section.items:
                continue
            chosen.append(at)
            name, login, _ = self._first[at]
            if name is not None and walk.host is None:
                walk.host = self._with_name(name, walk.asked.name, at)
            if login is not None and walk.user is None:
                walk.user = login
        return walk

    def _holding(self, names: tuple[str, ...]) -> set[int]:
        """The `Host` lines that match: one of the names does, and none of them is excluded."""
        self.work["matched"] += 1
        found = set(self._always)
        for name in names:
            found.update(self._literal.get(name, ()))
        if self._any_wild is None or not any(self._any_wild(name) for name in names):
            return found
        for at, wanted, unwanted in self._wild:
            if wanted is None or not any(wanted(name) for name in names):
                continue
            if unwanted is None or not any(unwanted(name) for name in names):
                found.add(at)
        return found

    def _with_name(self, text: str, name: str, at: int) -> str:
        if "%" not in text:
            return text
        pieces = text.split("%%")
        replaced = "%".join(piece.replace("%h", name) for piece in pieces)
        if any("%" in piece.replace("%h", "") for piece in pieces):
            line = next(item.line for item in self._sections[at].items if item.keyword == "hostname")
            place = Place(self._sections[at].file, line)
            raise bad(place, f"`hostname`: `{shown(text)}`", "it knows the tokens %h and %% only")
        return replaced

    def _matches(self, walk: _Walk, section: Section, line: MatchLine) -> bool:
        asked = walk.asked
        result = True
        unsure = False
        for one in line.criteria:
            match one.kind:
                case "all":
                    held = True
                case "final" | "canonical":  # only the first of them asks for a second pass
                    held = walk.final
                case "host":
                    held = in_list(walk.host if walk.host is not None else asked.name, one.value, caseless=True)
                case "originalhost":
                    held = any(in_list(name, one.value, caseless=True) for name in asked.names)
                case "user":
                    held = in_list(asked.local_user if walk.user is None else walk.user, one.value)
                case "localuser":
                    held = in_list(asked.local_user, one.value)
                case "tagged":
                    held = in_list(str(self._so_far(walk).value("tag") or ""), one.value)
                case _:
                    if not result:
                        continue  # nothing is run for what cannot match
                    if one.kind in UNDECIDED or asked.run is None:
                        unsure = True
                        continue
                    held = asked.run(one.value, self._names(walk), asked)
            result = result and held is not one.negated
        if result and unsure:
            kind = next(one.kind for one in line.criteria if one.kind == "exec" or one.kind in UNDECIDED)
            walk.undecided.append((kind, Place(section.file, line.line)))
            return walk.assume
        return result

    def _so_far(self, walk: _Walk) -> Options:
        chosen = tuple(walk.chosen)
        return self._options(walk.before, chosen) if walk.final else self._options(chosen, ())

    def _names(self, walk: _Walk) -> Names:
        host = walk.host if walk.host is not None else walk.asked.name
        held = (*walk.before, *walk.chosen)
        ports = (self._first[at][2] for at in held)
        port = walk.asked.port or next((port for port, _ in ports if port), 22)
        aliases = (self._first[at][2][1] for at in held)
        alias = next((alias for alias in aliases if alias is not None), host)
        return Names(host, walk.asked.local_user if walk.user is None else walk.user, port, alias)

    # --- what they say ---

    def _options(self, one: tuple[int, ...], two: tuple[int, ...]) -> Options:
        options = self._known.get((one, two))
        if options is None:
            self.work["assembled"] += 1
            options = Options()
            for section, item in self._items(frozenset(one) if self._unknown else one):
                if isinstance(item, Unknown):
                    self._refuse(options, item, section)
                else:
                    options.add(item.keyword, item.value, Place(section.file, item.line))
            for at in two:
                section = self._sections[at]
                for item in section.items:
                    if isinstance(item, Setting):
                        options.add(item.keyword, item.value, Place(section.file, item.line))
            self._known[one, two] = options
        return options

    def _items(self, holding: Sequence[int] | frozenset[int]) -> Iterator[tuple[Section, Setting | Unknown]]:
        """The settings of the sections that hold; what is unknown to OpenSSH is told wherever it stands."""
        if not isinstance(holding, frozenset):
            for at in holding:
                section = self._sections[at]
                for item in section.items:
                    yield section, item
            return
        for at, section in enumerate(self._sections):
            for item in section.items:
                if at in holding or isinstance(item, Unknown):
                    yield section, item

    @staticmethod
    def _refuse(options: Options, item: Unknown, section: Section) -> None:
        ignored = options.value("ignoreunknown")
        if isinstance(ignored, str) and in_list(item.keyword, ignored, caseless=True):
            return
        hint = did_you_mean(item.keyword, ("host", "match", "include", *READERS))
        raise bad(Place(section.file, item.line), f"unknown keyword `{shown(item.keyword)}`", hint)
