"""The inventory: which hosts and groups there are, and what holds for each host and why.

Must not know files on disk: it is made from sections that have been read. Each host is worked out when it is asked for.
"""

from __future__ import annotations

import getpass
import os
import pwd
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from hostshell.core.clean import clean
from hostshell.core.encodings import UTF_8
from hostshell.core.errors import InventoryError
from hostshell.core.model import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_KEEPALIVE,
    DEFAULT_PORT,
    HOST_FIELD,
    Host,
    HostKeyPolicy,
    Place,
    Secret,
    SecretSource,
)
from hostshell.core.names import MOST_NAMES
from hostshell.core.records import dataclass
from hostshell.core.targets import Moment, parse_moment, unknown_host
from hostshell.inventory import become, proxies, sshlayer
from hostshell.inventory.groups import Groups
from hostshell.inventory.jumps import Spot, Ways
from hostshell.inventory.notes import Source
from hostshell.inventory.sections import FileSections, GroupSection, HostSection, Layer
from hostshell.inventory.settings import (
    BECOME_METHOD,
    CONNECTION,
    SETTINGS,
    UNSET,
    Converted,
    Jump,
    Proxy,
    Unread,
    display,
)
from hostshell.inventory.unfit import why_no_sudo, why_unusable

if TYPE_CHECKING:
    from hostshell.inventory.sshconfig.answer import Answer
    from hostshell.inventory.sshconfig.config import SshConfig

