"""The pages for who comes from another tool: every line of ours in their tables means something."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from hostshell.__main__ import _parser
from hostshell.core.commands import command_named
from hostshell.core.grammar import parse_line, parse_words

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("ansible", "clush", "pdsh", "pssh", "polysh-and-fabric")
_CELLS = re.compile(r"(?<!\\)\|")


def lines_of(page: str) -> list[str]:
    """What stands in the second column of the page's tables, each in its own ticks."""
    found: list[str] = []
    for row in page.splitlines():
        if row.startswith("| ") and not row.endswith("| hostshell |"):
            _, theirs, ours, _ = _CELLS.split(row)
            assert "`" in theirs
            if ours.strip().startswith(("none:", "nothing:")):
                continue
            spans = re.findall(r"`([^`]+)`", ours.replace("\\|", "|"))
            assert spans, row
            found += spans
    return found


EVERY = [(name, line) for name in PAGES for line in lines_of((DOCS / f"coming-from-{name}.md").read_text("utf-8"))]


@pytest.mark.parametrize(("page", "line"), EVERY)
def test_every_line_of_ours_means_something(page: str, line: str) -> None:
    if line.startswith("-"):
        line = f"batch_run {line} -cmd true"  # an option alone
    words = shlex.split(line)
    if words[0] == "hostshell":
        options = _parser().parse_args(words[1:])
        if not options.command:  # the prompt
            return
        words = options.command
        assert parse_words(words) is not None
    else:
        assert parse_line(line) is not None, page
    command = command_named("!" if line.startswith("!") else words[0])
    assert command is not None
    if command.positional != "rest":
        for word in itertools.takewhile(lambda word: word != "--", words[1:]):
            assert not re.fullmatch(r"--?[a-z][a-z-]*", word) or command.option(word) is not None, word


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_linked_and_says_enough(page: str) -> None:
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    assert f"docs/coming-from-{page}.md" in readme
    assert len([name for name, _ in EVERY if name == page]) >= 8
