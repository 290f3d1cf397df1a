"""What SIGINT does for a while."""

from __future__ import annotations

import signal

import pytest

from hostshell.shell.interrupts import held_back, on_interrupt


def test_an_interrupt_that_is_held_back_comes_at_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest")
    assert done == ["the rest"]
    with held_back():
        done.append("undisturbed")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_fails_while_interrupts_are_held_back_is_told_as_it_is() -> None:
    with pytest.raises(ValueError, match="it failed"), held_back():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("it failed")


def test_a_handler_is_there_for_its_block_alone() -> None:
    seen: list[int] = []
    with on_interrupt(lambda number, _frame: seen.append(number)):
        signal.raise_signal(signal.SIGINT)
    assert seen == [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
