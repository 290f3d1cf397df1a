"""The algorithms of a key exchange: what the server offered, what we did, and what came of it (RFC 4253, section 7.1).

Must not know why anybody asks. Names of the server's are bounded, not cleaned.
"""

from __future__ import annotations

import paramiko

from hostshell.ssh.transport import Transport

# what a person calls them, and which of the lists of a KEXINIT they are; where there is one list a direction, the
# server's to us
LISTS = {"kex": 0, "host key": 1, "cipher": 3, "mac": 5}
_COOKIE = 16  # bytes before the lists


def offered(transport: Transport, kind: str) -> list[str]:
    """What the server offered of one ``kind`` of `LISTS`; empty where no KEXINIT of it has come."""
    raw = transport.packets.offer
    if not raw:
        return []
    message = paramiko.Message(raw[_COOKIE:])
    return [message.get_list() for _ in range(LISTS[kind] + 1)][-1]


def algorithms(transport: Transport) -> dict[str, tuple[str, ...]]:
    """What both sides offered of each kind, as facts of a step."""
    options = transport.get_security_options()
    ours = {"kex": options.kex, "host key": options.key_types, "cipher": options.ciphers, "mac": options.digests}
    facts: dict[str, tuple[str, ...]] = {}
    for kind in LISTS:
        name = kind.replace(" ", "_")
        facts[f"{name}_of_the_server"] = tuple(offered(transport, kind))
        facts[f"{name}_of_ours"] = tuple(ours[kind])
    return facts
