"""Whatever text stands in an ssh_config: an answer, or one error with file and line; never anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.errors import InventoryError
from hostshell.inventory.sshconfig.answer import Answer, canonical
from hostshell.inventory.sshconfig.choose import Asked, Choosing
from hostshell.inventory.sshconfig.files import Section, Surroundings
from hostshell.inventory.sshconfig.hops import read_hops
from hostshell.inventory.sshconfig.keywords import READERS
from hostshell.inventory.sshconfig.lexer import words
from hostshell.inventory.sshconfig.parse import HostLine, IncludeLine, MatchLine, parse
from hostshell.inventory.sshconfig.patterns import in_list
from hostshell.inventory.sshlayer import fields, lay
from tests.fuzz.effort import effort

AROUND = Surroundings("/home/me", {"SET": "value", "HOME": "/home/me"})
_pieces = st.sampled_from(
    [*READERS, "Host", "Match", "host", "user", "final", "all", "exec", "tagged", "originalhost", "!", "=", '"', "'"]  # noqa: RUF005  # three lines to be read, in place of one word a line
    + ["\\", "#", "*", "?", ",", "%h", "%%", "%", "${SET}", "${", "$X", "~", "~root/", "none", "yes", "1", "1h", "-1"]
    + ["a@b:22", "[::1]:22", "ssh://u@h:1", "99999999999999999999", "\0", "\f", "\r", "\x1b[2J", "\udcff", "é", "h1"]
)
_blank = st.sampled_from([" ", "\t", "", " = ", "=", "  "])
_line = st.lists(st.tuples(_pieces, _blank), max_size=8).map(lambda parts: "".join(map("".join, parts)))
_text = st.one_of(st.text(max_size=200), st.lists(_line, max_size=12).map("\n".join))


def sections(text: str) -> list[Section]:
    found = [Section(-1, None, "config")]
    for line in parse(text, "config", AROUND.environ):
        if isinstance(line, (HostLine, MatchLine)):
            found.append(Section(-1, line, "config"))
        elif not isinstance(line, IncludeLine):
            found[-1].items.append(line)
    return found


@effort(200)
@given(_text, st.sampled_from(["h1", "WEB", "::1", "127.1", "a.example.net"]), st.sampled_from([None, "10.0.0.1"]))
def test_any_text_gives_an_answer_or_one_error_with_its_place(text: str, name: str, address: str | None) -> None:
    try:
        asked = Asked(name, "me", address)
        answer = Answer(asked, Choosing(sections(text), canonical).choose(asked), AROUND)
        lay({}, answer, ())
        fields(answer)
        answer.proxy_command()
        for row in answer.rows():
            assert isinstance(row.text, str)
    except InventoryError as error:
        file, line, _ = error.message.split(":", 2)
        assert file == "config"
        assert 1 <= int(line) <= text.count("\n") + 1


@effort(200)
@given(st.text(alphabet="*?ab!,", max_size=60), st.text(alphabet="ab", max_size=60))
def test_a_pattern_means_what_openssh_says_it_means(pattern: str, text: str) -> None:
    wanted = unwanted = False
    items = pattern.split(",")
    for item in items[:-1] if not items[-1] else items:
        if item.startswith("!"):
            unwanted = unwanted or slowly(text, item[1:])
        else:
            wanted = wanted or slowly(text, item)
    assert in_list(text, pattern) == (wanted and not unwanted)


def slowly(text: str, pattern: str) -> bool:
    """The textbook's way, in a table: does ``text`` match ``pattern``?"""
    row = [True] + [False] * len(text)
    for char in pattern:
        below = [row[0] and char == "*"]
        for at, letter in enumerate(text, 1):
            if char == "*":
                below.append(row[at] or below[at - 1])
            else:
                below.append(row[at - 1] and char in ("?", letter))
        row = below
    return row[-1]


@effort(200)
@given(st.lists(st.text(alphabet="ab \t\"'\\#=", min_size=1, max_size=12), max_size=6))
def test_words_that_are_quoted_come_back(texts: list[str]) -> None:
    quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'") + '"' for text in texts]
    assert words(" ".join(quoted)) == texts


@effort(200)
@given(st.text(alphabet="ab@:[],/%+;#. 0123456789sh-", max_size=40))
def test_hops_are_read_or_refused(text: str) -> None:
    try:
        hops = read_hops(text)
    except ValueError:
        return
    for hop in hops:
        assert hop.host


@pytest.mark.parametrize("pattern", ["*a" * 200 + "b", "?*" * 200, "*" * 5000])
def test_a_pattern_that_would_take_for_ever_does_not(pattern: str) -> None:
    assert in_list("a" * 255, pattern) is ("b" not in pattern)
