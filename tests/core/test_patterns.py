"""Patterns of file names: what a glob of the host means, and what is left out of a tree."""

from __future__ import annotations

import pytest

from hostshell.core.patterns import LeftOut, is_glob, matcher


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.log", b"a.log", True),
        ("*.log", b".a.log", False),
        (".*", b".a", True),
        ("*.log", b"a.logx", False),
        ("*", b"a\nb", True),
        ("?", "é".encode(), True),
        ("?", b"\xe9", True),
        ("[ab]*", b"b1", True),
        ("[!a]x", b"bx", True),
        ("[!a]x", b"ax", False),
        ("[]]x", b"]x", True),
        ("[z-a]", b"[z-a]", True),
        ("a[", b"a[", True),
        ("a.b", b"axb", False),
        ("caf\udce9*", b"caf\xe9s", True),
    ],
)
def test_a_glob_means_what_it_means_in_a_shell(pattern: str, name: bytes, fits: bool) -> None:
    assert matcher(pattern)(name) is fits


def test_what_is_a_glob() -> None:
    assert [is_glob(text) for text in ("a*", "a?", "[a]", "a", "{a,b}")] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("pattern", "path", "is_directory", "out"),
    [
        ("*.pyc", b"a/b/c.pyc", False, True),
        ("*.pyc", b".x.pyc", False, True),
        ("build/", b"a/build", True, True),
        ("build/", b"a/build", False, False),
        ("a/*.o", b"a/x.o", False, True),
        ("a/*.o", b"b/a/x.o", False, False),
        ("a/*.o", b"a/b/x.o", False, False),
        ("/top", b"top", False, True),
        ("/top", b"a/top", False, False),
    ],
)
def test_what_is_left_out_of_a_tree(pattern: str, path: bytes, is_directory: bool, out: bool) -> None:
    assert LeftOut([pattern]).has(path, is_directory) is out
    assert LeftOut(["nothing", pattern]).has(path, is_directory) is out


def test_without_patterns_nothing_is_left_out() -> None:
    assert not LeftOut([]).has(b"a", False)
