"""What `--list` of an inventory program gives: JSON with groups, and ``_meta`` with the variables of hosts.

Takes text. Must not know where it came from. JSON has no lines that its reader tells: places are the file alone.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.inventory.ansible.data import PRIORITY, AnsibleGroup, AnsibleInventory, Plain, Variables, Vault
from hostshell.inventory.ansible.variables import is_known
from hostshell.inventory.notes import Notes
from hostshell.inventory.settings import bad, shown


def decode(text: str, file: str) -> dict[str, Any]:
    """The object that ``text`` is. Raises `InventoryError` with the line for what is no JSON."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise bad(Place(file, error.lineno), f"this is no JSON: {error.msg.lower()} (column {error.colno})") from None
    except (RecursionError, ValueError):
        raise InventoryError(f"{file}: this is no JSON: nested too deep, or a number too long") from None
    if not isinstance(found, dict):
        raise InventoryError(f"{file}: an inventory in JSON is an object with groups in it")
    return found


def is_listing(found: dict[str, Any]) -> bool:
    """Whether it is what ``--list`` gives; an inventory in Ansible's YAML form may be written as JSON too."""
    if "_meta" in found:
        return True
    return any(
        isinstance(group, list)
        or (isinstance(group, dict) and any(isinstance(group.get(key), list) for key in ("hosts", "children")))
        for group in found.values()
    )


def read(found: dict[str, Any], file: str) -> AnsibleInventory:
    """The hosts and groups of it. Raises `InventoryError` for what is none."""
    return _Reader(file).read(found)


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._found = AnsibleInventory(file)

    def read(self, listing: dict[str, Any]) -> AnsibleInventory:
        for name, content in listing.items():
            if name != "_meta":
                self._group(name, content)
        meta = listing.get("_meta", {})
        variables = meta.get("hostvars", {}) if isinstance(meta, dict) else None
        if not isinstance(variables, dict):
            self._bad("`_meta` holds no `hostvars` with an object in it")
        for host, values in variables.items():
            if host in self._found.hosts and values is not None:
                if not isinstance(values, dict):
                    self._bad(f"the variables of {shown(host)} are no object")
                self._found.hosts[host].update(_variables(values, self._found.notes))
        if "_meta" not in listing and self._found.hosts:
            self._found.notes.say(0, "without `_meta` hosts have no variables of their own: --host is not asked")
        return self._found

    def _group(self, name: str, content: Any) -> None:
        group = self._found.group(name, 0)
        if not isinstance(content, dict):
            content = {"hosts": content}
        elif content and not any(key in content for key in ("hosts", "vars", "children")):
            content = {"hosts": [name], "vars": content}
        for host in self._texts(name, "hosts", content):
            self._found.host(host, group, 0)
        for child in self._texts(name, "children", content):
            self._found.child(group, child, 0)
        values = content.get("vars") or {}
        if not isinstance(values, dict):
            self._bad(f"`vars` of the group {shown(name)} is no object")
        self._set(group, values)

    def _set(self, group: AnsibleGroup, values: dict[str, Any]) -> None:
        if PRIORITY in values:
            self._found.set_priority(group, values.pop(PRIORITY), 0)
        group.variables.update(_variables(values, self._found.notes))

    def _texts(self, group: str, key: str, content: dict[str, Any]) -> list[str]:
        found = content.get(key)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            self._bad(f"`{key}` of the group {shown(group)} is no list of names")
        return found

    def _bad(self, what: str) -> NoReturn:
        raise InventoryError(f"{self._file}: {what}")


def _variables(values: dict[str, Any], notes: Notes) -> Variables:
    found: Variables = {}
    for name, value in values.items():
        if not is_known(name):
            notes.unused(name, 0)
        elif isinstance(value, dict) and "__ansible_vault" in value:
            found[name] = (Vault(), 0)
        elif isinstance(value, dict) and "__ansible_unsafe" in value:
            found[name] = (Plain(value["__ansible_unsafe"]), 0)
        else:
            found[name] = (value, 0)
    return found
