"""Remote text made safe: no host moves the cursor, sets a title or forges another's prefix (FAULTS row 26)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.clean import clean, clean_lines, decode


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("tab\tstays", "tab\tstays"),
        ("día ünïcode 漢字", "día ünïcode 漢字"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x1b[2J\x1b[1;1H", "^[[2J^[[1;1H"),
        ("\x1b]52;c;aGk=\x1b\\", "^[]52;c;aGk=^[\\"),
        ("\x1bP+q\x1b\\", "^[P+q^[\\"),
        ("\x9b31m", "\\x9b31m"),
        ("back\x08space", "back^Hspace"),
        ("del\x7f", "del^?"),
        ("nul\x00", "nul^@"),
        ("a\u202eb", "a<U+202E>b"),
        ("a\u2066b", "a<U+2066>b"),
        ("a\u2028web02: forged", "a<U+2028>web02: forged"),
    ],
)
def test_what_could_act_on_the_terminal_is_shown_instead(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(text, colour=True) == shown


def test_bytes_that_are_not_utf8_are_shown_as_numbers() -> None:
    assert clean(decode(b"caf\xe9")) == "caf\\xe9"


def test_colour_passes_on_a_terminal_and_is_reset_at_the_lines_end() -> None:
    assert clean("\x1b[31mred", colour=True) == "\x1b[31mred\x1b[0m"


def test_colour_is_shown_visibly_when_there_is_no_terminal() -> None:
    assert clean("\x1b[31mred") == "^[[31mred"


@pytest.mark.parametrize("hidden", ["8", "08", "008"])
def test_conceal_does_not_pass(hidden: str) -> None:
    assert clean(f"\x1b[{hidden}msecret", colour=True) == "secret"
    assert clean(f"\x1b[1;{hidden}mx", colour=True) == "\x1b[1mx\x1b[0m"


def test_colour_number_eight_is_no_conceal() -> None:
    assert clean("\x1b[38;5;8mgrey", colour=True) == "\x1b[38;5;8mgrey\x1b[0m"
    assert clean("\x1b[38;2;8;8;8mgrey", colour=True) == "\x1b[38;2;8;8;8mgrey\x1b[0m"


def test_every_line_of_a_block_stands_under_its_prefix() -> None:
    assert clean_lines("a\nb\n", "h1: ") == "h1: a\nh1: b\n"
    assert clean_lines("a\x1b[Kb\n\nc\n", "h1: ") == "h1: a^[[Kb\nh1: \nh1: c\n"


def test_a_terminal_that_does_not_know_underline_colours_cannot_read_conceal_from_one() -> None:
    assert clean("\x1b[58;5;8mx", colour=True) == "x"
    assert clean("\x1b[1;58;2;8;8;8;4mx", colour=True) == "\x1b[1;4mx\x1b[0m"


@given(st.text())
def test_no_control_character_survives_without_colour(text: str) -> None:
    for char in clean(text):
        assert char == "\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


@given(st.text(alphabet="\x1b[0123456789;:mKHJx\x9b\x07\n"))
def test_with_colour_only_sgr_survives(text: str) -> None:
    shown = clean(text, colour=True)
    for piece in shown.split("\x1b")[1:]:
        assert piece.startswith("[")
        assert piece[1:].lstrip("0123456789;:").startswith("m")
    if "\x1b" in shown:
        assert shown.endswith("\x1b[0m")
