"""Copies against servers of our own making: disks that fail, names that lie, a protocol that is broken."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncssh
import paramiko
import pytest

from hostshell.ssh import exchange, plan
from hostshell.ssh.link import Link
from hostshell.ssh.partials import LEAST, Claims, part_name
from hostshell.ssh.sftpwire import Kind
from hostshell.ssh.transfer import TransferError
from hostshell.ssh.transport import Transport
from tests.ssh.conftest import Copier, connect, folder_of
from tests.ssh.trees import everything, make_tree, names, picture
from tests.support.accounts import Account, public_folder
from tests.support.keys import Key
from tests.support.sshd import Sshd
from tests.support.standin import StandIn, _FromHome


class _Full(_FromHome):
    """A disk without space: statvfs says so, and every write fails with nothing but "Failure"."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        raise asyncssh.SFTPError(asyncssh.FX_FAILURE, "Failure")

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        return asyncssh.SFTPVFSAttrs(frsize=4096, blocks=1000, files=1000, favail=900)


class _NoInodes(_Full):
    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        return asyncssh.SFTPVFSAttrs(frsize=4096, blocks=10**9, bavail=10**9, files=1000)


class _ReadOnly(_FromHome):
    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        raise asyncssh.SFTPError(asyncssh.FX_FAILURE, "Failure")

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        return asyncssh.SFTPVFSAttrs(frsize=4096, blocks=1000, bavail=1000, files=1000, favail=900, flags=1)


class _Talkative(_FromHome):
    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        raise asyncssh.SFTPError(asyncssh.FX_FAILURE, "Disk quota\x1b[2J exceeded")


class _NoLinks(_FromHome):
    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("no links here")


class _LateFailure(_FromHome):
    """Takes all writes, and says only at the close that they did not reach the disk, as network file systems do."""

    def close(self, file_obj: object) -> None:
        super().close(file_obj)
        raise asyncssh.SFTPError(asyncssh.FX_FAILURE, "Input/output error")


class _HalfWritten(_FromHome):
    """Takes the first half of a file, and no more."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if offset >= 500_000:
            raise asyncssh.SFTPError(asyncssh.FX_FAILURE, "Input/output error")
        return super().write(file_obj, offset, data)


class _NoRemoval(_HalfWritten):
    """Lets files be made, and not removed, as a folder that only grows."""

    def remove(self, path: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("only root removes here")


class _Backwards(_FromHome):
    """Of all answers that are due, gives the last first. ``most`` is how many were turned round at once."""

    most = 0

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], home: Path) -> None:
        super().__init__(channel, home)
        self._held: list[bytes] = []
        self._write_out = channel.write
        channel.write = self._hold

    def _hold(self, data: bytes, datatype: int | None = None) -> None:
        assert datatype is None
        if not self._held:
            asyncio.get_running_loop().call_later(0.005, self._release)
        self._held.append(data)  # one packet, and a whole one

    def _release(self) -> None:
        held, self._held = self._held, []
        _Backwards.most = max(_Backwards.most, len(held))
        self._write_out(b"".join(reversed(held)))


class _ShortReads(_FromHome):
    """Gives a third of what is asked for, as the protocol allows."""

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        data = super().read(file_obj, offset, max(1, size // 3))
        assert isinstance(data, bytes)
        return data


class _EarlyEnd(_FromHome):
    """Says that a file is longer than it turns out to be."""

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        if offset >= 500_000:
            return b""
        data = super().read(file_obj, offset, min(size, 500_000 - offset))
        assert isinstance(data, bytes)
        return data


class _Liar(_FromHome):
    """Lists names that would leave the folder they are copied to."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        file = asyncssh.SFTPAttrs(permissions=0o100644, size=3)
        folder = asyncssh.SFTPAttrs(permissions=0o040755)
        for name in (b"../x", b"/x", b"a/b", b"", b"e\x1b[2Jsc", b"good"):
            yield asyncssh.SFTPName(name, attrs=file)
        yield asyncssh.SFTPName(b"../../d", attrs=folder)


class _Switch(_FromHome):
    """Lists one name twice: as a link that leads out, then as a folder to write into."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        if path.endswith(b"/n"):
            yield asyncssh.SFTPName(b"good", attrs=asyncssh.SFTPAttrs(permissions=0o100644, size=3))
            return
        yield asyncssh.SFTPName(b"n", attrs=asyncssh.SFTPAttrs(permissions=0o120777))
        yield asyncssh.SFTPName(b"n", attrs=asyncssh.SFTPAttrs(permissions=0o040755))

    def readlink(self, path: bytes) -> bytes:
        return b"../../../victim"


class _Deep(_FromHome):
    """Every folder has a folder in it, for ever."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        yield asyncssh.SFTPName(b"d", attrs=asyncssh.SFTPAttrs(permissions=0o040755))


