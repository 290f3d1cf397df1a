"""Copies to and from real sshds that have no SFTP: the same as with it, by the tools of the host's shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import paramiko
import pytest
from hypothesis import given

from hostshell.ssh import plan
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.partials import LEAST
from hostshell.ssh.remotefiles import SftpGone
from hostshell.ssh.remoteshell import RemoteShell, Said
from hostshell.ssh.sftpwire import FAILURE, NO_SUCH_FILE, PERMISSION_DENIED
from hostshell.ssh.shellfiles import ShellFiles
from hostshell.ssh.shellwords import from_ls, from_stat, refused
from hostshell.ssh.transfer import CopyStopped, TransferError
from tests.fuzz.effort import effort
from tests.ssh.conftest import Copier, connect, folder_of
from tests.ssh.test_transfer_any_tree import TOPS, there_and_back
from tests.ssh.test_transfer_options import (
    test_a_changed_mode_or_time_alone_resends_no_byte,
    test_backup_keeps_the_old_file_beside_the_new,
    test_follow_copies_what_links_point_to_and_sees_circles,
    test_force_sends_what_is_there,
    test_globs_of_a_get_are_resolved_on_the_host_and_a_literal_name_wins,
    test_patterns_leave_out_of_trees_both_ways,
    test_several_sources_go_into_one_directory,
    test_verify_finds_what_is_not_what_was_sent,
)
from tests.ssh.test_transfer_shifting import (
    test_a_local_file_that_shrinks_while_it_is_sent_is_refused_and_the_old_one_stays,
    test_a_remote_file_that_shrinks_while_it_is_fetched_is_refused_and_the_old_one_stays,
    test_of_a_local_file_that_grows_what_it_was_at_first_is_sent,
    test_of_a_remote_file_that_grows_what_it_was_at_first_is_fetched,
)
from tests.ssh.trees import everything, general, make_tree, mode, names, picture
from tests.support.accounts import Account, public_folder
from tests.support.endings import eventually
from tests.support.keys import Key
from tests.support.sshd import Sshd

# these are run here too, against hosts without SFTP
__all__ = [
    "test_a_changed_mode_or_time_alone_resends_no_byte",
    "test_a_local_file_that_shrinks_while_it_is_sent_is_refused_and_the_old_one_stays",
    "test_a_remote_file_that_shrinks_while_it_is_fetched_is_refused_and_the_old_one_stays",
    "test_backup_keeps_the_old_file_beside_the_new",
    "test_follow_copies_what_links_point_to_and_sees_circles",
    "test_force_sends_what_is_there",
    "test_globs_of_a_get_are_resolved_on_the_host_and_a_literal_name_wins",
    "test_of_a_local_file_that_grows_what_it_was_at_first_is_sent",
    "test_of_a_remote_file_that_grows_what_it_was_at_first_is_fetched",
    "test_patterns_leave_out_of_trees_both_ways",
    "test_several_sources_go_into_one_directory",
    "test_verify_finds_what_is_not_what_was_sent",
]

T = TypeVar("T")
TOOLS = (
    "cat", "chmod", "chown", "dd", "head", "ln", "ls", "mkdir", "mv", "printf", "readlink", "rm", "rmdir", "sh",
    "sha256sum", "stat", "sync", "tail", "touch", "xargs",
)  # fmt: skip


def tools_of(kind: str, folder: Path) -> None:
    """A folder for PATH with busybox's tools, or with GNU's and without stat."""
    busybox = shutil.which("busybox")
    for tool in TOOLS:
        if kind == "busybox":
            if busybox is None:
                pytest.skip("no busybox here: copies by its tools are not tested (sh tests/support/get-sshd gets it)")
            (folder / tool).symlink_to(busybox)
    if kind == "no stat":
        (folder / "stat").write_text("#!/bin/sh\necho stat: not found >&2\nexit 127\n")
        (folder / "stat").chmod(0o755)


@pytest.fixture(scope="module", params=["none", "busybox", "no stat"])
def transport(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, accounts: list[Account], client_key: Key
) -> Iterator[paramiko.Transport]:
    folder = public_folder("tools")
    tools_of(request.param, folder)
    options = {"Subsystem": None, "SetEnv": f"PATH={folder}:/usr/bin:/bin"}
    try:
        with Sshd(tmp_path_factory.mktemp("no-sftp"), options=options) as server:
            server.authorize(accounts[0], client_key.public, "restrict")
            made = connect(server.address, server.port, accounts[0].name, client_key.path)
            yield made
            made.close()
    finally:
        shutil.rmtree(folder)


def run(verb: Coroutine[Any, Any, T]) -> T:
    """Carry out a verb of `ShellFiles`: none waits beside others."""
    with pytest.raises(StopIteration) as ended:
        verb.send(None)
    result: T = ended.value.value
    return result


@pytest.fixture
def copier(transport: paramiko.Transport, accounts: list[Account], tmp_path: Path) -> Copier:
    return Copier(transport, folder_of(accounts[0]), tmp_path)


@pytest.fixture
def times(request: pytest.FixtureRequest) -> bool:
    """Whether the host's tools tell times."""
    return "no stat" not in request.node.name


