"""The bytes of a file against a scripted server: answers in any order, short answers, late failures, and its bounds."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from hostshell.ssh.crew import Crew, reply
from hostshell.ssh.pipeline import FIRST_FLOW, MAX_BYTES, MAX_FLOW, MAX_REQUESTS, Flow, SftpDownload, SftpUpload
from hostshell.ssh.remotefiles import FileShrank
from hostshell.ssh.sftpwire import END_OF_FILE, FAILURE, OK, Answer, Attributes, Kind, Reader, SftpError, pack_string

HANDLE = b"handle"


class Scripted:
    """Holds a file as a server does, and answers requests in random order. ``short`` cuts every answer to a read."""

    stopping = False

    def __init__(self, content: bytes = b"", *, short: bool = False, chunk: int = 1000, seed: int = 1) -> None:
        self.content = bytearray(content)
        self.chunk = chunk
        self.fail_write_at: int | None = None
        self.fail: set[Kind] = set()
        self.asked: list[Kind] = []
        self.forgotten: set[int] = set()
        self.most = self.most_bytes = 0
        self._short = short
        self._random = random.Random(seed)
        self._pending: dict[int, tuple[Kind, bytes, bytes]] = {}
        self._kept: dict[int, Answer] = {}
        self._count = 0

    def send(self, kind: Kind, body: bytes, data: bytes = b"") -> int:
        self._count += 1
        self.asked.append(kind)
        self._pending[self._count] = (kind, body.removeprefix(pack_string(HANDLE)), data)
        moving = [(kind, body, data) for kind, body, data in self._pending.values() if kind in (Kind.READ, Kind.WRITE)]
        self.most = max(self.most, len(moving))
        asked = sum(len(data) or struct.unpack_from(">I", body, 8)[0] for _, body, data in moving)
        self.most_bytes = max(self.most_bytes, asked)
        return self._count

    async def answer(self, number: int) -> Answer:
        return self._kept.pop(number) if number in self._kept else await reply(number)

    def next_reply(self) -> tuple[int, Answer]:
        while True:
            number = self._random.choice(list(self._pending))
            answer = self._reply(number, *self._pending.pop(number))
            if number not in self.forgotten:
                return number, answer

    def keep_reply(self, number: int, reply: Any) -> None:
        self._kept[number] = reply

    def forget(self, numbers: list[int]) -> None:
        self.forgotten |= set(numbers)

    def _reply(self, number: int, kind: Kind, body: bytes, data: bytes) -> Answer:
        if kind in self.fail:
            return self._status(number, FAILURE)
        if kind is Kind.WRITE:
            (offset,) = struct.unpack_from(">Q", body)
            if self.fail_write_at is not None and offset >= self.fail_write_at:
                return self._status(number, FAILURE)
            self.content[len(self.content) :] = bytes(max(0, offset - len(self.content)))
            self.content[offset : offset + len(data)] = data
            return self._status(number, OK)
        if kind is not Kind.READ:
            return self._status(number, OK)
        offset, length = struct.unpack_from(">QI", body)
        piece = bytes(self.content[offset : offset + length])
        if not piece:
            return self._status(number, END_OF_FILE)
        if self._short:
            piece = piece[: self._random.randint(1, len(piece))]
        return Answer(number, Kind.DATA, Reader(pack_string(piece)))

    def _status(self, number: int, code: int) -> Answer:
        return Answer(number, Kind.STATUS, Reader(struct.pack(">I", code) + pack_string(b"") + pack_string(b"")))


def nobody(count: int) -> None:
    """Hears of progress and does not care."""


def reader_of(content: bytes) -> Callable[[int, int], bytes]:
    return lambda length, offset: content[offset : offset + length]


def fetch(server: Scripted, size: int, start: int = 0, flow: Flow | None = None) -> bytes:
    got = bytearray()

    def write(data: memoryview, offset: int) -> None:
        assert offset == start + len(got), "in order, so that what is here is a prefix at any moment"
        got.extend(data)

    async def whole() -> int:
        download = SftpDownload(server, HANDLE, server.chunk, flow or Flow())
        return await download.fetch(write, start, size, nobody)

    assert Crew(server).run(whole()) == start + len(got)
    return bytes(got)


def send(server: Scripted, content: bytes, size: int, start: int = 0, moved: Callable[[int], None] = nobody) -> None:
    async def whole() -> None:
        upload = SftpUpload(server, HANDLE, server.chunk, can_sync=True)
        try:
            await upload.fill(reader_of(content), start, size, moved)
            await upload.finish(Attributes(mode=0o600), sync=True)
        finally:
            upload.abandon()

    Crew(server).run(whole())


CONTENT = random.Random(7).randbytes(123_457)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("start", [0, 1, 60_000])
def test_answers_in_any_order_and_of_any_length_make_the_file(seed: int, short: bool, start: int) -> None:
    assert fetch(Scripted(CONTENT, short=short, seed=seed), len(CONTENT), start) == CONTENT[start:]


@pytest.mark.parametrize("seed", range(5))
def test_writes_answered_in_any_order_make_the_file(seed: int) -> None:
    server = Scripted(seed=seed)
    moved: list[int] = []
    send(server, CONTENT, len(CONTENT), moved=moved.append)
    assert bytes(server.content) == CONTENT
    assert sum(moved) == len(CONTENT)
    # a copy that is cut in a long sync leaves a file that is ours alone still
    assert server.asked[-3:] == [Kind.EXTENDED, Kind.FSETSTAT, Kind.CLOSE]


def test_a_file_is_written_on_from_where_it_ended() -> None:
    server = Scripted(CONTENT[:50_000])
    send(server, CONTENT, len(CONTENT), 50_000)
    assert bytes(server.content) == CONTENT


def test_a_size_of_nothing_means_to_the_end() -> None:
    assert fetch(Scripted(CONTENT, short=True), 0) == CONTENT
    server = Scripted()
    send(server, CONTENT, 0)
    assert bytes(server.content) == CONTENT


def test_what_a_file_gains_meanwhile_is_left_out() -> None:
    assert fetch(Scripted(CONTENT), 100_000) == CONTENT[:100_000]
    assert fetch(Scripted(CONTENT), 10) == CONTENT[:10]
    server = Scripted()
    send(server, CONTENT, 100_000)
    assert bytes(server.content) == CONTENT[:100_000]


def test_a_file_that_shrinks_meanwhile_is_an_error() -> None:
    with pytest.raises(FileShrank):
        fetch(Scripted(CONTENT), len(CONTENT) + 1)
    with pytest.raises(FileShrank):
        fetch(Scripted(b""), 10)
    with pytest.raises(FileShrank):
        send(Scripted(), CONTENT, len(CONTENT) + 1)


@pytest.mark.parametrize("at", [0, 50_000, 123_000])
def test_every_refused_write_counts_the_last_too(at: int) -> None:
    server = Scripted()
    server.fail_write_at = at
    with pytest.raises(SftpError) as caught:
        send(server, CONTENT, len(CONTENT))
    assert caught.value.code == FAILURE


@pytest.mark.parametrize("kind", [Kind.FSETSTAT, Kind.EXTENDED, Kind.CLOSE])
@pytest.mark.parametrize("size", [10, len(CONTENT)])
def test_what_follows_the_last_write_counts_too(kind: Kind, size: int) -> None:
    server = Scripted()
    server.fail = {kind}
    with pytest.raises(SftpError):
        send(server, CONTENT, size)


@pytest.mark.parametrize(("chunk", "most"), [(1000, MAX_REQUESTS), (MAX_BYTES // 4, 4)])
def test_only_so_many_writes_and_bytes_are_under_way(chunk: int, most: int) -> None:
    content = bytes(chunk * most * 3)
    server = Scripted(chunk=chunk)
    send(server, content, len(content))
    assert server.most == most


class Steady(Flow):
    """Stays as it is, however quick this machine is."""

    def heard(self, seconds: float, size: int) -> None: ...


def test_only_so_many_bytes_of_reads_are_under_way() -> None:
    content = bytes(3 * FIRST_FLOW)
    server = Scripted(content, chunk=100_000)
    assert fetch(server, len(content), flow=Steady()) == content
    assert server.most_bytes <= FIRST_FLOW + 100_000


def test_more_reads_are_under_way_while_answers_are_as_quick_as_the_first() -> None:
    flow = Flow()
    for _ in range(100):
        flow.heard(0.2, 1_000_000)
    assert flow.limit == MAX_FLOW
    flow = Flow()
    flow.heard(0.2, 1)
    for _ in range(100):
        flow.heard(2.0, 1_000_000)
    assert flow.limit == FIRST_FLOW


def test_a_way_that_is_long_begins_with_more_reads_under_way() -> None:
    flow = Flow()
    flow.expect(0.001)
    assert flow.limit == FIRST_FLOW
    flow.expect(0.1)
    assert FIRST_FLOW < flow.limit < MAX_FLOW
    flow.expect(3600)
    assert flow.limit == MAX_FLOW
    flow.expect(0.001)
    assert flow.limit == MAX_FLOW


@pytest.mark.parametrize("piece", [b"", b"x" * 2000])
def test_an_answer_of_an_impossible_length_is_refused(piece: bytes) -> None:
    class Liar(Scripted):
        def _reply(self, number: int, kind: Kind, body: bytes, data: bytes) -> Answer:
            return Answer(number, Kind.DATA, Reader(pack_string(piece)))

    with pytest.raises(SftpError, match="wrong length"):
        fetch(Liar(CONTENT), len(CONTENT))
