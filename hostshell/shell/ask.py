"""Questions to the person at the terminal: secrets without echo, new host keys.

Asks on the terminal itself, so that neither a pipe nor a redirection gets in between.
"""

from __future__ import annotations

import contextlib
import getpass
import signal
import sys
import termios

from hostshell.core.clean import clean
from hostshell.core.errors import SecretError, TargetError
from hostshell.core.model import Secret
from hostshell.core.names import expand, fold
from hostshell.core.turns import Inquiry, NewKey
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.screen import BOLD, Screen

MOST_LINES = 10  # of a server's instructions


def ask_secret(question: str) -> str:
    """One secret, without echo. Raises `EOFError` or `KeyboardInterrupt` when the person gives none."""
    try:
        with on_interrupt(signal.default_int_handler):  # Ctrl-C ends the question
            return getpass.getpass(clean(question))
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")  # getpass leaves the cursor behind its question
        raise
    except UnicodeDecodeError:  # its text would show a part of the secret
        sys.stderr.write("\n")
        raise SecretError("what was typed is no text in this terminal's encoding", "is the terminal UTF-8?") from None


class KeyQuestion:
    """Shows new host keys and asks which to trust."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def __call__(self, offers: tuple[NewKey, ...]) -> frozenset[str]:
        """The names of the hosts whose key the person accepts. Raises `KeyboardInterrupt` on Ctrl-C."""
        screen = self._screen
        names = [offer.host for offer in offers]
        count = "1 host key is" if len(offers) == 1 else f"{len(offers)} host keys are"
        lines = [screen.paint(f"{count} not known yet:", BOLD)]
        for offer in offers:
            # the fingerprint on a line of its own: it is compared by eye, and must not wrap
            kind = clean(offer.key.partition(" ")[0])
            lines += [f"  {offer.host} at {_endpoint(offer)}, {kind}", f"    {offer.fingerprint}"]
        screen.err("\n".join(lines) + "\n")
        question = "Trust them? yes, no, or the hosts to trust: " if len(offers) > 1 else "Trust it? yes or no: "
        while True:
            try:
                with on_interrupt(signal.default_int_handler):
                    answer = _read(screen, question).strip()
            except EOFError:
                screen.err("\n")
                return frozenset()
            except KeyboardInterrupt:
                screen.err("\n")
                raise
            if answer.lower() in ("y", "yes"):
                return frozenset(names)
            if answer.lower() in ("n", "no"):
                return frozenset()
            try:
                chosen = frozenset(name for part in answer.split() for name in expand(part.strip(",")))
            except (TargetError, ValueError):
                chosen = frozenset()
            if chosen and chosen <= set(names):
                return chosen
            screen.err(f"please type yes, no, or some of {fold(names)}\n")


class PromptQuestion:
    """Puts what a server asks at a login, such as a one-time code."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def __call__(self, inquiry: Inquiry) -> tuple[Secret, ...] | None:
        """The answers; None when the person gives none (Ctrl-D). Raises `KeyboardInterrupt` on Ctrl-C."""
        screen = self._screen
        if inquiry.instructions:
            lines = [clean(line) for line in inquiry.instructions.splitlines()[:MOST_LINES]]
            screen.err("".join(f"{screen.name(inquiry.host, screen.err_colour)}{line}\n" for line in lines))
        answers = []
        for prompt, echo in inquiry.prompts:
            question = f"{inquiry.host}: {clean(prompt) or '?'} "
            try:
                if echo:
                    with on_interrupt(signal.default_int_handler):
                        answers.append(Secret(_read(screen, question)))
                else:
                    screen.err("")  # no status line behind the question
                    answers.append(Secret(ask_secret(question)))
            except EOFError:
                return None
            except KeyboardInterrupt:
                screen.err("\n")
                raise
        return tuple(answers)


def _endpoint(offer: NewKey) -> str:
    return offer.address if offer.port == 22 else f"[{offer.address}]:{offer.port}"


def _read(screen: Screen, question: str) -> str:
    with contextlib.suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)  # what was typed ahead was no answer to this
    return read_line(screen, question)


def read_line(screen: Screen, question: str) -> str:
    """One line of standard input, edited by the terminal itself. Raises `EOFError` and `KeyboardInterrupt`.

    Bytes that are no text in the terminal's encoding come as lone surrogates.
    """
    screen.err(question)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")
