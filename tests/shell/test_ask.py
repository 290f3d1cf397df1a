"""The question about new host keys: what it shows, and what each answer means."""

from __future__ import annotations

import io
import signal
import threading

import pytest

from hostshell.core.turns import Inquiry, NewKey
from hostshell.shell import ask as asking
from hostshell.shell.ask import KeyQuestion, PromptQuestion
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.screen import Screen

ONE = (NewKey("web01", "192.0.2.1", 22, "ssh-ed25519 AAAA", "SHA256:one"),)
THREE = (
    *ONE,
    NewKey("web02", "192.0.2.2", 2222, "ecdsa-sha2-nistp256 BBBB", "SHA256:two"),
    NewKey("db01", "2001:db8::1", 22, "ssh-rsa CCCC", "SHA256:three"),
)


def ask(offers: tuple[NewKey, ...], typed: str, monkeypatch: pytest.MonkeyPatch) -> tuple[frozenset[str], str]:
    """The hosts that are accepted when a person types ``typed``, and all that the person saw."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    out, err = io.StringIO(), io.StringIO()
    chosen = KeyQuestion(Screen(out, err))(offers)
    assert out.getvalue() == ""  # standard output is the hosts'
    return chosen, err.getvalue()


def test_every_new_key_is_listed_with_its_place_kind_and_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown = ask(THREE, "no\n", monkeypatch)
    assert shown.startswith("3 host keys are not known yet:\n")
    assert shown.splitlines()[1:7] == [
        "  web01 at 192.0.2.1, ssh-ed25519",
        "    SHA256:one",
        "  web02 at [192.0.2.2]:2222, ecdsa-sha2-nistp256",
        "    SHA256:two",
        "  db01 at 2001:db8::1, ssh-rsa",
        "    SHA256:three",
    ]
    assert "AAAA" not in shown


def test_one_key_is_asked_about_in_the_singular(monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown = ask(ONE, "no\n", monkeypatch)
    assert shown.startswith("1 host key is not known yet:\n")
    assert shown.count("yes or no") == 1


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [
        ("yes\n", {"web01", "web02", "db01"}),
        ("y\n", {"web01", "web02", "db01"}),
        ("  YES \r\n", {"web01", "web02", "db01"}),
        ("no\n", set()),
        ("N\n", set()),
        ("db01\n", {"db01"}),
        ("web01,db01\n", {"web01", "db01"}),
        ("web01, db01\n", {"web01", "db01"}),
        ("web01 web02\n", {"web01", "web02"}),
        ("web[01-02]\n", {"web01", "web02"}),
        ("", set()),  # end of file
    ],
)
def test_an_answer_is_yes_or_no_or_names(typed: str, chosen: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found, shown = ask(THREE, typed, monkeypatch)
    assert found == chosen
    assert shown.count("Trust them?") == 1


@pytest.mark.parametrize(
    "nonsense", ["", "   ", "ja", "maybe", "web03", "web01,web03", "web[", "web[01-99999999]", "@all", "*", "\x1b[A"]
)
def test_anything_else_is_asked_again_and_trusts_nobody(nonsense: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, shown = ask(THREE, f"{nonsense}\nyes\n", monkeypatch)
    assert found == {"web01", "web02", "db01"}
    assert shown.count("Trust them?") == 2
    assert shown.count("please type yes, no, or some of ") == 1
    assert ask(THREE, f"{nonsense}\nno\n", monkeypatch)[0] == set()
    assert ask(THREE, f"{nonsense}\n", monkeypatch)[0] == set()


def test_what_a_server_calls_its_key_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = NewKey("web01", "192.0.2.1", 22, "\x1b]0;evil\x07 AAAA", "SHA256:one")
    _, shown = ask((evil,), "no\n", monkeypatch)
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_ctrl_c_at_the_question_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(io.StringIO):
        def readline(self, *size: int | None) -> str:  # as it is called
            signal.raise_signal(signal.SIGINT)
            return "yes\n"

    monkeypatch.setattr("sys.stdin", Interrupted())
    cancelled: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: cancelled.append(number))
    try:
        with pytest.raises(KeyboardInterrupt):  # the engine takes it as the cancel of the whole job
            KeyQuestion(Screen(io.StringIO(), io.StringIO()))(THREE)
        assert cancelled == []
        signal.raise_signal(signal.SIGINT)  # afterwards it is again what it was
        assert cancelled == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_question_can_be_asked_outside_of_the_main_thread() -> None:
    entered: list[bool] = []

    def ask_elsewhere() -> None:
        with on_interrupt(signal.default_int_handler):
            entered.append(True)

    thread = threading.Thread(target=ask_elsewhere)
    thread.start()
    thread.join()
    assert entered == [True]


# --- what a server asks at a login ---


def answered(
    inquiry: Inquiry, typed: str, hidden: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str] | None, str, list[str]]:
    """The answers, what was shown, and the hidden questions."""
    questions: list[str] = []

    def without_echo(question: str) -> str:
        questions.append(question)
        if not hidden:
            raise EOFError
        return hidden.pop(0)

    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    monkeypatch.setattr(asking, "ask_secret", without_echo)
    out, err = io.StringIO(), io.StringIO()
    found = PromptQuestion(Screen(out, err))(inquiry)
    assert out.getvalue() == ""
    return None if found is None else [secret.reveal() for secret in found], err.getvalue(), questions


def test_a_servers_questions_are_cleaned_and_stand_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    inquiry = Inquiry("web01", "One\x1b[2J\nmore", (("Code:\r\x1b]0;x", False), ("Colour?", True)))
    found, shown, questions = answered(inquiry, "blue\n", ["123456"], monkeypatch)
    assert found == ["123456", "blue"]
    assert shown == "web01: One^[[2J\nweb01: more\nweb01: Colour? "
    assert questions == ["web01: Code:^M^[]0;x "]
    assert "123456" not in shown


def test_the_end_of_input_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(Inquiry("h", "", (("Code:", False),)), "", [], monkeypatch)[0] is None
    assert answered(Inquiry("h", "", (("Code:", True),)), "", [], monkeypatch)[0] is None


def test_instructions_without_end_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown, _ = answered(Inquiry("h", "x\n" * 500, (("Code:", True),)), "1\n", [], monkeypatch)
    assert shown.count("\n") == 10
