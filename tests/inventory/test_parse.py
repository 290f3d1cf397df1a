"""The text of a hosts.ini: values byte for byte, lines, and what configparser would have swallowed."""

from __future__ import annotations

import configparser
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.inventory.parse import parse


def error(text: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        parse(text, "hosts.ini")
    return caught.value


def values(text: str) -> dict[str, str]:
    return {key: value.text for section in parse(text, "hosts.ini") for key, value in section.values.items()}


def test_sections_come_in_order_with_their_lines() -> None:
    text = "# a comment\n\n[host:web[01-20]]\naddress = a\n; another\nport=22\n\n  [group:g]\nhosts = h\n"
    found = parse(text, "hosts.ini")
    assert [(section.header, section.line) for section in found] == [("host:web[01-20]", 3), ("group:g", 8)]
    assert [(key, value.text, value.line) for key, value in found[0].values.items()] == [
        ("address", "a", 4),
        ("port", "22", 6),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "any;thing#100%",
        "%(user)s ${x} $$",
        "a = b = c",
        "'quoted' \"twice\"",
        "two  blanks\tand a tab",
        "; a semicolon first",
        "# a hash first",
        "[brackets]",
        "pässwörd€🔑",
        "back\\slash\\n",
        "a: b",
        "\u00a0x\u2028y",
    ],
)
def test_a_value_is_taken_byte_for_byte(text: str) -> None:
    assert values(f"[host:h1]\npassword = {text}\nuser = u\n")["password"] == text.strip()


_password = (
    st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)


@given(_password, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["=", " = ", "\t=  "]))
def test_any_password_is_taken_byte_for_byte(text: str, end: str, equals: str) -> None:
    assert values(f"[host:h1]{end}password{equals}{text}{end}user=u{end}") == {"password": text, "user": "u"}


def test_the_last_line_needs_no_end() -> None:
    assert values("[host:h1]\npassword = x") == {"password": "x"}


def test_a_byte_order_mark_and_crlf_are_tolerated() -> None:
    found = parse("\ufeff[host:h1]\r\nport = 22\r\n\r\n[host:h2]\r\n", "hosts.ini")
    assert [(section.header, section.line) for section in found] == [("host:h1", 1), ("host:h2", 4)]
    assert found[0].values["port"].text == "22"


def test_an_indented_section_is_read() -> None:
    assert values("[host:h1]\n  port = 22\n  user = u\n") == {"port": "22", "user": "u"}


def test_keys_keep_their_case() -> None:
    assert values("[host:h1]\nPort = 22\n") == {"Port": "22"}


def test_the_default_section_of_configparser_is_a_section_like_others() -> None:
    found = parse("[DEFAULT]\nuser = x\n[host:h1]\nport = 1\n", "hosts.ini")
    assert [(section.header, list(section.values)) for section in found] == [
        ("DEFAULT", ["user"]),
        ("host:h1", ["port"]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[host:h1]\npassword = abc\n  def\n", "hosts.ini:3: an indented line would join the value above"),
        ("[host:h1]\npassword = abc\n  port = 22\n", "hosts.ini:3: an indented line would join the value above"),
        ("[host:h1]\npassword = abc\n [host:h2]\n", "hosts.ini:3: an indented line would join the value above"),
        ("[host:h1] port = 22\n", "hosts.ini:1: text after the section's closing bracket"),
        ("[host:h1] # one\n", "hosts.ini:1: text after the section's closing bracket"),
        ("[host:h1]]\n", "hosts.ini:1: text after the section's closing bracket"),
        ("[host:h1] [host:h2]\n", "hosts.ini:1: text after the section's closing bracket"),
        ("[host:web[01-20]\n", "hosts.ini:1: a section's bracket is not closed"),
        ("[]\n", "hosts.ini:1: a section without a name"),
        ("[host:h1]\n\nport\n", "hosts.ini:3: no `=` in this line"),
        ("[host:h1]\nport: 22\n", "hosts.ini:2: no `=` in this line"),
        ("[host:h1]\n= 22\n", "hosts.ini:2: no name before the `=`"),
        ("[host:h1]\nport =\n", "hosts.ini:2: `port` has no value"),
        ("[host:h1]\nport =  \t\r\n", "hosts.ini:2: `port` has no value"),
        ("port = 22\n[host:h1]\n", "hosts.ini:1: `port` stands before the first section"),
        ("[host:h1]\nport = 1\nuser = u\nport = 2\n", "hosts.ini:4: `port` stands in line 2 of this section already"),
        ("[host:h1]\n[host:h2]\n[host:h1]\n", "hosts.ini:3: [host:h1] stands in line 1 already"),
        ("[host:h1]\nuser = a\0b\n", "hosts.ini:2: a NUL byte: this is no text file"),
        ("[host:h1]\ruser = a\r", "hosts.ini:1: a carriage return in the middle of a line"),
        ("\x1b[2J = 1\n", "hosts.ini:1: `^[[2J` stands before the first section"),
    ],
)
def test_what_configparser_would_swallow_is_an_error_with_its_line(text: str, message: str) -> None:
    assert error(text).message == message


