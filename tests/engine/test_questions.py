"""Questions to a person while a job runs: one after the other, and none after Ctrl-C."""

from __future__ import annotations

from hostshell.core.model import Secret
from hostshell.core.turns import AskSecret, Cancel, SecretGiven
from hostshell.engine.questions import Questions


def test_ctrl_c_at_one_question_drops_those_behind_it() -> None:
    asked: list[str] = []

    def person(_key: str, question: str) -> Secret | None:
        asked.append(question)
        raise KeyboardInterrupt

    questions = Questions(secrets=person)
    questions.add(AskSecret("sudo alice", "password for alice: "))
    questions.add(AskSecret("sudo bob", "password for bob: "))
    assert questions.put() == Cancel()
    assert not questions.any
    assert asked == ["password for alice: "]


def test_without_anybody_there_is_no_answer() -> None:
    questions = Questions()
    questions.add(AskSecret("sudo alice", "password for alice: "))
    answer = questions.put()
    assert isinstance(answer, SecretGiven)
    assert answer.secret is None
