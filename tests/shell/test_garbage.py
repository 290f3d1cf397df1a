"""What lives as long as the prompt is not looked through for garbage: that would hold up whoever types."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.shell import garbage

HOSTS = 3000


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


class Node:
    """Something that stands for an inventory."""

    other: Node


def is_looked_through(wanted: object) -> bool:
    return any(found is wanted for found in gc.get_objects())


def test_what_is_there_is_left_alone_and_what_comes_later_is_not(thawed: None) -> None:
    before = Node()
    garbage.leave_alone()
    later = Node()
    assert not is_looked_through(before)
    assert is_looked_through(later)


def test_what_was_left_alone_and_is_replaced_does_not_stay_for_ever(thawed: None) -> None:
    old = Node()
    old.other = old  # only the collector can clear it away
    garbage.leave_alone()
    del old
    garbage.leave_alone_anew()
    gc.unfreeze()
    assert not any(isinstance(found, Node) for found in gc.get_objects())


def test_an_inventory_is_left_alone_from_the_start_and_after_a_reload(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.touch(mode=0o600)
    inventory.write_text("".join(f"[host:n{number:04}]\naddress = 127.0.0.1\n" for number in range(HOSTS)))
    program = tmp_path / "asks.py"
    # asked where the answer of a line is printed: nothing of ours knows it
    program.write_text(
        "import gc, sys\n"
        "from hostshell.__main__ import main\n"
        "from hostshell.inventory.model import Inventory\n"
        "from hostshell.shell import commands\n"
        "words = commands.Shell.line\n"
        "def line(shell, text):\n"
        "    code = words(shell, text)\n"
        "    inventory = shell.session.inventory\n"
        "    print(text, gc.isenabled(), not any(found is inventory for found in gc.get_objects()))\n"
        "    return code\n"
        "commands.Shell.line = line\n"
        "sys.exit(main())\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(program), "-i", str(inventory), "-c", "use", "-c", "reload"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert [line for line in done.stdout.splitlines() if line.startswith(("use ", "reload "))] == [
        "use True True",
        "reload True True",
    ]
