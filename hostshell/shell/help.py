"""Help as plain text: all commands by purpose, or one with its form, its options and examples. Made from the table.

Must not know a terminal: the caller gives the width, in columns.
"""

from __future__ import annotations

import textwrap

from hostshell.core.commands import COMMANDS, PURPOSES, SETTINGS, Command, command_named
from hostshell.core.errors import UsageError, did_you_mean
from hostshell.core.options import Option

WIDTH = 80
LEAST_TEXT = 24  # columns that a text beside its head must have


def overview(width: int = WIDTH) -> str:
    """All commands, by purpose, one line each."""
    column = max(len(command.form.split()[0]) for command in COMMANDS) + 4
    lines: list[str] = []
    for purpose in PURPOSES:
        lines.append(purpose)
        for command in COMMANDS:
            if command.purpose == purpose:
                lines += _entry(_short(command), command.summary, column, width)
        lines.append("")
    lines += _wrapped(
        "help COMMAND explains one, with examples. Tab completes commands, options, hosts and groups.", "", width
    )
    return "\n".join(lines) + "\n"


def command_help(name: str, width: int = WIDTH) -> str:
    """One command: its form, every option, and examples that run as they stand. Raises `UsageError` for no command."""
    command = command_named(name)
    if command is None:
        raise UsageError(f"no such command: {name}", did_you_mean(name, [known.name for known in COMMANDS]))
    lines = [*_wrapped(f"{command.name}: {command.summary}", "", width), ""]
    lines += _wrapped(command.form, "  ", width, hanging="      ")
    if command.notes:
        lines += ["", *_wrapped(command.notes, "", width)]
    if command.options:
        lines += ["", "Options"]
        column = min(26, max(len(option_form(option)) for option in command.options) + 4)
        for option in command.options:
            lines += _entry(option_form(option), option_text(option), column, width)
    if command.name == "set":
        lines += ["", "Settings"]
        for setting in SETTINGS:
            lines += _entry(setting.name, setting.help, 20, width)
    lines += ["", "Examples"]
    lines += [f"  {example}" for example in command.examples]  # whole, to be copied
    return "\n".join(lines) + "\n"


def option_form(option: Option) -> str:
    """An option's names and the name of its value: ``-h, --hosts HOSTS``."""
    return f"{', '.join(option.names)} {option.metavar}".rstrip()


def option_text(option: Option) -> str:
    """What an option does, and whether it must be there or may be repeated."""
    return option.help + _required(option) + (" (may be repeated)" if option.repeatable else "")


def _short(command: Command) -> str:
    return "!COMMAND" if command.name == "!" else command.name


def _entry(head: str, text: str, column: int, width: int) -> list[str]:
    """A head, and its text in a column of its own; a long head stands on a line of its own."""
    beside = width - column >= LEAST_TEXT
    indent = " " * (column if beside else 4)
    wrapped = _wrapped(text, indent, width)
    if len(head) + 3 > column or not beside:
        return [*_wrapped(head, "  ", width, hanging="    "), *wrapped]
    return [f"  {head:<{column - 2}}{wrapped[0].lstrip()}", *wrapped[1:]]


def _wrapped(text: str, indent: str, width: int, hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 10 + max(len(indent), len(hanging))),
        initial_indent=indent,
        subsequent_indent=hanging or indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _required(option: Option) -> str:
    if not option.required:
        return ""
    return f" (required, or {option.instead})" if option.instead else " (required)"
