"""Keyboard-interactive (RFC 4256): which of a server's questions the password answers, and which a person must.

Must not know how a person is asked. What a server asks is bounded here; it is cleaned where it is shown.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeAlias

import paramiko

from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.core.turns import Inquiry
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.link import Link

MOST_TEXT = 1000  # characters of instructions
MOST_PROMPT = 200  # characters of one question
MOST_ROUNDS = 20  # requests of one login, each with questions of its own: a password that has expired takes four

Ask: TypeAlias = Callable[[Inquiry], "tuple[str, ...] | None"]

# what a question for something else than the password says, even where it calls that a password
_OTHER = re.compile(
    r"code|token|otp|one.?time|verif|factor|\bpin\b|challenge|yubi|duo|new |retype|again|change", re.IGNORECASE
)

_LOGIN = re.compile(r"\S+@\S+")  # a server may well be called code.example.net


def typed(secret: str) -> bytes:
    """A secret as its bytes were typed or read: those that are no UTF-8 are kept (PEP 383)."""
    return secret.encode("utf-8", "surrogateescape")


class Interview:
    """The questions of one login. ``unanswered`` is the one that nobody was there to answer."""

    def __init__(self, host: Host, link: Link, ask: Ask) -> None:
        self._host = host
        self._link = link
        self._ask = ask
        self._open = False
        self._rounds = 0
        self._ended = 0.0  # when the last question was answered, on `time.monotonic`
        self.password_given = False
        self.unanswered = ""

    def under_way(self, since: float) -> bool:
        """Whether a person is being asked, or answered after ``since``."""
        return self._open or self._ended > since

    def answer(self, title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[bytes]:
        """The answers to one round of questions. Raises `paramiko.SSHException`, which ends the connection."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            self._refuse(prompts[0][0] if prompts else "")
        answers: dict[int, str] = {}
        for at, (prompt, echo) in enumerate(prompts):
            if self._wants_password(prompt, echo, len(prompts)):
                if self._host.password is None or self.password_given:
                    self._refuse(prompt)
                self.password_given = True
                assert self._host.password is not None
                answers[at] = self._host.password.reveal()
        left = [at for at in range(len(prompts)) if at not in answers]
        if left:
            text = "\n".join(part.strip() for part in (title, instructions) if part.strip())[:MOST_TEXT]
            asked = tuple((prompts[at][0].strip()[:MOST_PROMPT], bool(prompts[at][1])) for at in left)
            given = self._put(Inquiry(self._host.name, text, asked))
            if given is None or len(given) != len(left):
                self._refuse(prompts[left[0]][0])
            answers.update(zip(left, given or (), strict=True))
        return [typed(answers[at]) for at in range(len(prompts))]

    def failure(self, tried: list[str]) -> ConnectFailed:
        """What is said where a question was left open."""
        before = ", ".join(dict.fromkeys(tried[:-1]))
        if self._rounds > MOST_ROUNDS:
            what = f"the server asked {MOST_ROUNDS} times and goes on asking"
            return ConnectFailed(Failure("auth", what, "is it what it should be, and set up well?"))
        message = f'the server asks "{self.unanswered}"' + (f" (tried {before})" if before else "")
        if self._wants_password(self.unanswered, False, 1):
            if self.password_given:
                return ConnectFailed(
                    Failure(
                        "auth", f"login as {self._host.user} refused (tried the password)", "check `password_from`"
                    ),
                    password_refused=True,
                )
            return ConnectFailed(Failure("auth", message, "give it one: `password_from = ask`"))
        hint = "only a person can answer that: run it at the prompt (`hostshell` without -c)"
        return ConnectFailed(Failure("auth", message, hint))

    def _wants_password(self, prompt: str, echo: bool, of: int) -> bool:
        """One hidden question alone is the password unless it says otherwise; among several it must say so."""
        if echo or _OTHER.search(_LOGIN.sub("", prompt)):
            return False
        return of == 1 or "password" in prompt.lower()

    def _put(self, inquiry: Inquiry) -> tuple[str, ...] | None:
        """Ask, while the link's clock stands still."""
        deadline, began = self._link.deadline, time.monotonic()
        self._open, self._link.deadline = True, None
        try:
            return self._ask(inquiry)
        finally:
            self._ended = time.monotonic()
            if deadline is not None:
                self._link.deadline = deadline + self._ended - began
            self._open = False

    def _refuse(self, prompt: str) -> None:
        self.unanswered = " ".join(prompt.split())[:MOST_PROMPT] or "?"
        raise paramiko.SSHException("a question that nobody answers")
