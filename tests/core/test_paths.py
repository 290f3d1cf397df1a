"""The path rules of copies: what a text means, as tables."""

from __future__ import annotations

import pytest

from hostshell.core.errors import UsageError
from hostshell.core.paths import (
    expand_home,
    join,
    landing,
    local_destination,
    local_layout,
    mode_for,
    names_directory,
    ours_from,
    own_name,
    part_name,
    remote_destination,
    source_name,
    split,
    unsafe_name,
    wire_path,
)


@pytest.mark.parametrize(
    ("remote", "is_directory", "there", "lands"),
    [
        # DIR/: into that directory, under the source's own name, whatever stands there
        ("/tmp/", False, "directory", b"/tmp/src"),
        ("/tmp/", True, "directory", b"/tmp/src"),
        ("/new/", False, "missing", b"/new/src"),
        ("/new/", True, "missing", b"/new/src"),
        ("/", False, "directory", b"/src"),
        (".", False, "directory", b"./src"),
        ("..", True, "directory", b"../src"),
        ("~", False, "directory", b"./src"),
        ("~/", True, "directory", b"./src"),
        ("dir/.", False, "directory", b"dir/./src"),
        # NAME: exactly that name
        ("/etc/motd", False, "missing", b"/etc/motd"),
        ("/etc/motd", False, "file", b"/etc/motd"),
        ("app", True, "missing", b"app"),
        ("~/app", True, "missing", b"./app"),
        # a file aimed at an existing directory goes into it, as with cp
        ("/tmp", False, "directory", b"/tmp/src"),
        # a directory merges into NAME, and never becomes NAME/src on the second run
        ("/srv/app", True, "directory", b"/srv/app"),
        # nothing but the leading ~ is special
        ("~root/x", False, "missing", b"~root/x"),
        ("$HOME/*", False, "missing", b"$HOME/*"),
        ("a b'\"`\n", False, "missing", b"a b'\"`\n"),
    ],
)
def test_where_a_put_lands(remote: str, is_directory: bool, there: str, lands: bytes) -> None:
    assert remote_destination(remote, "src", is_directory, there) == lands


@pytest.mark.parametrize(("remote", "is_directory"), [("/etc/motd/", False), ("/etc/motd", True), ("/etc/motd/", True)])
def test_a_file_in_the_way_is_an_error(remote: str, is_directory: bool) -> None:
    with pytest.raises(UsageError):
        remote_destination(remote, "src", is_directory, "file")


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800"])
def test_a_text_that_can_name_nothing_is_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        wire_path(text)


def test_bytes_that_are_no_text_reach_the_host_as_they_are() -> None:
    assert wire_path(b"caf\xe9".decode("utf-8", "surrogateescape")) == b"caf\xe9"


@pytest.mark.parametrize(
    ("text", "is_directory"),
    [("a/", True), ("a", False), ("a/.", True), ("..", True), ("~", True), ("~x", False), ("/", True), ("a..", False)],
)
def test_which_texts_say_directory(text: str, is_directory: bool) -> None:
    assert names_directory(text) is is_directory


@pytest.mark.parametrize(
    ("text", "name"),
    [("/etc/hostname", "hostname"), ("/etc/", "etc"), ("a//", "a"), ("/", ""), (".", ""), ("..", ""), ("x/..", ""),
     ("~", ""), ("~/", ""), ("~/x", "x"), ("...", "...")],
)  # fmt: skip
def test_a_sources_own_name(text: str, name: str) -> None:
    assert own_name(text) == name


@pytest.mark.parametrize(
    ("text", "resolved", "name"),
    [
        ("/w/tree/", "/w/tree", "tree"),
        ("/w/.", "/w", "w"),
        ("/w/a/..", "/w", "w"),
        ("/", "/", ""),
        ("/w/link", "/x/y", "link"),
    ],
)
def test_a_local_source_that_is_a_place_has_the_name_of_its_directory(text: str, resolved: str, name: str) -> None:
    assert source_name(text, resolved) == name


@pytest.mark.parametrize(
    ("local", "layout"),
    [
        ("./out/", "./out/{host}/"),
        ("./out", "./out/{host}/"),
        (".", "./{host}/"),
        ("/", "/{host}/"),
        ("", "./{host}/"),
        ("out/{host}", "out/{host}/"),
        ("out/{host}/", "out/{host}/"),
        ("{host}/etc", "{host}/etc/"),
        ("out/{host}.txt", "out/{host}.txt"),
        ("name-{host}", "name-{host}"),
        ("name-{host}/", "name-{host}/"),
    ],
)
def test_the_layout_of_a_get_always_holds_the_host_and_is_stable(local: str, layout: str) -> None:
    assert local_layout(local) == layout
    assert local_layout(layout) == layout


