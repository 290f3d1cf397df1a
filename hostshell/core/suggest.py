"""A line that means nothing, as it was probably meant: stray words joined, options put in, quotes straightened.

Pure text. Must not know how a line is read, nor the inventory: whether a guess is right is asked of the parser that
calls, and whether a name is a group's of whoever has the line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from hostshell.core.commands import Command
from hostshell.core.options import Option
from hostshell.core.words import BLANKS, quote

Piece: TypeAlias = tuple[str, str]  # a word's text, and how it stands in the line
Stray: TypeAlias = Callable[[list[str]], "int | None"]  # None: the words are right; else the stray word's place, or -1
IsGroup: TypeAlias = Callable[[str], bool]

MOST_TRIES = 2000  # guesses that are put to the parser; some 10 µs each
MOST_WORDS = 200  # a longer line is not guessed at
MOST_CHANGES = 4

# what people bring from other tools
SYNONYMS = {
    "ssh": "connect", "clush": "batch_run", "pssh": "batch_run", "pdsh": "batch_run", "exec": "batch_run",
    "scp": "batch_scp", "cp": "batch_scp", "copy": "batch_scp", "upload": "put", "download": "get",
    "bye": "exit", "logout": "exit", "q": "exit", "?": "help", "man": "help", "target": "use", "targets": "use",
    "-c": "-cmd", "-command": "-cmd", "--command": "--cmd", "-w": "-h", "-host": "-h", "--host": "--hosts",
    "-hosts": "--hosts", "-group": "-g", "--group": "--groups", "-groups": "--groups", "-all": "--all",
    "-src": "-local", "--src": "--local", "--source": "--local", "-dst": "-remote", "-dest": "-remote",
    "--dest": "--remote", "-j": "-f", "-n": "-f", "--forks": "--fanout", "--parallel": "--fanout", "-e": "-x",
}  # fmt: skip

_QUOTED = re.compile(r"""("(?:\\.|[^"\\])*"|'[^']*'|\\.)""", re.DOTALL)
_OPENING = "“”„‟«»‘’‚‛"
_STRAIGHT = str.maketrans({
    **dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("‘’‚‛′", "'"), **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("\u00a0\u2007\u202f\u3000", " "), **dict.fromkeys("\u200b\u2060\ufeff"),
})  # fmt: skip
_DASHED = re.compile(r"(?<![^ \t\r\n])([‐‑‒–—―−])([a-z][a-z-]*)")
_OPERATORS = ",!&^"


# --- characters of a document ---


def misquoted(line: str) -> bool:
    """Whether a word of ``line`` begins with a typographic quote: no quote to a shell, so the words are cut wrongly."""
    if line.isascii():
        return False
    return any(re.search(rf"(?:^|[ \t\r\n])[{_OPENING}]", part) for part in _QUOTED.split(line)[::2])


def straighten(line: str, options: Sequence[str]) -> str | None:
    """``line`` with a keyboard's quotes, dashes, blanks and letters in place of a document's; None if it has none.

    What stands in straight quotes is left alone. A long dash is one dash or two, whichever makes one of ``options``.
    """
    if line.isascii():
        return None

    def dashes(match: re.Match[str]) -> str:
        single = f"-{match[2]}"
        return f"-{single}" if single not in options and f"-{single}" in options else single

    def straight(part: str) -> str:
        narrow = "".join(unicodedata.normalize("NFKC", char) if "\uff01" <= char <= "\uff5e" else char for char in part)
        return _DASHED.sub(dashes, narrow).translate(_STRAIGHT)

    parts = _QUOTED.split(line)
    parts[::2] = [straight(part) for part in parts[::2]]
    changed = "".join(parts)
    return changed if changed != line else None


# --- words in the wrong place ---


def no_group(name: str) -> bool:  # noqa: ARG001  # an `IsGroup`
    """What `meant` is given where nobody knows the groups."""
    return False


def meant(pieces: list[Piece], command: Command, stray: Stray, is_group: IsGroup = no_group) -> str | None:
    """The line with the fewest changes that ``stray`` calls right, or None. The line itself if it is right.

    ``stray`` reads words and gives None if they are right, else where the stray word stands, or -1 for another fault.
    ``is_group`` says whether a name is rather a group's than a host's.
    """
    if len(pieces) > MOST_WORDS or any(ord(char) < 32 and char not in "\t\n" for _, raw in pieces for char in raw):
        return None  # the second is nothing to be shown, or typed again
    front = [pieces]
    seen = {tuple(text for text, _ in pieces)}
    tries = 0
    for _ in range(MOST_CHANGES + 1):
        changed: list[list[Piece]] = []
        for candidate in front:
            tries += 1
            at = stray([text for text, _ in candidate])
            if at is None:
                return " ".join(raw for _, raw in candidate)
            if tries >= MOST_TRIES:
                return None
            for made in _changes(candidate, command, at, is_group):
                if len(changed) >= MOST_TRIES:
                    break
                texts = tuple(text for text, _ in made)
                if texts not in seen:
                    seen.add(texts)
                    changed.append(made)
        front = changed
    return None


