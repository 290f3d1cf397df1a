"""Remote text made safe: no host moves the cursor, sets a title or forges another's prefix (FAULTS row 26)."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
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


_TRICKS = st.lists(
    st.sampled_from(
        [
            "\x1b[",
            "\x1b]",
            "\x1b",
            "8",
            "38;5;",
            "38;2;",
            "58",
            ";",
            ":",
            "m",
            "0",
            "1",
            "\x9b",
            "\r",
            "\n",
            "\u202e",
            "K",
        ]
    )
    | st.sampled_from("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\ufeff\ufff9")
    | st.characters(),
    max_size=14,
).map("".join)
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")


@given(_TRICKS)
def test_with_colour_nothing_but_colour_is_left_to_obey(text: str) -> None:
    shown = clean(text, colour=True)
    for char in _SGR.sub("", shown):
        assert char == "\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert char not in _BIDI
    shown.encode("utf-8")
    if _SGR.search(shown):
        assert shown.endswith("\x1b[0m")


def conceals(parameters: str) -> bool:
    """Whether a terminal that knows 38 and 48, but not 58 (as xterm before 2019), hides what follows."""
    items = parameters.split(";")
    at = 0
    while at < len(items):
        number = items[at].partition(":")[0].lstrip("0")
        if number in ("38", "48") and items[at] == number:
            at += {"5": 2, "2": 4}.get(items[at + 1] if at + 1 < len(items) else "", 0)
        elif number == "8":
            return True
        at += 1
    return False


_PARAMETERS = [
    "8",
    "08",
    "38",
    "48",
    "58",
    "5",
    "2",
    "0",
    "1",
    "38:5:8",
    "8:1",
    "255",
    "",
    "058",
    "5;8",
    "2;8;8;8",
    "2;1",
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(_PARAMETERS), max_size=5))
def test_no_sequence_of_colours_conceals(parameters: list[str]) -> None:
    shown = clean(f"\x1b[{';'.join(parameters)}mhidden?", colour=True)
    for kept in _SGR.findall(shown):
        assert not conceals(kept)
    assert "hidden?" in shown


@given(_TRICKS)
def test_what_has_been_cleaned_is_clean(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_what_can_be_seen_is_left_as_it_is(text: str) -> None:
    assert clean(text) == clean(text, colour=True) == text


@given(st.lists(_TRICKS.map(lambda text: text.replace("\n", "")), min_size=1), st.booleans())
def test_each_line_of_a_block_is_one_line_under_the_prefix(lines: list[str], colour: bool) -> None:
    block = clean_lines("".join(line + "\n" for line in lines), "web01: ", colour=colour)
    assert block == "".join(f"web01: {clean(line, colour=colour)}\n" for line in lines)
    assert block.count("\n") == len(lines)
    assert len(block.splitlines()) == len(lines)


@given(st.binary(max_size=60))
def test_any_bytes_are_shown_and_text_is_shown_as_it_is(raw: bytes) -> None:
    shown = clean(decode(raw))
    assert "\ufffd" not in shown or "\ufffd" in decode(raw)
    shown.encode("utf-8")
    assert len(shown) <= 8 * len(raw)
