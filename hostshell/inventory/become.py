"""Ansible's become against our sudo: what a host's inventory says of rights, once its method is known.

Must not know files, nor how a setting was chosen.
"""

from __future__ import annotations

from collections.abc import Collection

from hostshell.inventory.settings import BECOME_METHOD, SUDO, Converted, Unread, shown


def settle(chosen: dict[str, tuple[Converted, str]], of_ansible: Collection[str]) -> str | None:
    """Take out of ``chosen`` what was said for another method than sudo, of the keys ``of_ansible``.

    The password there is another's too. What a person should know before a job, or None.
    """
    method, source = chosen.get(BECOME_METHOD, (SUDO, ""))
    if method == SUDO:
        chosen.pop(BECOME_METHOD, None)
        wanted_so, source = chosen.get("sudo", ("", ""))
        if isinstance(wanted_so, Unread):
            return f"{source}: its ansible_become is {wanted_so.why}: commands run without sudo; --sudo asks for it"
        return None
    wanted = BECOME_METHOD in chosen and "sudo" in of_ansible and chosen["sudo"][0] != "no"
    for key in of_ansible:
        chosen.pop(key, None)
    if not wanted or "sudo" in chosen:
        return None
    what = method.why if isinstance(method, Unread) else f"`{shown(str(method))}`"
    return f"{source}: its ansible_become_method is {what}, and hostshell knows sudo only: commands run without it"
