"""Downloads from servers that lie about everything: nothing is written but below the host's own folder."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.model import Get
from hostshell.ssh import transfer
from hostshell.ssh.sftpwire import Kind
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort
from tests.fuzz.sftp_peer import DIRECTORY, FILE, LINK, Line, Node, Server, Wire

ESCAPE = b"/hostshell-fuzz-escape"  # nobody may ever make it
LEAF_MODES = st.sampled_from(
    [FILE, FILE, FILE, LINK, LINK, DIRECTORY, None, 0o106755, 0o020666, 0o010644, 0o140777, 0, 2**32 - 1]
)
FOLDER_MODES = st.sampled_from([DIRECTORY, DIRECTORY, DIRECTORY, DIRECTORY, 0o047777, None, LINK])
_PLAIN_NAMES = [b"a", b"b", b"link"]
_ODD_NAMES = [
    b"..",
    b"..",
    b"..",
    b".",
    b"",
    ESCAPE,
    b"../x",
    b"../../x",
    b"a/b",
    b"../../secret",
    b"e\x1b[2Jsc",
    b"a\0b",
]
_ODD_NAMES += [b"\xff", b"n" * 256, b"n" * 10_000, b".b.part", b"-rf", b"\xe2\x80\xae", b"line\nfeed"]
NAMES = st.sampled_from(_PLAIN_NAMES) | st.sampled_from(_ODD_NAMES) | st.binary(max_size=6)
TEXTS = st.sampled_from([b"..", b"../..", b"../../..", b"../../secret", b"a", b"", b"x\0y", b"t" * 5000]) | st.binary(
    max_size=8
)
SIZES = st.none() | st.sampled_from([0, 1, 5, 2**31, 2**32, 2**63, 2**64 - 1])
TIMES = st.none() | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
LEAVES = st.builds(Node, LEAF_MODES, TEXTS, st.just([]), st.none() | SIZES, TIMES)
FOLDERS = st.recursive(
    LEAVES,
    lambda below: st.builds(
        Node, FOLDER_MODES, TEXTS, st.lists(st.tuples(NAMES, below), min_size=1, max_size=5), st.none(), TIMES
    ),
    max_leaves=12,
)
TREES = st.builds(Node, st.just(DIRECTORY), TEXTS, st.lists(st.tuples(NAMES, FOLDERS), min_size=1, max_size=5))


def picture(root: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below ``root``, links not followed."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            content = b""
            if stat.S_ISREG(info.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            found[os.fsdecode(path)] = (info.st_mode, content)
    return found


@contextmanager
def scene() -> Iterator[Path]:
    """A folder with something in it that no download may touch; downloads go to ``out/h1/``."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        (root / "secret").write_text("untouched")
        (root / "etc").mkdir()
        (root / "out").mkdir()
        before = picture(root)
        yield root
        ours = str(root / "out" / "h1")
        after = {path: what for path, what in picture(root).items() if path != ours and not path.startswith(ours + "/")}
        assert after == before
        assert not os.path.lexists(ESCAPE)
        for path, (mode, _) in picture(root).items():
            assert not re.search(r"\.[0-9a-f]{12}\.part$", path), "a temporary file stayed"
            assert not mode & (stat.S_ISUID | stat.S_ISGID), "setuid from a host"
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
        for folder, _, _ in os.walk(root):
            os.chmod(folder, 0o700)  # so that it can be removed


def get(server: Server, root: Path, remote: str = "tree", *, preserve: bool = False) -> str:
    """The sentence of a download that failed, or "" """
    reports: list[tuple[str, int, int, int, int]] = []
    task = Get(remote, f"{root}/out/h1/", preserve=preserve)
    try:
        copied = transfer.get(
            Line(Wire(server)),
            task,
            "h1",
            report=lambda *words: reports.append(words),
            stopped=lambda: False,
        )
        sentences = [*copied.notes]
    except transfer.TransferError as error:
        sentences = [error.message, error.hint]
    for sentence in [*sentences, *(path for path, *_ in reports)]:
        assert sentence == clean(sentence)
        assert len(sentence) < 30_000
    return sentences[0] if sentences else ""


