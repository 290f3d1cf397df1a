"""A file's bytes from a server that answers as it likes: the whole file, or an error, and never a byte out of place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hostshell.ssh.exchange import SftpGone
from hostshell.ssh.pipeline import FileShrank, fetch_bytes, send_bytes
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import CREATE, READ, WRITE, SftpError
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.sftp_peer import DIRECTORY, Line, Node, Server, Wire

CONTENT = bytes(number * 7919 % 251 for number in range(3000))
SIZES = st.integers(0, 3000)


def start(server: Server, chunk: int, piece: int = 1 << 20) -> Sftp:
    sftp = Sftp.over(Line(Wire(server, piece=piece)), lambda: False)
    sftp.read_chunk = sftp.write_chunk = chunk
    return sftp


class Landed:
    """What was written where; each byte once."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}

    def write(self, data: memoryview, offset: int) -> None:
        for at, byte in enumerate(bytes(data), offset):
            assert at not in self.bytes
            self.bytes[at] = byte

    def content(self) -> bytes:
        return bytes(self.bytes[at] for at in range(len(self.bytes)))


def folder(content: bytes) -> Node:
    return Node(DIRECTORY, names=[(b"file", Node(content=content))])


@effort(100)
@given(SIZES, st.integers(0, 4000), st.integers(20, 1000), st.booleans(), st.integers(0, 99), st.integers(1, 2000))
def test_what_is_fetched_is_the_file_or_its_beginning_or_an_error(
    there: int, said: int, chunk: int, short: bool, seed: int, piece: int
) -> None:
    content = CONTENT[:there]
    sftp = start(Server(folder(content), seed=seed, short=short), chunk, piece)
    handle = sftp.open(b"/file", READ)
    landed, moved = Landed(), []
    try:
        total = fetch_bytes(sftp, handle, landed.write, said, moved.append)
    except FileShrank:
        assert said > there
        return
    assert landed.content() == (content[:said] if said else content)
    assert total == sum(moved) == len(landed.bytes)


@effort(150)
@given(st.data(), SIZES, st.integers(20, 1000), st.integers(0, 99), st.sampled_from([0, 0, 1, 500]))
def test_spoiled_answers_to_reads_put_no_byte_outside_of_the_file(
    data: st.DataObject, said: int, chunk: int, seed: int, more: int
) -> None:
    server = Server(folder(CONTENT), seed=seed, more=more)
    sftp = start(server, chunk)
    handle = sftp.open(b"/file", READ)
    server.spoil = lambda packet: data.draw(damaged(packet)) if data.draw(st.booleans()) else packet
    landed, moved = Landed(), []
    try:
        total = fetch_bytes(sftp, handle, landed.write, said, moved.append)
    except (FileShrank, SftpError, SftpGone):
        assert not said or all(0 <= at < said for at in landed.bytes)
        return
    assert total == sum(moved) == len(landed.bytes)
    assert len(landed.content()) == total  # without a gap
    assert not said or total == said


@effort(150)
@given(st.data(), SIZES, st.integers(20, 1000), st.integers(0, 99), st.booleans())
def test_an_upload_that_went_well_was_acknowledged_write_by_write(
    data: st.DataObject, size: int, chunk: int, seed: int, spoil: bool
) -> None:
    server = Server(folder(b""), seed=seed)
    sftp = start(server, chunk)
    handle = sftp.open(b"/new", WRITE | CREATE)
    if spoil:
        server.spoil = lambda packet: data.draw(damaged(packet)) if data.draw(st.booleans()) else packet
    moved: list[int] = []
    try:
        total = send_bytes(
            sftp, handle, lambda length, offset: CONTENT[:size][offset : offset + length], size, moved.append
        )
    except (SftpError, SftpGone):
        assert spoil
        assert sum(moved) <= size
        return
    assert total == sum(moved) == size
    assert server.made[b"/new"].content == CONTENT[:size]
