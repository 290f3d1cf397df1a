"""Ansible's INI form: hosts with variables on their lines, ``[group]``, ``[group:children]``, ``[group:vars]``.

Takes text. Must not know files, nor what a variable means to us.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Callable

from hostshell.core.errors import did_you_mean
from hostshell.core.model import Place
from hostshell.inventory.ansible.data import PRIORITY, UNGROUPED, AnsibleGroup, AnsibleInventory, Variables
from hostshell.inventory.ansible.ranges import expand_pattern
from hostshell.inventory.ansible.variables import is_known
from hostshell.inventory.settings import bad, shown

SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?", re.ASCII)
# what was meant as one: its bracket may not be closed, or have text behind it
HEADING = re.compile(r"\[([^:\]\s]+):(?:hosts|children|vars)\b", re.ASCII)
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_SIMPLE = re.compile(r"[\t !-~]*")  # with no quotes or backslash in it, splitting at blanks is what shlex does
_KINDS = ("hosts", "children", "vars")
_LONGEST_LITERAL = 1000  # characters: a longer value is no number, and literal_eval is no parser for strangers


def read(text: str, file: str) -> AnsibleInventory:
    """The hosts and groups of ``text``. Raises `InventoryError` with ``FILE:LINE:`` for what Ansible refuses too."""
    return _Reader(file).read(text)


class _Reader:
    def __init__(self, file: str) -> None:
        self._found = AnsibleInventory(file)
        self._file = file
        self._group = self._found.groups[UNGROUPED]
        self._declared = set(self._found.groups)
        self._awaited: dict[str, tuple[int, str]] = {}  # group to the line that needs it, and the section there

    def read(self, text: str) -> AnsibleInventory:
        take: Callable[[str, int], None] = self._host
        for number, line in enumerate(text.splitlines(), start=1):
            content = line.strip()
            if not content or content[0] in "#;":
                continue
            if content[0] == "[":
                match = SECTION.fullmatch(content)
                if match is not None:
                    take = self._section(match[1], match[2] or "hosts", number)
                    continue
                form = "as in [web], [web:children] or [web:vars]"
                if "]" not in content and "=" not in content:
                    raise self._bad(number, "no `]` in this line", f"sections are written in brackets, {form}")
                if content.endswith("]") or HEADING.match(content):
                    raise self._bad(number, "this is no section", form)
            take(content, number)
        for name, (number, section) in self._awaited.items():
            hint = did_you_mean(name, self._declared - {name})
            raise self._bad(number, f"[{shown(section)}] names the group {shown(name)}, which is nowhere", hint)
        return self._found

    def _section(self, name: str, kind: str, number: int) -> Callable[[str, int], None]:
        if kind not in _KINDS:
            hint = f"sections are [{shown(name)}], [{shown(name)}:children] and [{shown(name)}:vars]"
            raise self._bad(number, f"unknown section [{shown(name)}:{shown(kind)}]", hint)
        self._group = self._found.group(name, number)
        if kind == "vars":
            if name not in self._declared:
                self._awaited.setdefault(name, (number, f"{name}:vars"))
            return self._variable
        self._declared.add(name)
        self._awaited.pop(name, None)
        return self._host if kind == "hosts" else self._child

    def _host(self, content: str, number: int) -> None:
        if _SIMPLE.fullmatch(content) and not any(char in content for char in "'\"\\"):
            words = content.partition("#")[0].split()
        else:
            try:
                words = shlex.split(content, comments=True)
            except ValueError as error:
                raise self._bad(number, f"a host's line that cannot be read: {str(error).lower()}") from None
        if not words:
            return
        variables: Variables = {}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not equals or not name:
                hint = "a host's name is followed by NAME=VALUE, without blanks around the `=`"
                raise self._bad(number, "what follows the host's name is no variable", hint)
            self._set(variables, name, value, number)
        try:
            names, port = expand_pattern(words[0])
        except ValueError as error:
            raise self._bad(number, f"bad host name `{shown(words[0])}`: {error}") from None
        for name in names:
            self._found.host(name, self._group, number, port).update(variables)

    def _variable(self, content: str, number: int) -> None:
        name, equals, value = content.partition("=")
        name = name.strip()
        if not equals or not name:
            raise self._bad(number, "no `=` in this line", "variables are written NAME=VALUE")
        if name == PRIORITY:
            self._found.set_priority(self._group, _literal(value.strip()), number)
        else:
            self._set(self._group.variables, name, value.strip(), number)

    def _set(self, variables: Variables, name: str, value: str, number: int) -> None:
        if is_known(name):
            variables[name] = (_literal(value), number)
        else:
            self._found.notes.unused(name, number)

    def _child(self, content: str, number: int) -> None:
        match = _CHILD.fullmatch(content)
        if match is None:
            raise self._bad(number, "this is no group's name", "one group a line, without variables")
        child: AnsibleGroup = self._found.child(self._group, match[1], number)
        if child.name not in self._declared:
            self._awaited.setdefault(child.name, (number, f"{self._group.name}:children"))

    def _bad(self, number: int, what: str, hint: str = "") -> Exception:
        return bad(Place(self._file, number), what, hint)


def _literal(text: str) -> object:
    """A value as Ansible takes it: a number, a quoted text, None … where it is written so, else the text itself."""
    if len(text) > _LONGEST_LITERAL or text.isalpha():
        return {"True": True, "False": False, "None": None}.get(text, text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    if value is Ellipsis or isinstance(value, (complex, bytes)):
        return text
    return value
