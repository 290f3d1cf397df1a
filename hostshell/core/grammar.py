"""A line, or words that a shell has split already, to what it means; and back to a line.

Pure text. Must not know the inventory: whether a host exists is for `core.targets` to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from hostshell.core.clean import clean
from hostshell.core.commands import command_named
from hostshell.core.errors import UsageError
from hostshell.core.faults import Fault
from hostshell.core.invocations import (
    BatchScp,
    ChangeSetting,
    ConnectHost,
    GetWords,
    Invocation,
    LocalCommand,
    PutWords,
    RunLine,
    SettingValue,
    ShowHelp,
    ShowHistory,
    ShowName,
)
from hostshell.core.reading import CLASSES, TARGET_FIELDS, read, read_rest
from hostshell.core.suggest import IsGroup, meant, misquoted, no_group, straighten
from hostshell.core.targets import Targets
from hostshell.core.words import BLANKS, Unfinished, quote, scan

__all__ = ["Unfinished", "goes_on", "join_lines", "parse_line", "parse_words", "render"]

_LONGEST_SHOWN = 60  # characters of a command in a sentence
_WHOLE_LINE = ("run", "!")  # a shell reads the rest of these, not we


# --- reading ---


def parse_line(line: str, is_group: IsGroup = no_group) -> Invocation | None:
    """What ``line`` means; None for a blank line or a comment. ``is_group`` helps to guess what was meant.

    Raises `Unfinished` when a quote is open or the line ends with a backslash (see `join_lines`), else `UsageError`.
    """
    if line.startswith("#") or not line.strip():
        return None
    open_end = _open_end(line)
    verb, rest = _verb(line)
    if verb in _WHOLE_LINE and not open_end:
        return _settled(read_rest(verb, rest))
    words, _ = scan(line)
    texts = [word.text for word in words]
    if open_end:
        if verb not in _WHOLE_LINE and misquoted(line):
            _refuse_document(line, texts, is_group)
        raise _unfinished(open_end)
    return _settle(texts, [line[word.start : word.end] for word in words], line.strip(BLANKS), is_group)


def goes_on(line: str) -> bool:
    """Whether ``line`` has no end yet: `parse_line` raises `Unfinished`."""
    try:
        parse_line(line)
    except Unfinished:
        return True
    except UsageError:
        pass
    return False


def parse_words(words: Sequence[str], is_group: IsGroup = no_group) -> Invocation | None:
    """What ``words`` mean, which a shell has split already; None for none. Raises `UsageError`. As `parse_line`.

    ``run`` and ``!`` join what follows them with blanks, as ssh does.
    """
    if not words:
        return None
    if words[0].startswith("!"):
        return _settled(read_rest("!", " ".join([words[0][1:], *words[1:]]).strip(BLANKS)))
    raws = [quote(word) for word in words]
    return _settle(list(words), raws, " ".join(raws), is_group)


def join_lines(first: str, second: str) -> str:
    """The line that ``first`` (for which `parse_line` raised `Unfinished`) and the next line make together.

    A newline inside quotes is part of the text; a backslash at the end joins, as in a shell.
    """
    return first[:-1] + second if _open_end(first) == "\\" else f"{first}\n{second}"


def _verb(line: str) -> tuple[str, str]:
    """The first word of a line as it stands, and the rest without blanks around it."""
    line = line.strip(BLANKS)
    if line.startswith("!"):
        return "!", line[1:].strip(BLANKS)
    parts = re.split(f"[{BLANKS}]+", line, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _open_end(line: str) -> str:
    # a shell gets the rest of these lines, and there an apostrophe in a comment opens nothing
    return scan(line, comments=_verb(line)[0] in _WHOLE_LINE)[1]


def _unfinished(open_end: str) -> Unfinished:
    if open_end == "\\":
        return Unfinished("the line ends with a backslash, and no other line follows")
    other = "'" if open_end == '"' else '"'
    return Unfinished(f"the quote {open_end} is never closed", f"to mean the sign itself, put {other} around it")


# --- guessing ---


def _settle(texts: list[str], raws: list[str], line: str, is_group: IsGroup) -> Invocation:
    """Read the words; where they mean nothing, raise `UsageError` with the line as it was probably meant."""
    found = read(texts)
    if isinstance(found, Fault) or misquoted(line):
        _refuse_document(line, texts, is_group)
    if isinstance(found, Fault) and not found.firm:
        likely = _likely(texts, raws, is_group)
        if likely is not None and _stands(likely):
            raise UsageError(_unquoted(texts, likely) or found.message, f"did you mean: {likely}")
    return _settled(found)


def _unquoted(texts: list[str], likely: str) -> str:
    """What is wrong where ``likely`` puts quotes around a command of several words; "" where it does something else.

    What follows such a command's first word is no option of ours, and must not be blamed for being a bad one.
    """
    cmd = getattr(read([word.text for word in scan(likely)[0]]), "cmd", None)
    if not isinstance(cmd, str) or cmd in texts:
        return ""
    text = cmd if len(cmd) <= _LONGEST_SHOWN else f"{cmd[:_LONGEST_SHOWN]}…"
    return f"{texts[0]}: after -cmd a command of several words stands in quotes: {clean(text)}"


def _stands(line: str) -> bool:
    """Whether a line that is to be suggested would not be refused itself, for characters of a document."""
    if misquoted(line):
        try:
            _refuse_document(line, [word.text for word in scan(line)[0]])
        except UsageError:
            return False
    return True


def _settled(found: Invocation | Fault) -> Invocation:
    if isinstance(found, Fault):
        raise UsageError(found.message, found.hint)
    return found


def _refuse_document(line: str, texts: list[str], is_group: IsGroup = no_group) -> None:
    """Raise `UsageError` if the line makes sense once its typographic characters are a keyboard's."""
    command = command_named(texts[0])
    straight = straighten(line, command.option_names() if command is not None else ())
    if straight is None:
        return
    words, open_end = scan(straight)
    likely = _likely([word.text for word in words], [straight[word.start : word.end] for word in words], is_group)
    if likely is not None and not open_end:
        what = "quotes, dashes or letters from a document, which only look like those of a keyboard"
        raise UsageError(f"the line has {what}", f"did you mean: {likely}")


