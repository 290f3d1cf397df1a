"""YAML as a graph of nodes with lines, read with PyYAML's safe loader, which is imported only when there is some.

Must not know inventories. No node is made more than once, whatever aliases say; values are made when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.model import Place
from hostshell.inventory.ansible.data import Plain, Vault
from hostshell.inventory.settings import bad

if TYPE_CHECKING:
    from yaml import MappingNode, Node

    Entry: TypeAlias = tuple[object, Node, int]

MOST_ENTRIES = 5_000_000  # looked at in one document: aliases of aliases can stand for more than anybody can read
_QUOTED = re.compile(r"(alias|anchor|handle|character|found) '.*?'")
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"


class Document:
    """One YAML document. ``root`` is None where there is nothing in it."""

    def __init__(self, text: str, file: str) -> None:
        """Raises `InventoryError` with ``FILE:LINE:`` for what is no YAML."""
        import yaml

        self._file = file
        self._yaml = yaml
        self._loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._made = self._loader("")
        self._left = MOST_ENTRIES
        try:
            self.root: Node | None = yaml.compose(text, Loader=self._loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            # what the library quotes may be a password: `*secret` is an alias to it
            what = clean(_QUOTED.sub(r"\1", error.problem or error.context or "cannot be read"))
            line = mark.line + 1 if mark is not None else 0
            raise bad(Place(file, line), f"this is no YAML: {what}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise bad(Place(file, line), "this is no YAML: a character that must not stand there") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            what = "nested too deep" if isinstance(error, RecursionError) else "it cannot be read"
            raise InventoryError(f"{file}: this is no YAML: {what}") from None

    def is_mapping(self, node: Node) -> bool:
        """Whether it has keys and values."""
        return isinstance(node, self._yaml.MappingNode)

    def is_null(self, node: Node) -> bool:
        """Whether it says nothing: ``web01:``, ``~``."""
        return node.tag == _NULL

    def entries(self, node: MappingNode) -> Iterator[Entry]:
        """Key, value and line of each entry, those of ``<<`` first, as they are weaker; a key may come again."""
        merged = [value for key, value in node.value if key.tag == _MERGE]
        for value in merged:
            sequence = isinstance(value, self._yaml.SequenceNode)
            for part in reversed(value.value) if sequence else (value,):
                if not self.is_mapping(part) or any(key.tag == _MERGE for key, _ in part.value):
                    raise self.bad(part, "`<<` takes a mapping, and none that holds another `<<`")
                yield from self.entries(part)
        for key, value in node.value:
            self._left -= 1
            if self._left < 0:
                raise InventoryError(f"{self._file}: its aliases stand for more than {MOST_ENTRIES:,} entries")
            if key.tag != _MERGE:
                yield self.value(key), value, key.start_mark.line + 1

    def value(self, node: Node) -> object:
        """A scalar as YAML 1.1 reads it, a `Vault` in its place, or the node itself for lists and mappings."""
        if node.tag in ("!vault", "!vault-encrypted"):
            return Vault()
        if not isinstance(node, self._yaml.ScalarNode):
            return node
        if node.tag == "!unsafe":
            return Plain(node.value)
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        try:
            return self._made.construct_object(node)
        except (self._yaml.YAMLError, ValueError, OverflowError):
            raise self.bad(node, "a value that cannot be read") from None

    def line(self, node: Node) -> int:
        """Its first line, counted from 1."""
        return int(node.start_mark.line) + 1

    def bad(self, node: Node, what: str, hint: str = "") -> InventoryError:
        """An error about a node."""
        return bad(Place(self._file, self.line(node)), what, hint)