def _changes(pieces: list[Piece], command: Command, at: int, is_group: IsGroup) -> Iterator[list[Piece]]:
    """Every way to change one thing; ``at`` is the place of a stray word, or -1."""
    for place, (text, _) in enumerate(pieces[:-2]):
        option = command.option(text)
        if place and option is not None and option.takes_value:
            for end, joined in _joined(pieces, place + 1, option, command, is_group):
                yield [*pieces[: place + 1], joined, *pieces[end:]]
    if at > 0:
        for option in _missing(pieces, command, pieces[at][0], is_group):
            name = option.names[0]
            value = _as_hosts(pieces[at], is_group) if option.kind == "hosts" else pieces[at]
            yield [*pieces[:at], (name, name), value, *pieces[at + 1 :]]


def _joined(
    pieces: list[Piece], start: int, option: Option, command: Command, is_group: IsGroup
) -> Iterator[tuple[int, Piece]]:
    """The value at ``start`` joined with ever more words that follow it, and where the rest begins."""
    text = pieces[start][0]
    if option.kind == "text":
        if set(BLANKS).intersection(text):  # a command that was put in quotes is whole
            return
        for end in range(start + 2, len(pieces) + 1):
            if pieces[end - 1][0] in option.names:
                return
            command_line = " ".join(raw for _, raw in pieces[start:end])
            yield end, (command_line, quote(command_line))
    elif option.kind in ("hosts", "groups"):
        for end in range(start + 2, len(pieces) + 1):
            part = pieces[end - 1][0]
            if part.startswith("-") or "/" in part:
                return
            if option.kind == "hosts":
                part, _ = _as_hosts(pieces[end - 1], is_group)
            elif _all_groups(text, is_group) and not _all_groups(part, is_group):
                return
            between = "" if text[-1:] in _OPERATORS or part[:1] in _OPERATORS else ","
            text += between + part
            yield end, (text, quote(text))
    elif option.kind in ("local", "remote"):
        for end in range(start + 2, len(pieces) + 1):
            if command.option(pieces[end - 1][0]) is not None:
                return
            text = " ".join(text for text, _ in pieces[start:end])
            yield end, (text, quote(text))


def _as_hosts(piece: Piece, is_group: IsGroup) -> Piece:
    """The piece as (a part of) a host list, in which groups have an ``@``."""
    items = piece[0].split(",")
    if not any(map(is_group, items)):
        return piece
    text = ",".join(f"@{item}" if is_group(item) else item for item in items)
    return text, quote(text)


def _all_groups(text: str, is_group: IsGroup) -> bool:
    return all(map(is_group, text.split(",")))


def _missing(pieces: list[Piece], command: Command, word: str, is_group: IsGroup) -> Iterator[Option]:
    """Options that are not there and that ``word`` may be the value of."""
    texts = {text for text, _ in pieces}
    options = list(command.options)
    if "get" in texts:  # people name the source first
        options.sort(key=lambda option: option.kind == "local")
    for option in options:
        if option.required and not texts.intersection(option.names) and (not option.choices or word in option.choices):
            yield option
    if word.startswith("-") or "/" in word:
        return
    likely = [option for option in options if option.kind == ("groups" if _all_groups(word, is_group) else "hosts")]
    yield from (option for option in likely[:1] if not texts.intersection(option.names))


# --- arguments of a script ---


def for_script(texts: Sequence[str], at: int, command: Command, right: Callable[[list[str]], bool]) -> str | None:
    """The line in which the unknown option at ``at`` is the script's, behind ``--``; None where none is right.

    What follows it and can be an option of the command stays one, where that makes a line that is ``right``.
    """
    ours: list[str] = list(texts[:at])
    theirs: list[str] = []
    place = at
    while place < len(texts):
        word = texts[place]
        option = command.option(word.partition("=")[0] if word.startswith("--") else word)
        width = 2 if option is not None and option.takes_value and "=" not in word else 1
        (theirs if option is None else ours).extend(texts[place : place + width])
        place += width
    for words in ([*ours, "--", *theirs], [*texts[:at], "--", *texts[at:]]):
        line = " ".join(map(quote, words))
        if right(words) and line.isprintable():
            return line
    return None
