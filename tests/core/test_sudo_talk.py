"""What sudo says before the command runs, in pieces of any size."""

from __future__ import annotations

import pytest

from hostshell.core.sudo import MOST_NAME, MOST_TALK, Talk, Tokens

TOKENS = Tokens("root", "cafe")
PROMPT = b"[hostshell-cafe password of deploy]"
MARK = b"[hostshell-cafe runs in 4711]"
LECTURE = b"\nWe trust you have received the usual lecture.\n\n"


def hear_all(talk: Talk, data: bytes, size: int) -> tuple[list[str], bytes, bytes]:
    heard, told, rest = [], b"", b""
    for at in range(0, len(data), size):
        what, more, also = talk.hear(data[at : at + size])
        if what != "nothing":
            heard.append(what)
        told, rest = told + more, rest + also
    return heard, told, rest


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
class TestInPieces:
    def test_without_a_password(self, size: int) -> None:
        talk = Talk(TOKENS)
        assert hear_all(talk, MARK + b"err\n", size) == (["open"], b"", b"err\n")
        assert (talk.is_open, talk.group) == (True, 4711)

    def test_with_a_password_and_a_lecture(self, size: int) -> None:
        talk = Talk(TOKENS)
        assert hear_all(talk, LECTURE + PROMPT, size) == (["prompt"], b"", b"")
        assert talk.whose == "deploy"
        assert hear_all(talk, b"\n" + MARK + b"\x00\xff", size) == (["open"], b"", b"\x00\xff")

    def test_a_warning_is_for_the_person(self, size: int) -> None:
        talk = Talk(TOKENS)
        hear_all(talk, b"sudo: unable to resolve host\n" + LECTURE + PROMPT, size)
        assert (
            hear_all(talk, b"\nexpires in 3 days\n" + MARK, size)[1]
            == b"sudo: unable to resolve host\nexpires in 3 days\n"
        )

    def test_a_wrong_password(self, size: int) -> None:
        talk = Talk(TOKENS)
        assert hear_all(talk, PROMPT, size)[0] == ["prompt"]  # and sudo waits for an answer
        assert hear_all(talk, b"\nSorry, try again.\n" + PROMPT, size)[0] == ["again"]
        assert not talk.is_open

    def test_a_refusal_is_in_its_own_words(self, size: int) -> None:
        talk = Talk(TOKENS)
        hear_all(talk, b"deploy is not in the sudoers file.\n\x1b[2J", size)
        assert talk.last_words() == "deploy is not in the sudoers file.; ^[[2J"
        assert not talk.wants_terminal

    @pytest.mark.parametrize(
        "words", [b"sudo: sorry, you must have a tty to run sudo\n", b"sudo: Sie ben\xc3\xb6tigen ein TTY\n"]
    )
    def test_want_of_a_terminal(self, size: int, words: bytes) -> None:
        talk = Talk(TOKENS)
        hear_all(talk, words, size)
        assert talk.wants_terminal


def test_another_token_is_no_prompt_and_no_mark() -> None:
    talk = Talk(TOKENS)
    assert hear_all(talk, b"[hostshell-beef password of root][hostshell-beef runs in 1]", 99)[0] == []


def test_endless_talk_is_bounded() -> None:
    talk = Talk(TOKENS)
    for _ in range(100):
        talk.hear(b"x" * 10_000)
    assert len(talk._kept) <= MOST_TALK
    assert len(talk.last_words()) <= 300
    assert talk.hear(MARK)[0] == "open"


def test_a_question_that_waits_is_known() -> None:
    talk = Talk(TOKENS)
    talk.hear(b"Welcome\nVerification code: ")
    assert talk.unfinished == "Verification code:"


def test_a_mark_torn_before_a_full_piece_is_still_seen() -> None:
    tokens = Tokens("root", "abc")
    said = f"{tokens.mark}12]".encode() + b"x" * MOST_TALK
    talk = Talk(tokens)
    assert talk.hear(said[:5]) == ("nothing", b"", b"")
    heard, _, output = talk.hear(said[5 : 5 + MOST_TALK])
    assert heard == "open"
    assert talk.group == 12
    assert output == said[len(tokens.mark) + 3 : 5 + MOST_TALK]


def test_whose_password_it_wants_is_text_for_a_person_within_a_bound() -> None:
    talk = Talk(TOKENS)
    assert talk.hear(b"[hostshell-cafe password of root\x1b[2J\x9b\nh9: forged]")[0] == "prompt"
    assert talk.whose == "root^[[2J\ufffd^Jh9: forged"
    talk = Talk(TOKENS)
    assert talk.hear(b"[hostshell-cafe password of " + b"x" * (MOST_NAME + 1) + b"]")[0] == "nothing"


def test_a_process_group_that_is_none_is_no_mark() -> None:
    talk = Talk(TOKENS)
    assert talk.hear(b"[hostshell-cafe runs in " + b"9" * 5000 + b"]")[0] == "nothing"
    assert not talk.is_open
