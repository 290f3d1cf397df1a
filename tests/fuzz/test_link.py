"""The socket-like object under a transport: every byte once and in order, up to a budget, and an end to every read."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.ssh.link import Link, LinkFlood
from tests.fuzz.effort import effort

PIECES = st.lists(st.binary(max_size=300) | st.integers(0, 20_000).map(bytes), max_size=6)


@effort(100)
@given(PIECES, st.integers(1, 5000), st.none() | st.integers(0, 30_000))
def test_what_comes_is_read_once_and_in_order_up_to_the_budget(
    pieces: list[bytes], size: int, budget: int | None
) -> None:
    ours, theirs = socket.socketpair()
    link = Link(ours, budget=budget)
    said = b"".join(pieces)
    heard = bytearray()
    try:
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)
        try:
            while data := link.recv(size):
                assert len(data) <= size
                heard += data
        except LinkFlood:
            assert budget is not None and len(said) > budget and len(heard) <= budget
            assert said.startswith(heard)
        else:
            assert heard == said and (budget is None or len(said) <= budget)
        assert link.received <= len(said)
    finally:
        link.release()
        theirs.close()


@effort(20)
@given(st.binary(max_size=100), st.booleans())
def test_a_closed_link_gives_what_it_has_and_then_its_end(said: bytes, cut: bool) -> None:
    ours, theirs = socket.socketpair()
    link = Link(ours)
    try:
        theirs.sendall(said)
        first = link.recv(1) if said else b""
        if cut:
            theirs.close()
        link.close()
        rest = b""
        while data := link.recv(7):
            rest += data
        assert said.startswith(first + rest)
        with pytest.raises(OSError, match=r"\w"):
            link.send(b"x")
    finally:
        link.release()
        theirs.close()
