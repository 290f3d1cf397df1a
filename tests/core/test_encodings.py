"""Encodings that will do and those that will not; text to bytes and back without loss."""

from __future__ import annotations

import pytest

from hostshell.core.encodings import UnfitEncoding, decode, encode, known_encoding
from hostshell.core.events import Block, Output

GOOD = ("utf-8", "gbk", "GB18030", "big5", "shift_jis", "euc_jp", "euc-kr", "latin-1", "cp1252", "koi8-r", "ascii")


@pytest.mark.parametrize("name", GOOD)
def test_what_is_ascii_beyond_its_own_letters_will_do(name: str) -> None:
    assert encode("plain / text\n", known_encoding(name)) == b"plain / text\n"


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "utf-7", "cp037", "hz", "iso2022_jp", "punycode"])
def test_where_ascii_is_something_else_lines_cannot_be_cut(name: str) -> None:
    with pytest.raises(UnfitEncoding, match="ASCII"):
        known_encoding(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gbkk", "did you mean gbk?"),
        ("latin_11", "did you mean latin"),
        ("rot13", ""),
        ("base64", ""),
        ("", "as in"),
        ("\0", ""),
    ],
)
def test_an_unknown_one_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UnfitEncoding) as caught:
        known_encoding(name)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", GOOD)
def test_any_bytes_come_back_as_they_were(name: str) -> None:
    encoding = known_encoding(name)
    for raw in (bytes(range(128, 256)), bytes(range(256)), b"\xff", b"\x81", b"a\xe9 b", b"\xb0\xa1\xff\xb0"):
        assert encode(decode(raw, encoding), encoding) == raw, raw


@pytest.mark.parametrize("name", GOOD)
def test_no_newline_is_ever_part_of_a_character(name: str) -> None:
    encoding = known_encoding(name)
    for lead in range(0x80, 0x100):
        for second in range(0x30, 0x100):
            assert decode(bytes([lead, second, 0x0A]), encoding).endswith("\n")


def test_output_is_text_of_its_host() -> None:
    raw = "磁盘已满".encode("gbk")
    line = Output(1, "h1", "stdout", raw, encoding="gbk")
    assert (line.data, line.data_base64) == ("磁盘已满", None)
    assert Output(1, "h1", "stdout", raw).data_base64 is not None
    broken = Output(1, "h1", "stdout", b"ok\xff", encoding="gbk")
    assert (broken.data, broken.data_base64) == ("ok\ufffd", "b2v/")
    assert [one.data for one in Block(1, "h1", "stdout", raw + b"\n" + raw, eol=False, encoding="gbk").lines()] == [
        "磁盘已满"
    ] * 2
