"""A ProxyCommand that an inventory says: its tokens, and whether it may run.

Pure text. Nothing is run here.
"""

from __future__ import annotations

from typing import Any

from hostshell.core.model import Place

_TOKENS = "hknpr"  # those of ssh_config(5) for ProxyCommand


def why_unfit(command: str) -> str:
    """What is wrong with its tokens, or ""."""
    from hostshell.inventory.sshconfig.tokens import replace_tokens  # few inventories need it

    try:
        replace_tokens(command, dict.fromkeys(_TOKENS, ""))
    except ValueError as error:
        return str(error)
    return ""


def with_tokens(command: str, address: str, port: int, user: str) -> str:
    """The command for one host. ssh is given the address as the host's name there, so ``%n`` is that too."""
    from hostshell.inventory.sshconfig.tokens import replace_tokens

    return replace_tokens(command, {"h": address, "k": address, "n": address, "p": str(port), "r": user})


def fields(command: str, place: Place, *, allowed: bool) -> dict[str, Any]:
    """How it changes a `Host`: the command where it is allowed; else why the host cannot be reached."""
    if allowed:
        return {"proxy_command": command}
    why = f"{place} sets ProxyCommand, and only `proxy_command = yes` in the inventory lets hostshell run it"
    return {"unusable": why}
