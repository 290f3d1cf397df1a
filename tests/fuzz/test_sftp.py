"""SFTP's requests and answers: whatever comes, each verb answers, refuses, or says that the server is out of order."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.ssh import exchange, listing
from hostshell.ssh import sftp as sftp_module
from hostshell.ssh.crew import Crew
from hostshell.ssh.exchange import MAX_PACKET, WINDOW, Exchange
from hostshell.ssh.remotefiles import SftpGone
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import Attributes, Kind, SftpError
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.sftp_peer import DIRECTORY, LINK, Line, Node, Server, Wire, text

LIMITS = text(b"limits@openssh.com") + text(b"1")
EVERYTHING = LIMITS + text(b"posix-rename@openssh.com") + text(b"1") + text(b"statvfs@openssh.com") + text(b"2")


def tree() -> Node:
    file, link = Node(content=b"content"), Node(LINK, b"file")
    return Node(DIRECTORY, names=[(b"file", file), (b"link", link), (b"d", Node(DIRECTORY, names=[(b"x", file)]))])


def start(wire: Wire) -> Sftp:
    return Sftp.over(Line(wire), lambda: False)


async def _read(sftp: Sftp) -> None:
    await (await sftp.open(b"/file")).stat()


async def _drop(sftp: Sftp) -> None:
    (await sftp.open(b"/file")).abandon()


async def _write(sftp: Sftp) -> None:
    await (await sftp.create(b"/new")).finish(Attributes(mode=0o600), sync=True)


VERBS: dict[str, Callable[[Sftp], Coroutine[Any, Any, object]]] = {
    "stat": lambda sftp: sftp.stat(b"/file"),
    "lstat": lambda sftp: sftp.stat(b"/link", follow=False),
    "open": _read,
    "drop": _drop,
    "close": _write,
    "setstat": lambda sftp: sftp.setstat(b"/file", Attributes(mode=0o600)),
    "mkdir": lambda sftp: sftp.mkdir(b"/new"),
    "readlink": lambda sftp: sftp.readlink(b"/link"),
    "replace": lambda sftp: sftp.replace(b"/file", b"/other"),
    "keep": lambda sftp: sftp.keep(b"/file", b"/other"),
    "disk": lambda sftp: sftp.file_system(b"/"),
    "list": lambda sftp: sftp.list(b"/"),
    "remove": lambda sftp: sftp.remove(b"/file"),
}


def ask(sftp: Sftp, verb: str) -> object:
    """The verb's result."""
    return Crew(sftp).run(VERBS[verb](sftp))


def told(error: SftpGone | SftpError) -> None:
    """An error is a sentence that can be shown as it stands, and not a long one."""
    sentence = error.message if isinstance(error, SftpGone) else error.text
    assert sentence == clean(sentence)
    assert len(sentence) < 2000


@effort(200)
@given(st.binary(max_size=80) | damaged(text(b"\x02\0\0\0\x03" + EVERYTHING)), st.integers(1, 40))
@example(b"Welcome!\r\n\x1b[2JThis account is not available.\n", 7)
@example(struct.pack(">IBI", 2**32 - 1, 2, 3), 40)
def test_any_greeting_is_taken_or_refused(greeting: bytes, piece: int) -> None:
    try:
        start(Wire(None, unasked=greeting, piece=piece))
    except (SftpGone, SftpError) as error:
        told(error)


@effort(250)
@given(st.data(), st.lists(st.sampled_from(sorted(VERBS)), min_size=1, max_size=5), st.integers(1, 64))
def test_answers_that_are_spoiled_are_answers_or_errors_and_the_verb_ends(
    data: st.DataObject, verbs: list[str], piece: int
) -> None:
    server = Server(tree(), extensions=EVERYTHING.removeprefix(LIMITS))
    sftp = start(Wire(server, piece=piece))
    server.spoil = lambda packet: data.draw(damaged(packet))
    for verb in verbs:
        try:
            ask(sftp, verb)
        except SftpError as error:
            told(error)
        except SftpGone as error:
            told(error)
            with pytest.raises(SftpGone):  # and once the server is out of order, nothing is believed any more
                ask(sftp, "stat")
            return


@effort(150)
@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 4), st.binary(max_size=20)), max_size=6))
def test_answers_with_any_number_are_for_a_request_of_that_number_or_refused(
    answers: list[tuple[Kind, int, bytes]],
) -> None:
    packets = [text(bytes([kind]) + struct.pack(">I", number) + rest) for kind, number, rest in answers]
    channel = Wire(None, unasked=b"".join(packets))
    talk = Exchange(channel, lambda: False)
    asked = {talk.send(Kind.STAT, text(b"/")), talk.send(Kind.STAT, text(b"/"))}
    forgotten = talk.send(Kind.STAT, text(b"/"))
    talk.forget([forgotten])
    got = []
    with pytest.raises(SftpGone) as gone:
        while True:
            got.append(talk.next_answer().number)
    told(gone.value)
    assert len(got) == len(set(got)) and asked.issuperset(got)


