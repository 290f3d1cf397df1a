"""What others write for a login to read: key files, agents' lists, certificates, questions; broken ones too."""

from __future__ import annotations

import base64
from pathlib import Path

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.keyformat import agent_keys, describe, public_of
from hostshell.core.model import Host, Secret
from hostshell.core.turns import Inquiry
from hostshell.ssh.certificates import read_certificate
from hostshell.ssh.interview import MOST_PROMPT, MOST_TEXT, Interview
from tests.fuzz.effort import effort
from tests.support.keys import make_key, sign


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("certificates")
    path = sign(make_key(folder / "authority"), make_key(folder / "key", "rsa"), host=True, principals="h1,h2")
    blob = public_of(path.read_bytes())
    assert blob is not None
    return blob


@effort(200)
@given(data=st.binary(max_size=300))
def test_an_agents_list_of_any_bytes_is_a_list_or_a_value_error(data: bytes) -> None:
    for answer in (data, b"\x0c" + data):
        try:
            assert isinstance(agent_keys(answer), list)
        except ValueError:
            continue


@effort(200)
@given(data=st.binary(max_size=300))
def test_a_key_file_of_any_bytes_is_described_or_is_none(data: bytes) -> None:
    body = base64.b64encode(b"openssh-key-v1\0" + data)
    for text in (data, b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"\n-----END OPENSSH PRIVATE KEY-----"):
        found = describe(text)
        assert found is None or isinstance(found.encrypted, bool)


def test_the_certificate_itself_is_good(certificate: bytes) -> None:
    found = read_certificate(certificate, "h1", 2_000_000_000)
    assert found is not None
    assert found.wrong == ""


@effort(200)
@given(draw=st.data())
def test_a_certificate_that_was_changed_anywhere_is_not_good(certificate: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(certificate) - 1))
    bit = 1 << draw.draw(st.integers(0, 7))
    broken = certificate[:at] + bytes([certificate[at] ^ bit]) + certificate[at + 1 :]
    found = read_certificate(broken, "h1", 2_000_000_000)
    assert found is None or found.wrong


class _Link:
    deadline: float | None = None


@effort(200)
@given(
    title=st.text(max_size=3000),
    prompts=st.lists(st.tuples(st.text(max_size=500), st.booleans()), max_size=16),
)
def test_questions_of_any_text_are_bounded_and_the_password_goes_out_once(
    title: str, prompts: list[tuple[str, bool]]
) -> None:
    asked: list[Inquiry] = []

    def person(inquiry: Inquiry) -> tuple[str, ...]:
        asked.append(inquiry)
        return tuple("answer" for _ in inquiry.prompts)

    interview = Interview(Host("h", "h", password=Secret("secret")), _Link(), person)  # type: ignore[arg-type]  # its deadline alone
    try:
        answers = interview.answer(title, "", prompts)
    except paramiko.SSHException:
        assert interview.unanswered
        return
    assert len(answers) == len(prompts)
    assert answers.count("secret") <= 1
    assert not any(answer == "secret" and echo for answer, (_, echo) in zip(answers, prompts, strict=True))
    for inquiry in asked:
        assert len(inquiry.instructions) <= MOST_TEXT
        assert all(len(prompt) <= MOST_PROMPT for prompt, _ in inquiry.prompts)


def test_damaged_key_files_are_never_an_exception(tmp_path: Path) -> None:
    data = make_key(tmp_path / "key", "ed25519", "phrase").path.read_bytes()
    for at in range(0, len(data), 7):
        describe(data[:at])
        describe(data[:at] + b"\0" + data[at + 1 :])