@pytest.mark.parametrize(
    ("local", "remote", "place"),
    [
        ("./out/", "/etc/hostname", ("./out/h1", "hostname")),
        ("out", "/var/log/", ("out/h1", "log")),
        ("out/{host}", "/etc/hostname", ("out/h1", "hostname")),
        ("out/{host}.txt", "/etc/hostname", ("out", "h1.txt")),
        ("{host}.txt", "/etc/hostname", (".", "h1.txt")),
        ("out/", "/", ("out/h1", "")),
        ("out/", "~", ("out/h1", "")),
        ("out/", "/data/{host}", ("out/h1", "h1")),
    ],
)
def test_where_a_get_lands(local: str, remote: str, place: tuple[str, str]) -> None:
    assert local_destination(local, "h1", remote) == place
    assert landing(local_layout(local).replace("{host}", "h1"), own_name(remote.replace("{host}", "h1"))) == place


@pytest.mark.parametrize("local", ["out", "out/", "out/{host}", "{host}.txt", "a/{host}-b/"])
def test_two_hosts_never_share_a_path(local: str) -> None:
    assert local_destination(local, "h1", "/etc/hostname") != local_destination(local, "h2", "/etc/hostname")


@pytest.mark.parametrize("host", ["..", "a/b", "", "a\x1bb"])
def test_a_hosts_name_that_is_no_folders_name_is_refused(host: str) -> None:
    with pytest.raises(UsageError):
        local_destination("out", host, "/etc/hostname")


@pytest.mark.parametrize(
    ("directory", "parts"),
    [(b"/w/out/h1", 2), (b"/w/out/h1/etc", 2), (b"/h1/out/h1", 2), (b"/w/x-h1-y", 1), (b"/w/out", 2)],
)
def test_the_parts_of_a_local_path_that_the_person_chose(directory: bytes, parts: int) -> None:
    assert ours_from(directory, b"h1") == parts


@pytest.mark.parametrize(
    "name",
    [b"", b".", b"..", b"../x", b"/x", b"a/b", b"a\0b", b"a\x1b[2Jb", b"a\x7f", "a\x9bb".encode(), b"a" * 256],
)
def test_names_from_a_server_that_are_refused(name: bytes) -> None:
    assert unsafe_name(name)


@pytest.mark.parametrize(
    "name",
    [
        b"...",
        b"-rf",
        b"a b",
        b"a\nb",
        b"\t",
        b"\xff\xfe",
        "ü".encode(),
        b"'`$(id)`",
    ],
)
def test_odd_names_that_are_only_names(name: bytes) -> None:
    assert not unsafe_name(name)


def test_the_temporary_name_is_hidden_and_fits_beside_the_longest_name() -> None:
    assert part_name(b"motd", "a1b2") == b".motd.a1b2.part"
    assert len(part_name(b"n" * 255, "0123456789abcdef")) <= 255


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (b"/a/b", (b"/a", b"b")),
        (b"/a", (b"/", b"a")),
        (b"a", (b".", b"a")),
        (b"a/b", (b"a", b"b")),
        (b"a//b", (b"a", b"b")),
    ],
)
def test_splitting_a_path(path: bytes, parts: tuple[bytes, bytes]) -> None:
    assert split(path) == parts


def test_joining_never_doubles_the_slash() -> None:
    assert [join(b"/", b"a"), join(b"a", b"b"), join(b"a/", b"b"), join(b"a", b"")] == [b"/a", b"a/b", b"a/b", b"a"]


@pytest.mark.parametrize(
    ("text", "path"),
    [("~", "/h"), ("~/", "/h/"), ("~/a", "/h/a"), ("~//a", "/h/a"), ("~a", "~a"), ("a/~", "a/~"), ("/~/", "/~/")],
)
def test_only_a_leading_tilde_is_home(text: str, path: str) -> None:
    assert expand_home(text, "/h") == path


@pytest.mark.parametrize(
    ("source", "existing", "preserve", "same_owner", "mode"),
    [
        (0o100644, None, False, True, 0o644),
        (0o106755, None, False, True, 0o755),
        (0o100644, 0o100600, False, True, 0o600),
        (0o100644, 0o100600, True, True, 0o644),
        (0o104755, 0o100600, True, True, 0o755),
        (0o100644, 0o104755, False, True, 0o4755),
        (0o100644, 0o104755, False, False, 0o755),
        (None, None, False, True, None),
    ],
)
def test_the_mode_of_a_copy(
    source: int | None, existing: int | None, preserve: bool, same_owner: bool, mode: int | None
) -> None:
    assert mode_for(source, existing, preserve=preserve, same_owner=same_owner) == mode
