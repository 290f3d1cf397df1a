"""What the command line asks for, put together: inventory, session, screen, and one of prompt, one-shot, script."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterable

from hostshell.core.errors import UsageError
from hostshell.inventory.files import STANDARD_INPUT
from hostshell.inventory.load import find
from hostshell.session import Session
from hostshell.shell import garbage
from hostshell.shell.commands import Leave, Shell
from hostshell.shell.interrupts import held_back
from hostshell.shell.inventories import start_notes
from hostshell.shell.screen import DIM, OutputClosed, Screen


def launch(
    options: argparse.Namespace, *, hint: str = "", before: Callable[[Shell], int] | None = None, start: bool = True
) -> int:
    """Run what ``options`` ask for; the exit code. ``hint`` is shown above the prompt. ``start`` the workers at once.

    ``before`` runs in place of a script where there is neither a terminal nor anything else to do.
    """
    sources: list[str] = list(options.sources or ())
    if not sources:
        found = find(os.environ, os.getcwd())
        if found is not None:
            sources.append(found)
    one_shot = bool(options.lines or options.command)
    # the hosts take standard input: what is typed comes from the terminal then
    terminal = _terminal() if STANDARD_INPUT in sources and not one_shot else None
    prompt = not one_shot and (terminal is not None or sys.stdin.isatty())
    screen = Screen()
    if STANDARD_INPUT in sources and sys.stdin.isatty():
        screen.err("hosts, one a line; Ctrl-D ends them\n")
    if prompt:
        with held_back():
            from hostshell.shell.ask import KeyQuestion, PromptQuestion
        ask_keys, ask_prompts = KeyQuestion(screen), PromptQuestion(screen)
    session = Session(
        sources or None,
        known_hosts=options.known_hosts,
        host_keys=options.host_keys,
        default_host_keys="ask" if prompt else "strict",
        ask_keys=ask_keys if prompt else _ask_on_terminal(screen),
        ask_prompts=ask_prompts if prompt else None,
        ask_secret=_secret_asker(),
        ssh_config=options.ssh_config,
    )
    if terminal is not None:
        os.dup2(terminal, 0)
        os.close(terminal)
        sys.stdin = open(0, errors="surrogateescape", closefd=False)  # noqa: SIM115  # for the whole run
    asks_for_them = options.command[:1] == ["inventory"]
    for note in () if asks_for_them else start_notes(session.inventory, quiet=not prompt):
        screen.err(screen.paint(screen.wrapped(note, "  ") if screen.overflows(note) else note, DIM) + "\n")
    garbage.leave_alone()
    gc.enable()
    with session:
        if start:
            with held_back():  # not in the midst of starting a thread
                session.start()
        try:
            if prompt:
                with held_back():
                    from hostshell.shell.repl import Repl
                if not sources and not hint:
                    hint = (
                        "no inventory: write a hosts.ini here, or name one with -i FILE; "
                        "hosts of the moment work: batch_run -h user@host -cmd uptime"
                    )
                return Repl(session, screen, json=options.json).loop(hint)
            shell = Shell(session, screen, json=options.json, input=sys.stdin.buffer if one_shot else None)
            if options.command:
                return shell.words(options.command)
            if options.lines:
                return shell.script(options.lines)
            lines: Iterable[str] = (line.rstrip("\r\n") for line in sys.stdin)
            if before is not None:
                lines = list(lines)
                if not any(line.strip() for line in lines):
                    return before(shell)
            return shell.script(lines)
        except Leave:
            return 0
        except OutputClosed:
            return 0


def _terminal() -> int:
    """A descriptor of the terminal, for when standard input is the inventory. Raises `UsageError` without one."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        hint = "put the commands into -c LINE, or the hosts into a file"
        raise UsageError("`-i -` takes standard input, so no script can come from there", hint) from None


def _secret_asker() -> Callable[[str], str] | None:
    """How to ask for a secret; None without a terminal."""
    try:
        with open("/dev/tty"):
            pass
    except OSError:
        return None
    from hostshell.shell.ask import ask_secret

    return ask_secret


def _ask_on_terminal(screen: Screen) -> Callable[..., frozenset[str]] | None:
    """With ``--host-keys ask`` a one-shot call asks too, where there is a terminal to ask at."""
    if not sys.stdin.isatty():
        return None
    from hostshell.shell.ask import KeyQuestion

    return KeyQuestion(screen)
