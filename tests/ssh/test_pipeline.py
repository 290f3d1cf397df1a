"""The pipeline against a scripted server: answers in any order, short answers, late failures, and its bounds."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from hostshell.ssh.pipeline import MAX_BYTES, MAX_REQUESTS, FileShrank, fetch_bytes, send_bytes
from hostshell.ssh.sftpwire import END_OF_FILE, FAILURE, OK, Answer, Kind, Reader, SftpError, pack_string

HANDLE = b"handle"


class Scripted:
    """Holds a file as a server does, and answers requests in random order. ``short`` cuts every answer to a read."""

    def __init__(self, content: bytes = b"", *, short: bool = False, chunk: int = 1000, seed: int = 1) -> None:
        self.content = bytearray(content)
        self.read_chunk = self.write_chunk = chunk
        self.fail_write_at: int | None = None
        self.forgotten: set[int] = set()
        self.most = 0
        self._short = short
        self._random = random.Random(seed)
        self._pending: dict[int, tuple[Kind, bytes, bytes]] = {}
        self._count = 0

    def send(self, kind: Kind, body: bytes, data: bytes = b"") -> int:
        self._count += 1
        self._pending[self._count] = (kind, body.removeprefix(pack_string(HANDLE)), data)
        self.most = max(self.most, len(self._pending))
        return self._count

    def next_answer(self) -> Answer:
        number = self._random.choice(list(self._pending))
        kind, body, data = self._pending.pop(number)
        (offset,) = struct.unpack_from(">Q", body)
        if kind is Kind.WRITE:
            if self.fail_write_at is not None and offset >= self.fail_write_at:
                return self._status(number, FAILURE)
            self.content[len(self.content) :] = bytes(max(0, offset - len(self.content)))
            self.content[offset : offset + len(data)] = data
            return self._status(number, OK)
        (length,) = struct.unpack_from(">I", body, 8)
        piece = bytes(self.content[offset : offset + length])
        if not piece:
            return self._status(number, END_OF_FILE)
        if self._short:
            piece = piece[: self._random.randint(1, len(piece))]
        return Answer(number, Kind.DATA, Reader(pack_string(piece)))

    def forget(self, numbers: object) -> None:
        self.forgotten |= set(numbers)

    def _status(self, number: int, code: int) -> Answer:
        return Answer(number, Kind.STATUS, Reader(struct.pack(">I", code) + pack_string(b"") + pack_string(b"")))


def nobody(count: int) -> None:
    """Hears of progress and does not care."""


def reader_of(content: bytes) -> Callable[[int, int], bytes]:
    return lambda length, offset: content[offset : offset + length]


def fetch(server: Scripted, size: int) -> bytes:
    got = bytearray(max(size, len(server.content)))

    def write(data: memoryview, offset: int) -> None:
        got[offset : offset + len(data)] = data

    total = fetch_bytes(server, HANDLE, write, size, nobody)
    return bytes(got[:total])


CONTENT = random.Random(7).randbytes(123_457)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("short", [False, True])
def test_answers_in_any_order_and_of_any_length_make_the_file(seed: int, short: bool) -> None:
    assert fetch(Scripted(CONTENT, short=short, seed=seed), len(CONTENT)) == CONTENT


@pytest.mark.parametrize("seed", range(5))
def test_writes_answered_in_any_order_make_the_file(seed: int) -> None:
    server = Scripted(seed=seed)
    moved: list[int] = []
    assert send_bytes(server, HANDLE, reader_of(CONTENT), len(CONTENT), moved.append) == len(CONTENT)
    assert bytes(server.content) == CONTENT
    assert sum(moved) == len(CONTENT)


def test_a_size_of_nothing_means_to_the_end() -> None:
    assert fetch(Scripted(CONTENT, short=True), 0) == CONTENT
    server = Scripted()
    send_bytes(server, HANDLE, reader_of(CONTENT), 0, nobody)
    assert bytes(server.content) == CONTENT


def test_what_a_file_gains_meanwhile_is_left_out() -> None:
    assert fetch(Scripted(CONTENT), 100_000) == CONTENT[:100_000]
    server = Scripted()
    send_bytes(server, HANDLE, reader_of(CONTENT), 100_000, nobody)
    assert bytes(server.content) == CONTENT[:100_000]


def test_a_file_that_shrinks_meanwhile_is_an_error() -> None:
    with pytest.raises(FileShrank):
        fetch(Scripted(CONTENT), len(CONTENT) + 1)
    server = Scripted()
    with pytest.raises(FileShrank):
        send_bytes(server, HANDLE, reader_of(CONTENT), len(CONTENT) + 1, nobody)


@pytest.mark.parametrize("at", [0, 50_000, 123_000])
def test_every_refused_write_counts_the_last_too(at: int) -> None:
    server = Scripted()
    server.fail_write_at = at
    with pytest.raises(SftpError) as caught:
        send_bytes(server, HANDLE, reader_of(CONTENT), len(CONTENT), nobody)
    assert caught.value.code == FAILURE


@pytest.mark.parametrize(("chunk", "most"), [(1000, MAX_REQUESTS), (MAX_BYTES // 4, 4)])
def test_only_so_many_requests_and_bytes_are_under_way(chunk: int, most: int) -> None:
    content = bytes(chunk * most * 3)
    server = Scripted(content, chunk=chunk)
    assert fetch(server, len(content)) == content
    assert server.most == most
    server = Scripted(chunk=chunk)
    send_bytes(server, HANDLE, reader_of(content), len(content), nobody)
    assert server.most == most


@pytest.mark.parametrize("piece", [b"", b"x" * 2000])
def test_an_answer_of_an_impossible_length_is_refused(piece: bytes) -> None:
    class Liar(Scripted):
        def next_answer(self) -> Answer:
            return Answer(super().next_answer().number, Kind.DATA, Reader(pack_string(piece)))

    with pytest.raises(SftpError, match="wrong length"):
        fetch(Liar(CONTENT), len(CONTENT))
