"""What a person is asked while a job runs: new host keys, and what servers want to know at a login.

Must not know workers. The scheduler says when to ask; the answer goes back to it as a report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from hostshell.core.model import Secret
from hostshell.core.turns import Answer, AskSecret, Cancel, Inquire, Inquiry, NewKey, Question, SecretGiven, Told

AskKeys: TypeAlias = Callable[[tuple[NewKey, ...]], frozenset[str]]
AskPrompts: TypeAlias = Callable[[Inquiry], "tuple[Secret, ...] | None"]
AskSecrets: TypeAlias = Callable[[str, str], "Secret | None"]


class Questions:
    """The questions of one job, each put when the caller has shown everything before it.

    Without ``keys`` no new key is accepted, without ``prompts`` no server gets an answer, without ``secrets`` no sudo.
    """

    def __init__(
        self, keys: AskKeys | None = None, prompts: AskPrompts | None = None, secrets: AskSecrets | None = None
    ) -> None:
        self._keys = keys
        self._prompts = prompts
        self._secrets = secrets
        self._open: list[Question | Inquire | AskSecret] = []

    def add(self, question: Question | Inquire | AskSecret) -> None:
        """One more to be put."""
        self._open.append(question)

    def clear(self) -> None:
        """Nobody is to be asked any more."""
        self._open.clear()

    @property
    def any(self) -> bool:
        """Whether one is open."""
        return bool(self._open)

    def put(self) -> Answer | Told | SecretGiven | Cancel:
        """Ask the next one, and what to tell the scheduler. Waits for the person."""
        question = self._open.pop(0)
        began = time.monotonic()
        try:
            if isinstance(question, Question):
                accepted = self._keys(question.offers) if self._keys is not None else frozenset()
                return Answer(accepted, time.monotonic() - began)
            if isinstance(question, AskSecret):
                secret = self._secrets(question.key, question.question) if self._secrets is not None else None
                return SecretGiven(question.key, secret, time.monotonic() - began)
            answers = self._prompts(question.inquiry) if self._prompts is not None else None
            return Told(question.turn, answers, time.monotonic() - began)
        except KeyboardInterrupt:
            self.clear()  # whoever gives up is not asked the next one
            return Cancel()
