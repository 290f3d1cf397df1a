"""``ProxyJump``: a list of ``[user@]host[:port]`` and ``ssh://`` addresses to the hops that it names.

Pure text. Must not know what a hop's name stands for.
"""

from __future__ import annotations

import re
import socket
from urllib.parse import unquote_plus

from hostshell.core.records import dataclass

_URI = "ssh://"
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Hop:
    """One jump host as it is written: None stands for what is not."""

    user: str | None
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")


def read_hops(text: str) -> tuple[Hop, ...]:
    """The hops in their order, the first to be connected to first; none for ``none``. Raises ValueError."""
    # OpenSSH compares before it takes a comment away, so that `none # why` is a host: nobody means that
    text = text.partition("#")[0].rstrip(" \t\r\n")
    if text.lower() == "none":
        return ()
    return tuple(_hop(part) for part in text.split(","))


def port_number(text: str) -> int:
    """A port, or a service's name as in /etc/services. Raises ValueError."""
    if re.fullmatch(r"[ \t]*\+?[0-9]{1,9}", text):
        number = int(text)
        if 1 <= number <= 65535:
            return number
    else:
        try:
            return socket.getservbyname(text, "tcp")
        except (OSError, UnicodeError, ValueError):
            pass
    raise ValueError("a port is a number from 1 to 65535")


def _hop(text: str) -> Hop:
    uri = text.startswith(_URI)
    rest = text[len(_URI) :] if uri else text
    # a user may hold an `@` of its own, but not in an address with escapes
    user, at, place = rest.partition("@") if uri else rest.rpartition("@")
    if not at:
        user, place = "", rest
    elif uri:
        user = user.partition(";")[0]
        if _ESCAPES.search(user):
            raise ValueError(f"bad escape in `{text}`")
        user = unquote_plus(user)
    if at and not user:
        raise ValueError(f"no user before `@` in `{text}`")
    if uri and place.endswith("/"):
        place = place[:-1]
    if place.startswith("["):
        host, closed, tail = place[1:].partition("]")
        if not closed or (tail and not tail.startswith(":")):
            raise ValueError(f"`{text}` is no host")
        tail = tail[1:]
    else:
        host, _, tail = place.partition(":")
    if not host or "/" in place:
        raise ValueError(f"`{text}` is no host")
    return Hop(user or None, host, port_number(tail) if tail else None)
