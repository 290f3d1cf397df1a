"""Makes docs/reference.md from the table of commands: `python docs/make_reference.py` writes it anew.

Must not know a command by name: what is said about one stands in the table.
"""

from __future__ import annotations

from pathlib import Path

from hostshell.core.commands import COMMANDS, PURPOSES, SETTINGS, Command
from hostshell.shell.help import option_text

PAGE = Path(__file__).with_name("reference.md")

INTRODUCTION = """\
# Reference: every command and option

<!-- Made by docs/make_reference.py from hostshell/core/commands.py. Change the table, then run that. -->

`help` at the prompt says the same. The examples run as they stand on the demo fleet (`hostshell --demo`).

## How a line is read

- Words are split as a POSIX shell does: blanks separate, `"…"`, `'…'` and `\\` keep together. Nothing is expanded: no
  variable, no glob, no command substitution.
- A line whose quote is open, or that ends with a backslash, goes on in the next line.
- `#` as the first character of a line makes it a comment. Anywhere else it is an ordinary character.
- `-cmd VALUE` and `--cmd VALUE` are the same; `--cmd=VALUE` works for long options. Options are not abbreviated.
- `-h`, `-g` and `-x` may be repeated: the first two add up, `-x` takes away from their sum. Every other option once.
- A value that begins with a dash and is called like an option goes as `--cmd=-x`.
- `-h` as a command's only word, or `--help` anywhere in it, prints its help.
- `{host}` in `-cmd`, `-local`, `-remote` and after `run` becomes the host's name. Nothing else is rewritten.
- A line that cannot be understood runs nothing, says what was probably meant, and counts as exit code 2.
"""


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for purpose in PURPOSES:
        parts.append(f"## {purpose}\n")
        parts += [_section(command) for command in COMMANDS if command.purpose == purpose]
    return "\n".join(parts)


def _section(command: Command) -> str:
    lines = [f"### {command.name}", "", f"{command.summary[0].upper()}{command.summary[1:]}.", ""]
    lines += [f"    {command.form}", ""]
    if command.notes:
        lines += [command.notes, ""]
    if command.options:
        rows = [
            (
                " ".join(filter(None, [", ".join(f"`{name}`" for name in option.names), option.metavar])),
                option_text(option),
            )
            for option in command.options
        ]
        lines += [*_table("option", "what it does", rows), ""]
    if command.positional == "setting":
        rows = [(f"`{setting.name}`", setting.help) for setting in SETTINGS]
        lines += [*_table("setting", "what it is", rows), ""]
    lines += ["Examples:", "", *(f"    {example}" for example in command.examples), ""]
    return "\n".join(lines)


def _table(left: str, right: str, rows: list[tuple[str, str]]) -> list[str]:
    cells = [(left, right), ("---", "---"), *((_cell(one), _cell(two)) for one, two in rows)]
    return [f"| {one} | {two} |" for one, two in cells]


def _cell(text: str) -> str:
    for special in "|*^<":
        text = text.replace(special, f"\\{special}")
    return text


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE}")
