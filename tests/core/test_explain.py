"""What is said of a command that failed at once because the account runs no commands."""

from __future__ import annotations

import pytest

from hostshell.core.explain import why_it_failed


@pytest.mark.parametrize(
    ("code", "head", "words"),
    [
        (1, b"This account is currently not available.\n", "ForceCommand of sshd is"),
        (1, b"This service allows sftp connections only.\r\n", "only copy files"),
        (142, b'Please login as the user "ubuntu" rather than the user "root".\n\n', "set `user`"),
        (1, b"Password change required but no TTY available.\n", "expired"),
        (1, b"WARNING: Your password has expired.\n", "expired"),
        (254, b"down until noon\n", "/etc/nologin"),
        (254, b"", "/etc/nologin"),
    ],
)
def test_a_shell_that_is_none_is_explained(code: int, head: bytes, words: str) -> None:
    assert words in why_it_failed(code, head)


@pytest.mark.parametrize("code", [None, 0])
def test_a_command_that_did_not_fail_needs_no_explanation(code: int | None) -> None:
    assert why_it_failed(code, b"This account is currently not available.") == ""


def test_any_other_failure_speaks_for_itself() -> None:
    assert why_it_failed(1, b"grep: no such file\n") == ""
