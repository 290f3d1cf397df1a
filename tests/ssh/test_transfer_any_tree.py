"""Any tree put and got is the same: names of any bytes, empty folders, modes, links; over SFTP and without it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.paths import unsafe_name
from tests.fuzz.effort import effort
from tests.ssh.conftest import Copier
from tests.ssh.trees import picture

# what a terminal obeys is refused in a name that comes from a host, and has tests of its own
_NAMES = (
    st.binary(min_size=1, max_size=12)
    | st.text(min_size=1, max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.sampled_from([b"-rf", b"~", b"*", b"a b", b"'", b"$(id)", b"\\", b"...", b"x.part", b".hidden"])
).filter(lambda name: name not in (b".", b"..") and not {0, 47} & {*name} and not unsafe_name(name))
_LEAVES = st.one_of(
    st.tuples(st.just("file"), st.integers(0, 0o777).map(lambda mode: mode | 0o400), st.binary(max_size=200)),
    st.tuples(st.just("file"), st.just(0o644), st.integers(100_000, 600_000).map(os.urandom)),
    st.tuples(st.just("link"), st.just(0), st.binary(min_size=1, max_size=20).filter(lambda text: 0 not in text)),
)
_FOLDER_MODES = st.integers(0, 0o1777).map(lambda mode: mode | 0o700)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.tuples(st.just("folder"), _FOLDER_MODES, st.dictionaries(_NAMES, inner, max_size=4)),
    max_leaves=8,
)
TOPS = st.tuples(st.just("folder"), _FOLDER_MODES, st.dictionaries(_NAMES, _TREES, max_size=5))


def build(path: Path, tree: tuple[str, int, object]) -> None:
    match tree:
        case ("folder", mode, dict(below)):
            path.mkdir()
            for name, one in below.items():
                build(path / os.fsdecode(name), one)
            path.chmod(mode)
        case ("file", mode, bytes(content)):
            path.write_bytes(content)
            path.chmod(mode)
        case ("link", _, bytes(text)):
            path.symlink_to(os.fsdecode(text))
        case _:
            raise AssertionError(tree)


@effort(12)
@given(tree=TOPS)
def test_a_tree_put_and_got_is_the_same(copier: Copier, tree: tuple[str, int, object]) -> None:
    there_and_back(copier, tree, times=True)


def there_and_back(copier: Copier, tree: tuple[str, int, object], *, times: bool) -> None:
    """Put, get, compare, put again. ``times``: whether the host tells the times of files."""
    here = Path(tempfile.mkdtemp(dir=copier.here))
    try:
        copier.reports.clear()
        source = here / "tree"
        build(source, tree)
        target = f"copy-{here.name}"
        first = copier.put(source, target, verify=True)
        copier.get(target, f"{here.name}/{{host}}")
        back, wanted = picture(here / "h1" / target), picture(source)
        if not times:
            back, wanted = ({name: (one[0], one[2]) for name, one in found.items()} for found in (back, wanted))
        assert back == wanted
        again = copier.put(source, target)
        assert (again.links, again.directories) == (0, 0)
        assert (again.files, again.unchanged) == (0, first.files)
    finally:
        shutil.rmtree(here)