@pytest.mark.parametrize("line", ["hunter2", "  hunter2", "hunter2 x", "[hunter2", "a\0hunter2", "a\rhunter2"])
def test_no_error_shows_the_line_for_it_may_be_a_password(line: str) -> None:
    assert "hunter2" not in str(error(f"[host:h1]\npassword = abc\n{line}\n"))


def test_a_value_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(parse("[host:h1]\npassword = hunter2\n", "hosts.ini"))


_line = st.one_of(
    st.sampled_from(
        [
            "[host:h1]",
            "[a]",
            " [b]",
            "x = 1",
            " y = 2",
            "  z=3",
            "# c",
            "",
            "\t",
            "w",
            "[c] d",
            "=",
            "v = [",
            "\x1cq = 1",
        ]
    ),
    st.text("[]=#; \tab\n\r\x0b\x85\u2028", max_size=8),
)


@given(st.lists(_line, max_size=8).map("\n".join))
def test_whatever_is_read_is_what_plain_configparser_reads(text: str) -> None:
    plain = configparser.RawConfigParser(
        delimiters=("=",),
        comment_prefixes=("#", ";"),
        interpolation=None,
        default_section="\0",
        strict=False,
        empty_lines_in_values=False,  # an empty line and a comment end a value, as the tests above say
    )
    plain.optionxform = str
    try:
        found = parse(text, "hosts.ini")
    except InventoryError as refused:
        assert refused.message.startswith("hosts.ini:")  # and no other error comes out
        return
    plain.read_string(text.replace("\r\n", "\n"))
    assert [section.header for section in found] == plain.sections()
    for section in found:
        ours = {key: value.text for key, value in section.values.items()}
        assert ours == {key: value.strip() for key, value in plain.items(section.header)}


_near = st.lists(
    st.sampled_from(
        [
            "[host:h1]",
            "[",
            "]",
            "\n",
            "\r",
            "\r\n",
            " ",
            "\t",
            "x",
            "=",
            "#",
            ";",
            "\ufeff",
            "\0",
            "\x0b",
            "\x85",
            "\u2028",
        ]
    )
    | st.text(max_size=3),
    max_size=14,
).map("".join)


@settings(deadline=None)
@given(_near)
def test_any_text_is_read_or_refused_with_file_and_line(text: str) -> None:
    try:
        found = parse(text, "hosts.ini")
    except InventoryError as refused:
        assert re.match(r"hosts\.ini:[0-9]+: ", refused.message)
        assert refused.message == clean(refused.message)
        assert len(refused.message) < 400
        return
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    for section in found:
        assert section.header in lines[section.line - 1]
        for key, value in section.values.items():
            assert key in lines[value.line - 1] and value.text in lines[value.line - 1]