BUILT_IN: Final = "built in"
AS_TYPED: Final = "as typed"
_Chosen: TypeAlias = dict[str, tuple[Converted, str]]  # key to (value, source)
# two ways to say one thing: the nearer one counts, whichever it is
_PASSWORD = ("password", "password_from")
_SUDO_PASSWORD = ("sudo_password", "sudo_password_from")
_BECOME = ("sudo", "sudo_user", *_SUDO_PASSWORD)
_CONCERN = "concern"  # no setting: what a person should know of the host


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `show`: ``text`` may be printed; ``source`` is like ``hosts.ini:12 [group:web]`` or ``built in``."""

    key: str
    text: str
    source: str


class Inventory:
    """Hosts and groups of one or more files, later files over earlier ones, key by key. A `targets.Catalog`.

    ``local_user`` is who logs in where nothing says otherwise; None is the account that runs this program.
    """

    def __init__(
        self, files: Iterable[FileSections], reports: Sequence[Source] = (), *, local_user: str | None = None
    ) -> None:
        """``reports``: what is to be said of the sources that the files are from.

        Raises `InventoryError` for what is wrong among sections: unknown groups, circles, too many hosts."""
        files = list(files)
        self.reports = tuple(reports)
        self.sources: tuple[str, ...] = tuple(report.name for report in reports) or tuple(file.file for file in files)
        self._local_user = local_user
        self._defaults = tuple(file.defaults for file in reversed(files) if file.defaults is not None)
        sections = [section for file in files for section in file.sections]
        self._sections = [section for section in sections if isinstance(section, HostSection)]
        everywhere = [file.everywhere for file in files if file.everywhere is not None]
        self._groups = Groups((section for section in sections if isinstance(section, GroupSection)), everywhere)
        self._of_moment = (*reversed(everywhere), *self._defaults)
        # name to the sections that name it; an int alone where it is one, for that is most of them
        self._everywhere = everywhere
        self._names: dict[str, int | tuple[int, ...] | None] = {}
        self._index(sections)
        self._ssh: SshConfig | None = None
        self._worked: dict[str, _Chosen] = {}
        self._ways = Ways(self._spot_of, self._jump_of)
        self._hops: dict[tuple[str, bool], Host] = {}
        for layer in self._all_layers():
            jump = layer.values.get("jump")
            if jump is not None and isinstance(jump[0], Jump):
                for hop in jump[0].hops[:1]:
                    self._ways.to(hop)  # only these can lead round in a circle

    @classmethod
    def empty(cls) -> Inventory:
        """No inventory at all: only hosts of the moment."""
        return cls(())

    def lay_over(self, ssh: SshConfig) -> None:
        """From now on ``ssh`` says what the inventory leaves open."""
        self._ssh = ssh
        self._worked.clear()
        self._ways = Ways(self._spot_of, self._jump_of)
        self._hops.clear()

    @property
    def host_names(self) -> Collection[str]:
        """Every host, in the order in which the files first name them."""
        return self._names.keys()

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Group to its hosts' names, in order, those of groups in it too. `all` is not among them."""
        return self._groups

    def secrets(self) -> Iterator[Secret]:
        """Every password that stands in the files themselves, so that nobody writes one down."""
        for layer in self._all_layers():
            for value, _ in layer.values.values():
                if isinstance(value, SecretSource) and value.literal is not None:
                    yield value.literal

    def host(self, name: str) -> Host:
        """Everything about one host, also about one of the moment (``root@h1:22``); ``Host.name`` is ``name``.

        A leading ``~`` of `key` and `known_hosts` has become $HOME. Raises `TargetError` for a name that nobody knows,
        and `InventoryError` for what is wrong in an ssh_config.
        """
        self._worked.clear()
        chosen, answer = self._work_out(name)
        self._worked[name] = chosen  # the ways ask for it again
        hops = self._ways.to(name) if "jump" in chosen else ()
        way = tuple(self._hop(hop, first=not at) for at, hop in enumerate(hops))
        host = self._made(name, chosen, answer, way, direct=not way)
        if name not in self._names:
            host = replace(host, moment=True)
        barred = next((hop for hop in way if hop.unusable is not None), None)
        if barred is not None and host.unusable is None:
            host = replace(host, unusable=f"its jump host {barred.name} cannot be used: {barred.unusable}")
        return host

    def _made(
        self, name: str, chosen: _Chosen, answer: Answer | None, way: tuple[Host, ...] = (), *, direct: bool
    ) -> Host:
        """``direct``: nothing but a ProxyCommand may stand between it and us."""
        more: dict[str, Any] = {}
        if answer is not None:
            more = sshlayer.fields(answer)
        if _CONCERN in chosen:
            more["concerns"] = (_text(chosen, _CONCERN), *more.get("concerns", ()))
        proxy = _proxy(chosen, answer) if direct else None
        if proxy is not None:
            more.update(proxies.fields(*proxy, allowed=_text(chosen, sshlayer.PROXY_COMMAND) == sshlayer.YES))
        more["unusable"] = why_unusable(chosen) or more.get("unusable")
        return Host(
            name=name,
            address=_text(chosen, "address") or "",
            port=int(_number(chosen, "port")),
            user=_text(chosen, "user") or "",
            password_from=_secret(chosen, "password") or _secret(chosen, "password_from"),
            key=_at_home(_text(chosen, "key")),
            passphrase_from=_secret(chosen, "passphrase_from"),
            connect_timeout=_number(chosen, "connect_timeout"),
            keepalive=_number(chosen, "keepalive"),
            known_hosts=_at_home(_text(chosen, "known_hosts")),
            host_keys=cast("HostKeyPolicy | None", _text(chosen, "host_keys")),  # checked when it was read
            jump=way,
            encoding=_text(chosen, "encoding") or UTF_8,
            sudo=_text(chosen, "sudo") == "yes",
            sudo_user=_text(chosen, "sudo_user"),
            no_sudo=why_no_sudo(chosen),
            sudo_password_from=_secret(chosen, "sudo_password") or _secret(chosen, "sudo_password_from"),
            **more,
        )

    def settings(self, name: str) -> list[Setting]:
        """What holds for a host and where each value comes from; what is not set is left out. Raises `TargetError`."""
        chosen, answer = self._work_out(name)
        found = [
            Setting(key, display(chosen[key][0]), chosen[key][1])
            for key in (*SETTINGS, CONNECTION, BECOME_METHOD)
            if key in chosen
        ]
        if answer is not None:
            found += [Setting(row.keyword, clean(row.text), row.source) for row in answer.rows()]
        return found

    # --- how a host comes about ---

    def _index(self, sections: Iterable[HostSection | GroupSection]) -> None:
        at = 0
        listed: set[str] = set()
        for section in sections:
            if isinstance(section, HostSection):
                for name in section.names:
                    known = self._names.get(name)
                    if known is None:
                        self._names[name] = at
                    else:
                        self._names[name] = (*known, at) if isinstance(known, tuple) else (known, at)
                at += 1
            elif section.name not in listed:
                listed.add(section.name)
                for name in self._groups.own_hosts(section.name):
                    self._names.setdefault(name, None)
            if len(self._names) > MOST_NAMES:
                raise InventoryError(f"{section.layer.file}: more than {MOST_NAMES:,} hosts")

    def _layers(self, name: str) -> Iterator[Layer]:
        """Settings that hold for a host of ours, the strongest first."""
        own = self._names[name]
        if isinstance(own, int):
            yield self._sections[own].layer
        elif own is not None:
            # the section that names fewer hosts is meant more; of two that name as many, the later
            for at in sorted(own, key=lambda at: (len(self._sections[at].names), -at)):
                yield self._sections[at].layer
        yield from self._groups.layers(name)
        yield from self._defaults

    def _all_layers(self) -> Iterator[Layer]:
        """Every section with settings, of all files."""
        yield from (section.layer for section in self._sections)
        for group in self._groups:
            yield from self._groups.own_layers(group)
        yield from self._everywhere
        yield from self._defaults

    # --- jump hosts ---

    def _hop(self, name: str, *, first: bool) -> Host:
        """A jump host as what is behind it needs it: the way to it is part of theirs."""
        hop = self._hops.get((name, first))
        if hop is None:
            chosen, answer = self._work_out(name, hop=True)
            hop = self._hops[name, first] = self._made(name, chosen, answer, direct=first)
        return hop

    def _spot_of(self, name: str) -> Spot:
        chosen = self._choose(name, hop=True)
        moment = None if name in self._names else parse_moment(name)
        base = name if moment is None else moment.address
        user, address = _text(chosen, "user") or "", _text(chosen, "address") or ""
        return Spot(base, base in self._names, user, address, int(_number(chosen, "port")))

    def _jump_of(self, name: str) -> Jump | None:
        value = self._choose(name, hop=True).get("jump")
        return value[0] if value is not None and isinstance(value[0], Jump) else None

    def _choose(self, name: str, *, hop: bool = False) -> _Chosen:
        worked = self._worked.get(name)
        return self._work_out(name, hop=hop)[0] if worked is None else worked

    def _work_out(self, name: str, *, hop: bool = False) -> tuple[_Chosen, Answer | None]:
        """Key to (value, source): the strongest of each, with ``{host}`` replaced; and what ssh_config says of it.

        A ``hop`` that the inventory does not know is an address, as with ssh.
        """
        moment: Moment | None = None
        base = name
        if name not in self._names:
            moment = parse_moment(name) or (Moment(None, name, None) if hop else None)
            if moment is None:
                raise unknown_host(name, self)
            base = moment.address
        ours = base in self._names
        chosen: _Chosen = {}
        becoming: set[str] = set()
        for layer in self._layers(base) if ours else self._of_moment:
            pairs = [pair for pair in (_PASSWORD, _SUDO_PASSWORD) if not chosen.keys().isdisjoint(pair)]
            settled = {key for pair in pairs for key in pair}
            for key, (value, line) in layer.values.items():
                if key in chosen or key in settled or (key == CONNECTION and not ours):
                    continue
                if isinstance(value, str):
                    value = value.replace(HOST_FIELD, base)
                chosen[key] = (value, layer.source(line))
                if layer.ansible and key in _BECOME:
                    becoming.add(key)
        blocked = [key for key, entry in chosen.items() if entry[0] == UNSET]
        chosen = {key: entry for key, entry in chosen.items() if entry[0] != UNSET}
        concern = become.settle(chosen, becoming)
        if concern is not None:
            chosen[_CONCERN] = (concern, "")
        if not ours:
            chosen.pop("address", None)  # it was typed
        answer = self._answer(base, moment, chosen)
        if answer is not None:
            sshlayer.lay(chosen, answer, blocked)
        if "user" not in chosen and (moment is None or moment.user is None or not chosen.keys().isdisjoint(_PASSWORD)):
            chosen["user"] = (self.local_user, BUILT_IN)
        if moment is not None:
            self._as_typed(moment, chosen)
        chosen.setdefault("address", (base, BUILT_IN if ours else AS_TYPED))
        chosen.setdefault("port", (DEFAULT_PORT, BUILT_IN))
        chosen.setdefault("connect_timeout", (DEFAULT_CONNECT_TIMEOUT, BUILT_IN))
        chosen.setdefault("keepalive", (DEFAULT_KEEPALIVE, BUILT_IN))
        return chosen, answer

    def _answer(self, base: str, moment: Moment | None, chosen: _Chosen) -> Answer | None:
        """What ssh would do if ``base`` and what is known of it stood on its command line."""
        if self._ssh is None or self._ssh.is_empty:
            return None
        port = chosen["port"][0] if "port" in chosen else None
        return self._ssh.ask(
            base,
            self.local_user,
            address=_text(chosen, "address"),
            user=(moment.user if moment is not None else None) or _text(chosen, "user"),
            port=(moment.port if moment is not None else None) or (port if isinstance(port, int) else None),
            match_exec=_text(chosen, sshlayer.MATCH_EXEC) == sshlayer.YES,
        )

    @staticmethod
    def _as_typed(moment: Moment, chosen: _Chosen) -> None:
        """What was typed beats what is written."""
        if moment.user is not None:
            if "user" in chosen and chosen["user"][0] != moment.user:
                for key in (*_PASSWORD, *_SUDO_PASSWORD):  # they are another user's
                    chosen.pop(key, None)
            chosen["user"] = (moment.user, AS_TYPED)
        if moment.port is not None:
            chosen["port"] = (moment.port, AS_TYPED)

    @cached_property
    def local_user(self) -> str:
        """Who logs in where nothing says otherwise. Raises `InventoryError` where nobody knows."""
        if self._local_user is not None:
            return self._local_user
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            pass  # a container may run under a number without a name
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            raise InventoryError(
                "no user name to log in with", "set `user` in [defaults], or write user@host"
            ) from None


def _text(chosen: _Chosen, key: str) -> str | None:
    value = chosen[key][0] if key in chosen else None
    return value if isinstance(value, str) else None


def _number(chosen: _Chosen, key: str) -> float:
    value = chosen[key][0]
    if isinstance(value, Unread):
        return 0  # the host is not usable
    assert isinstance(value, (int, float))
    return value


def _proxy(chosen: _Chosen, answer: Answer | None) -> tuple[str, Place] | None:
    """The command between us and the host, with its tokens replaced, and where it stands."""
    way = chosen["jump"][0] if "jump" in chosen else None
    if isinstance(way, Proxy):
        address, user = _text(chosen, "address") or "", _text(chosen, "user") or ""
        return proxies.with_tokens(way.command, address, int(_number(chosen, "port")), user), way.place
    return answer.proxy_command() if answer is not None and way is None else None


def _secret(chosen: _Chosen, key: str) -> SecretSource | None:
    value = chosen[key][0] if key in chosen else None
    return value if isinstance(value, SecretSource) else None


def _at_home(path: str | None) -> str | None:
    if path is None:
        return None
    return os.path.expanduser(path)  # Path's raises for a user that this machine does not know
