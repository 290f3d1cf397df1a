"""The demo fleet as a stranger meets it: real logins, real commands, real SFTP, and nothing left when it ends."""

from __future__ import annotations

import asyncio
import configparser
import ipaddress
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncssh
import paramiko
import pytest
from ClusterShell.NodeSet import NodeSet

import hostshell
from hostshell.core.errors import EngineError
from hostshell.demo import folder
from hostshell.demo.fleet import DemoFleet

T = TypeVar("T")
NAMES = ("web01", "web02", "db01", "db02", "h1", "h2", "h3")
RUNNING = NAMES[:-1]
PATIENCE = 30.0


@pytest.fixture(scope="module")
def fleet() -> Iterator[DemoFleet]:
    with DemoFleet() as running:
        yield running


@dataclass(frozen=True)
class Entry:
    """A host as its inventory describes it."""

    name: str
    address: str
    port: int
    user: str
    password: str | None
    key: str | None


def entries(fleet: DemoFleet) -> dict[str, Entry]:
    """What hosts.ini says of each host: [defaults], then its group, then its own section."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.read_string(Path(fleet.inventory).read_text())
    found = {}
    for section in parser.sections():
        kind, _, _ = section.partition(":")
        if kind != "group":
            continue
        for name in NodeSet(parser[section]["hosts"]):
            settings = {**parser["defaults"], **parser[section], **parser[f"host:{name}"]}
            found[name] = Entry(
                name,
                settings["address"],
                int(settings["port"]),
                settings["user"],
                settings.get("password"),
                settings.get("key"),
            )
    return found


def groups(fleet: DemoFleet) -> dict[str, list[str]]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.read_string(Path(fleet.inventory).read_text())
    return {s.partition(":")[2]: list(NodeSet(parser[s]["hosts"])) for s in parser.sections() if s.startswith("group:")}


def home(fleet: DemoFleet, name: str = "web01") -> Path:
    return Path(fleet.root, name, "home")


def login(fleet: DemoFleet, name: str, **changed: object) -> paramiko.SSHClient:
    """A paramiko connection, with the credential and the host key of the fleet's own files."""
    entry = entries(fleet)[name]
    client = paramiko.SSHClient()
    client.load_host_keys(fleet.known_hosts)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    options = {"username": entry.user, "password": entry.password, "key_filename": entry.key, **changed}
    try:
        client.connect(entry.address, entry.port, allow_agent=False, look_for_keys=False, timeout=20, **options)
    except BaseException:
        client.close()
        raise
    return client


def connection(fleet: DemoFleet, name: str = "web01") -> asyncssh.connection._ACMWrapper:
    """An asyncssh connection, for what paramiko has no call for."""
    entry = entries(fleet)[name]
    return asyncssh.connect(
        entry.address,
        entry.port,
        username=entry.user,
        password=entry.password,
        client_keys=[entry.key] if entry.key else None,
        known_hosts=fleet.known_hosts,
        agent_path=None,
        config=None,
        encoding=None,
    )


def on_host(fleet: DemoFleet, act: Callable[[asyncssh.SSHClientConnection], Awaitable[T]], name: str = "web01") -> T:
    async def go() -> T:
        async with connection(fleet, name) as conn:
            return await asyncio.wait_for(act(conn), PATIENCE)

    return asyncio.run(go())


def by_sftp(fleet: DemoFleet, act: Callable[[asyncssh.SFTPClient], Awaitable[T]], name: str = "web01") -> T:
    async def go(conn: asyncssh.SSHClientConnection) -> T:
        async with conn.start_sftp_client() as sftp:
            return await act(sftp)

    return on_host(fleet, go, name)


def run(fleet: DemoFleet, command: str | bytes, name: str = "web01", **options: object) -> asyncssh.SSHCompletedProcess:
    return on_host(fleet, lambda conn: conn.run(command, encoding=None, **options), name)


