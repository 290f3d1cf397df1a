"""Ansible's YAML form: groups with ``hosts``, ``children`` and ``vars``, nested.

Takes text. Must not know files, nor what a variable means to us. (The library of the same name is `document`'s.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.inventory.ansible.data import PRIORITY, AnsibleGroup, AnsibleInventory, PluginSetup, Variables
from hostshell.inventory.ansible.document import Document
from hostshell.inventory.ansible.ranges import expand_pattern
from hostshell.inventory.ansible.variables import is_known
from hostshell.inventory.notes import Notes
from hostshell.inventory.settings import bad, shown

if TYPE_CHECKING:
    from yaml import MappingNode, Node

_DEEPEST = 200  # groups in groups, as they are nested in the text


def read(text: str, file: str) -> AnsibleInventory:
    """The hosts and groups of ``text``. Raises `InventoryError` with ``FILE:LINE:`` for what is none."""
    document = Document(text, file)
    root = document.root
    if root is None or document.is_null(root):
        return AnsibleInventory(file)
    if not document.is_mapping(root):
        raise document.bad(root, "an inventory in YAML begins with the name of a group", "as in `all:`")
    reader = _Reader(document, file)
    entries = list(document.entries(cast("MappingNode", root)))
    for key, _, line in entries:
        if key == "plugin":
            raise PluginSetup(
                f"{file}:{line}: this sets up one of Ansible's inventory plugins, which are not run here",
                f"ansible-inventory -i {file} --list > hosts.json; then -i hosts.json",
            )
    for key, node, line in entries:
        reader.group(key, node, line)
    return reader.found


def read_variables(text: str, file: str, notes: Notes) -> Variables:
    """A file of ``group_vars`` or ``host_vars``: the variables that we know; the others are noted."""
    document = Document(text, file)
    root = document.root
    if root is None or document.is_null(root):
        return {}
    if not document.is_mapping(root):
        raise document.bad(root, "variables are written `NAME: VALUE`")
    return _variables(document, cast("MappingNode", root), notes)


def _variables(document: Document, node: MappingNode, notes: Notes) -> Variables:
    found: Variables = {}
    for name, value, line in document.entries(node):
        if isinstance(name, str) and is_known(name):
            found[name] = (document.value(value), line)
        else:
            notes.unused(str(name) if isinstance(name, (str, int, float)) else "a key that is no text", line)
    return found


class _Reader:
    def __init__(self, document: Document, file: str) -> None:
        self.found = AnsibleInventory(file)
        self._document = document
        self._file = file
        self._deep = 0

    def group(self, name: object, node: Node, line: int, parent: AnsibleGroup | None = None) -> None:
        document = self._document
        if not isinstance(name, str) or not name:
            raise bad(Place(self._file, line), "a group's name that is no text", "put it in quotes")
        if not document.is_mapping(node) and not document.is_null(node):
            if parent is not None:
                raise document.bad(node, f"the group {shown(name)} is no mapping", "it has hosts:, children: or vars:")
            self.found.notes.say(line, f"{shown(name)} is no group: not used")
            return
        if parent is None:
            group = self.found.group(name, line)
        else:
            group = self.found.child(parent, name, line)
        if document.is_null(node):
            return
        self._deep += 1
        if self._deep > _DEEPEST:
            raise InventoryError(f"{self._file}:{line}: groups nested more than {_DEEPEST} deep")
        for key, value, at in document.entries(cast("MappingNode", node)):
            self._part(group, key, value, at)
        self._deep -= 1

    def _part(self, group: AnsibleGroup, key: object, node: Node, line: int) -> None:
        document = self._document
        if key not in ("hosts", "children", "vars"):
            text = shown(key) if isinstance(key, str) else "a key that is no text"
            what = f"{text} in the group {shown(group.name)} is not used: a group has hosts, children and vars"
            self.found.notes.say(line, what)
            return
        if document.is_null(node):
            return
        if not document.is_mapping(node):
            only = document.value(node)
            if not isinstance(only, str):
                hint = "each in a line of its own, with a colon behind it"
                raise document.bad(node, f"`{key}` of the group {shown(group.name)} is no mapping", hint)
            if key == "hosts":
                self._host(group, only, None, line)
            elif key == "children":
                self.found.child(group, only, line)
            else:
                self.found.notes.unused(only, line)
            return
        mapping = cast("MappingNode", node)
        if key == "vars":
            self._group_variables(group, mapping)
            return
        for inner, value, at in document.entries(mapping):
            if key == "hosts":
                self._host(group, inner, value, at)
            else:
                self.group(inner, value, at, group)

    def _group_variables(self, group: AnsibleGroup, mapping: MappingNode) -> None:
        for name, value, line in self._document.entries(mapping):
            if name == PRIORITY:
                self.found.set_priority(group, self._document.value(value), line)
            elif isinstance(name, str) and is_known(name):
                group.variables[name] = (self._document.value(value), line)
            else:
                self.found.notes.unused(str(name) if isinstance(name, (str, int, float)) else "a key", line)

    def _host(self, group: AnsibleGroup, pattern: object, node: Node | None, line: int) -> None:
        if not isinstance(pattern, str):
            raise bad(Place(self._file, line), "a host's name that is no text", "put it in quotes")
        try:
            names, port = expand_pattern(pattern)
        except ValueError as error:
            raise bad(Place(self._file, line), f"bad host name `{shown(pattern)}`: {error}") from None
        variables: Variables = {}
        if node is not None and not self._document.is_null(node):
            if not self._document.is_mapping(node):
                raise self._document.bad(node, f"the variables of {shown(pattern)} are no mapping")
            variables = _variables(self._document, cast("MappingNode", node), self.found.notes)
        for name in names:
            self.found.host(name, group, line, port).update(variables)