@effort(80)
@given(TREES, st.integers(0, 99), st.booleans(), st.booleans())
def test_names_modes_sizes_and_links_of_a_server_stay_in_the_hosts_folder(
    tree: Node, seed: int, short: bool, preserve: bool
) -> None:
    with scene() as root:
        get(Server(Node(DIRECTORY, names=[(b"tree", tree)]), seed=seed, short=short), root, preserve=preserve)


@effort(60)
@given(st.data(), TREES, st.integers(0, 99))
def test_spoiled_answers_stay_in_the_hosts_folder_too(data: st.DataObject, tree: Node, seed: int) -> None:
    server = Server(Node(DIRECTORY, names=[(b"tree", tree)]), seed=seed)

    def spoil(packet: bytes) -> bytes:
        return data.draw(damaged(packet)) if len(server.requests) > 2 and data.draw(st.booleans()) else packet

    server.spoil = spoil
    with scene() as root:
        get(server, root)


@effort(40)
@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), LEAVES | FOLDERS), min_size=2, max_size=6), st.booleans())
def test_a_name_that_is_listed_twice_as_different_things_stays_there_too(
    names: list[tuple[bytes, Node]], again: bool
) -> None:
    with scene() as root:
        for _ in range(1 + again):
            get(Server(Node(DIRECTORY, names=[(b"tree", Node(DIRECTORY, names=names))])), root)


def test_a_name_that_no_file_can_have_is_refused_in_a_short_sentence_and_the_others_go_on() -> None:
    tree = Node(
        DIRECTORY, names=[(b"n" * 400_000, Node()), (b"d" * 256, Node(DIRECTORY)), (b"good", Node(content=b"x"))]
    )
    with scene() as root:
        said = get(Server(Node(DIRECTORY, names=[(b"tree", tree)])), root)
        assert "the rest was copied" in said
        assert len(said) < 5_000
        assert (root / "out/h1/tree/good").read_text() == "x"


@pytest.mark.parametrize("how", [b"..", b"../..", b"../../.."])
def test_a_link_that_becomes_a_folder_leads_nowhere(how: bytes) -> None:
    inside = Node(DIRECTORY, names=[(b"secret", Node(content=b"taken"))])
    tree = Node(DIRECTORY, names=[(b"a", Node(LINK, how)), (b"a", inside)])
    with scene() as root:
        assert "symlink" in get(Server(Node(DIRECTORY, names=[(b"tree", tree)])), root)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_folders_called_dot_dot_lead_nowhere(depth: int) -> None:
    tree = Node(DIRECTORY, names=[(b"secret", Node(content=b"taken"))])
    for _ in range(depth):
        tree = Node(DIRECTORY, names=[(b"..", tree)])
    with scene() as root:
        # the listing leaves `..` out, as every client does: what is below is never asked for
        assert get(Server(Node(DIRECTORY, names=[(b"tree", tree)])), root) == ""
        assert [path.name for path in (root / "out/h1").rglob("*")] == ["tree"]


class Wide(Server):
    """Each folder holds two, for ever: more folders than any disk has."""

    def find(self, path: bytes) -> Node | None:
        return Node(DIRECTORY, names=[(b"a", Node(DIRECTORY)), (b"b", Node(DIRECTORY))])


def test_a_tree_that_is_wide_and_deep_without_an_end_has_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from hostshell.ssh import get as module

    monkeypatch.setattr(module, "MAX_FOLDERS", 100)
    server = Wide(Node())
    with scene() as root:
        assert "more than 100 directories" in get(server, root)
    assert sum(kind == Kind.OPENDIR for kind, _ in server.requests) < 1_000