def test_a_tree_goes_there_and_comes_back_as_it_was_and_it_is_said_how(copier: Copier, times: bool) -> None:
    make_tree(copier.here / "tree")
    copied = copier.put("tree", "new/", parents=True)
    assert any("SFTP" in note and "shell's tools" in note for note in copied.notes)
    there = copier.there / "new" / "tree"
    assert picture(there) == picture(copier.here / "tree")
    copied = copier.get("new/tree")
    assert any("SFTP" in note for note in copied.notes)
    back = picture(copier.here / "out" / "h1" / "tree")
    wanted = picture(copier.here / "tree")
    if not times:
        back, wanted = ({name: (one[0], one[2]) for name, one in found.items()} for found in (back, wanted))
    assert back == wanted


@effort(4)
@given(tree=TOPS)
def test_any_tree_goes_there_and_comes_back(copier: Copier, tree: tuple[str, int, object], times: bool) -> None:
    there_and_back(copier, tree, times=times)


def test_any_bytes_in_names_and_content(copier: Copier) -> None:
    tree = os.fsencode(copier.here / "tree")
    os.mkdir(tree)
    strange = [
        b"-rf", b"--", b"a b", b"$(id)", b"`id`", b"'", b'"', b"*", b"?", b"\\", b"\\n", b"new\nline", b"\n", b"end\n",
        b"\xff\xfe", b"\x81\x88", b"\xe4\xb8\xad", b"=", b"!", b"~", b"%s", b"tab\t",
        b" ", b".hidden", b"...", b"esc\x1b",
    ]  # fmt: skip
    content = {name: os.urandom(100) + name + bytes(range(256)) for name in strange}
    for name, data in content.items():
        with open(tree + b"/" + name, "wb") as file:
            file.write(data)
    os.mkdir(tree + b"/-d\n\xff")
    copier.put("tree", "t")
    there = os.fsencode(copier.there / "t")
    assert sorted(os.listdir(there)) == sorted([*strange, b"-d\n\xff"])
    for name, data in content.items():
        with open(there + b"/" + name, "rb") as file:
            assert file.read() == data, name
    (copier.here / "out").mkdir()
    with pytest.raises(TransferError, match="control characters"):
        copier.get("t")  # names that a terminal obeys are refused here as with SFTP; all others come
    came = set(os.listdir(os.fsencode(copier.here / "out" / "h1" / "t")))
    assert came == {name for name in [*strange, b"-d\n\xff"] if b"\x1b" not in name}


def test_a_large_file_goes_there_and_comes_back_with_progress(copier: Copier) -> None:
    data = os.urandom(20_000_003)
    (copier.here / "big").write_bytes(data)
    copier.put("big", "big")
    assert (copier.there / "big").read_bytes() == data
    assert copier.reports[-1][1:] == (len(data), len(data))
    copier.get("big")
    assert (copier.here / "out" / "h1" / "big").read_bytes() == data
    assert copier.reports[-1][1:] == (len(data), len(data))


def test_an_existing_file_keeps_its_mode_and_the_link_to_it(copier: Copier) -> None:
    (copier.there / "old").write_text("old")
    (copier.there / "old").chmod(0o640)
    (copier.there / "link").symlink_to("old")
    copier.give(copier.there / "old")
    (copier.here / "src").write_text("newer")
    copier.put("src", "link")
    assert (copier.there / "link").is_symlink()
    assert (copier.there / "old").read_text() == "newer"
    assert mode(copier.there / "old") == 0o640
    assert names(copier.there) == ["link", "old"]


def test_a_link_of_a_tree_replaces_a_link_to_a_directory_and_does_not_go_into_it(copier: Copier) -> None:
    (copier.here / "tree").mkdir()
    (copier.here / "tree" / "link").symlink_to("elsewhere")
    (copier.there / "tree" / "dir").mkdir(parents=True)
    (copier.there / "tree" / "link").symlink_to("dir")
    copier.give(copier.there / "tree")
    copier.put("tree", "tree")
    assert os.readlink(copier.there / "tree" / "link") == "elsewhere"
    assert everything(copier.there) == ["tree", "tree/dir", "tree/link"]


