"""What a configuration says of a host, in the terms of `core.model.Host`: tokens replaced, names checked.

Must not know which sections held, nor the inventory.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal, cast

from hostshell.core.model import DEFAULT_PORT, AddressFamily, HostKeyPolicy, Place
from hostshell.core.names import check_address, check_user
from hostshell.core.records import dataclass
from hostshell.inventory.settings import bad, shown
from hostshell.inventory.sshconfig.choose import Asked, Chosen, Names, Options
from hostshell.inventory.sshconfig.files import Surroundings
from hostshell.inventory.sshconfig.hops import Hop
from hostshell.inventory.sshconfig.keywords import NOT_OBEYED
from hostshell.inventory.sshconfig.lexer import lower
from hostshell.inventory.sshconfig.patterns import any_of
from hostshell.inventory.sshconfig.tokens import replace_all, replace_tokens

POLICIES: Mapping[str, HostKeyPolicy] = {
    "yes": "strict",
    "ask": "ask",
    "accept-new": "accept-new",
    "no": "accept-new",  # a changed key is never accepted
}
_PATHS = "identityfile certificatefile userknownhostsfile globalknownhostsfile identityagent"


@dataclass(frozen=True, slots=True)
class Row:
    """One keyword for a person: its value, and the place of it (the first, where there are several). No secret."""

    keyword: str
    text: str
    source: str


class Answer:
    """What ssh would do with one host. Values that the configuration does not set are None.

    Each is worked out when it is asked for. Raises `InventoryError` with ``FILE:LINE:`` for what cannot be.
    """

    def __init__(self, asked: Asked, chosen: Chosen, around: Surroundings) -> None:
        self._asked = asked
        self._host = chosen.host
        self._options: Options = chosen.options
        self._undecided = chosen.undecided
        self._around = around

    # --- what the inventory has settings for: value and source ---

    def address(self) -> tuple[str, str] | None:
        """HostName, with its tokens replaced."""
        place = self._place("hostname")
        if place is None or self._asked.address is not None:
            return None
        return self._checked(self._host, "hostname", check_address, place), str(place)

    def port(self) -> tuple[int, str] | None:
        """Port."""
        place = self._place("port")
        return None if place is None else (cast("int", self._options.value("port")), str(place))

    def user(self) -> tuple[str, str] | None:
        """User."""
        place = self._place("user")
        if place is None:
            return None
        return self._checked(cast("str", self._options.value("user")), "user", check_user, place), str(place)

    def connect_timeout(self) -> tuple[float, str] | None:
        """ConnectTimeout in seconds; None for 0 too."""
        return self._seconds("connecttimeout", least=1)

    def keepalive(self) -> tuple[float, str] | None:
        """ServerAliveInterval in seconds, 0 for none."""
        return self._seconds("serveraliveinterval", least=0)

    def host_keys(self) -> tuple[HostKeyPolicy, str] | None:
        """StrictHostKeyChecking as one of our policies."""
        place = self._place("stricthostkeychecking")
        if place is None:
            return None
        return POLICIES[cast("str", self._options.value("stricthostkeychecking"))], str(place)

    # --- what stands in a Host alone ---

    @property
    def identity_files(self) -> tuple[str, ...] | None:
        """IdentityFile, all of them; () for ``none`` alone."""
        return self._files("identityfile")

    @property
    def certificate_files(self) -> tuple[str, ...]:
        """CertificateFile, all of them."""
        return self._files("certificatefile") or ()

    @property
    def user_known_hosts(self) -> tuple[str, ...] | None:
        """UserKnownHostsFile; () for ``none``."""
        return self._known_hosts("userknownhostsfile", tokens=True)

    @property
    def global_known_hosts(self) -> tuple[str, ...] | None:
        """GlobalKnownHostsFile; () for ``none``. It knows no tokens."""
        return self._known_hosts("globalknownhostsfile", tokens=False)

    @property
    def identity_agent(self) -> str | None:
        """IdentityAgent: a socket's path, ``none``, or None for the one of the environment."""
        found = self._options.single.get("identityagent")
        if found is None:
            return None
        text = self._path(cast("str", found[0]), "identityagent", found[1])
        if text.startswith("$"):
            text = self._around.environ.get(text[1:], "none")
        if text in ("none", "SSH_AUTH_SOCK"):
            return "none" if text == "none" else None
        return os.path.abspath(text)

    @property
    def identities_only(self) -> bool:
        """IdentitiesOnly."""
        return bool(self._options.value("identitiesonly"))

    @property
    def pubkey_authentication(self) -> bool:
        """PubkeyAuthentication."""
        return self._options.value("pubkeyauthentication") is not False

    @property
    def password_authentication(self) -> bool:
        """PasswordAuthentication."""
        return self._options.value("passwordauthentication") is not False

    @property
    def kbd_interactive_authentication(self) -> bool:
        """KbdInteractiveAuthentication."""
        return self._options.value("kbdinteractiveauthentication") is not False

    @property
    def preferred_authentications(self) -> tuple[str, ...] | None:
        """PreferredAuthentications, in order."""
        found = self._options.value("preferredauthentications")
        return tuple(name for name in found.split(",") if name) if isinstance(found, str) else None

    @property
    def host_key_alias(self) -> str | None:
        """HostKeyAlias, in lower case as OpenSSH has it."""
        found = self._options.value("hostkeyalias")
        return lower(found) if isinstance(found, str) else None

    @property
    def address_family(self) -> AddressFamily:
        """AddressFamily."""
        return cast("AddressFamily", self._options.value("addressfamily") or "any")

    @property
    def bind_address(self) -> str | None:
        """BindAddress."""
        return cast("str | None", self._options.value("bindaddress"))

    @property
    def compression(self) -> bool:
        """Compression."""
        return bool(self._options.value("compression"))

    @property
    def keepalive_count(self) -> int | None:
        """ServerAliveCountMax."""
        return cast("int | None", self._options.value("serveralivecountmax"))

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """SendEnv, with the values that our environment has at this moment, and SetEnv, which beats it."""
        found: dict[str, str] = {}
        sent = any_of(self._options.lists.get("sendenv", ()))
        if sent is not None:
            environ = self._around.environ  # another thread of the caller's may change it meanwhile
            held = ((name, environ.get(name)) for name in list(environ) if sent(name))
            found.update((name, value) for name, value in held if value is not None)
        for text in self._options.lists.get("setenv", ()):
            name, _, value = text.partition("=")
            found[name] = value
        return tuple(found.items())

    @property
    def jump(self) -> tuple[Hop, ...]:
        """ProxyJump: the hops as they are written."""
        return cast("tuple[Hop, ...]", self._options.value("proxyjump") or ())

    def proxy_command(self) -> tuple[str, Place] | None:
        """ProxyCommand with its tokens replaced, and where it stands; None for ``none`` too."""
        found = self._options.single.get("proxycommand")
        if found is None or lower(cast("str", found[0])) == "none":
            return None
        wanted = {letter: self._tokens[letter] for letter in "hknpr"}
        # a shell will read it; OpenSSH itself puts them in as they are, once it has held them to its rules
        self._checked(self._host, "hostname", check_address, found[1])
        self._checked(self._tokens["r"], "user", check_user, found[1])
        self._checked(self._tokens["k"], "hostkeyalias", check_address, found[1])
        try:
            return replace_tokens(cast("str", found[0]), wanted), found[1]
        except ValueError as error:
            raise bad(found[1], f"`proxycommand`: {shown(str(error))}") from None

    def jump_place(self) -> Place | None:
        """Where ProxyJump stands, also where it says ``none``; None where there is none."""
        return self._place("proxyjump")

    def concerns(self) -> tuple[str, ...]:
        """What a person should know before a job: what is set for this host and not obeyed, each in one sentence."""
        found = []
        for kind, place in self._undecided:
            if kind == "exec":
                found.append(f"{place}: `Match exec` was not run; `match_exec = yes` in the inventory allows it")
            else:
                found.append(f"{place}: `Match {kind}` is not supported: taken as not matching")
        for keyword, name in NOT_OBEYED.items():
            value = self._options.single.get(keyword)
            if value is not None and value[0] is not False and str(value[0]).lower() != "none":
                found.append(f"{value[1]}: {name} is not supported")
        domains = self._options.single.get("canonicaldomains")
        if domains is not None and domains[0] != ("none",) and self._options.value("canonicalizehostname"):
            found.append(f"{domains[1]}: CanonicalDomains is not supported: names are looked up as they are")
        return tuple(found)

    def rows(self) -> list[Row]:
        """What is set and has no setting in the inventory, for `show`."""
        found: list[Row] = []
        for keyword in (*_LISTED, *_SINGLE):
            name = _NAMES[keyword]
            if keyword in self._options.lists:
                values = self._options.lists[keyword]
                sources = list(dict.fromkeys(str(place) for place in values.values()))
                if values:
                    if keyword in _PATHS.split():
                        texts = [self._around.shown(path) for path in self._files(keyword) or ("none",)]
                    else:  # of variables the names: their values may be secrets
                        texts = [text.partition("=")[0] for text in values]
                    found.append(Row(name, ", ".join(texts), _sources(sources)))
            elif keyword in self._options.single:
                value, place = self._options.single[keyword]
                found.append(Row(name, self._shown(keyword, value), str(place)))
        return found

    # --- how ---

    def _shown(self, keyword: str, value: object) -> str:
        match keyword, value:
            case "proxycommand", str() if lower(value) != "none":
                return "a command, not shown"  # in which a password may stand
            case "proxyjump", tuple():
                return ",".join(str(hop) for hop in value) or "none"
            case "userknownhostsfile", _:
                return ", ".join(map(self._around.shown, self.user_known_hosts or ("none",)))
            case "globalknownhostsfile", _:
                return ", ".join(map(self._around.shown, self.global_known_hosts or ("none",)))
            case "hostkeyalias", str():
                return lower(value)
            case _, bool():
                return "yes" if value else "no"
            case _:
                return str(value)

    def _place(self, keyword: str) -> Place | None:
        found = self._options.single.get(keyword)
        return None if found is None else found[1]

    @staticmethod
    def _checked(text: str, keyword: str, check: Callable[[str], None], place: Place) -> str:
        try:
            check(text)
        except ValueError as error:
            raise bad(place, f"bad `{keyword}`: {error}") from None
        return text

    def _seconds(self, keyword: str, least: int) -> tuple[float, str] | None:
        found = self._options.single.get(keyword)
        if found is None or cast("int", found[0]) < least:
            return None
        return float(cast("int", found[0])), str(found[1])

    def _files(self, keyword: Literal["identityfile", "certificatefile"] | str) -> tuple[str, ...] | None:
        found = self._options.lists.get(keyword)
        if not found:
            return None
        paths = (self._path(text, keyword, place) for text, place in found.items() if lower(text) != "none")
        return tuple(dict.fromkeys(os.path.abspath(path) for path in paths))

    def _known_hosts(self, keyword: str, *, tokens: bool) -> tuple[str, ...] | None:
        found = self._options.single.get(keyword)
        if found is None:
            return None
        texts = cast("tuple[str, ...]", found[0])
        if lower(texts[0]) == "none":
            return ()
        return tuple(os.path.abspath(self._path(text, keyword, found[1], tokens=tokens)) for text in texts)

    def _path(self, text: str, keyword: str, place: Place, *, tokens: bool = True) -> str:
        try:
            path = self._around.at_home(text)
            path = replace_all(path, self._tokens, self._around.environ) if tokens else path
            if "\0" in path:
                raise ValueError("it holds a NUL")
        except ValueError as error:
            raise bad(place, f"`{keyword}`: {shown(str(error))}") from None
        return path

    @cached_property
    def _tokens(self) -> Mapping[str, str]:
        asked = self._asked
        port = asked.port or self._options.value("port") or DEFAULT_PORT
        user = asked.user or self._options.value("user") or asked.local_user
        alias = self.host_key_alias or asked.name
        names = Names(self._host, str(user), int(cast("int", port)), alias)
        return tokens_of(names, asked, self._around)


