"""``ansible_ssh_common_args`` and its kin: the way through jump hosts that options of ssh say.

Pure text. Must not know variables or files. Nothing of it is ever run.
"""

from __future__ import annotations

import re
import shlex

from hostshell.core.records import dataclass

# what options of ssh have an effect that is ours anyway, or none here: connections stay open, nothing is printed
_MOOT = frozenset(
    (
        *("controlmaster", "controlpersist", "controlpath", "batchmode", "loglevel", "requesttty", "tcpkeepalive"),
        *("serveraliveinterval", "serveralivecountmax", "gssapiauthentication", "hashknownhosts", "updatehostkeys"),
        "visualhostkey",
    )
)
_MOOT_FLAGS = frozenset("qTtv4nNx")
_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWw")  # ssh(1): the options that take a value


@dataclass(frozen=True, slots=True)
class SshArgs:
    """``jump``: hops as our setting writes them, "none", or None where nothing is said. ``unknown``: what is left.

    ``proxy``: a ProxyCommand that is no plain ``ssh -W``, as written: without it we would connect to somebody else.
    """

    jump: str | None = None
    proxy: str | None = None
    host_keys: str | None = None
    unknown: tuple[str, ...] = ()


def parse(text: str) -> SshArgs:
    """Options of ssh as one string. Raises ValueError for an open quote and for an option without its value."""
    jump: str | None = None
    proxy: str | None = None
    host_keys: str | None = None
    unknown: list[str] = []
    for letter, value in _options(shlex.split(text)):
        if letter == "J":
            jump = jump or value
        elif letter == "o":
            keyword, setting = _keyword(value)
            if keyword == "proxyjump":
                jump = jump or setting
            elif keyword == "proxycommand" and not (jump or proxy):
                jump = "none" if setting == "none" else _jump_of_command(setting)
                proxy = setting if jump is None else None
            elif keyword == "stricthostkeychecking" and setting in ("accept-new", "yes", "ask"):
                host_keys = {"yes": "strict"}.get(setting, setting)
            elif keyword not in _MOOT:
                unknown.append(f"-o {value.split('=')[0].split()[0]}" if value.strip("= ") else "-o")
        elif len(letter) > 1:
            unknown.append("a word that is no option")  # it may be part of a command, and so of a password
        elif letter not in _MOOT_FLAGS:
            unknown.append(f"-{letter}")
    return SshArgs(jump, proxy, host_keys, tuple(dict.fromkeys(unknown)))


def _options(words: list[str]) -> list[tuple[str, str]]:
    """Letter and value ("" for a flag) of each; a word that is none is given as letter."""
    found: list[tuple[str, str]] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-") or word in ("-", "--"):
            found.append((word, ""))
            continue
        for at, letter in enumerate(word[1:], start=2):
            if letter not in _WITH_VALUE:
                found.append((letter, ""))
                continue
            value = word[at:] or next(left, None)
            if value is None:
                raise ValueError(f"nothing follows -{letter}")
            found.append((letter, value))
            break
    return found


def _keyword(value: str) -> tuple[str, str]:
    match = re.fullmatch(r"\s*([A-Za-z0-9]+)\s*(?:=\s*|\s)(.*)", value, re.DOTALL)
    return (match[1].lower(), match[2].strip().strip('"')) if match else (value.lower(), "")


def _jump_of_command(command: str) -> str | None:
    """``ssh -W %h:%p -p 2222 user@bastion`` says the same as ``ProxyJump user@bastion:2222``; None for all others."""
    try:
        words = shlex.split(command)
        if not words or words[0].rpartition("/")[2] != "ssh":
            return None
        user = port = host = None
        forwards = False
        options = _options(words[1:])
    except ValueError:
        return None
    for letter, value in options:
        match letter:
            case "W" if value in ("%h:%p", "[%h]:%p"):
                forwards = True
            case "p":
                port = value
            case "l":
                user = value
            case "o" if _keyword(value)[0] in _MOOT or _keyword(value)[0] == "stricthostkeychecking":
                pass
            case "A" | "a" | "q" | "T" | "x" | "n" | "v":
                pass
            case _ if len(letter) > 1 and host is None:
                host = letter
            case _:
                return None  # a key, a configuration of its own: not the same any more
    if not forwards or host is None:
        return None
    before, at, name = host.rpartition("@")
    user = user or (before if at else None)
    return (f"{user}@" if user else "") + name + (f":{port}" if port else "")
