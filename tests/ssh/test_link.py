"""The socket under a transport: reads that wait for ever and still end, one deadline, messages that travel together."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hostshell.ssh.deadlines import Deadlines
from hostshell.ssh.link import Link, LinkFlood

PATIENCE = 20.0  # seconds; far more than anything here takes


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        theirs.settimeout(PATIENCE)
        yield ours, theirs


def in_background(body: object) -> tuple[threading.Thread, list[object]]:
    """Run ``body`` in a thread; what it gave or raised."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(body())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def test_a_close_from_another_thread_wakes_a_read_that_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0])
    thread, found = in_background(lambda: link.read_exactly(1))
    link.close()
    thread.join(PATIENCE)
    assert [type(each) for each in found] == [EOFError]
    assert not link.expired


def test_a_close_from_another_thread_wakes_a_write_that_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0])
    thread, found = in_background(lambda: link.send(bytes(64 * 1024 * 1024)))  # nobody reads
    time.sleep(0.05)
    link.close()
    thread.join(PATIENCE)
    assert len(found) == 1
    assert isinstance(found[0], OSError)


def test_the_deadline_ends_a_link_however_steadily_bytes_drip_in(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0], deadline=time.monotonic() + 0.3)
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.02):
            ends[1].sendall(b"x")

    dripping, _ = in_background(drip)
    thread, found = in_background(lambda: link.read_line())
    thread.join(PATIENCE)
    ended.set()
    dripping.join(PATIENCE)
    assert [type(each) for each in found] == [EOFError]
    assert link.expired


def test_a_deadline_that_was_taken_away_ends_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0], deadline=time.monotonic() + 0.1)
    link.deadline = None
    other = Link(socket.socketpair()[0], deadline=time.monotonic() + 0.2)  # its end shows that the time has passed
    until = time.monotonic() + PATIENCE
    while not other.expired and time.monotonic() < until:
        time.sleep(0.01)
    assert other.expired
    ends[1].sendall(b"line\n")
    assert link.read_line() == b"line"


def test_what_is_kept_goes_before_what_is_sent_next(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0])
    link.cork()
    link.send(b"one,")
    link.send(b"two,")
    ends[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[1].recv(1)
    link.uncork()
    link.send(b"three")
    ends[1].settimeout(PATIENCE)
    heard = b""
    while len(heard) < len(b"one,two,three"):
        heard += ends[1].recv(100)
    assert heard == b"one,two,three"


def test_lines_and_pieces_come_from_one_buffer(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0])
    ends[1].sendall(b"first\r\nsecond\nrest")
    assert link.read_line() == b"first\r"
    assert link.read_line() == b"second"
    assert link.read_exactly(2) == b"re"
    assert link.recv(100) == b"st"


def test_more_than_an_honest_handshake_ends_it(ends: tuple[socket.socket, socket.socket]) -> None:
    link = Link(ends[0], budget=1000)
    ends[1].sendall(bytes(2000))
    with pytest.raises(LinkFlood):
        link.read_exactly(2000)


def test_alarms_ring_in_the_order_of_their_times_and_dropped_ones_do_not() -> None:
    deadlines, rung, done = Deadlines(), [], threading.Event()
    now = time.monotonic()
    deadlines.set(now + 0.15, lambda: (rung.append("late"), done.set()))
    deadlines.set(now + 0.10, lambda: rung.append("dropped")).drop()
    deadlines.set(now + 0.05, lambda: rung.append("early"))
    assert done.wait(PATIENCE)
    assert rung == ["early", "late"]
