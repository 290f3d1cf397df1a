"""Passphrases of key files: who is asked, how often, and who need not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostshell.core.errors import SecretError
from hostshell.core.keyformat import agent_keys, describe, public_of
from hostshell.inventory.keyfiles import needs_passphrase, opens
from hostshell.inventory.secrets import SecretDesk
from tests.support.agent import ScriptedAgent, listing, ssh_agent
from tests.support.keys import Key, make_key


class Person:
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


@pytest.fixture
def locked(tmp_path: Path) -> Key:
    return make_key(tmp_path / "locked", "ed25519", "a phrase")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_what_a_key_file_says_without_its_passphrase(tmp_path: Path, kind: str) -> None:
    for passphrase in ("", "a phrase"):
        key = make_key(tmp_path / "key", kind, passphrase)
        look = describe(key.path.read_bytes())
        assert look is not None
        assert (look.private, look.encrypted) == (True, bool(passphrase))
        assert look.public == public_of(key.public.encode())
        assert needs_passphrase(str(key.path), "none") == bool(passphrase)
        assert opens(str(key.path), "a phrase") == bool(passphrase) or not passphrase
    assert not opens(str(key.path), "another")


def test_older_forms_are_known_to_be_encrypted_too() -> None:
    old = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA"
    new = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED"
    plain = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE"
    assert [found.encrypted for found in map(describe, (old, new, plain)) if found] == [True, True, False]
    assert describe(b"nothing of the kind") is None
    assert describe(b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH") is None


def test_an_agents_broken_answer_is_an_error_and_no_more() -> None:
    for answer in (b"", b"\x05", b"\x0c\xff\xff\xff\xff", listing(b"x")[:-3]):
        with pytest.raises(ValueError, match=r".+"):
            agent_keys(answer)


def test_a_passphrase_is_asked_for_once_a_file_and_again_where_it_is_wrong(locked: Key) -> None:
    person = Person("wrong", "a phrase")
    desk = SecretDesk(person)
    for _ in range(3):
        found = desk.passphrase(str(locked.path), "none", needed=True)
        assert found is not None
        assert found.reveal() == "a phrase"
    assert person.asked == [f"Passphrase for the key {locked.path}: "] * 2
    assert [secret.reveal() for secret in desk.known()] == ["a phrase"]


def test_three_wrong_ones_or_none_at_all_run_nothing_where_the_key_is_needed(locked: Key) -> None:
    person = Person("1", "2", "3", "", "")
    desk = SecretDesk(person)
    for _ in range(2):
        with pytest.raises(SecretError, match="was not opened"):
            desk.passphrase(str(locked.path), "none", needed=True)
    assert desk.passphrase(str(locked.path), "none", needed=False) is None
    assert desk.passphrase(str(locked.path), "none", needed=False) is None  # who declined is not asked again
    assert len(person.asked) == 5


def test_without_a_terminal_a_needed_key_is_a_clear_failure_and_another_is_passed_over(locked: Key) -> None:
    desk = SecretDesk(None)
    with pytest.raises(SecretError) as caught:
        desk.passphrase(str(locked.path), "none", needed=True)
    assert "is encrypted, and there is no terminal" in caught.value.message
    assert "ssh-add" in caught.value.hint
    assert desk.passphrase(str(locked.path), "none", needed=False) is None


def test_a_key_that_the_agent_has_is_not_asked_about(locked: Key, tmp_path: Path) -> None:
    plain = make_key(tmp_path / "plain")
    with ssh_agent(plain) as path:
        assert needs_passphrase(str(locked.path), path)
    blob = public_of(locked.public.encode())
    assert blob is not None
    with ScriptedAgent(lambda _: listing(blob)) as agent:
        assert not needs_passphrase(str(locked.path), agent.path)
        assert SecretDesk(None).passphrase(str(locked.path), agent.path, needed=True) is None
