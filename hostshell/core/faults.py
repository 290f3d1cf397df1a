"""What is wrong with words, in words: the fault, and the sentences about commands and options that there are not.

Pure. Must not know how words are read.
"""

from __future__ import annotations

from hostshell.core.clean import clean
from hostshell.core.commands import COMMANDS, Command
from hostshell.core.errors import nearest
from hostshell.core.options import Option
from hostshell.core.records import dataclass
from hostshell.core.suggest import SYNONYMS
from hostshell.core.words import quote

_LONGEST_SHOWN = 60  # characters of a word in a sentence


@dataclass(frozen=True, slots=True)
class Fault:
    """Why words mean nothing. ``at``: the place of a stray word, else -1. ``firm``: look for no other reading."""

    message: str
    hint: str = ""
    at: int = -1
    firm: bool = False


def shown(text: str) -> str:
    """A word in a sentence: quoted where it must be, safe to print, not too long."""
    text = clean(text)
    return quote(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


def nearest_of(word: str, names: tuple[str, ...]) -> str | None:
    """The name that was probably meant. Dashes do not count as likeness: --outdir is not --fanout."""
    synonym = SYNONYMS.get(word.lower())
    if synonym in names:
        return synonym
    if len(word) > _LONGEST_SHOWN:
        return None
    near = nearest(word.lstrip("-"), [name.lstrip("-") for name in names])
    if near is None:
        return None
    dashes = word[: len(word) - len(word.lstrip("-"))]
    return dashes + near if dashes + near in names else next(name for name in names if name.lstrip("-") == near)


def no_such_command(word: str) -> Fault:
    """The first word of a line is no command."""
    message = f"no such command: {shown(word)}"
    if word.startswith("#"):
        return Fault(message, "a comment begins with the first character of its line", firm=True)
    if " " in word:
        return Fault(message, f"a whole line as one word goes with -c, as in: -c {shown(word)}", firm=True)
    better = nearest_of(word, tuple(name for command in COMMANDS for name in (command.name, *command.aliases)))
    if better is not None:
        return Fault(message, f"did you mean {better}?", firm=True)
    hint = "`help` lists the commands; `run LINE` runs a line on the default targets, `!LINE` on this machine"
    return Fault(message, hint, firm=True)


def no_such_option(command: Command, word: str) -> Fault:
    """A word that begins with a dash is no option of the command."""
    typed, equals, value = word.partition("=")
    message = f"{command.name}: no such option: {shown(typed)}"
    option = command.option(typed)
    if equals and option is not None:  # -cmd=uptime
        long = option.names[-1]
        right = f"{typed} {quote(value)}, or {long}={quote(value)}" if option.takes_value else f"{typed} alone"
        return Fault(f"{command.name}: only long options take a value with =", f"write {right}", firm=True)
    copies = command.positional in ("put", "get")
    if typed in ("-r", "-R", "--recursive") and (copies or command.name == "batch_scp"):
        return Fault(message, "none is needed: a directory is copied with all that is in it", firm=True)
    if copies and typed.lstrip("-") in ("local", "remote", "action"):
        return Fault(message, f"batch_scp has it; here the form is: {command.form}", firm=True)
    glued = command.option(typed[:2])
    if glued is not None and glued.kind in ("count", "seconds", "port") and typed[2:].isdecimal():  # -f5
        return Fault(message, f"did you mean {typed[:2]} {typed[2:]}?", firm=True)
    if command.positional == "session" and typed in ("-h", "--hosts", "-g", "--groups"):
        return Fault(message, "it takes one host, without an option: connect h1", firm=True)
    better = nearest_of(typed, command.option_names())
    hint = f"did you mean {better}?" if better else f"`help {command.name}` lists its options"
    # a short one is rather an option of the person's command, as in -cmd ls -l
    return Fault(message, hint, firm=better is not None and len(typed) > 3)


def no_value(command: Command, option: Option, name: str, following: str) -> Fault:
    """``name`` has no value; ``following`` is the option that stands in its place, if any."""
    hint = ""
    if following and option.kind in ("text", "local", "remote", "pattern"):
        hint = f"{following} is an option; a value that begins with a dash goes as {option.names[-1]}={following}"
    return Fault(f"{command.name}: {name} needs {option.needs}", hint)
