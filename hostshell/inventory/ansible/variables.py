"""What Ansible's variables mean to us: names to settings, and what is to be said of the rest.

Must not know the forms that variables stand in, nor precedence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from hostshell.core.model import Place, Secret, SecretSource
from hostshell.inventory.ansible.data import Plain, Variables, Vault
from hostshell.inventory.ansible.sshargs import parse
from hostshell.inventory.notes import Notes
from hostshell.inventory.proxies import why_unfit
from hostshell.inventory.settings import (
    BECOME_METHOD,
    CONNECTION,
    SETTINGS,
    SSH,
    SUDO,
    UNSET,
    Converted,
    Proxy,
    Unread,
    bad,
    shown,
)

VAULT: Final = Unread("encrypted with Ansible's vault")
TEMPLATE: Final = Unread("a template")
OTHER: Final = Unread("no text")

# where several say the same, the later in this table counts, as in Ansible's ssh plugin
_SETTINGS: Final[Mapping[str, str]] = {
    "ansible_host": "address",
    "ansible_ssh_host": "address",
    "ansible_port": "port",
    "ansible_ssh_port": "port",
    "ansible_user": "user",
    "ansible_ssh_user": "user",
    "ansible_password": "password",
    "ansible_ssh_pass": "password",
    "ansible_ssh_password": "password",
    "ansible_private_key_file": "key",
    "ansible_ssh_private_key_file": "key",
    "ansible_private_key_passphrase": "passphrase_from",
    "ansible_ssh_private_key_passphrase": "passphrase_from",
    "ansible_ssh_timeout": "connect_timeout",
    "ansible_connection": CONNECTION,
}
# of several, the later counts here too
_SUDO: Final[Mapping[str, str]] = {
    "ansible_become": "sudo",
    "ansible_become_user": "sudo_user",
    "ansible_become_password": "sudo_password",
    "ansible_become_pass": "sudo_password",
}
_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_COMMON = "ansible_ssh_common_args"
_KEY_CHECKS = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
_BECOME = (
    "ansible_become",
    "ansible_become_method",
    "ansible_become_user",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_become_flags",
    "ansible_become_exe",
)
_KNOWN = frozenset((*_SETTINGS, *_ARGS, *_KEY_CHECKS, *_BECOME))

# connections that are SSH to the host itself, whatever carries them
_OVER_SSH = frozenset(("ssh", "smart", "paramiko", "paramiko_ssh", "libssh", "network_cli"))
_NO = frozenset(("", "no", "n", "false", "off", "0", "f"))


Entry: TypeAlias = tuple[Converted, int]  # value and line


def is_known(name: str) -> bool:
    """Whether the variable has to do with how a host is reached; all others mean nothing to us."""
    return name in _KNOWN


def settings_of(variables: Variables, file: str, section: str, notes: Notes) -> dict[str, Entry]:
    """Our settings, with the line of each. Raises `InventoryError` for a value that cannot be."""
    found: dict[str, Entry] = {}
    if not variables:
        return found
    for name, key in _SETTINGS.items():
        if name in variables:
            value, line = variables[name]
            if value is None or value == "":
                found.setdefault(key, (UNSET, line))
                continue
            found[key] = (_setting(name, key, value, Place(file, line, section), notes), line)
    for name in _ARGS:
        if name in variables:
            value, line = variables[name]
            way = _from_args(name, value, Place(file, line, section), notes, found)
            if way is not None:
                found.setdefault("jump", (way, line))  # ssh takes the first that says it
    if _COMMON in variables and "jump" not in found:
        # it takes the place of a weaker one, and with it of the jump host that stood there
        line = variables[_COMMON][1]
        found["jump"] = (SETTINGS["jump"]("none", Place(file, line, section)), line)
    for name in _KEY_CHECKS:
        if name in variables and str(variables[name][0]).lower() in _NO:
            notes.say(variables[name][1], f"{name}: host keys are checked here; --host-keys accept-new takes new ones")
    _become(variables, file, section, notes, found)
    return found


def _setting(name: str, key: str, value: object, place: Place, notes: Notes) -> Converted:
    unread = unreadable(value)
    if unread is not None:
        notes.say(place.line, f"{name} is {unread.why}: not read")
        return unread
    text = str(value)
    if key == CONNECTION:
        way = text.rpartition(".")[2]
        return SSH if way in _OVER_SSH else text
    if key == "passphrase_from":
        return SecretSource("literal", place, literal=Secret(text))
    return SETTINGS[key](text, place)


def unreadable(value: object) -> Unread | None:
    """What stands in the way of taking a value as it is: it is never evaluated."""
    if isinstance(value, Vault):
        return VAULT
    if isinstance(value, str):
        template = not isinstance(value, Plain) and any(mark in value for mark in ("{{", "{%", "{#"))
        return TEMPLATE if template else None
    return None if isinstance(value, (bool, int, float)) else OTHER


def _from_args(name: str, value: object, place: Place, notes: Notes, found: dict[str, Entry]) -> Converted | None:
    """The way that they say, and into ``found`` what else is ours."""
    unread = OTHER if value is None else unreadable(value)
    if unread is not None and value is not None:
        notes.say(place.line, f"{name} is {unread.why}: not read")
        return unread
    try:
        said = parse("" if value is None else str(value))
    except ValueError as error:
        raise bad(place, f"{name} cannot be read: {str(error).lower()}") from None
    if said.host_keys is not None:
        found.setdefault("host_keys", (SETTINGS["host_keys"](said.host_keys, place), place.line))
    if said.unknown:
        notes.say(place.line, f"{name}: not used: {shown(', '.join(said.unknown))}")
    if said.proxy is not None:
        unfit = why_unfit(said.proxy)
        if unfit:
            notes.say(place.line, f"{name}: its ProxyCommand cannot run: {unfit}")
            return Unread(f"a ProxyCommand that cannot run: {unfit}")
        return Proxy(said.proxy, place)
    return None if said.jump is None else SETTINGS["jump"](said.jump, place)


def _become(variables: Variables, file: str, section: str, notes: Notes, found: dict[str, Entry]) -> None:
    for name in _BECOME:
        if name not in variables:
            continue
        value, line = variables[name]
        key = _SUDO.get(name)
        if value is None or value == "":
            continue
        if key is not None:
            if key == "sudo" and unreadable(value) is None:
                value = "no" if str(value).lower() in _NO else "yes"
            found[key] = (_setting(name, key, value, Place(file, line, section), notes), line)
        elif name == "ansible_become_method":
            method = unreadable(value) or str(value).rpartition(".")[2]
            if method != SUDO:
                what = method.why if isinstance(method, Unread) else f"`{shown(method)}`"
                notes.say(line, f"{name} is {what}: hostshell knows sudo only")
            found[BECOME_METHOD] = (method, line)
        elif name != "ansible_become" or str(value).lower() not in _NO:
            notes.say(line, f"{name} is not used")


def first_secret(found: Mapping[str, Entry]) -> Place | None:
    """Where the first literal secret among settings stands."""
    for value, _ in found.values():
        if isinstance(value, SecretSource) and value.literal is not None:
            return value.place
    return None
