"""The keys of `connect` that are ours; everything else passes as it was typed, however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.escapes import Escapes, Typed


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [
        (b"~.", Typed(b"", leave=True)),
        (b"ls\r~.rest", Typed(b"ls\r", leave=True)),
        (b"ls\n~.", Typed(b"ls\n", leave=True)),
        (b"ls ~.", Typed(b"ls ~.")),
        (b"~?", Typed(b"", help=True)),
        (b"~?~.", Typed(b"", leave=True, help=True)),
        (b"~~", Typed(b"~")),
        (b"~~.", Typed(b"~.")),
        (b"\r~~~.", Typed(b"\r~~.")),
        (b"~x", Typed(b"~x")),
        (b"~\r~.", Typed(b"~\r", leave=True)),
        (b"~", Typed(b"")),
        (b"\x03\x1b[A\xff\x00", Typed(b"\x03\x1b[A\xff\x00")),
    ],
)
def test_a_tilde_counts_at_the_beginning_of_a_line(typed: bytes, outcome: Typed) -> None:
    assert Escapes().feed(typed) == outcome


_TYPED = st.lists(st.sampled_from([b"~", b".", b"?", b"\r", b"\n", b"a", b"\xff"]), max_size=12)


@given(_TYPED)
def test_how_the_input_is_cut_makes_no_difference(pieces: list[bytes]) -> None:
    whole = Escapes().feed(b"".join(pieces))
    escapes, data, help_wanted, left = Escapes(), b"", False, False
    for piece in pieces:
        typed = escapes.feed(piece)
        data += typed.data
        help_wanted |= typed.help
        if typed.leave:
            left = True
            break
    assert Typed(data, left, help_wanted) == whole


@given(st.binary().filter(lambda data: b"~" not in data))
def test_what_holds_no_tilde_passes_as_it_is(data: bytes) -> None:
    assert Escapes().feed(data) == Typed(data)
