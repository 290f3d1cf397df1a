"""A terminal on a demo host: what `connect` needs of one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import CTRL_C, ENTER, Terminal


@pytest.fixture
def terminal(clean_home: Path, tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal([sys.executable, "-m", "hostshell", "--demo"], tmp_path, 90)
    yield opened
    opened.close()
    assert "Traceback" not in opened.raw


def test_a_shell_of_its_own_kind_and_size_with_job_control(terminal: Terminal) -> None:
    terminal.enter("connect h1")
    terminal.wait(lambda: terminal.line().endswith("@h1:$"), "the prompt of the host")
    terminal.type("stty size; tty -s && echo on a ter''minal, $TERM" + ENTER)
    terminal.wait_for("40 90")
    terminal.wait_for("on a terminal, xterm-256color")
    terminal.type("sleep 600" + ENTER)
    terminal.wait_for("sleep 600")
    terminal.type(CTRL_C)
    terminal.wait(lambda: terminal.line().endswith("@h1:$"), "the prompt of the host")
    terminal.type("exit 5" + ENTER)
    terminal.wait_for("h1: exit code 5")
    terminal.wait_for_prompt()


def test_what_is_left_with_a_tilde_and_a_dot_is_hung_up(terminal: Terminal) -> None:
    terminal.enter("connect h1")
    terminal.wait(lambda: terminal.line().endswith("@h1:$"), "the prompt of the host")
    terminal.type("~.")
    terminal.wait_for("left h1; its session was hung up")
    assert "h1: still here" in terminal.run("batch_run -h h1 -cmd 'echo still here'")


def test_much_typed_and_much_shown(terminal: Terminal) -> None:
    said = terminal.run("connect h1 'seq 20000; echo done'")
    assert "20000" in said
    assert "done" in said
