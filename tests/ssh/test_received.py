"""A channel's buffer gives what paramiko's own gives, in the same order, and costs no more than it holds."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout

from hostshell.ssh.received import MOST, SMALL, Received

SIZES = (0, 1, 7, SMALL - 1, SMALL, SMALL + 1, 32 * 1024, MOST - 1, MOST, MOST + 1)
steps = st.lists(st.tuples(st.sampled_from(["feed", "read", "empty"]), st.sampled_from(SIZES)), min_size=1, max_size=40)


@given(steps)
def test_it_gives_the_bytes_in_order_and_knows_how_many_there_are(steps: list[tuple[str, int]]) -> None:
    pipe, plain = Received(), BufferedPipe()
    fed = 0
    for verb, size in steps:
        if verb == "feed":
            data = bytes((fed + at) % 251 for at in range(min(size, 300))) + bytes(max(0, size - 300))
            fed += size
            pipe.feed(data)
            plain.feed(data)
        elif verb == "empty":
            assert pipe.empty() == plain.empty()
        elif len(plain):
            got = pipe.read(size)
            assert len(got) == min(size, MOST, len(plain))
            assert got == plain.read(len(got)) if got else size == 0
        assert len(pipe) == len(plain)
        assert pipe.read_ready() == plain.read_ready()


def test_a_read_waits_for_what_is_fed_and_ends_with_the_pipe() -> None:
    pipe = Received()
    with pytest.raises(PipeTimeout):
        pipe.read(10, 0.0)
    threading.Timer(0.05, pipe.feed, [b"late"]).start()
    assert pipe.read(10, 20.0) == b"late"
    threading.Timer(0.05, pipe.close).start()
    assert pipe.read(10, 20.0) == b""


def test_an_event_is_set_while_there_is_something() -> None:
    pipe, event = Received(), threading.Event()
    pipe.set_event(event)
    assert not event.is_set()
    pipe.feed(b"x" * (MOST + 1))
    assert event.is_set()
    pipe.read(MOST)
    assert event.is_set()
    pipe.read(1)
    assert not event.is_set()


@pytest.mark.parametrize("sizes", [(1,), (SMALL - 1,), (1, SMALL), (SMALL, 1, 1)])
def test_small_messages_cost_little_more_than_their_bytes(sizes: tuple[int, ...]) -> None:
    """A server may send a window of output in messages of one byte."""
    pipe = Received()
    for _ in range(4096):
        for size in sizes:
            pipe.feed(bytes(size))
    messages = pipe._buffer
    held = sum(map(sys.getsizeof, messages._pieces)) + sys.getsizeof(messages._tail)
    assert held < 1.3 * len(pipe) + 4096


def test_a_message_of_output_is_not_copied_before_it_is_read() -> None:
    pipe = Received()
    message = bytes(SMALL)
    pipe.feed(message)
    assert pipe.read(MOST) is message
