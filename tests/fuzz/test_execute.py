"""A command's channel: any messages in any order end in a code, a signal, a lost link or a refusal, with all output."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.events import Stream
from hostshell.ssh.connect import Connection, Connector
from hostshell.ssh.execute import Ending, Execution, Refused
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.stopping import Stopper
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.ssh_peer import Peer, host

Message = Callable[[int], bytes]  # the channel's number to a message


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def message(kind: int, rest: bytes = b"") -> Message:
    return lambda number: bytes([kind]) + struct.pack(">I", number) + rest


OUT = st.binary(max_size=50)
CODES = st.sampled_from([0, 1, 127, 255, 256, 2**31, 2**32 - 1])
SIGNALS = st.sampled_from([b"KILL", b"TERM", b"SIGSEGV", b"\x1b[2J", b"\xff", b"", b"x" * 1000])
STAYS = st.integers(0, 9).map(lambda number: number > 0)  # whether the link outlives the command
SUCCESS, FAILURE, EOF = message(99), message(100), message(96)


def signal(name: bytes) -> Message:
    return message(98, text(b"exit-signal") + b"\0" + text(name) + b"\0" + text(b"core \x1b") + text(b""))


class Fleet:
    """One server and a connection to it that is made again when it was lost."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._connection: Connection | None = None

    def run(
        self,
        messages: list[Message],
        *,
        stays: bool = True,
        say: Callable[[Callable[[bytes], None], int], bool] | None = None,
        before_output: Callable[[], object] = lambda: None,
    ) -> tuple[Ending | LinkLost | Refused, bytes, bytes]:
        """How a command ended to which the server says ``messages``, and what was printed."""

        def say_messages(send: Callable[[bytes], None], number: int) -> bool:
            for each in messages:
                send(each(number))
            return stays

        self.peer.at_command = say or say_messages
        if self._connection is None or not self._connection.alive:
            self.close()
            self._connection = Connector().connect(host(self.peer), Stopper())
        got: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

        def emit(stream: Stream, data: bytes) -> None:
            before_output()
            got[stream] += data

        execution = Execution(self._connection.sessions, "true", emit, Stopper(), patience=10)
        try:
            ended: Ending | LinkLost | Refused = execution.run()
        except (LinkLost, Refused) as error:
            ended = error
            assert len(str(error)) < 500
            clean(str(error)).encode("utf-8")
        if not stays:  # the next command must not meet a link that dies under its hands
            self.close()
        return ended, got["stdout"], got["stderr"]

    @property
    def alive(self) -> bool:
        return self._connection is not None and self._connection.alive

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Peer() as peer:
        made = Fleet(peer)
        yield made
        made.close()


PRINTED = st.lists(
    st.builds(lambda data: ("stdout", data), OUT)
    | st.builds(lambda data: ("stderr", data), OUT)
    | st.just(("", b"no stream of that number")),
    max_size=8,
)


@effort(30)
@given(PRINTED, CODES | CODES | SIGNALS | SIGNALS | st.none(), st.integers(0, 8), st.booleans(), STAYS)
def test_output_comes_whole_and_the_end_is_told_wherever_it_stands(
    fleet: Fleet, printed: list[tuple[str, bytes]], how: int | bytes | None, at: int, eof: bool, stays: bool
) -> None:
    kinds = {
        "stdout": lambda data: message(94, text(data)),
        "stderr": lambda data: message(95, struct.pack(">I", 1) + text(data)),
        "": lambda data: message(95, struct.pack(">I", 7) + text(data)),
    }
    messages = [kinds[stream](data) for stream, data in printed]
    if isinstance(how, int):
        messages.insert(at, message(98, text(b"exit-status") + b"\0" + struct.pack(">I", how)))
    elif how is not None:
        messages.insert(at, signal(how))
    messages = [SUCCESS, *messages, *([EOF] if eof else [])]
    ended, out, err = fleet.run(messages, stays=stays)
    sent = {name: b"".join(data for stream, data in printed if stream == name) for name in ("stdout", "stderr")}
    if not stays:  # cut so hard that the last of it may not have arrived
        assert isinstance(ended, Ending) or (isinstance(ended, LinkLost) and ended.started)
        assert sent["stdout"].startswith(out) and sent["stderr"].startswith(err)
        return
    if isinstance(how, int):
        assert isinstance(ended, Ending) and (ended.exit_code, ended.signal) == (how, None)
    elif how is None:
        assert isinstance(ended, LinkLost) and ended.started
    else:
        assert isinstance(ended, Ending) and ended.exit_code is None
        assert ended.signal is not None and len(ended.signal) <= 32
        clean(ended.signal).encode("utf-8")
    assert (out, err) == (sent["stdout"], sent["stderr"])


_HONEST = [
    text(b"exit-status") + b"\0\0\0\0\0",
    text(b"exit-signal") + b"\0" + text(b"KILL") + b"\0" + text(b"") + text(b""),
    text(b"exit-signal"),
    text(b"keepalive@openssh.com") + b"\1",
    text(b"\xff\xfe") + b"\1",
    text(b"eow@openssh.com") + b"\0",
    text(b"window-change") + b"\1" + bytes(3),
    struct.pack(">I", 2**32 - 1),
    text(b"data"),
    struct.pack(">I", 1) + text(b"error"),
    b"",
]
_MESSAGES = st.builds(
    lambda kind, rest: message(kind, rest),
    st.sampled_from([*range(90, 101), 80, 81, 82, 1, 3, 4, 7, 20, 30, 50, 60, 200, 255]),
    st.sampled_from(_HONEST).flatmap(damaged) | st.binary(max_size=20),
)


@effort(20)
@given(st.lists(_MESSAGES, max_size=5), st.booleans(), STAYS)
@example([message(98, text(b"\xff\xfe") + b"\1")], True, True)
@example([message(200)], True, True)
@example([message(92)], True, True)
@example([message(80, b"\xff")], True, True)
def test_any_messages_end_in_an_ending_a_lost_link_or_a_refusal(
    fleet: Fleet, messages: list[Message], success: bool, stays: bool
) -> None:
    status = message(98, text(b"exit-status") + bytes(5))
    ended, _, _ = fleet.run([*([SUCCESS] if success else []), *messages, status], stays=stays)
    assert isinstance(ended, (Ending, LinkLost, Refused))


def test_a_server_that_sends_past_its_window_is_cut_off(fleet: Fleet) -> None:
    def flood(send: Callable[[bytes], None], number: int) -> bool:
        send(SUCCESS(number))
        for _ in range(4000):  # far more than the two kernels' buffers hold
            send(message(94, text(bytes(32_000)))(number))
        return True

    def nobody_reads() -> None:
        # until the link is cut no output is taken, so that all of it would wait in memory
        until = time.monotonic() + 20
        while fleet.alive and time.monotonic() < until:
            time.sleep(0.01)

    ended, out, _ = fleet.run([], say=flood, before_output=nobody_reads)
    assert isinstance(ended, LinkLost)
    assert len(out) <= 3 * 1024 * 1024
    fleet.close()


def test_after_all_that_an_honest_command_works(fleet: Fleet) -> None:
    status = message(98, text(b"exit-status") + b"\0\0\0\0\x03")
    ended, out, _ = fleet.run([SUCCESS, message(94, text(b"fine")), status, EOF])
    assert isinstance(ended, Ending) and (ended.exit_code, out) == (3, b"fine")
