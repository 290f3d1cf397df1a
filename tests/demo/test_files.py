"""SFTP on a demo host: paths as its shell sees them, and nothing outside its home written."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest

from hostshell.demo.fleet import DemoFleet
from tests.demo.visitor import by_sftp, entries, home, login, run


def test_sftp_puts_renames_and_gets_what_the_shell_then_sees(fleet: DemoFleet, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    source = tmp_path / "source"
    source.write_bytes(data)
    client = login(fleet, "h1")
    try:
        sftp = client.open_sftp()
        assert sftp.normalize(".") == str(home(fleet, "h1"))
        sftp.mkdir("made", 0o750)
        sftp.put(str(source), "made/.part")
        sftp.put(str(source), str(home(fleet, "h1") / "made" / "kept"))
        sftp.chmod("made/.part", 0o640)
        sftp.utime("made/.part", (1_000_000_000, 1_000_000_000))
        sftp.posix_rename("made/.part", "made/kept")
        assert sorted(sftp.listdir("made")) == ["kept"]
        sftp.get("made/kept", str(tmp_path / "back"))
        _, out, _ = client.exec_command("wc -c < made/kept")
        assert int(out.read()) == len(data)
        sftp.remove("made/kept")
        sftp.rmdir("made")
    finally:
        client.close()
    assert (tmp_path / "back").read_bytes() == data


def test_sftp_sets_modes_and_times_inside(fleet: DemoFleet) -> None:
    async def act(sftp: asyncssh.SFTPClient) -> None:
        await sftp.mkdir("modes")
        async with sftp.open("modes/file", "wb") as file:
            await file.write(b"x")
            await file.setstat(asyncssh.SFTPAttrs(permissions=0o604, atime=1, mtime=1_000_000_000))
        await sftp.setstat("modes", asyncssh.SFTPAttrs(permissions=0o711, atime=1, mtime=1_100_000_000))

    by_sftp(fleet, act)
    made = home(fleet) / "modes"
    assert (stat.S_IMODE(made.stat().st_mode), int(made.stat().st_mtime)) == (0o711, 1_100_000_000)
    inner = made / "file"
    assert (stat.S_IMODE(inner.stat().st_mode), int(inner.stat().st_mtime)) == (0o604, 1_000_000_000)


def test_plain_rename_keeps_an_existing_target(fleet: DemoFleet) -> None:
    async def act(sftp: asyncssh.SFTPClient) -> None:
        for name in ("first", "second"):
            async with sftp.open(name, "wb") as file:
                await file.write(name.encode())
        await sftp.rename("first", "second")

    with pytest.raises(asyncssh.SFTPError):
        by_sftp(fleet, act)
    assert (home(fleet) / "second").read_bytes() == b"second"


def test_a_symlink_inside_works_and_is_written_through(fleet: DemoFleet) -> None:
    async def act(sftp: asyncssh.SFTPClient) -> str:
        async with sftp.open("real.txt", "wb") as file:
            await file.write(b"old")
        await sftp.symlink("real.txt", "alias.txt")
        async with sftp.open("alias.txt", "wb") as file:
            await file.write(b"new")
        return str(await sftp.readlink("alias.txt"))

    assert by_sftp(fleet, act) == "real.txt"
    assert (home(fleet) / "real.txt").read_bytes() == b"new"


def test_what_the_user_may_read_outside_can_be_read(fleet: DemoFleet, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"hello")

    async def act(sftp: asyncssh.SFTPClient) -> bytes:
        assert "outside" in await sftp.listdir(str(tmp_path))
        async with sftp.open(str(tmp_path / "outside"), "rb") as file:
            return bytes(await file.read())

    assert by_sftp(fleet, act) == b"hello"


def test_the_demos_own_secrets_cannot_be_read(fleet: DemoFleet) -> None:
    (home(fleet) / "sly").symlink_to(fleet.inventory)
    key = entries(fleet)["web01"].key
    assert key is not None

    async def act(sftp: asyncssh.SFTPClient) -> None:
        for path in (
            fleet.inventory,
            "../../hosts.ini",
            "sly",
            fleet.known_hosts,
            key,
            str(home(fleet, "h1") / "notes.txt"),
        ):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                async with sftp.open(path, "rb") as file:
                    await file.read()
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.listdir(fleet.root)

    by_sftp(fleet, act)


Escape = Callable[[asyncssh.SFTPClient, str], Awaitable[object]]


async def _write(sftp: asyncssh.SFTPClient, path: str, mode: object = "wb") -> None:
    async with sftp.open(path, mode) as file:
        await file.write(b"escaped")


async def _chmod_by_reading_handle(sftp: asyncssh.SFTPClient, out: str) -> None:
    async with sftp.open(f"{out}/victim", "rb") as file:
        await file.setstat(asyncssh.SFTPAttrs(permissions=0o777))


async def _hardlink_then_write(sftp: asyncssh.SFTPClient, _out: str) -> None:
    await _write(sftp, "hard", "r+b")


ESCAPES: dict[str, Escape] = {
    "a new file": lambda sftp, out: _write(sftp, f"{out}/new"),
    "an existing file": lambda sftp, out: _write(sftp, f"{out}/victim", "r+b"),
    "an appended file": lambda sftp, out: _write(sftp, f"{out}/victim", "ab"),
    "a truncation without writing": lambda sftp, out: _write(
        sftp, f"{out}/victim", asyncssh.FXF_READ | asyncssh.FXF_TRUNC
    ),
    "a creation without writing": lambda sftp, out: _write(sftp, f"{out}/new", asyncssh.FXF_READ | asyncssh.FXF_CREAT),
    "an exclusive new file": lambda sftp, out: _write(sftp, f"{out}/new", "xb"),
    "dots": lambda sftp, _: _write(sftp, "../escaped"),
    "another host's home": lambda sftp, _: _write(sftp, "../../h1/home/escaped"),
    "its own bin": lambda sftp, _: _write(sftp, "../bin/hostname", "r+b"),
    "a directory that is a link": lambda sftp, _: _write(sftp, "evil/new"),
    "dots behind a link": lambda sftp, _: _write(sftp, "evil/../escaped"),
    "a link to a file": lambda sftp, _: _write(sftp, "evil-file", "r+b"),
    "a link to a file that is not there": lambda sftp, _: _write(sftp, "evil-missing"),
    "a chain of links": lambda sftp, _: _write(sftp, "chain"),
    "a hard link": _hardlink_then_write,
    "a mode": lambda sftp, out: sftp.chmod(f"{out}/victim", 0o777),
    "a mode through a link": lambda sftp, _: sftp.chmod("evil-file", 0o777),
    "a mode through a handle": _chmod_by_reading_handle,
    "a size": lambda sftp, out: sftp.truncate(f"{out}/victim", 0),
    "a time": lambda sftp, out: sftp.utime(f"{out}/victim", (1, 1)),
    "an owner": lambda sftp, out: sftp.chown(f"{out}/victim", os.getuid(), os.getgid()),
    "a time of a link's own": lambda sftp, out: sftp.utime(f"{out}/victim", (1, 1), follow_symlinks=False),
    "a removal": lambda sftp, out: sftp.remove(f"{out}/victim"),
    "a removal through a link": lambda sftp, _: sftp.remove("evil/victim"),
    "the home itself": lambda sftp, _: sftp.rmdir("."),
    "the home itself, renamed": lambda sftp, _: sftp.rename("../home", "../moved"),
    "a directory": lambda sftp, out: sftp.mkdir(f"{out}/made"),
    "a directory removed": lambda sftp, out: sftp.rmdir(f"{out}/empty"),
    "a rename out": lambda sftp, out: sftp.rename("notes.txt", f"{out}/stolen"),
    "a rename in": lambda sftp, out: sftp.rename(f"{out}/victim", "caught"),
    "a posix rename out": lambda sftp, out: sftp.posix_rename("notes.txt", f"{out}/victim"),
    "a posix rename in": lambda sftp, out: sftp.posix_rename(f"{out}/victim", "caught"),
    "a symlink made outside": lambda sftp, out: sftp.symlink("x", f"{out}/link"),
    "a symlink that leads out": lambda sftp, out: sftp.symlink(out, "way-out"),
    "a relative symlink that leads out": lambda sftp, _: sftp.symlink("../..", "way-out"),
    "a hard link made outside": lambda sftp, out: sftp.link("notes.txt", f"{out}/link"),
    "a hard link of something outside": lambda sftp, out: sftp.link(f"{out}/victim", "caught"),
    "a hard link through a symlink": lambda sftp, _: sftp.link("evil-file", "caught"),
}


def snapshot(path: Path) -> dict[str, object]:
    """All that an escape could have changed."""
    found: dict[str, object] = {}
    for inner in sorted(path.rglob("*")):
        facts = inner.lstat()
        data = inner.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        found[str(inner)] = (facts.st_mode, facts.st_mtime_ns, facts.st_nlink, facts.st_uid, data)
    return found


@pytest.mark.parametrize("way", ESCAPES)
def test_nothing_outside_the_home_can_be_written(fleet: DemoFleet, tmp_path: Path, way: str) -> None:
    outside = Path(tempfile.mkdtemp(dir=Path(fleet.root).parent, prefix="outside-")).resolve()
    inside = home(fleet, "web02")
    links = ("evil", "evil-file", "evil-missing", "chain", "hard")
    try:
        (outside / "victim").write_bytes(b"untouched")
        (outside / "empty").mkdir()
        (inside / "evil").symlink_to(outside)
        (inside / "evil-file").symlink_to(outside / "victim")
        (inside / "evil-missing").symlink_to(outside / "missing")
        (inside / "chain").symlink_to("evil-file")
        (inside / "hard").hardlink_to(outside / "victim")
        before, notes = snapshot(outside), (inside / "notes.txt").read_bytes()
        bins = snapshot(inside.parent / "bin")

        async def act(sftp: asyncssh.SFTPClient) -> None:
            await ESCAPES[way](sftp, str(outside))

        with pytest.raises(asyncssh.SFTPPermissionDenied) as refused:
            by_sftp(fleet, act, "web02")
        assert "demo host: " in refused.value.reason
        if "symlink that leads out" in way:
            assert "no symlink is made that leads out of the home directory" in refused.value.reason
        elif way != "a hard link":
            assert "only the home directory can be written; try -remote '~/'" in refused.value.reason
        assert snapshot(outside) == before
        assert snapshot(inside.parent / "bin") == bins
        assert (inside / "notes.txt").read_bytes() == notes
        assert not (inside / "caught").exists()
        assert not (inside / "way-out").is_symlink()
        assert not (inside.parent / "escaped").exists()
        assert not (home(fleet, "h1") / "escaped").exists()
    finally:
        for name in links:
            (inside / name).unlink(missing_ok=True)
        shutil.rmtree(outside)


def test_a_link_that_leads_out_can_itself_be_removed(fleet: DemoFleet, tmp_path: Path) -> None:
    (home(fleet) / "lost").symlink_to(tmp_path)
    by_sftp(fleet, lambda sftp: sftp.remove("lost"))
    assert not (home(fleet) / "lost").is_symlink()
    assert tmp_path.is_dir()


def test_an_exclusive_new_file_is_never_made_through_a_link(fleet: DemoFleet) -> None:
    (home(fleet) / "taken").symlink_to("nothing-yet")
    with pytest.raises(asyncssh.SFTPError):
        by_sftp(fleet, lambda sftp: _write(sftp, "taken", "xb"))
    assert not (home(fleet) / "nothing-yet").exists()


def test_a_fifo_does_not_stop_the_fleet(fleet: DemoFleet) -> None:
    os.mkfifo(home(fleet) / "fifo")
    for mode in ("rb", "wb"):
        with pytest.raises(asyncssh.SFTPError, match="regular"):
            by_sftp(fleet, lambda sftp, mode=mode: sftp.open("fifo", mode))
    assert run(fleet, "echo still here").stdout == b"still here\n"