def test_what_is_there_already_is_not_sent_again(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    copier.put("tree", "t")
    before = {path: path.stat().st_ino for path in (copier.there / "t").rglob("*") if path.is_file()}
    copier.put("tree", "t")
    assert {path: path.stat().st_ino for path in (copier.there / "t").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/nowhere/x", "no such directory on the host: /nowhere"),
        ("closed/x", "no permission to write in"),
        ("file/", "not a directory on the host"),
        ("/dev/full/x", "on the host"),
        ("/dev/null", "is a device"),
    ],
)
def test_what_cannot_be_is_said_in_the_same_words_and_leaves_nothing(copier: Copier, target: str, words: str) -> None:
    (copier.there / "closed").mkdir(mode=0o755)
    (copier.there / "file").write_text("old")
    (copier.here / "src").write_text("x")
    with pytest.raises(TransferError, match=words):
        copier.put("src", target)
    assert everything(copier.there) == ["closed", "file"]
    with pytest.raises(TransferError, match="no such file or directory on the host"):
        copier.get("nothing-there")
    assert not (copier.here / "out").exists()


def test_a_full_disk_is_named_and_the_old_file_stays(copier: Copier, accounts: list[Account]) -> None:
    folder = public_folder("disk")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).returncode:
        folder.rmdir()
        # nobody lets us mount a small disk: what cat says of one is what counts
        assert refused(Said(1, b"cat: write error: No space left on device")).text == "No space left on device"
        return
    try:
        folder.chmod(0o711)
        copier.there = folder_of(accounts[0], folder)
        (copier.there / "name").write_text("old")
        (copier.here / "src").write_bytes(os.urandom(8_000_000))
        with pytest.raises(TransferError, match=r"(?i)no space left on device"):
            copier.put("src", "name")
        assert names(copier.there) == ["name"]
        assert (copier.there / "name").read_text() == "old"
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def test_a_stop_leaves_nothing_but_the_partial_that_it_names(copier: Copier) -> None:
    (copier.here / "big").touch()
    os.truncate(copier.here / "big", 2_000_000_000)
    copier.stopped = lambda: bool(copier.reports)
    with pytest.raises(CopyStopped) as caught:
        copier.put("big", "big")
    (left,) = names(copier.there)
    assert str(caught.value) == f"stopped; the same copy again goes on from {copier.there}/{general(left)} on the host"
    assert copier.transport.is_active()


def test_a_stopped_copy_goes_on_by_the_tools_that_are_there(copier: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "INTERVAL", 0.0)
    data = os.urandom(24_000_003)
    (copier.here / "big").write_bytes(data)
    for copy, arrived in ((copier.put, copier.there / "big"), (copier.get, copier.here / "out/h1/big")):
        copier.stopped = lambda: bool(copier.reports) and copier.reports[-1][1] > len(data) // 2
        with pytest.raises(CopyStopped, match="the same copy again goes on from"):
            copy("big", "big") if copy == copier.put else copy("big")
        copier.stopped = lambda: False
        copied = copy("big", "big", verify=True) if copy == copier.put else copy("big", verify=True)
        assert copied.saved >= LEAST
        assert copied.saved + copied.bytes == len(data)
        assert arrived.read_bytes() == data
        assert names(arrived.parent) == ["big"]


def test_what_an_earlier_try_writes_late_comes_to_its_own_place(copier: Copier) -> None:
    data = os.urandom(3_000_003)
    path = os.fsencode(copier.there / "partial")
    files = ShellFiles(copier.transport, lambda: False)

    def read(length: int, offset: int) -> bytes:
        if offset > len(data) // 2 and not later:
            assert eventually(lambda: (copier.there / "partial").stat().st_size)
            later.append((copier.there / "partial").stat().st_size)
            again = run(files.reopen(path))
            run(again.fill(lambda length, offset: data[offset : offset + length], later[0], len(data), lambda _: None))
        return data[offset : offset + length]

    later: list[int] = []
    first = run(files.create(path))
    run(first.fill(read, 0, len(data), lambda _: None))
    files.close()
    assert later
    assert (copier.there / "partial").read_bytes() == data


