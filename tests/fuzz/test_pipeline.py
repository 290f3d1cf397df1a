"""A file's bytes from a server that answers as it likes: the whole file, or an error, and never a byte out of place."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from hostshell.ssh.crew import Crew
from hostshell.ssh.remotefiles import FileShrank, SftpGone
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import Attributes, SftpError
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.sftp_peer import DIRECTORY, Line, Node, Server, Wire

CONTENT = bytes(number * 7919 % 251 for number in range(3000))
SIZES = st.integers(0, 3000)


def start(server: Server, chunk: int, piece: int = 1 << 20) -> Sftp:
    sftp = Sftp.over(Line(Wire(server, piece=piece)), lambda: False)
    sftp.read_chunk = sftp.write_chunk = chunk
    return sftp


def fetch(sftp: Sftp, landed: Landed, said: int, moved: list[int], begin: Callable[[], None] = lambda: None) -> int:
    """Read ``/file``; ``begin`` is called once it is open."""

    async def whole() -> int:
        download = await sftp.open(b"/file")
        begin()
        return await download.fetch(landed.write, 0, said, moved.append)

    return Crew(sftp).run(whole())


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
    landed, moved = Landed(), []
    try:
        total = fetch(sftp, landed, said, moved)
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
    landed, moved = Landed(), []

    def begin() -> None:
        server.spoil = lambda packet: data.draw(damaged(packet)) if data.draw(st.booleans()) else packet

    try:
        total = fetch(sftp, landed, said, moved, begin)
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
    content, moved = CONTENT[:size], []

    async def whole() -> None:
        upload = await sftp.create(b"/new")
        if spoil:
            server.spoil = lambda packet: data.draw(damaged(packet)) if data.draw(st.booleans()) else packet
        await upload.fill(lambda length, offset: content[offset : offset + length], 0, size, moved.append)
        await upload.finish(Attributes(mode=0o600), sync=False)

    try:
        Crew(sftp).run(whole())
    except (SftpError, SftpGone):
        assert spoil
        assert sum(moved) <= size
        return
    assert sum(moved) == size
    assert server.made[b"/new"].content == content
