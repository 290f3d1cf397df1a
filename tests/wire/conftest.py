"""A person who is asked for secrets, for tests of logins and of sudo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hostshell.session import Session
from tests.support.running import write_inventory, write_known_hosts
from tests.support.sshd import Sshd


@pytest.fixture
def answers() -> list[str]:
    """What the person answers to questions for secrets, the first first; then nothing."""
    return []


@pytest.fixture
def asked() -> list[str]:
    """The questions that the person was asked."""
    return []


@pytest.fixture
def open_session(
    tmp_path: Path, clean_home: Path, answers: list[str], asked: list[str]
) -> Iterator[Callable[..., Session]]:
    """Opens a session of some hosts of servers, whose keys are known; without a ``terminal`` nobody can be asked."""
    opened: list[Session] = []

    def ask(question: str) -> str:
        asked.append(question)
        if not answers:
            raise EOFError
        return answers.pop(0)

    def make(server: Sshd, *sections: str, terminal: bool = True, others: Sequence[Sshd] = ()) -> Session:
        known = write_known_hosts(tmp_path, *(one.known_hosts_line for one in (server, *others)))
        session = Session(write_inventory(tmp_path, *sections), known_hosts=known, ask_secret=ask if terminal else None)
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()
