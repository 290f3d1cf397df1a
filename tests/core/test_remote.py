"""The line that a login shell gets: the same to every one of them, whatever stands in the arguments."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostshell.core.model import LocalFile, Run, Script
from hostshell.core.remote import kill_line, remote_line
from hostshell.core.sudo import Tokens

FILE = LocalFile("/x", 10, 1, 2)
SUDO = Tokens("root", "0123456789abcdef")
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def test_a_plain_command_is_sent_as_it_is() -> None:
    assert remote_line(Run("echo 'a' \\ !\n"), "utf-8") == b"echo 'a' \\ !\n"
    assert remote_line(Run("echo 中"), "gbk") == "echo 中".encode("gbk")
    assert remote_line(Run("cat", stdin=FILE), "utf-8") == b"cat"


@given(texts, texts, texts)
def test_no_character_stands_in_it_that_a_shell_would_read_otherwise(command: str, directory: str, value: str) -> None:
    run = Run(command, environment=(("A", value),), directory=directory)
    script = Run(script=Script(FILE, ("/bin/sh",), (command, value)), stdin=FILE)
    for line in (
        remote_line(run, "utf-8"),
        remote_line(run, "utf-8", SUDO),
        remote_line(script, "utf-8", SUDO, over_terminal=True),
        kill_line(SUDO, 7),
    ):
        assert all(0x20 <= byte < 0x7F for byte in line)
        assert b"!" not in line
        # inside quotes a backslash is followed by a digit: neither fish nor csh sees more in it
        assert all(line[at + 1 : at + 2].isdigit() for at, byte in enumerate(line) if byte == 0x5C)
        assert line.count(b"'") % 2 == 0


@settings(max_examples=40, deadline=None)
@given(texts, texts)
def test_sh_gives_back_what_was_put_in(argument: str, value: str) -> None:
    run = Run('printf "%s|%s" "$A" ', environment=(("A", value),))
    run = Run(run.command + "'" + argument.replace("'", "'\\''") + "'", environment=run.environment, directory="/")
    done = subprocess.run(["sh", "-c", remote_line(run, "utf-8")], capture_output=True, check=True)
    assert done.stdout == f"{value}|{argument}".encode()


def test_a_character_that_the_encoding_lacks_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        remote_line(Run("echo 中"), "latin-1")


def test_no_password_has_a_place_in_it() -> None:
    line = remote_line(Run("id"), "utf-8", SUDO)
    assert b"sudo -S -p" in line
    assert b"[hostshell-0123456789abcdef password of %p]" in line