def alive(pid: int) -> bool:
    """Whether a process is there and not only waits to be buried."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


async def first_number(process: asyncssh.SSHClientProcess) -> int:
    return int(await process.stdout.readline())


# --- what it is made of ---


def test_the_inventory_names_seven_hosts_in_three_groups(fleet: DemoFleet) -> None:
    assert groups(fleet) == {
        "web_clusters": ["web01", "web02"],
        "db_servers": ["db01", "db02"],
        "lab": ["h1", "h2", "h3"],
    }
    assert sorted(entries(fleet)) == sorted(NAMES)


def test_hosts_differ_in_user_port_and_credential(fleet: DemoFleet) -> None:
    found = entries(fleet)
    assert len({(entry.address, entry.port) for entry in found.values()}) == 7
    assert len({entry.user for entry in found.values()}) >= 4
    passwords = {entry.password for entry in found.values() if entry.password}
    assert len(passwords) >= 3
    assert any(entry.key for entry in found.values())
    assert any(mark in password for password in passwords for mark in ";#%")


def test_everything_lies_in_one_private_folder(fleet: DemoFleet) -> None:
    root = Path(fleet.root)
    assert root.parent == Path(tempfile.gettempdir()).resolve()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for path in (fleet.inventory, fleet.known_hosts, entries(fleet)["web01"].key or ""):
        assert Path(path).is_relative_to(root)
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_known_hosts_has_one_line_for_each_host(fleet: DemoFleet) -> None:
    places = [line.split()[0] for line in Path(fleet.known_hosts).read_text().splitlines()]
    assert sorted(places) == sorted(f"[{entry.address}]:{entry.port}" for entry in entries(fleet).values())


def test_no_secret_stands_in_the_servers_arguments_or_environment(fleet: DemoFleet) -> None:
    assert fleet.pid is not None
    shown = subprocess.run(["ps", "eww", "-o", "command=", "-p", str(fleet.pid)], capture_output=True, text=True).stdout
    assert "hostshell.demo.server" in shown
    for entry in entries(fleet).values():
        assert entry.password is None or entry.password not in shown


def listening(pid: int) -> list[tuple[str, int]]:
    """Where a process listens."""
    descriptors = Path(f"/proc/{pid}/fd")
    if not descriptors.exists():
        lines = subprocess.run(
            ["lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-a", "-p", str(pid), "-Fn"], capture_output=True, text=True
        ).stdout.splitlines()
        return [(line[1:].rpartition(":")[0], int(line.rpartition(":")[2])) for line in lines if line.startswith("n")]
    sockets = {str(path.readlink()) for path in descriptors.iterdir() if path.is_symlink()}
    found = []
    for family, size in (("tcp", 4), ("tcp6", 16)):
        table = Path(f"/proc/net/{family}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                address, port = words[1].split(":")
                packed = bytes.fromhex(address)
                assert len(packed) == size
                swapped = b"".join(packed[at : at + 4][::-1] for at in range(0, size, 4))
                if sys.byteorder == "big":
                    swapped = packed
                found.append((str(ipaddress.ip_address(swapped)), int(port, 16)))
    return found


def test_it_listens_on_loopback_only(fleet: DemoFleet) -> None:
    assert fleet.pid is not None
    found = listening(fleet.pid)
    assert sorted(port for _, port in found) == sorted(entries(fleet)[name].port for name in RUNNING)
    assert all(ipaddress.ip_address(address).is_loopback for address, _ in found)


# --- logging in ---


@pytest.mark.parametrize("name", RUNNING)
def test_a_host_takes_its_own_credential_and_answers_with_its_name_and_user(fleet: DemoFleet, name: str) -> None:
    client = login(fleet, name)
    try:
        _, out, _ = client.exec_command("hostname; whoami; echo $USER $LOGNAME; pwd; echo ~")
        words = out.read().decode().split()
    finally:
        client.close()
    user, place = entries(fleet)[name].user, str(home(fleet, name))
    assert words == [name, user, user, user, place, place]


def test_the_host_that_is_off_refuses_the_connection(fleet: DemoFleet) -> None:
    entry = entries(fleet)["h3"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((entry.address, entry.port), timeout=20).close()


def test_the_port_of_the_host_that_is_off_is_nobody_elses(fleet: DemoFleet) -> None:
    entry = entries(fleet)["h3"]
    with socket.socket() as other, pytest.raises(OSError):
        other.bind((entry.address, entry.port))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("db01", {"password": "wrong"}),
        ("db01", {"username": "root"}),
        ("web01", {"username": "root"}),
        ("web01", {"key_filename": None, "password": "any"}),
    ],
)
def test_a_wrong_credential_is_refused(fleet: DemoFleet, name: str, changed: dict[str, object]) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        login(fleet, name, **changed).close()


def test_one_hosts_password_opens_no_other(fleet: DemoFleet) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        login(fleet, "db02", password=entries(fleet)["db01"].password).close()


def test_another_key_is_refused(fleet: DemoFleet) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        login(fleet, "web01", key_filename=None, pkey=paramiko.ECDSAKey.generate()).close()


def test_forwarding_is_refused(fleet: DemoFleet) -> None:
    client = login(fleet, "web01")
    try:
        transport = client.get_transport()
        assert transport is not None
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", 9), ("127.0.0.1", 9))
        with pytest.raises(paramiko.SSHException):
            transport.request_port_forward("127.0.0.1", 0)
    finally:
        client.close()


# --- commands ---


def test_output_error_output_and_exit_code_come_as_they_are(fleet: DemoFleet) -> None:
    done = run(fleet, "printf 'a\\0\\377\\n'; echo problem >&2; exit 7")
    assert (done.stdout, done.stderr, done.exit_status) == (b"a\0\xff\n", b"problem\n", 7)


def test_large_output_arrives_whole_on_both_streams(fleet: DemoFleet) -> None:
    done = run(fleet, "head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2")
    assert (len(done.stdout), len(done.stderr), done.exit_status) == (5_000_000, 3_000_000, 0)


def test_standard_input_and_its_end_reach_the_command(fleet: DemoFleet) -> None:
    data = bytes(range(256)) * 20_000
    assert run(fleet, "cat", input=data).stdout == data


def test_input_that_the_command_does_not_want_does_no_harm(fleet: DemoFleet) -> None:
    done = run(fleet, "exec <&-; echo ready", input=b"x" * 3_000_000)
    assert (done.stdout, done.exit_status) == (b"ready\n", 0)


def test_a_pipe_is_what_the_command_has_for_standard_input(fleet: DemoFleet) -> None:
    assert run(fleet, "cat /dev/stdin", input=b"through").stdout == b"through"


def test_a_shell_without_a_terminal_reads_commands(fleet: DemoFleet) -> None:
    done = on_host(fleet, lambda conn: conn.run(None, encoding=None, input=b"hostname\nexit 4\n"), "db01")
    assert (done.stdout, done.exit_status) == (b"db01\n", 4)


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_a_command_killed_by_a_signal_says_which(fleet: DemoFleet, name: str) -> None:
    done = run(fleet, f"kill -{name} $$; sleep 100")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == name


@pytest.mark.parametrize("name", ["TERM", "INT", "KILL", "HUP"])
def test_a_signal_request_reaches_the_whole_process_group(fleet: DemoFleet, name: str) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> tuple[int, str]:
        process = await conn.create_process("sleep 100 & echo $!; sleep 100; echo no", encoding=None)
        child = await first_number(process)
        process.send_signal(name)
        done = await process.wait()
        assert done.exit_signal is not None
        assert b"no" not in done.stdout
        return child, done.exit_signal[0]

    child, told = on_host(fleet, act)
    assert told == name
    if name != "INT":  # a shell's background children ignore INT, here as everywhere
        assert eventually(lambda: not alive(child))
    else:
        os.kill(child, signal.SIGKILL)


def test_a_command_may_catch_its_signal(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> asyncssh.SSHCompletedProcess:
        process = await conn.create_process("trap 'echo caught; exit 3' TERM; echo 1; sleep 1 & wait", encoding=None)
        await first_number(process)
        process.send_signal("TERM")
        return await process.wait()

    done = on_host(fleet, act)
    assert (done.stdout, done.exit_status) == (b"caught\n", 3)


def test_a_background_child_that_holds_the_output_does_not_hold_the_exit_code(fleet: DemoFleet) -> None:
    done = run(fleet, "sleep 100 & echo $!; exit 5")
    child = int(done.stdout)
    assert done.exit_status == 5
    assert alive(child)
    os.kill(child, signal.SIGKILL)


def test_a_command_ends_when_its_client_goes_away(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> int:
        process = await conn.create_process("trap '' HUP; echo $$; sleep 100; sleep 100", encoding=None)
        pid = await first_number(process)
        conn.abort()
        return pid

    pid = on_host(fleet, act)
    assert eventually(lambda: not alive(pid))


def resident(pid: int) -> int:
    """The memory of a process, in KiB."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout)


