"""Streams cut into lines: nothing lost, nothing joined, memory bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hostshell.core.lines import PIECE, LineCutter


def cut(*pieces: bytes) -> list[tuple[bytes, bool]]:
    cutter = LineCutter()
    found = [part for piece in pieces for part in cutter.feed(piece)]
    return found + cutter.end()


def lines(found: list[tuple[bytes, bool]]) -> list[tuple[bytes, bool]]:
    """One entry a line, without LF."""
    result = []
    for block, eol in found:
        if eol:
            result += [(line, True) for line in block[:-1].split(b"\n")]
        else:
            result.append((block, False))
    return result


def test_whole_lines_come_at_once_as_one_block() -> None:
    assert cut(b"a\nb\n") == [(b"a\nb\n", True)]


def test_a_last_line_without_newline_is_given_as_unfinished() -> None:
    assert cut(b"a\nb") == [(b"a\n", True), (b"b", False)]


def test_a_line_in_two_pieces_is_one_line() -> None:
    assert cut(b"he", b"llo\n") == [(b"hello\n", True)]


def test_cr_before_lf_is_dropped_also_when_the_piece_ends_between_them() -> None:
    assert lines(cut(b"a\r\nb\r", b"\nc\r\n")) == [(b"a", True), (b"b", True), (b"c", True)]


def test_a_lone_cr_ends_a_line_at_once() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"10%\r") == [(b"10%\n", True)]
    assert cutter.feed(b"20%\r") == [(b"20%\n", True)]
    assert cutter.end() == []


def test_an_empty_line_after_a_progress_bar_is_kept() -> None:
    assert lines(cut(b"10%\r", b"\n", b"\n")) == [(b"10%", True), (b"", True)]


def test_a_long_line_comes_in_bounded_pieces_and_keeps_every_byte() -> None:
    found = cut(b"x" * (3 * PIECE + 5) + b"\nnext\n")
    assert [(len(block), eol) for block, eol in found] == [
        (PIECE, False),
        (PIECE, False),
        (PIECE, False),
        (5 + 1 + 5, True),
    ]


def test_an_endless_line_never_waits_for_its_end() -> None:
    cutter = LineCutter()
    given = sum(len(block) for _ in range(100) for block, _ in cutter.feed(b"y" * 10_000))
    assert given >= 100 * 10_000 - PIECE


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\x00", b"\r").replace(b"\x01", b"\n"))))
def test_the_pieces_do_not_matter(pieces: list[bytes]) -> None:
    whole = lines(cut(b"".join(pieces)))
    assert lines(cut(*pieces)) == whole
    text = b"".join(pieces).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert b"".join(line + (b"\n" if eol else b"") for line, eol in whole) == text


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.sampled_from([b"x" * 7, b"\r", b"\n", b"\r\n", b"y" * (PIECE - 1), b"z" * PIECE, b"w" * (2 * PIECE + 1)])
    ),
    st.lists(st.integers(1, 3 * PIECE), min_size=1, max_size=5),
)
def test_long_lines_are_the_same_lines_however_they_arrive(parts: list[bytes], sizes: list[int]) -> None:
    whole = b"".join(parts)
    cutter, at, turn = LineCutter(), 0, 0
    found: list[tuple[bytes, bool]] = []
    while at < len(whole):
        size = sizes[turn % len(sizes)]
        found += cutter.feed(whole[at : at + size])
        assert len(cutter._rest) <= PIECE  # what waits is bounded
        at, turn = at + size, turn + 1
    found += cutter.end()
    assert lines(found) == lines(cut(whole))
    text = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert b"".join(block for block, _ in found) == text
    for line, _ in lines(found):
        assert len(line) <= PIECE
