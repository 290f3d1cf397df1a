"""The table of settings: what each is called, how its text is checked, and what it becomes.

Must not know sections, precedence or files: a check gets one text and the place where it stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import field
from typing import TypeAlias

from hostshell.core.clean import clean
from hostshell.core.encodings import UnfitEncoding, known_encoding
from hostshell.core.errors import InventoryError, TargetError, did_you_mean
from hostshell.core.model import HOST_FIELD, HOST_KEY_POLICIES, Place, Secret, SecretSource
from hostshell.core.names import check_address, check_user
from hostshell.core.records import dataclass
from hostshell.core.targets import parse_moment


@dataclass(frozen=True, slots=True)
class Jump:
    """The hops to a host as they are written: names of the inventory or ``user@address:port``; none for ``none``."""

    hops: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Proxy:
    """In place of jump hosts: a command of this machine whose streams are the connection, its tokens not replaced."""

    command: str = field(repr=False)  # in which a password may stand
    place: Place


@dataclass(frozen=True, slots=True)
class Unread:
    """A value that is there and is not evaluated: ``why`` is what it is, as in "encrypted with Ansible's vault".

    It stands in the way of weaker values: another host's address or password would be worse than none.
    """

    why: str


UNSET = Unread("not set")  # said to be so: weaker values do not count, what is built in does


Converted: TypeAlias = str | int | float | SecretSource | Jump | Proxy | Unread
Check: TypeAlias = Callable[[str, Place], Converted]

LONGEST_WAIT = 1_000_000.0  # seconds; what the system's own clocks and locks are sure to take

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCES = "env:NAME, cmd:COMMAND, keyring:SERVICE/USER or ask"


def bad(place: Place, what: str, hint: str = "") -> InventoryError:
    """An error about one place: ``FILE:LINE: what``."""
    return InventoryError(f"{place}: {what}", hint)


def shown(text: str) -> str:
    """A text of the file, short and safe to print. Not for secrets."""
    return clean(text if len(text) <= 60 else text[:60] + "…")


def _address(text: str, place: Place) -> str:
    return _by_rule("address", text, place, check_address)


def _user(text: str, place: Place) -> str:
    return _by_rule("user", text, place, check_user)


def _by_rule(key: str, text: str, place: Place, check: Callable[[str], None]) -> str:
    try:
        check(text.replace(HOST_FIELD, "h"))  # a host's name fits everywhere
    except ValueError as error:
        hint = f"only {HOST_FIELD} is replaced" if "{" in text.replace(HOST_FIELD, "") else ""
        raise bad(place, f"bad {key}: {error}", hint) from None
    return text


def _port(text: str, place: Place) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise bad(place, f"`{shown(text)}` is no port", "a port is a number from 1 to 65535")
    return int(text)


def _seconds(text: str, place: Place) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not number <= LONGEST_WAIT:
        raise bad(
            place, f"`{shown(text)}` is no time", f"it is given in seconds, such as 10 or 2.5, up to {LONGEST_WAIT:.0f}"
        )
    return number


def _connect_timeout(text: str, place: Place) -> float:
    number = _seconds(text, place)
    if number <= 0:
        raise bad(place, "`connect_timeout` must be more than 0 seconds")
    return number


def _path(text: str, place: Place) -> str:
    if not text.isprintable():
        raise bad(place, "the path holds a control character")
    return text


def _host_keys(text: str, place: Place) -> str:
    if text not in HOST_KEY_POLICIES:
        hint = did_you_mean(text, HOST_KEY_POLICIES) or f"it is {', '.join(HOST_KEY_POLICIES)}"
        raise bad(place, f"`{shown(text)}` is no policy for host keys", hint)
    return text


def _encoding(text: str, place: Place) -> str:
    try:
        return known_encoding(text)
    except UnfitEncoding as error:
        raise bad(place, f"`{shown(text)}` cannot be a host's encoding: {error}", error.hint) from None


def _literal(text: str, place: Place) -> SecretSource:
    return SecretSource("literal", place, literal=Secret(text))


def _source(text: str, place: Place) -> SecretSource:
    # the text is never shown: it may well be a password in the wrong setting
    if text == "ask":
        return SecretSource("ask", place)
    kind, _, argument = text.partition(":")
    argument = argument.strip()
    match kind:
        case "env":
            if not _VARIABLE.fullmatch(argument):
                raise bad(place, "what follows `env:` is no name of a variable", "as in env:WEB_PASSWORD")
            return SecretSource("env", place, argument)
        case "cmd":
            if not argument:
                raise bad(place, "no command follows `cmd:`", "as in cmd:pass show web")
            return SecretSource("cmd", place, argument)
        case "keyring":
            service, _, user = argument.rpartition("/")
            if not service or not user:
                raise bad(place, "`keyring:` needs a service and a user", "as in keyring:hostshell/deploy")
            return SecretSource("keyring", place, argument)
    raise bad(place, f"not a source of secrets: it is {_SOURCES}", "a password itself goes into `password`")


def _jump(text: str, place: Place) -> Jump:
    if text == "none":
        return Jump((), place)
    hops = tuple(hop.strip() for hop in text.split(","))
    for hop in hops:
        try:
            if parse_moment(hop) is None:
                check_address(hop)
        except TargetError as error:
            raise bad(place, f"bad jump host: {error.message}", error.hint) from None
        except ValueError as error:
            hint = "as in `jump = bastion` or `jump = user@b1:2222, b2`"
            raise bad(place, f"bad jump host `{shown(hop)}`: {error}", hint) from None
    twice = next((hop for at, hop in enumerate(hops) if hop in hops[:at]), None)
    if twice is not None:
        raise bad(place, f"the jump host {shown(twice)} stands there twice")
    return Jump(hops, place)


def _switch(text: str, place: Place) -> str:
    if text not in ("yes", "no"):
        raise bad(place, f"`{shown(text)}` is neither yes nor no")
    return text


SETTINGS: dict[str, Check] = {
    "address": _address,
    "port": _port,
    "user": _user,
    "password": _literal,
    "password_from": _source,
    "key": _path,
    "passphrase_from": _source,
    "jump": _jump,
    "connect_timeout": _connect_timeout,
    "keepalive": _seconds,
    "known_hosts": _path,
    "host_keys": _host_keys,
    "encoding": _encoding,
    "sudo": _switch,
    "sudo_user": _user,
    "sudo_password": _literal,
    "sudo_password_from": _source,
    "proxy_command": _switch,
    "match_exec": _switch,
}
CONNECTION = "connection"  # what Ansible calls the way to a host; only inventories of its kinds can say it
SSH = "ssh"  # the one way that we know
BECOME_METHOD = "become_method"  # the same: how it gets the rights that we get by sudo
SUDO = "sudo"  # the one method that we know


def display(value: Converted) -> str:
    """A setting's value as `show` prints it: a literal secret is ``***``."""
    match value:
        case SecretSource(kind="literal"):
            return "***"
        case SecretSource(kind="ask"):
            return "ask"
        case SecretSource(kind="cmd"):
            return "cmd: a command, not shown"  # in which a password may stand
        case SecretSource(kind=kind, argument=argument):
            return clean(f"{kind}:{argument}")
        case Jump(hops=hops):
            return clean(", ".join(hops)) or "none"
        case Proxy():
            return "a ProxyCommand"  # in which a password may stand
        case Unread(why=why):
            return f"not read: {why}"
        case float():
            return f"{value:.9f}".rstrip("0").rstrip(".")
        case _:
            return clean(str(value))
