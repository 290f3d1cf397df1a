"""What a program that was cut off leaves in a terminal is undone, and nothing is done where nothing is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.leftovers import Leftovers


def undo(*pieces: bytes) -> bytes:
    leftovers = Leftovers()
    for piece in pieces:
        leftovers.feed(piece)
    return leftovers.undo()


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (b"plain text\r\n\x1b[1mbold\x1b[0m", b""),
        (b"\x1b[?1049h", b"\x1b[?1049l"),
        (b"\x1b[?1049h\x1b[?1049l", b""),
        (b"\x1b[?25l", b"\x1b[?25h"),
        (b"\x1b[?25l\x1b[?25h", b""),
        (b"\x1b[?2004h", b"\x1b[?2004l"),
        (b"\x1b[?1000;1006h", b"\x1b[?1006l\x1b[?1000l"),
        (b"\x1b[?12h\x1b[?1034h\x1b[?1048h", b""),  # blinking, meta keys, a saved cursor: nothing that hurts
        (b"\x1b=", b"\x1b>"),
        (b"\x1b=\x1b>", b""),
        (b"\x1b(0", b"\x1b(B"),
        (b"\x0e", b"\x0f"),
        (b"\x1b[31mred", b"\x1b[0m"),
        (b"\x1b[31mred\x1b[m", b""),
        (b"\x1b[0;7mlight", b"\x1b[0m"),
        (b"\x1b[2;20r", b"\x1b7\x1b[r\x1b8"),
        (b"\x1b[?1049h\x1b[31m\x1bc", b""),  # it has reset the terminal itself
    ],
)
def test_what_is_left_is_undone(written: bytes, wanted: bytes) -> None:
    assert undo(written) == wanted


def test_undone_once() -> None:
    leftovers = Leftovers()
    leftovers.feed(b"\x1b[?1049h")
    assert leftovers.undo() == b"\x1b[?1049l"
    assert leftovers.undo() == b""


_PARTS = st.lists(
    st.sampled_from(
        [
            b"\x1b[?1049h",
            b"\x1b[?1049l",
            b"\x1b[?25l",
            b"\x1b[?25h",
            b"\x1b[31m",
            b"\x1b[m",
            b"\x1b=",
            b"\x1b>",
            b"text",
            b"\x1b",
            b"[",
            b"\x0e",
            b"\x0f",
            b"\x1bc",
        ]
    ),
    max_size=8,
)


@given(_PARTS, st.integers(1, 7))
def test_how_the_output_is_cut_makes_no_difference(parts: list[bytes], size: int) -> None:
    written = b"".join(parts)
    assert undo(*(written[at : at + size] for at in range(0, len(written), size))) == undo(written)


@given(st.binary())
def test_any_bytes_do(data: bytes) -> None:
    undo(data)