def test_a_dry_run_changes_nothing_and_verify_and_sync_are_content(copier: Copier) -> None:
    make_tree(copier.here / "tree")
    copied = copier.put("tree", "new/deep", parents=True, dry_run=True)
    assert any(note.startswith("dry run: would send") for note in copied.notes)
    assert names(copier.there) == []
    copier.put("tree", "tree", verify=True, sync=True)
    copier.get("tree", verify=True, sync=True)
    assert everything(copier.here / "out/h1/tree") == everything(copier.here / "tree")


def test_a_server_whose_sftp_program_is_missing_is_copied_to_as_well(
    tmp_path: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "sshd", options={"Subsystem": "sftp /no/such/program"}) as server:
        server.authorize(accounts[0], client_key.public, "restrict")
        transport = connect(server.address, server.port, accounts[0].name, client_key.path)
        copier = Copier(transport, folder_of(accounts[0]), tmp_path)
        (tmp_path / "src").write_text("x")
        (note,) = copier.put("src", "name").notes
        assert "SFTP server did not start" in note
        assert note.endswith("copied with its shell's tools instead")
        assert (copier.there / "name").read_text() == "x"
        transport.close()


def test_an_account_whose_password_has_expired_is_told(
    tmp_path: Path, accounts: list[Account], client_key: Key
) -> None:
    options = {"Subsystem": None, "ForceCommand": "echo Your password has expired. >&2; exit 1"}
    with Sshd(tmp_path / "sshd", options=options) as server:
        server.authorize(accounts[0], client_key.public, "restrict")
        transport = connect(server.address, server.port, accounts[0].name, client_key.path)
        with pytest.raises(TransferError) as caught:
            Copier(transport, folder_of(accounts[0]), tmp_path).put(__file__, "name")
        assert caught.value.hint == "the account's password has expired: log in there once with ssh and change it"
        transport.close()


def test_a_login_that_has_no_shell_is_told_apart(tmp_path: Path, accounts: list[Account], client_key: Key) -> None:
    options = {"Subsystem": None, "ForceCommand": "echo This account is closed"}
    with Sshd(tmp_path / "sshd", options=options) as server:
        server.authorize(accounts[0], client_key.public, "restrict")
        transport = connect(server.address, server.port, accounts[0].name, client_key.path)
        with pytest.raises(TransferError, match="no SFTP subsystem, and no POSIX shell answers") as caught:
            Copier(transport, accounts[0].home, tmp_path).get("name")
        assert "Subsystem" in caught.value.hint
        transport.close()


def test_what_tools_say_is_understood_whoever_made_them() -> None:
    gnu = from_stat(b"81a4 12 1000 100 1500000000 1600000000 ./x\n", 0, 16)
    bsd = from_stat(b"100644 12 1000 100 1500000000 1600000000 ./x\n", 0, 8)
    assert gnu is not None
    assert bsd is not None
    assert gnu[0] == bsd[0]
    long = from_ls(b"-rwsr-x--T 1 1000 100 12 Jan  1 00:00 x\n", 0)
    assert long is not None
    assert long[0].mode == 0o105750
    device = from_ls(b"crw-rw-rw- 1 0 0 1, 3 Jan  1 00:00 x\n", 0)
    assert device is not None
    assert device[0].is_special
    for text, code in (
        (b"mv: cannot stat 'x': No such file or directory", NO_SUCH_FILE),
        (b"sh: 3: cannot create x/y: Directory nonexistent", NO_SUCH_FILE),
        (b"sh: can't create x/y: nonexistent directory", NO_SUCH_FILE),
        (b"rm: x: Operation not permitted", PERMISSION_DENIED),
        (b"cat: write error: No space left on device", FAILURE),
    ):
        assert refused(Said(1, text)).code == code
    assert refused(Said(1, b"cat: write error: No space left on device")).text == "No space left on device"
    assert refused(Said(9, b"")).text == "exit code 9"


def test_a_link_that_ends_in_the_middle_of_a_copy_is_no_reason_to_begin_it_again(transport: paramiko.Transport) -> None:
    class Dying:
        alive = True

        def open_session(self, window_size: int, timeout: float) -> paramiko.Channel:
            if not self.alive:
                raise LinkLost("the link ended", started=False)  # as our sessions do; it has a turn begun anew
            return transport.open_session(window_size=window_size, timeout=timeout)

    connection = Dying()
    shell = RemoteShell(connection, lambda: False)
    connection.alive = False
    with pytest.raises(SftpGone, match="the link ended"):
        shell.open(b"cat")
    shell.close()
    with pytest.raises(LinkLost):
        RemoteShell(connection, lambda: False)