class _Own(StandIn):
    """A stand-in whose SFTP side is one of the classes above."""

    def __init__(self, folder: Path, account: Account, sftp: type[_FromHome]) -> None:
        super().__init__(folder, [account])
        self._class = sftp

    def _sftp(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return self._class(channel, self._account(channel.get_connection()).home)


@pytest.fixture
def against(tmp_path: Path) -> Iterator[Callable[[type[_FromHome]], Copier]]:
    """Makes a copier for a server of one of the classes above."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    account = Account("somebody", "a password", there, real=False)
    opened: list[tuple[_Own, paramiko.Transport]] = []

    def make(sftp: type[_FromHome]) -> Copier:
        server = _Own(tmp_path, account, sftp)
        server.start()
        transport = Transport(Link(socket.create_connection((server.address, server.port)), budget=None))
        opened.append((server, transport))
        transport.start_client(timeout=20)
        transport.auth_password(account.name, account.password)
        return Copier(transport, there, here)

    yield make
    for server, transport in opened:
        transport.close()
        server.stop()


def test_a_server_that_is_not_openssh_gets_and_gives_the_same_tree(
    against: Callable[[type[_FromHome]], Copier],
) -> None:
    copier = against(_FromHome)
    make_tree(copier.here / "tree")
    (copier.here / "tree" / "big").write_bytes(os.urandom(3_000_001))
    os.utime(copier.here / "tree", (1_000_000_000, 1_000_000_000))
    copier.put("tree", "~/new/", parents=True)
    copier.get("~/new/tree")
    assert picture(copier.here / "out" / "h1" / "tree") == picture(copier.here / "tree")


@pytest.mark.parametrize(
    ("sftp", "words"),
    [
        (_Full, "no space left on the host's disk"),
        (_NoInodes, "no free inodes"),
        (_ReadOnly, "is on a read-only file system"),
        (_Talkative, r"Disk quota\^\[\[2J exceeded"),
        (_LateFailure, "Input/output error"),
        (_HalfWritten, "Input/output error"),
    ],
)
def test_the_cause_of_a_refused_write_is_put_into_words(
    against: Callable[[type[_FromHome]], Copier], sftp: type[_FromHome], words: str
) -> None:
    copier = against(sftp)
    (copier.there / "name").write_text("old")
    (copier.here / "src").write_bytes(os.urandom(1_000_000))
    with pytest.raises(TransferError, match=words):
        copier.put("src", "name")
    assert names(copier.there) == ["name"]
    assert (copier.there / "name").read_text() == "old"


def test_a_temporary_file_that_a_host_does_not_remove_is_named(against: Callable[[type[_FromHome]], Copier]) -> None:
    copier = against(_NoRemoval)
    (copier.here / "tree").mkdir()
    (copier.here / "tree" / "large").write_bytes(bytes(800_000))
    (copier.here / "tree" / "small").write_bytes(b"small")
    for source, words in (("tree/large", "Input/output error"), ("tree", "the rest was copied")):
        with pytest.raises(TransferError, match=rf"{words}; ~/\S*\.large\.\w+\.part may have stayed on the host"):
            copier.put(source, "~/")
    assert (copier.there / "tree" / "small").read_bytes() == b"small"


def test_answers_in_the_wrong_order_make_the_right_files(against: Callable[[type[_FromHome]], Copier]) -> None:
    _Backwards.most = 0
    copier = against(_Backwards)
    make_tree(copier.here / "tree")
    for name in ("big", "bigger"):
        (copier.here / "tree" / name).write_bytes(os.urandom(2_000_001))
    os.utime(copier.here / "tree", (1_000_000_000, 1_000_000_000))
    copier.put("tree", "tree", verify=True)
    sent, _Backwards.most = _Backwards.most, 0
    copier.get("tree", verify=True)
    assert picture(copier.here / "out" / "h1" / "tree") == picture(copier.here / "tree")
    assert min(sent, _Backwards.most) > 2


def test_reads_that_give_less_than_asked_for_make_the_whole_file(
    against: Callable[[type[_FromHome]], Copier],
) -> None:
    copier = against(_ShortReads)
    (copier.there / "name").write_bytes(os.urandom(1_000_001))
    copier.get("name")
    assert (copier.here / "out/h1/name").read_bytes() == (copier.there / "name").read_bytes()


def test_a_file_that_ends_before_its_size_is_no_copy_and_the_old_one_stays(
    against: Callable[[type[_FromHome]], Copier],
) -> None:
    copier = against(_EarlyEnd)
    (copier.there / "name").write_bytes(os.urandom(1_000_001))
    place = copier.here / "out" / "h1"
    place.mkdir(parents=True)
    (place / "name").write_text("old")
    copier.get("name", expect="became shorter on the host")
    assert names(place) == ["name"]
    assert (place / "name").read_text() == "old"


def test_a_link_that_the_host_refuses_is_reported_with_its_reason(
    against: Callable[[type[_FromHome]], Copier],
) -> None:
    copier = against(_NoLinks)
    (copier.here / "tree").mkdir()
    (copier.here / "tree" / "link").symlink_to("/etc/hosts")
    with pytest.raises(TransferError, match=r"tree/link \(the host refuses this link: no links here\)") as caught:
        copier.put("tree", "~/")
    assert "no permission to write" not in caught.value.message


def test_a_glob_never_matches_a_name_that_a_server_makes_up(against: Callable[[type[_FromHome]], Copier]) -> None:
    copier = against(_Liar)
    tree = copier.there / "tree"
    tree.mkdir()
    for path in (tree / "good", tree / "e\x1b[2Jsc", copier.there / "x"):
        path.write_text("yes")
    (tree / "a").mkdir()
    (tree / "a" / "b").write_text("no")
    assert copier.get("tree/*").files == 1
    assert everything(copier.here) == ["out", "out/h1", "out/h1/good"]
    copier.get("tree/../*/[ab.]*", "none/", expect="nothing on the host matches")
    assert everything(copier.here) == ["out", "out/h1", "out/h1/good"]


def test_names_that_a_server_makes_up_are_refused_and_the_others_go_on(
    against: Callable[[type[_FromHome]], Copier],
) -> None:
    copier = against(_Liar)
    (copier.there / "tree").mkdir()
    (copier.there / "tree" / "good").write_text("yes")
    with pytest.raises(TransferError, match=r"a name with a slash.* and 1 more; the rest was copied") as caught:
        copier.get("tree")
    assert "\x1b" not in caught.value.message
    assert everything(copier.here) == ["out", "out/h1", "out/h1/tree", "out/h1/tree/good"]


def test_a_link_from_the_server_is_not_followed_when_it_becomes_a_folder(
    against: Callable[[type[_FromHome]], Copier],
) -> None:
    copier = against(_Switch)
    (copier.there / "tree" / "n").mkdir(parents=True)
    (copier.there / "tree" / "n" / "good").write_text("yes")
    (copier.here / "victim").mkdir()
    with pytest.raises(TransferError, match="a symlink on this machine"):
        copier.get("tree")
    assert names(copier.here / "victim") == []


def test_a_tree_without_end_has_one_here(against: Callable[[type[_FromHome]], Copier]) -> None:
    copier = against(_Deep)
    (copier.there / "tree").mkdir()
    (copier.there / "tree" / "d").symlink_to(".")
    with pytest.raises(TransferError, match="directories deep"):
        copier.get("tree")


def test_a_login_with_neither_sftp_nor_a_shell_is_said_to_have_none(
    sshd: Sshd, tmp_path: Path, accounts: list[Account], client_key: Key
) -> None:
    for options, words in (
        ({"Subsystem": None, "ForceCommand": "false"}, "has no SFTP subsystem, and no POSIX shell answers"),
        (
            {"Subsystem": "sftp /no/such/program", "ForceCommand": "false"},
            "did not start.*, and no POSIX shell answers",
        ),
        (
            {"Subsystem": "sftp echo This account is closed"},
            "printed text where SFTP was to start: This account is closed",
        ),
    ):
        with Sshd(tmp_path / "sshd", options=options) as server:
            server.authorize(accounts[0], client_key.public, "restrict")
            transport = connect(server.address, server.port, accounts[0].name, client_key.path)
            copier = Copier(transport, accounts[0].home, tmp_path)
            with pytest.raises(TransferError, match=words) as caught:
                copier.get("name")
            assert caught.value.hint
            transport.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (struct.pack(">IBI", exchange.MAX_PACKET + 1, Kind.STATUS, 1), "broke the SFTP protocol: a packet of"),
        (struct.pack(">IBII", 9, Kind.STATUS, 999, 0), "broke the SFTP protocol: an answer that nobody asked for"),
        (struct.pack(">I", 0), "broke the SFTP protocol: a packet of"),
        (struct.pack(">IBI", 5, Kind.ATTRS, 1), "broke the SFTP protocol: an answer ends too early"),
        (b"", "the host ended SFTP during the copy"),
    ],
)
def test_a_server_that_breaks_the_protocol_is_refused(
    tmp_path: Path, accounts: list[Account], client_key: Key, answer: bytes, words: str
) -> None:
    folder = public_folder("broken")
    script = folder / "sftp"
    # our INIT has 9 bytes; the tenth is the beginning of the first request
    hello = octal(struct.pack(">IBI", 5, Kind.VERSION, 3))
    script.write_text(f"#!/bin/sh\nprintf '{hello}'\nhead -c 10 >/dev/null\nprintf '{octal(answer)}'\n")
    script.chmod(0o755)
    try:
        with Sshd(tmp_path / "sshd", options={"Subsystem": f"sftp {script}"}) as server:
            server.authorize(accounts[0], client_key.public, "restrict")
            transport = connect(server.address, server.port, accounts[0].name, client_key.path)
            with pytest.raises(TransferError, match=words):
                Copier(transport, tmp_path, tmp_path).get("name")
            assert transport.is_active()
            transport.close()
    finally:
        shutil.rmtree(folder)


def octal(data: bytes) -> str:
    """Bytes as printf takes them."""
    return "".join(f"\\{byte:03o}" for byte in data)


@pytest.fixture(params=["full", "read-only"])
def tiny_disk(request: pytest.FixtureRequest, accounts: list[Account]) -> Iterator[tuple[Path, str] | None]:
    """A disk of 1 MiB on the host, and what is to be said of it; None where nobody lets us mount one."""
    kind, words = request.param, {"full": "no space left on the host's disk", "read-only": "on a read-only file system"}
    folder = public_folder("disk")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).returncode:
        folder.rmdir()
        yield None
        return
    try:
        there = folder_of(accounts[0], folder)
        folder.chmod(0o711)
        (there / "name").write_text("old")
        if kind == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield there, words[kind]
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def test_a_real_disk_that_takes_no_more_is_recognised(
    tiny_disk: tuple[Path, str] | None, copier: Copier, against: Callable[[type[_FromHome]], Copier]
) -> None:
    if tiny_disk is None:
        # a server that says what such a disk says stands in
        copier, words = against(_Full), "no space left on the host's disk"
        (copier.there / "name").write_text("old")
    else:
        copier.there, words = tiny_disk
    (copier.here / "src").write_bytes(os.urandom(3_000_000))
    with pytest.raises(TransferError, match=words):
        copier.put("src", "name")
    assert names(copier.there) == ["name"]
    assert (copier.there / "name").read_text() == "old"


@pytest.mark.parametrize("tiny_disk", ["full"], indirect=True)
def test_a_disk_that_is_full_keeps_nothing_of_a_copy_that_went_on(
    tiny_disk: tuple[Path, str] | None, copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "INTERVAL", 0.0)
    if tiny_disk is None:
        pytest.skip("nobody lets us mount a small disk here: a resumed copy that fills one is not tested")
    copier.there = tiny_disk[0]
    subprocess.run(["mount", "-o", "remount,size=4m", copier.there.parent], check=True)
    (copier.here / "src").write_bytes(os.urandom(8 * LEAST))
    info = (copier.here / "src").stat()
    claim = Claims(copier.partials, copier.host).claim(
        os.fsencode(copier.here / "src"),
        os.fsencode(copier.there / "name"),
        (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns),
    )
    assert claim is not None
    partial = Path(os.fsdecode(claim.path))
    partial.write_bytes((copier.here / "src").read_bytes()[: 2 * LEAST])
    partial.chmod(0o600)
    copier.give(partial)
    claim.settle(left=True)
    with pytest.raises(TransferError, match=tiny_disk[1]):
        copier.put("src", "name")
    assert copier.saved[0] == 2 * LEAST, "it went on"
    assert names(copier.there) == ["name"]
    assert (copier.there / "name").read_text() == "old"
    assert everything(copier.partials) == []


@pytest.mark.parametrize("went_on", [False, True])
def test_a_disk_of_this_machine_that_is_full_keeps_the_old_file_and_nothing_else(
    copier: Copier, went_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "INTERVAL", 0.0)
    here = copier.here / "out" / "h1"
    (copier.there / "name").write_bytes(os.urandom(8 * LEAST))
    here.mkdir(parents=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", here]).returncode:
        pytest.skip("nobody lets us mount a small disk here: a get that fills one is not tested")
    try:
        (here / "name").write_text("old")
        if went_on:
            info = (copier.there / "name").stat()
            copy = (b"h1", os.fsencode(copier.there / "name"), os.fsencode(here / "name"))
            partial = here / os.fsdecode(part_name(b"name", copy, (info.st_size, int(info.st_mtime))))
            partial.write_bytes((copier.there / "name").read_bytes()[: 2 * LEAST])
            partial.chmod(0o600)
        copier.get("name", expect="no space left on this machine's disk")
        assert copier.saved[0] == (2 * LEAST if went_on else 0)
        assert names(here) == ["name"]
        assert (here / "name").read_text() == "old"
    finally:
        subprocess.run(["umount", here], check=True)
