"""Which kind of inventory a text is: found from what stands in it.

Pure text, and no reading of it: where two kinds are possible, the one whose own error would help more is taken.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from hostshell.core.errors import nearest
from hostshell.core.names import is_ipv6
from hostshell.inventory.ansible.ini import HEADING, SECTION

Kind: TypeAlias = Literal["own", "list", "ini", "yaml", "json", "ssh"]

WORDS: Final[dict[Kind, str]] = {
    "own": "hosts.ini",
    "list": "list of hosts",
    "ini": "Ansible INI",
    "yaml": "Ansible YAML",
    "json": "Ansible JSON",
    "ssh": "ssh_config",
}
SSH_HOSTS: Final = "ssh"  # what names the hosts of ssh_config; a file of that name is ./ssh
VAULT_MARK: Final = "$ANSIBLE_VAULT;"

_ENDINGS: Final[dict[str, Kind]] = {".yml": "yaml", ".yaml": "yaml", ".json": "json"}
_OURS = re.compile(r"\[\s*(?:defaults\s*\]|(?:host|group)\s*:(?!(?:vars|children|hosts)\]))", re.IGNORECASE)
_SETTING = re.compile(r"[A-Za-z_][\w-]*\s*=")
_YAML = re.compile(r"---(?:\s|$)|%YAML\s|[\"']?[\w.-]+[\"']?\s*:(?:\s|$)|\{\s*[\w\"']+\s*:")
_RANGE = re.compile(r"\[([^\[\]]*:[^\[\]]*)\]")
_MOST_LINES = 2000  # that are looked at


def kind_of(text: str, name: str = "", *, folders: bool = False) -> Kind:
    """The kind of ``text``. ``name`` is its file's; ``folders``: a group_vars or host_vars stands beside it."""
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending):
            return kind
    lines = _content(text)
    if not lines:
        return "own"
    headers = [line for line in lines if line.startswith("[")]
    if any(_OURS.match(line) for line in headers):
        return "own"
    if lines[0].startswith("{"):
        return "json"
    if _YAML.match(lines[0]) and not _is_address(lines[0]):
        return "yaml"
    if any(SECTION.fullmatch(line) or HEADING.match(line) for line in headers):
        return _with_sections(lines)
    if any(_SETTING.match(line) for line in lines):
        return "own"  # `user = me` before the first section
    if _has_range(lines) or any(_has_variable(line) for line in lines):
        return "ini"
    if any(line.startswith("[") and line.endswith("]") and not _is_address(line) for line in lines):
        return "own"  # a section that is none
    return "ini" if folders and not any("@" in line for line in lines) else "list"


def _content(text: str) -> list[str]:
    found = []
    for line in text.removeprefix("\ufeff").splitlines():
        stripped = line.strip()
        if stripped and stripped[0] not in "#;":
            found.append(stripped)
            if len(found) == _MOST_LINES:
                break
    return found


def _with_sections(lines: list[str]) -> Kind:
    """Ansible's, unless a line below a plain section is a setting, which a host's line never looks like.

    A heading of Ansible's that is broken or mistyped is still one, and its line is the one to be named.
    """
    for line in lines:
        match = SECTION.fullmatch(line)
        if _is_heading(line) or (match is not None and match[2] in ("vars", "children")):
            return "ini"
        if match is None and _SETTING.match(line):
            return "own"
    return "ini"


def _is_heading(line: str) -> bool:
    """Whether a line was meant as a heading of Ansible's, though it is none."""
    match = SECTION.fullmatch(line)
    if match is None:
        broken = HEADING.match(line)
        return broken is not None and not _is_ours(broken[1])
    kind = match[2]
    if not kind or kind in ("hosts", "vars", "children") or _is_ours(match[1]):
        return False
    return nearest(kind, ("vars", "children")) is not None


def _is_ours(word: str) -> bool:
    """Whether what stands before the colon is rather a word of our own form than a group's name."""
    return nearest(word, ("host", "group")) is not None


def _has_variable(line: str) -> bool:
    return any("=" in word for word in line.split()[1:])


def _has_range(lines: list[str]) -> bool:
    return any(not is_ipv6(match) for line in lines for match in _RANGE.findall(line))


def _is_address(line: str) -> bool:
    return is_ipv6(line) or bool(re.match(r"\[[0-9A-Fa-f:.%]+\]", line) and ":" in line)