def test_endless_output_waits_for_a_client_that_does_not_read(fleet: DemoFleet) -> None:
    server = fleet.pid
    assert server is not None

    async def act(conn: asyncssh.SSHClientConnection) -> int:
        before = resident(server)
        process = await conn.create_process("echo $$; exec yes", encoding=None)
        pid = await first_number(process)
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert resident(server) - before < 64 * 1024
        wanted = 20_000_000
        while wanted > 0:
            wanted -= len(await process.stdout.read(1_000_000))
        assert resident(server) - before < 64 * 1024
        process.close()
        return pid

    pid = on_host(fleet, act)
    assert eventually(lambda: not alive(pid))


@pytest.mark.parametrize(("command", "reason"), [("x" * 200_000, b"too long"), ("echo a\0b", b"null byte")])
def test_a_command_that_no_shell_can_take_says_so(fleet: DemoFleet, command: str, reason: bytes) -> None:
    done = run(fleet, command)
    assert done.exit_status not in (0, None)
    assert reason in done.stderr


def test_commands_see_a_small_environment(fleet: DemoFleet) -> None:
    names = {line.split(b"=")[0].decode() for line in run(fleet, "env").stdout.splitlines()}
    expected = {"HOME", "HOSTNAME", "LOGNAME", "PATH", "PS1", "SHELL", "USER", "PWD", "OLDPWD", "SHLVL", "_"}
    assert names <= expected | {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TMPDIR", "TZ"}


def test_many_sessions_share_a_connection(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> list[bytes]:
        done = await asyncio.gather(*(conn.run(f"echo {number}", encoding=None) for number in range(30)))
        return [one.stdout for one in done]

    assert on_host(fleet, act) == [b"%d\n" % number for number in range(30)]


def test_files_to_look_at_differ_where_they_should(fleet: DemoFleet) -> None:
    logs = {run(fleet, "cat logs/app.log notes.txt", name).stdout for name in RUNNING}
    assert len(logs) == len(RUNNING)
    versions = [run(fleet, "grep version app.conf", name).stdout for name in RUNNING]
    assert len(set(versions)) == 2
    assert versions.count(versions[RUNNING.index("db02")]) == 1


# --- SFTP ---


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
        if way != "a hard link":
            assert f"only {inside} can be written; try -remote '~/'" in refused.value.reason
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


# --- its end ---


def test_stop_ends_every_process_and_removes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = DemoFleet()
    fleet.start()
    root, server = Path(fleet.root), fleet.pid
    assert server is not None

    async def act() -> list[int]:
        async with connection(fleet, "db01") as conn:
            busy = await conn.create_process("trap '' HUP TERM; echo $$; sleep 300; sleep 300", encoding=None)
            done = await conn.run("sleep 300 & echo $!; mkdir shut && touch shut/in && chmod 000 shut", encoding=None)
            pids = [await first_number(busy), int(done.stdout)]
            assert all(alive(pid) for pid in pids)
            await asyncio.to_thread(fleet.stop)
            return pids

    pids = asyncio.run(act())
    assert not root.exists()
    assert not alive(server)
    assert all(eventually(lambda pid=pid: not alive(pid)) for pid in pids)
    fleet.stop()  # once more does no harm
    assert (fleet.root, fleet.inventory, fleet.known_hosts, fleet.pid) == ("", "", "", None)


def test_a_fleet_can_be_started_again_and_has_new_secrets() -> None:
    fleet = DemoFleet()
    with fleet:
        first = entries(fleet)
        with pytest.raises(EngineError):
            fleet.start()
    with fleet:
        second = entries(fleet)
    assert {e.password for e in first.values() if e.password}.isdisjoint(e.password for e in second.values())


STARTER = """
import json, sys
from hostshell.demo.fleet import DemoFleet
fleet = DemoFleet()
fleet.start()
assert "asyncssh" not in sys.modules and "paramiko" not in sys.modules
print(json.dumps([fleet.root, fleet.inventory, fleet.known_hosts, fleet.pid]), flush=True)
sys.stdin.read()
"""


@dataclass
class Elsewhere:
    """A fleet that another process started."""

    root: str
    inventory: str
    known_hosts: str
    pid: int


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Elsewhere]]:
    (tmp_path / "asyncio.py").write_text("raise SystemExit('a module of the folder that the person is in')\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(hostshell.__file__).parent.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process, Elsewhere(*json.loads(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def test_a_parent_that_is_killed_leaves_nothing(starter: tuple[subprocess.Popen[str], Elsewhere]) -> None:
    parent, fleet = starter

    async def act() -> int:
        async with connection(fleet, "h1") as conn:  # type: ignore[arg-type]
            process = await conn.create_process("trap '' HUP TERM; echo $$; sleep 300; sleep 300", encoding=None)
            pid = await first_number(process)
            parent.kill()
            await asyncio.to_thread(parent.wait)
            return pid

    pid = asyncio.run(act())
    assert eventually(lambda: not Path(fleet.root).exists())
    assert eventually(lambda: not alive(fleet.pid))
    assert eventually(lambda: not alive(pid))


def test_a_killed_servers_folder_is_swept_by_the_next_start(starter: tuple[subprocess.Popen[str], Elsewhere]) -> None:
    _, stale = starter
    os.kill(stale.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(stale.pid))
    assert Path(stale.root).exists()
    with DemoFleet() as fleet:
        assert not Path(stale.root).exists()
        assert Path(fleet.root).exists()


def test_a_fleet_whose_server_was_killed_still_stops_cleanly() -> None:
    fleet = DemoFleet()
    fleet.start()
    root = Path(fleet.root)
    assert fleet.pid is not None
    os.kill(fleet.pid, signal.SIGKILL)
    fleet.stop()
    assert not root.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_told_to_end_takes_its_folder_with_it(number: signal.Signals) -> None:
    fleet = DemoFleet()
    fleet.start()
    root = Path(fleet.root)
    assert fleet.pid is not None
    os.kill(fleet.pid, number)
    assert eventually(lambda: not root.exists())
    fleet.stop()


def test_a_fleet_that_cannot_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "asyncssh.py").write_text("raise ImportError('asyncssh is broken here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    fleet = DemoFleet()
    with pytest.raises(EngineError, match="asyncssh is broken here"):
        fleet.start()
    assert list(place.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(EngineError, match="no place for its files"):
        DemoFleet().start()


# --- the sweep ---


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path.resolve()


def test_the_sweep_takes_only_what_nobody_holds(place: Path) -> None:
    held, descriptor = folder.make()
    left, dropped = folder.make()
    os.close(dropped)
    assert folder.sweep() == [left]
    assert Path(held).exists()
    os.close(descriptor)
    assert folder.sweep() == [held]


def test_the_sweep_follows_no_link(place: Path) -> None:
    precious = place / "precious"
    precious.mkdir(mode=0o700)
    (precious / "file").touch()
    (precious / folder.HOLD).touch()
    (place / f"{folder.PREFIX}link").symlink_to(precious)
    stale, dropped = folder.make()
    os.close(dropped)
    (Path(stale) / "inner").symlink_to(precious)
    assert folder.sweep() == [stale]
    assert sorted(path.name for path in precious.iterdir()) == ["file", folder.HOLD]


def test_the_sweep_leaves_what_is_open_to_others_or_no_folder(place: Path) -> None:
    shared = place / f"{folder.PREFIX}shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / folder.HOLD).touch()
    (place / f"{folder.PREFIX}file").touch()
    odd = place / f"{folder.PREFIX}odd"
    odd.mkdir(mode=0o700)
    os.mkfifo(odd / folder.HOLD)
    fooled = place / f"{folder.PREFIX}fooled"
    fooled.mkdir(mode=0o700)
    (fooled / folder.HOLD).symlink_to(place / f"{folder.PREFIX}file")
    assert folder.sweep() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_the_sweep_leaves_other_users_folders(place: Path) -> None:
    theirs, dropped = folder.make()
    os.close(dropped)
    os.chown(theirs, 65534, 65534)
    assert folder.sweep() == []


def test_a_folder_without_a_holders_file_is_left_while_it_is_young(place: Path) -> None:
    young, old = place / f"{folder.PREFIX}young", place / f"{folder.PREFIX}old"
    for path in (young, old):
        path.mkdir(mode=0o700)
    os.utime(old, (1, 1))
    assert folder.sweep() == [str(old)]
