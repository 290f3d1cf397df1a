"""Paths to an inventory: files that cannot be read, who may read and write them, and which one is taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.names import check_address, check_name
from hostshell.core.targets import Targets, resolve
from hostshell.inventory.files import why_unsafe
from hostshell.inventory.load import find, load

SAMPLE = Path(__file__).parents[2] / "hosts.ini"


def write(path: Path, content: str | bytes = "[host:h1]\n", mode: int = 0o644) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return str(path)


def error(*paths: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        load(paths)
    return caught.value


# --- files ---


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "hosts.ini")
    found = load([path])
    assert list(found.host_names) == ["h1"]
    assert found.sources == (path,)


def test_several_files_are_laid_over_each_other(tmp_path: Path) -> None:
    first = write(tmp_path / "a.ini", "[host:h1]\nport = 1\nuser = a\n")
    second = write(tmp_path / "b.ini", "[host:h1]\nport = 2\n")
    host = load([first, second]).host("h1")
    assert (host.port, host.user) == (2, "a")
    assert load([second, first]).host("h1").port == 1


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "x.ini", "[host:h1]\nport = 0\n")
    assert error("~/x.ini").message.startswith("~/x.ini:2: ")


def test_a_byte_order_mark_and_crlf_are_tolerated(tmp_path: Path) -> None:
    path = write(tmp_path / "hosts.ini", b"\xef\xbb\xbf[host:h1]\r\nport = 23\r\nuser = me\r\n")
    host = load([path]).host("h1")
    assert (host.port, host.user) == (23, "me")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert error(str(tmp_path / "none.ini")).message == f"no such inventory: {tmp_path}/none.ini"


def test_a_missing_file_that_may_be_a_host_is_told_how_hosts_are_named() -> None:
    assert error("lst").hint == "-i takes a file; with a comma it is hosts: `-i lst,` is one, `-i lst,other` are two"
    assert error("./lst").hint == "-i FILE names one"


def test_a_directory_without_hosts_is_an_error(tmp_path: Path) -> None:
    assert error(str(tmp_path)).message == f"no hosts in {tmp_path}"


def test_a_path_through_a_file_or_with_a_nul_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "hosts.ini")
    assert "cannot be read: not a directory" in error(f"{path}/x").message
    assert "cannot be read" in error("a\0b").message
    assert "cannot be read" in error("~nobody-of-that-name/x").message


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Without the powers of root, where the tests have them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_permission_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "hosts.ini", mode=0)
    with _as_nobody():
        assert error(path).message == f"the inventory {path} cannot be read: permission denied"


@pytest.mark.parametrize(
    "content", ["", "\n\n", "# nothing\n", "[defaults]\nuser = x\n", "[group:g]\nport = 1\n", "\ufeff"]
)
def test_an_inventory_without_hosts_is_an_error(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "hosts.ini", content)
    assert error(path).message == f"no hosts in {path}"
    assert error(path).hint == "give it a section such as [host:h1]; a plain list has one host a line"


def test_defaults_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    first = write(tmp_path / "a.ini", "[defaults]\nport = 9\n")
    assert load([first, write(tmp_path / "b.ini")]).host("h1").port == 9


def test_what_is_not_utf8_is_an_error_with_line_and_byte_but_without_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "hosts.ini", "[host:h1]\npassword = pässwört\n".encode("latin-1"))
    found = error(path)
    assert found.message == f"{path}:2: byte 13 of the line is not UTF-8"
    assert "ssw" not in str(found)


def test_an_endless_file_is_an_error() -> None:
    assert error("/dev/zero").message == "the inventory /dev/zero is larger than 64 MiB"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[host:h1]\nport = 70000\n", "2: `70000` is no port"),
        ("[host:h1]\n[host:h1]\n", "2: [host:h1] stands in line 1 already"),
        ("[host:h1]\nuser = a\nuser = b\n", "3: `user` stands in line 2 of this section already"),
        ("[host:-oX]\n", "1: bad host name `-oX`: it starts with `-`"),
        ("[host:h1]\naddress = $(id)\n", "2: bad address: it holds `$`"),
        ("[host:h1]\nuser = -oX\n", "2: bad user: it starts with `-`"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "hosts.ini", content)
    assert error(path).message == f"{path}:{message}"


def test_a_hundred_thousand_hosts_load(tmp_path: Path) -> None:
    count = 100_000
    sections = "".join(f"[host:h{number}]\nport = {number % 65535 + 1}\n" for number in range(count))
    found = load([write(tmp_path / "hosts.ini", f"{sections}[group:g]\nhosts = h[0-{count - 1}]\nuser = u\n")])
    assert len(found.host_names) == len(found.groups["g"]) == count
    last = found.host(f"h{count - 1}")
    assert (last.port, last.user) == ((count - 1) % 65535 + 1, "u")


# --- who may read it ---


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize("section", ["host:h1", "group:g", "defaults"])
def test_a_file_with_a_password_that_others_can_read_is_refused(tmp_path: Path, mode: int, section: str) -> None:
    path = write(tmp_path / "my hosts.ini", f"[host:h0]\n[{section}]\npassword = hunter2\n", mode)
    found = error(path)
    assert found.message == f"{path}:3: a password stands in this file, and others can read it"
    assert found.hint == f"chmod 600 '{path}'"
    assert "hunter2" not in str(found)


def test_the_command_that_mends_it_works_for_a_path_that_starts_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / "hosts.ini", "[host:h1]\npassword = x\n")
    assert error("~/hosts.ini").hint == f"chmod 600 {path}"


def test_a_file_with_a_password_that_only_we_can_read_is_loaded(tmp_path: Path) -> None:
    source = load([write(tmp_path / "hosts.ini", "[host:h1]\npassword = x\n", 0o600)]).host("h1").password_from
    assert source is not None
    assert source.literal is not None


def test_a_file_without_a_password_may_be_read_by_everybody(tmp_path: Path) -> None:
    assert load([write(tmp_path / "hosts.ini", "[host:h1]\npassword_from = ask\n", 0o644)]).host("h1").password_from


# --- which one ---


def test_the_variable_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "hosts.ini")
    named = write(tmp_path / "named.ini")
    assert find({"HOSTSHELL_INVENTORY": named}, str(tmp_path)) == named
    assert find({"HOSTSHELL_INVENTORY": "named.ini"}, str(tmp_path)) == "named.ini"
    assert find({"HOSTSHELL_INVENTORY": "~/named.ini", "HOME": str(tmp_path)}, "/") == named


def test_a_variable_that_points_to_nothing_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "hosts.ini")
    with pytest.raises(InventoryError) as caught:
        find({"HOSTSHELL_INVENTORY": "none.ini"}, str(tmp_path))
    assert "HOSTSHELL_INVENTORY names none.ini" in caught.value.message


def test_then_comes_the_file_of_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "config/hostshell/hosts.ini")
    path = write(tmp_path / "hosts.ini")
    environ = {"HOSTSHELL_INVENTORY": "", "XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert find(environ, str(tmp_path)) == path
    monkeypatch.chdir(tmp_path)
    assert find(environ, str(Path.cwd())) == "hosts.ini"


def test_then_comes_the_file_of_the_configuration(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    config = write(tmp_path / "config/hostshell/hosts.ini")
    home = write(tmp_path / ".config/hostshell/hosts.ini")
    assert find({"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}, str(empty)) == config
    assert find({"HOME": str(tmp_path)}, str(empty)) == home
    assert find({"XDG_CONFIG_HOME": "relative", "HOME": str(tmp_path)}, str(empty)) == home


def test_with_none_there_is_none(tmp_path: Path) -> None:
    assert find({}, str(tmp_path)) is None
    assert find({"HOME": str(tmp_path)}, str(tmp_path)) is None


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_of_this_directory_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path / "hosts.ini", mode=mode)
    with pytest.raises(InventoryError) as caught:
        find({}, str(tmp_path))
    assert caught.value.message == "./hosts.ini can be written by others: it was not used"
    assert "chmod go-w hosts.ini" in caught.value.hint


def test_a_link_is_followed_to_what_others_may_write(tmp_path: Path) -> None:
    write(tmp_path / "real.ini", mode=0o666)
    (tmp_path / "hosts.ini").symlink_to("real.ini")
    with pytest.raises(InventoryError):
        find({}, str(tmp_path))


def test_a_link_to_nothing_is_named_when_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").symlink_to("none.ini")
    path = find({}, str(tmp_path))
    assert path is not None
    assert "no such inventory" in error(path).message


def _status(owner: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))


def test_only_files_of_ours_and_of_root_are_trusted() -> None:
    plain, link = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
    assert why_unsafe(_status(1000, plain), 1000) == ""
    assert why_unsafe(_status(0, plain), 1000) == ""
    assert why_unsafe(_status(1000, link), 1000) == ""  # a link's own mode means nothing
    assert why_unsafe(_status(2_000_000_001, plain), 1000) == "belongs to user 2000000001"
    assert why_unsafe(_status(2_000_000_001, link), 1000) == "belongs to user 2000000001"
    assert why_unsafe(_status(1000, plain | stat.S_IWGRP), 1000) == "can be written by others"
    assert why_unsafe(_status(0, plain | stat.S_IWOTH), 1000) == "can be written by others"


# --- the sample ---


def test_the_sample_inventory_takes_the_readmes_first_line() -> None:
    sample = load([str(SAMPLE)])
    names = resolve(Targets(hosts=("h1,h2,h3",), groups=("web_clusters,db_servers",)), sample)
    assert (names[:3], len(names)) == (("h1", "h2", "h3"), 25)
    hosts = [sample.host(name) for name in names]
    assert len({host.user for host in hosts}) > 2
    assert {"192.0.2.11", "192.0.2.12", "192.0.2.13", "web01.example.net"} <= {host.address for host in hosts}


def test_the_sample_inventory_holds_no_secret() -> None:
    assert list(load([str(SAMPLE)]).secrets()) == []


_pieces = st.sampled_from(
    [
        b"[host:h1]\n",
        b"[host:web[1-3]]\n",
        b"[group:g]\n",
        b"[group:k]\n",
        b"[defaults]\n",
        b"hosts = h1, web[2-9]\n",
        b"groups = k\n",
        b"groups = g\n",
        b"port = 22\n",
        b"user = {host}\n",
        b"password = x\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\x00",
        b"\r\n",
        b"= [",
        b"\x1b[2J",
    ]
) | st.binary(max_size=4)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(_pieces, max_size=8).map(b"".join), min_size=1, max_size=3))
def test_any_bytes_in_the_files_are_an_inventory_or_one_error_with_the_file(tmp_path: Path, files: list[bytes]) -> None:
    paths = [write(tmp_path / f"{number}.ini", content, 0o600) for number, content in enumerate(files)]
    try:
        found = load(paths)
    except InventoryError as refused:
        assert any(path in refused.message for path in paths)
        assert clean(refused.message) == refused.message
        return
    names = list(found.host_names)
    assert names and resolve(Targets(everything=True), found) == tuple(names)
    for name in names:
        check_name(name)
        host = found.host(name)
        check_address(host.address)
        assert 1 <= host.port <= 65535
    for group, members in found.groups.items():
        check_name(group)
        assert set(members) <= set(names)