def tokens_of(names: Names, asked: Asked, around: Surroundings) -> dict[str, str]:
    """What each token stands for."""
    here = socket.gethostname()
    port = str(names.port)
    # OpenSSH's own recipe for %C (readconf.c): it names a connection, and protects nothing
    digest = hashlib.sha1((here + names.host + port + names.user).encode("utf-8", "surrogateescape"))  # noqa: S324
    return {
        "C": digest.hexdigest(),
        "L": here.partition(".")[0],
        "d": around.home,
        "h": names.host,
        "i": str(os.getuid()),
        "k": names.key_alias,
        "l": here,
        "n": asked.name,
        "p": port,
        "r": names.user,
        "u": asked.local_user,
    }


def canonical(host: str) -> str:
    """A name in lower case; an address as it is usually written (``127.1`` → ``127.0.0.1``)."""
    if ":" in host or "%" in host or not host.strip("0123456789."):
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            return str(found[0][4][0]) if len(found) == 1 else host
        except (OSError, UnicodeError):
            return host
    return lower(host)


def _sources(places: list[str]) -> str:
    """``~/.ssh/config:3, 7`` for places of one file, else all of them."""
    shown: list[str] = []
    last = ""
    for text in places:
        file, _, line = text.rpartition(":")
        shown.append(line if file == last else text)
        last = file
    return ", ".join(shown)


_NAMES = {
    "proxyjump": "ProxyJump",
    "proxycommand": "ProxyCommand",
    "identityfile": "IdentityFile",
    "identitiesonly": "IdentitiesOnly",
    "certificatefile": "CertificateFile",
    "identityagent": "IdentityAgent",
    "userknownhostsfile": "UserKnownHostsFile",
    "globalknownhostsfile": "GlobalKnownHostsFile",
    "hostkeyalias": "HostKeyAlias",
    "pubkeyauthentication": "PubkeyAuthentication",
    "passwordauthentication": "PasswordAuthentication",
    "kbdinteractiveauthentication": "KbdInteractiveAuthentication",
    "preferredauthentications": "PreferredAuthentications",
    "addressfamily": "AddressFamily",
    "bindaddress": "BindAddress",
    "compression": "Compression",
    "serveralivecountmax": "ServerAliveCountMax",
    "sendenv": "SendEnv",
    "setenv": "SetEnv",
}
_LISTED = ("identityfile", "certificatefile", "sendenv", "setenv")
_SINGLE = tuple(keyword for keyword in _NAMES if keyword not in _LISTED)