def _likely(texts: list[str], raws: list[str], is_group: IsGroup) -> str | None:
    """The line that these words were probably meant to be: itself if it is right, None if nobody can tell."""
    command = command_named(texts[0]) if texts else None
    if command is None or command.name in _WHOLE_LINE:
        return None

    def stray(words: list[str]) -> int | None:
        found = read(words)
        return found.at if isinstance(found, Fault) else None

    return meant(list(zip(texts, raws, strict=True)), command, stray, is_group)


# --- writing ---


def render(invocation: Invocation) -> str:
    """A line that means ``invocation``: for labels, history and JSON."""
    bare: list[str] = []
    last: list[str] = []
    match invocation:
        case RunLine(cmd):
            return f"run {cmd}"
        case LocalCommand(command=local):
            return f"!{local}"
        case ShowHelp(command=given) | ShowName(name=given) | ShowHistory(count=given):
            bare = [] if given is None else [quote(str(given))]
        case ChangeSetting(name=setting, value=value, change=change) if setting is not None:
            bare = [setting, _setting_text(setting, value)] if change else [setting]
        case ConnectHost(host=host, cmd=cmd):
            last = [quote(host)] if cmd is None else [quote(host), quote(cmd)]  # nothing behind is an option
        case PutWords(local=source, remote=place, also=also) | GetWords(remote=source, local=place, also=also):
            bare = [quote(one) for one in (source, *also, place)]
    name = next(name for name, made in CLASSES.items() if made is type(invocation))
    words = [name, *bare]
    targets = getattr(invocation, "targets", Targets()).options()
    if targets:
        words.append(targets)
    command = command_named(name)
    assert command is not None
    for option in command.options:
        value = None if option.field in TARGET_FIELDS else getattr(invocation, option.field)
        if value is True:
            words.append(option.names[0])
        elif value is not None and value is not False:
            several = value if isinstance(value, tuple) else (value,)
            if isinstance(invocation, BatchScp) and option.field == ("local", "remote")[invocation.action == "get"]:
                several = (*several, *invocation.also)
            for one in several:
                text = _number(one) if isinstance(one, float) else str(one)
                # a word that begins with a dash would be taken for an option
                glued = text.startswith("-")
                words += [quote(f"{option.names[-1]}={text}")] if glued else [option.names[0], quote(text)]
    arguments = getattr(invocation, "arguments", ())
    if arguments:
        last = ["--", *map(quote, arguments)]
    return " ".join([*words, *last])


def _setting_text(name: str, value: SettingValue) -> str:
    if value is None:
        return "auto" if name == "color" else "off"
    if isinstance(value, bool):
        return "on" if value else "off"
    return _number(value)


def _number(value: float) -> str:
    """Without an exponent, which options do not take."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")