@pytest.mark.parametrize("length", [0, 4, MAX_PACKET + 1, 2**31, 2**32 - 1])
def test_a_packet_of_an_impossible_size_is_refused_before_any_of_it_is_kept(length: int) -> None:
    taken = 0

    class Counted(Wire):
        def recv(self, size: int) -> bytes:
            nonlocal taken
            piece = super().recv(size)
            taken += len(piece)
            return piece

    channel = Counted(None, unasked=struct.pack(">I", length) + bytes(10_000), piece=100)
    talk = Exchange(channel, lambda: False)
    talk.send(Kind.STAT, text(b"/"))
    with pytest.raises(SftpGone, match=f"a packet of {length} bytes"):
        talk.next_answer()
    assert taken <= 100


class Generous(Server):
    """Lists ``entries`` names of ``length`` bytes for ever, ``count`` in an answer."""

    count, length = 100, 200

    def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
        if kind != Kind.READDIR:
            return super()._answer(kind, body)
        name = text(b"n" * self.length) + text(b"") + struct.pack(">I", 0)
        return Kind.NAME, struct.pack(">I", self.count) + name * self.count


@pytest.mark.parametrize(
    ("count", "length"), [(0, 0), (1, 1), (500, 100), (1, 400_000), (100, 5_000)], ids=lambda value: str(value)
)
def test_a_listing_without_an_end_has_one_here_in_names_and_in_bytes(
    count: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_ENTRIES", 2_000)
    monkeypatch.setattr(listing, "MAX_NAMES", 1_000_000)
    server = Generous(tree())
    server.count, server.length = count, length
    sftp = start(Wire(server))
    with pytest.raises(SftpError, match="in one directory"):
        ask(sftp, "list")
    assert ask(sftp, "stat") is not None  # the session goes on


def test_a_handle_is_no_longer_than_the_protocol_says() -> None:
    class Wordy(Server):
        def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
            return (Kind.HANDLE, text(b"h" * 257)) if kind in (Kind.OPEN, Kind.OPENDIR) else super()._answer(kind, body)

    sftp = start(Wire(Wordy(tree())))
    for verb in ("open", "list"):
        with pytest.raises(SftpError, match="handle"):
            ask(sftp, verb)


def learn(sftp: Sftp) -> None:
    """Ask so often that the server's limits have come by, too: it answers in any order."""
    for _ in range(20):
        ask(sftp, "stat")


@effort(60)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4))
def test_any_limits_of_a_server_leave_chunks_that_work(limits: list[int]) -> None:
    class Limited(Server):
        def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
            if kind == Kind.EXTENDED:
                return Kind.EXTENDED_REPLY, struct.pack(">4Q", *limits)
            return super()._answer(kind, body)

    sftp = start(Wire(Limited(tree(), extensions=LIMITS)))
    learn(sftp)
    assert 0 < sftp.read_chunk <= sftp_module.BEST_CHUNK < MAX_PACKET
    assert 0 < sftp.write_chunk <= sftp_module.BEST_CHUNK


@pytest.mark.parametrize(
    ("packet", "writes", "chunk"),
    [
        (262_144, 261_120, 261_120),  # OpenSSH's
        (131_072, 0, 130_048),  # a packet has a header
        (131_072, 200_000, 130_048),
        (34_000, 0, 32_976),
        (100, 0, 32_768),
        (0, 0, 261_120),
        (0, 65_536, 65_536),
    ],
)
def test_a_write_fits_into_a_packet_of_the_server(packet: int, writes: int, chunk: int) -> None:
    class Limited(Server):
        def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
            if kind == Kind.EXTENDED:
                return Kind.EXTENDED_REPLY, struct.pack(">4Q", packet, 0, writes, 0)
            return super()._answer(kind, body)

    sftp = start(Wire(Limited(tree(), extensions=LIMITS)))
    learn(sftp)
    assert sftp.write_chunk == chunk


def test_what_waits_in_memory_is_bounded_by_a_window_and_a_packet() -> None:
    asked: list[int] = []

    class Watched(Wire):
        def recv(self, size: int) -> bytes:
            asked.append(size)
            return super().recv(size)

    sftp = start(Watched(Server(tree())))
    ask(sftp, "stat")
    assert max(asked) <= WINDOW == exchange.WINDOW
