"""Where secrets come from: the file, the environment, a command, a key store, a person. No message tells one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend

from hostshell.core.errors import SecretError
from hostshell.core.model import Place, Secret, SecretKind, SecretSource
from hostshell.inventory.secrets import SecretDesk

CANARY = 'canary;#100% "q" ñ東🔑'
PLACE = Place("hosts.ini", 12, "group:web")


def source(kind: SecretKind, argument: str = "", place: Place = PLACE) -> SecretSource:
    return SecretSource(kind, place, argument)


def got(kind: SecretKind, argument: str) -> str:
    return SecretDesk().get(source(kind, argument), "password").reveal()


def refusal(kind: SecretKind, argument: str = "", desk: SecretDesk | None = None) -> SecretError:
    with pytest.raises(SecretError) as caught:
        (desk or SecretDesk()).get(source(kind, argument), "password")
    assert caught.value.message.startswith("hosts.ini:12: ")
    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is None  # HOSTSHELL_DEBUG=1 shows causes
    return caught.value


# --- in the file ---


def test_a_literal_is_given_as_it_is_and_asks_nobody() -> None:
    literal = SecretSource("literal", PLACE, literal=Secret(CANARY))
    desk = SecretDesk()
    assert desk.get(literal, "password").reveal() == CANARY
    assert desk.known() == []  # the inventory itself knows those


# --- env: ---


def test_env_is_taken_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PASSWORD", f" {CANARY}\t")
    assert got("env", "WEB_PASSWORD") == f" {CANARY}\t"


def test_a_variable_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_PASSWORD", raising=False)
    error = refusal("env", "WEB_PASSWORD")
    assert "WEB_PASSWORD" in error.message
    assert error.hint == "export WEB_PASSWORD before you start hostshell"


# --- cmd: ---


@pytest.mark.parametrize(
    ("command", "secret"),
    [
        ("echo 'a b'", "a b"),
        ("printf 'no newline'", "no newline"),
        (r"printf 'two\n\n'", "two\n"),  # one newline is the end of the line, the rest belongs to the secret
        (r"printf ' blanks \r\n'", " blanks "),
        (f"printf '%s' '{CANARY}'", CANARY),
        ("echo to-stderr >&2; echo right", "right"),
        ("cat; echo 'its input is empty'", "its input is empty"),
    ],
)
def test_cmd_gives_what_it_prints_without_the_last_newline(command: str, secret: str) -> None:
    assert got("cmd", command) == secret


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (f"echo '{CANARY}'; exit 7", "exit code 7"),
        (f"echo '{CANARY}'; kill -9 $$", "exit code -9"),
        ("true", "printed nothing"),
        ("echo", "printed nothing"),
        (r"printf 'canary\377'", "not UTF-8"),
        ("/nowhere/canary-of-a-command", "exit code 127"),
    ],
)
def test_a_cmd_that_fails_says_how_and_never_what_it_printed(
    command: str, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error = refusal("cmd", command)
    assert what in error.message
    assert "canary" not in f"{error}{error!r}"
    assert "canary" not in capfd.readouterr().out


def test_a_cmd_is_run_once_for_its_place(tmp_path: Path) -> None:
    command = f"echo x >> {tmp_path}/runs; wc -l < {tmp_path}/runs"
    desk = SecretDesk()
    first = desk.get(source("cmd", command), "password").reveal().strip()
    again = desk.get(source("cmd", command), "password").reveal().strip()
    assert (first, again) == ("1", "1")


# --- ask ---


class Person:
    """Answers questions and remembers them."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return f"{CANARY} {len(self.questions)}"


def test_a_person_is_asked_once_for_each_place() -> None:
    person = Person()
    desk = SecretDesk(person)
    here, there = source("ask"), source("ask", place=Place("hosts.ini", 30, "host:db01"))
    answers = [desk.get(one, "password").reveal() for one in (here, there, here, there)]
    assert answers == [f"{CANARY} 1", f"{CANARY} 2"] * 2
    assert person.questions == [
        "Password for group:web (hosts.ini:12): ",
        "Password for host:db01 (hosts.ini:30): ",
    ]


def test_a_question_tells_a_passphrase_from_a_password() -> None:
    person = Person()
    SecretDesk(person).get(source("ask", place=Place("hosts.ini", 3, "host:h1")), "passphrase")
    assert person.questions == ["Passphrase for host:h1 (hosts.ini:3): "]


def test_what_was_asked_is_known_until_it_is_forgotten_and_is_asked_again_then() -> None:
    person = Person()
    desk = SecretDesk(person)
    desk.get(source("ask"), "password")
    assert [secret.reveal() for secret in desk.known()] == [f"{CANARY} 1"]
    desk.forget()
    assert desk.known() == []
    assert desk.get(source("ask"), "password").reveal() == f"{CANARY} 2"


def test_without_a_terminal_ask_is_an_error_that_names_other_ways() -> None:
    error = refusal("ask")
    assert "no terminal" in error.message
    for way in ("env:", "cmd:", "keyring:"):
        assert way in error.hint


@pytest.mark.parametrize("leaving", [EOFError, KeyboardInterrupt])
def test_a_question_without_an_answer_is_not_remembered(leaving: type[BaseException]) -> None:
    def leave(question: str) -> str:
        raise leaving

    desk = SecretDesk(leave)
    with pytest.raises(leaving):
        desk.get(source("ask"), "password")
    assert desk.known() == []


# --- keyring: ---


class MemoryKeyring(KeyringBackend):
    """A real backend of the keyring package that keeps all in memory."""

    priority = 1  # the package's own way to say it

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked(f"locked, but here it is: {CANARY}")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def store() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    made = MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("argument", "service", "user"),
    [("hostshell/deploy", "hostshell", "deploy"), ("https://vault/team/root", "https://vault/team", "root")],
)
def test_keyring_is_asked_for_the_service_and_the_user_after_the_last_slash(
    store: MemoryKeyring, argument: str, service: str, user: str
) -> None:
    keyring.set_password(service, user, CANARY)
    assert got("keyring", argument) == CANARY


def test_a_key_store_without_the_entry_says_how_to_make_it(store: MemoryKeyring) -> None:
    error = refusal("keyring", "hostshell/deploy")
    assert "hostshell/deploy" in error.message
    assert error.hint == "keyring set hostshell deploy"


def test_a_key_store_that_fails_is_named_by_its_error_and_not_quoted(store: MemoryKeyring) -> None:
    store.locked = True
    error = refusal("keyring", "hostshell/deploy")
    assert "KeyringLocked" in error.message
    assert CANARY not in f"{error}{error!r}"


def test_without_the_keyring_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    error = refusal("keyring", "hostshell/deploy")
    assert error.hint == "pip install 'hostshell[keyring]'"


# --- all of them ---


def test_a_secret_shows_itself_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PASSWORD", CANARY)
    desk = SecretDesk()
    secret = desk.get(source("env", "WEB_PASSWORD"), "password")
    assert CANARY not in f"{secret}{secret!r}{desk.known()}{desk!r}{vars(desk)}"
