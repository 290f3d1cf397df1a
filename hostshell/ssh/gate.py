"""sudo's side of a command: whose password it wants, whether it may have it, and why it did not let us in.

Must not know channels: what it hears and what is to be answered goes through the execution.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import field, replace

from hostshell.core.clean import clean
from hostshell.core.events import Failure, Stream
from hostshell.core.explain import why_it_failed
from hostshell.core.model import Secret
from hostshell.core.records import dataclass
from hostshell.core.sudo import Talk, Tokens

_SHOWN = 100  # characters of a host's text in a sentence
STALL = 10.0  # seconds that sudo may wait for an answer to a question that is not ours

_OWN_PASSWORD = "`sudo_password_from` in the inventory gives another password"  # noqa: S105  # a hint


class SudoRefused(Exception):
    """The command did not run, because sudo did not let it. ``wrong``: the password was refused."""

    def __init__(self, message: str, hint: str = "", *, wrong: bool = False) -> None:
        super().__init__(message)
        self.failure = Failure("sudo", message, hint)
        self.wrong = wrong


class NeedsTerminal(Exception):
    """sudo wants a terminal (``requiretty``); nothing ran."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Whose rights a command takes, and the passwords for it.

    ``password`` is for sudo whoever is asked for; ``own`` is the password of ``login``, and goes to nobody else's name.
    ``ask`` gets the name of the user whose password is wanted, and blocks; None where nobody gave one.
    """

    user: str
    login: str
    password: Secret | None = None
    own: Secret | None = None
    ask: Callable[[str], Secret | None] = field(default=lambda _: None, compare=False)


class Gate:
    """Between the start of sudo and that of the command, for one try. ``over_terminal``: it talks on stdout."""

    def __init__(self, rights: Rights, *, over_terminal: bool = False) -> None:
        self.rights = rights
        self.over_terminal = over_terminal
        self.tokens = Tokens(rights.user, secrets.token_hex(8))
        self.talk = Talk(self.tokens)
        self.given: Secret | None = None
        self._heard = time.monotonic()

    @property
    def stream(self) -> Stream:
        """Where it talks."""
        return "stdout" if self.over_terminal else "stderr"

    def again(self) -> Gate:
        """For one more command with the same rights; nobody is asked for its password again."""
        rights = replace(self.rights, password=self.given or self.rights.password, ask=lambda _: None)
        return Gate(rights, over_terminal=self.over_terminal)

    @property
    def is_open(self) -> bool:
        """Whether the command runs."""
        return self.talk.is_open

    @property
    def may_open(self) -> bool:
        """Whether the command may come to run although we go: all but a sudo that waits for its password lets it."""
        return self.given is not None or not self.talk.whose

    def hear(self, data: bytes, answer: Callable[[bytes], object]) -> tuple[bytes, bytes]:
        """A piece of what comes: what of it sudo tells the person, what is the command's. ``answer`` sends to sudo.

        Raises `SudoRefused` where it asks for what it cannot have.
        """
        heard, told, rest = self.talk.hear(data)
        self._heard = time.monotonic()
        if heard == "prompt":
            self.given = self._password(self.talk.whose)
            self._heard = time.monotonic()  # a person may have been asked meanwhile
            answer(self.given.reveal().encode("utf-8", "surrogateescape") + b"\n")
        elif heard == "again":
            raise self._wrong()
        return told, rest

    def look(self) -> None:
        """Raise `SudoRefused` where it has been waiting for long for an answer that nobody here can give."""
        question = self.talk.unfinished
        said = self.talk.last_words()
        if question and "expired" in said.removesuffix(question).lower():  # nothing else will come
            what = f"a password has expired: {said.removesuffix(question).rstrip('; ')}"
            raise SudoRefused(what, "log in there once with ssh and change it with passwd")
        if question and time.monotonic() - self._heard > STALL:
            raise SudoRefused(
                f'sudo asks "{question[-100:]}", which cannot be answered here', "a password is all it gets"
            )

    def refusal(self, exit_code: int | None, head: bytes) -> Exception:
        """Why it ended before the command ran. ``head``: how the output began that is none of sudo's."""
        if exit_code == 0:  # as no sudo does that refuses
            what = "sudo ended well and never said that the command began: it may have run"
            return SudoRefused(what, "does something on the host (a forced command?) take its standard error away?")
        if self.talk.wants_terminal and not self.over_terminal:
            return NeedsTerminal()
        if self.given is not None and not self.talk.last_words():
            return self._wrong()
        words = self.talk.last_words()
        if not words and head.strip():  # what stands in place of the login shell, which never came to sudo
            said = clean(head.strip().splitlines()[0].decode("utf-8", "replace"))[:_SHOWN]
            return SudoRefused(f'sudo said nothing; the host said "{said}"', why_it_failed(exit_code, head))
        hint = why_it_failed(exit_code, words.encode())
        words = words or "it said nothing"
        if "sudoers" in words or "not allowed" in words:
            hint = f"its sudoers has to let {self.rights.login} run a shell as {self.rights.user}"
        elif "not found" in words:
            hint = "sudo is not installed there, or not in PATH"
        return SudoRefused(f"sudo refused: {words}", hint)

    def _wrong(self) -> SudoRefused:
        whose = "" if self.talk.whose == self.rights.login else f" of {self.talk.whose}"
        return SudoRefused(f"sudo refused the password{whose}", f"tried once; {_OWN_PASSWORD}", wrong=True)

    def _password(self, whose: str) -> Secret:
        rights = self.rights
        if rights.password is not None:
            return rights.password
        if whose == rights.login and rights.own is not None:
            return rights.own
        given = rights.ask(whose)
        if given is None:
            hint = "`sudo_password_from` in the inventory, or at a terminal it is asked for"
            raise SudoRefused(f"sudo wants the password of {whose}, and there is none", hint)
        return given
