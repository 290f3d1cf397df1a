"""Uploads to servers that lie: the local files stay as they are, and the end is a copy or a sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.model import Put
from hostshell.ssh import transfer
from hostshell.ssh.sftpwire import Kind
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.sftp_peer import DIRECTORY, FILE, LINK, Line, Node, Server, Wire
from tests.fuzz.test_get import LEAVES, TREES, picture

EXTENSIONS = b"\0\0\0\x18posix-rename@openssh.com\0\0\0\x011" + b"\0\0\0\x13statvfs@openssh.com\0\0\0\x012"


def put(server: Server, source: Path, remote: str, *, parents: bool = False, preserve: bool = False) -> str:
    """The sentence of an upload that failed, or "" """
    before = picture(source.parent)
    task = Put(str(source), remote, parents, preserve)
    try:
        transfer.put(
            Line(Wire(server)),
            task,
            "h1",
            report=lambda *_: None,
            stopped=lambda: False,
        )
        said = ""
    except transfer.TransferError as error:
        said = error.message
        for sentence in (error.message, error.hint):
            assert sentence == clean(sentence)
            assert len(sentence) < 30_000
    assert picture(source.parent) == before
    return said


REMOTES = st.sampled_from(["there", "there/", "there/new/deep", "link", "/", "~", "a b"])


@effort(80)
@given(st.data(), TREES | LEAVES, REMOTES, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 99))
def test_spoiled_answers_to_an_upload_end_in_a_copy_or_a_sentence(
    data: st.DataObject, there: Node, remote: str, tree: bool, parents: bool, spoil: bool, seed: int
) -> None:
    root = Node(DIRECTORY, names=[(b"there", there), (b"link", Node(LINK, b"there")), (b".", Node(DIRECTORY))])
    server = Server(root, seed=seed, extensions=EXTENSIONS if seed % 2 else b"")
    if spoil:
        server.spoil = lambda packet: (
            data.draw(damaged(packet)) if len(server.requests) > 1 and data.draw(st.booleans()) else packet
        )
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        if tree:
            (source / "d").mkdir(parents=True)
            (source / "d" / "file").write_text("content")
            (source / "link").symlink_to("d/file")
        else:
            source.write_bytes(bytes(5000))
        put(server, source, remote, parents=parents, preserve=seed % 3 == 0)


@effort(40)
@given(st.lists(st.binary(min_size=1, max_size=4) | st.sampled_from([b"/link", b"x" * 5000]), max_size=50))
def test_links_on_the_host_are_followed_only_so_far(texts: list[bytes]) -> None:
    waiting = list(texts)

    class Chain(Server):
        def find(self, path: bytes) -> Node | None:
            return Node(LINK, waiting.pop() if waiting else b"link")

    server = Chain(Node(DIRECTORY))
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        source.write_text("x")
        assert put(server, source, "there") == "a circle of symlinks stands there on the host"
    assert sum(kind == Kind.READLINK for kind, _ in server.requests) <= 50


def test_an_honest_server_gets_the_file() -> None:
    server = Server(Node(DIRECTORY, names=[(b"there", Node(FILE, b"old"))]), extensions=b"")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        source.write_text("new")
        assert put(server, source, "there") == ""
    assert server.made[b"there"].content == b"new"
