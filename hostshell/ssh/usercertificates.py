"""A certificate that a user logs in with: what of it, as it stands here, will have a server refuse it.

Must not know servers: which names theirs map to whom (AuthorizedPrincipalsFile) is not seen from here.
"""

from __future__ import annotations

import time

from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
)

from hostshell.core.clean import clean
from hostshell.core.keyformat import CERTIFICATE, type_of
from hostshell.core.records import dataclass
from hostshell.ssh.certificates import UNREADABLE, loaded

_MOST = 3  # names that are shown
_LONGEST = 60  # characters of one


@dataclass(frozen=True, slots=True)
class Remark:
    """``what`` is the matter with a certificate and what to do; ``sure``: no server at all will take it."""

    what: str
    hint: str
    sure: bool


def remark(blob: bytes, user: str, now: float) -> Remark | None:
    """What there is to say of a certificate for a login as ``user`` at ``now`` (seconds since 1970), the worst first.

    None for a plain key, and where nothing is the matter. Never raises.
    """
    try:
        if not type_of(blob).endswith(CERTIFICATE):
            return None
        return _of(loaded(blob), user, now)
    except UNREADABLE as error:
        return Remark(f"cannot be read ({type(error).__name__})", "ssh-keygen -L -f shows what it holds", sure=False)


def _of(found: SSHCertificate, user: str, now: float) -> Remark | None:
    if found.type is not SSHCertificateType.USER:
        return Remark("is a host's and not a user's", "have one made without -h (ssh-keygen -s)", sure=True)
    if now >= found.valid_before:
        return Remark(f"expired {_when(found.valid_before)} by the clock here", "have a new one made", sure=True)
    if now < found.valid_after:
        hint = "wait, or have a new one made; is the clock right?"
        return Remark(f"is not valid before {_when(found.valid_after)} by the clock here", hint, sure=True)
    names = [_text(name) for name in found.valid_principals]
    if not names:
        return Remark("names no user that it is for", f"have one made for {user} (ssh-keygen -n)", sure=False)
    if user not in names:
        hint = f"set `user` to one of these, or have one made for {user} (ssh-keygen -n)"
        return Remark(f"is for {_some(names)} and not for {user}", hint, sure=False)
    addresses = found.critical_options.get(b"source-address")
    if addresses is not None:
        where = _some(_text(addresses).split(","))
        return Remark(
            f"is good from {where} only (source-address)", "log in from there, or have another made", sure=False
        )
    return None


def _when(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # a year that no clock here has
        return "long ago" if seconds <= 0 else "in a year that never comes"


def _text(raw: bytes) -> str:
    return clean(raw.decode("utf-8", "replace"))


def _some(names: list[str]) -> str:
    return ", ".join(name[:_LONGEST] for name in names[:_MOST]) + (" and others" if len(names) > _MOST else "")
