"""What ssh_config says of a host, laid under what the inventory says of it.

Must not know how either is read, nor how the inventory chooses among its own sections.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from hostshell.core.clean import clean
from hostshell.inventory.settings import Converted, Jump

if TYPE_CHECKING:
    from hostshell.inventory.sshconfig.answer import Answer
    from hostshell.inventory.sshconfig.config import SshConfig

YES = "yes"
PROXY_COMMAND = "proxy_command"
MATCH_EXEC = "match_exec"


def lay(chosen: dict[str, tuple[Converted, str]], answer: Answer, blocked: Collection[str]) -> None:
    """Add to ``chosen`` what only ``answer`` says; ``blocked`` keys are not to be said by anything weaker."""
    found: dict[str, tuple[Converted, str] | None] = {
        "address": answer.address(),
        "port": answer.port(),
        "user": answer.user(),
        "connect_timeout": answer.connect_timeout(),
        "keepalive": answer.keepalive(),
        "host_keys": answer.host_keys(),
        "jump": _jump(answer),
    }
    for key, value in found.items():
        if value is not None and key not in chosen and key not in blocked:
            chosen[key] = value


def _jump(answer: Answer) -> tuple[Jump, str] | None:
    place = answer.jump_place()
    if place is None:
        return None
    return Jump(tuple(str(hop) for hop in answer.jump), place), str(place)


def fields(answer: Answer) -> dict[str, Any]:
    """The fields of a `Host` that only ssh_config fills, by name."""
    return {
        "identity_files": answer.identity_files,
        "identities_only": answer.identities_only,
        "certificate_files": answer.certificate_files,
        "identity_agent": answer.identity_agent,
        "user_known_hosts": answer.user_known_hosts,
        "global_known_hosts": answer.global_known_hosts,
        "host_key_alias": answer.host_key_alias,
        "pubkey_authentication": answer.pubkey_authentication,
        "password_authentication": answer.password_authentication,
        "kbd_interactive_authentication": answer.kbd_interactive_authentication,
        "keepalive_count": answer.keepalive_count,
        "preferred_authentications": answer.preferred_authentications,
        "address_family": answer.address_family,
        "bind_address": answer.bind_address,
        "compression": answer.compression,
        "environment": answer.environment,
        "concerns": answer.concerns(),
    }


def elsewhere(ssh: SshConfig, names: Iterable[str], local_user: str) -> str:
    """What to do about hosts that no inventory has: a hint where ``ssh`` has one of them, else "".

    Raises `InventoryError` for what is wrong in it.
    """
    for name in names:
        place = ssh.place_of(name)
        if place:
            answer = ssh.ask(name, local_user)
            said = answer.user() if answer is not None else None
            whole = clean(f"{local_user if said is None else said[0]}@{name}")
            return f"{place} has it: name it {whole}, or start with -i ssh, which takes all hosts from there"
    return ""
