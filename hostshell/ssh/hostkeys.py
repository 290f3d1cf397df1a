"""Host keys: a pure decision (policy, known, offered), and which algorithms to offer first.

Must not know files, locks or paramiko. OpenSSH's sshconnect.c (check_host_key) is followed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal, TypeAlias

from hostshell.core.events import Failure
from hostshell.core.keyformat import CERTIFICATE
from hostshell.core.model import HostKeyPolicy
from hostshell.core.records import dataclass
from hostshell.ssh.certificates import Certificate
from hostshell.ssh.knownhosts import RSA_ALGORITHMS, HostKey, Known, known_name


def algorithm_order(known: Known, supported: Sequence[str]) -> list[str]:
    """The ``supported`` host key algorithms in the order in which to offer them: first those of the known keys.

    In any other order a server with several keys may show one that is not known, and a known host looks changed.
    """
    first: list[str] = []
    if known.authorities:  # as ssh does, whichever key they have signed
        first = [name for name in supported if name.endswith(CERTIFICATE)]
    for entry in known.entries or known.plain:
        algorithms = RSA_ALGORITHMS if entry.key.type == "ssh-rsa" else (entry.key.type,)
        first += [name for name in algorithms if name in supported]
    return list(dict.fromkeys([*first, *supported]))


Verdict: TypeAlias = Literal["trusted", "new", "learn", "refused", "changed", "revoked"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about an offered key.

    ``trusted``: log in. ``new``: ask a person. ``learn``: save it, then log in. ``refused`` (unknown under ``strict``),
    ``changed`` and ``revoked``: send nothing; only these have a ``failure``, for the person.
    """

    verdict: Verdict
    failure: Failure | None = None


def judge(known: Known, certificate: Certificate) -> Decision | None:
    """May we log in because of a certificate? None where no authority that we know has signed it: its key decides.

    A known authority's certificate that is not good is refused, whatever else is known.
    """
    for revoked in (certificate.key, certificate.authority):
        if any(entry.key == revoked for entry in known.revoked):
            return Decision("revoked", _revoked(known, revoked))
    ours = next((entry for entry in known.authorities if entry.key == certificate.authority), None)
    if ours is None:
        return None
    if certificate.wrong:
        message = f"the host certificate of {known_name(known.address, known.port)} is not good: {certificate.wrong}"
        hint = f"its authority is trusted in {ours.place}: have the host's certificate made anew"
        return Decision("refused", Failure("hostkey", message, hint))
    return Decision("trusted")


def decide(policy: HostKeyPolicy, known: Known, offered: HostKey, accepted: str | None = None) -> Decision:
    """May we log in to a host that offered this key? ``accepted`` ("type base64") is one a person has just accepted.

    Neither the policy nor a person's yes makes a revoked key acceptable, or another key than the known ones. A key of
    another type than those counts as changed (as in OpenSSH): the known types were asked for first.
    """
    if any(entry.key == offered for entry in known.revoked):
        return Decision("revoked", _revoked(known, offered))
    if any(entry.key == offered for entry in (*known.entries, *known.plain)):
        return Decision("trusted")
    if known.entries:
        return Decision("changed", _changed(known, offered))
    if accepted is not None:
        return Decision("learn") if accepted == str(offered) else Decision("changed", _not_accepted(known, offered))
    if policy == "accept-new":
        return Decision("learn")
    if policy == "ask":
        return Decision("new")
    return Decision("refused", _unknown(known, offered))


def _unknown(known: Known, offered: HostKey) -> Failure:
    message = f"{_whose(known)} is not known: it offers {_shown(offered)}"
    if known.authorities:
        message += f" (it shows no certificate of the authority in {known.authorities[0].place})"
    hint = "if that is its key: --host-keys ask shows it and asks, --host-keys accept-new saves it unasked"
    return Failure("hostkey", message, hint)


def _changed(known: Known, offered: HostKey) -> Failure:
    same = next((entry for entry in known.entries if entry.key.type == offered.type), None)
    if same is not None:
        but = f"{same.place} has {_shown(same.key)}"
    else:
        types = ", ".join(dict.fromkeys(entry.key.type for entry in known.entries))
        but = f"of another type than is known ({types} in {known.entries[0].place})"
    message = f"{_whose(known)} has changed: it offers {_shown(offered)}, {but}"
    return Failure("hostkey", message, f"set up anew, or somebody in between? once you know why: {_remedy(known)}")


def _remedy(known: Known) -> str:
    """How to forget the known keys. ``ssh-keygen -R`` drops a wildcard's line for all hosts: a person edits that."""
    name = shlex.quote(known_name(known.address, known.port))
    steps = []
    for entry in known.entries:
        if entry.by_pattern:
            steps.append(f"correct {entry.place}")
        else:
            steps.append(f"ssh-keygen -R {name} -f {shlex.quote(entry.place.file)}")
    return "; ".join(dict.fromkeys(steps))


def _revoked(known: Known, offered: HostKey) -> Failure:
    place = next(entry.place for entry in known.revoked if entry.key == offered)
    return Failure(
        "hostkey",
        f"{_whose(known)} is revoked ({place}): it offers {_shown(offered)}",
        "somebody may be using a stolen key: find out who answers there, and give the host a new key",
    )


def _not_accepted(known: Known, offered: HostKey) -> Failure:
    return Failure(
        "hostkey",
        f"{_whose(known)} is not the one just accepted: it now offers {_shown(offered)}",
        "find out why it differs from one connection to the next; the same command again asks about this key",
    )


def _whose(known: Known) -> str:
    return f"the host key of {known_name(known.address, known.port)}"


def _shown(key: HostKey) -> str:
    return f"{key.type} {key.fingerprint}"
