"""sudo's side of a command: what may still come to run when we go before it has let us in."""

from __future__ import annotations

from hostshell.core.model import Secret
from hostshell.ssh.gate import Gate, Rights


def test_before_sudo_has_asked_the_command_may_come_to_run_without_us() -> None:
    gate = Gate(Rights("root", "me"))
    assert gate.may_open  # NOPASSWD: it asks for nothing


def test_a_sudo_that_waits_for_its_password_lets_nothing_run() -> None:
    seen: list[bool] = []

    def ask(_whose: str) -> Secret:
        seen.append(gate.may_open)
        return Secret("x")

    gate = Gate(Rights("root", "me", ask=ask))
    gate.hear(gate.tokens.prompt.replace("%p", "me").encode(), lambda _: None)
    assert seen == [False]
    assert gate.may_open  # it has its password now
