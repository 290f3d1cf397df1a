"""A large file is brought to the disk while it comes, in a session beside the copy's, which may fail in any way."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostshell.core.model import Put
from hostshell.session import Session
from hostshell.ssh.flushing import STEP, WORTH
from tests.support import processes
from tests.support.accounts import Account, public_folder
from tests.support.endings import ended
from tests.support.keys import Key
from tests.support.running import collect, host_section, run, write_inventory, write_known_hosts
from tests.support.sshd import SFTP_SERVERS, Sshd

SIZE = WORTH + STEP  # bytes

Start = Callable[..., tuple[Sshd, Path]]

# what stands in for the SFTP server of the session beside
BESIDE = {
    "logs as the first": "exec {server} -e -l DEBUG2 2>>$0.beside",
    "is silent": "touch $0.beside; exec cat >/dev/null",
    "ends": "touch $0.beside; exit 1",
    "says good morning": "touch $0.beside; echo good morning; exec cat >/dev/null",
    "opens nothing": "touch $0.beside; exec {server} -P open",
    "syncs nothing": "touch $0.beside; exec {server} -P fsync",
}
# an SFTP server that opens any file, and answers every sync with the status $1; in sh, for an account may not have more
ANSWERS = r"""
take() {
    set -- $(dd bs=1 count=4 2>/dev/null | od -An -tu1)
    [ $# = 4 ] || exit 0
    dd bs=1 count=$(($3 * 256 + $4)) 2>/dev/null >/dev/null
}
status=$(printf '\\%03o' "$1")
take; printf '\000\000\000\005\002\000\000\000\003'
take; printf '\000\000\000\012\146\000\000\000\001\000\000\000\001h'
number=1
while take; do
    number=$((number + 1))
    echo "$number" >"$2"
    printf '\000\000\000\021\145\000\000\000'"$(printf '\\%03o' $number)"'\000\000\000'"$status"
    printf '\000\000\000\000\000\000\000\000'
done
"""


@pytest.fixture
def start(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Start]:
    """A server with an SFTP server that logs what it does, and another one beside it; and the folder of the logs."""
    folder = public_folder("flushed")
    folder.chmod(0o777)
    opened = []

    def make(beside: str, **options: str) -> tuple[Sshd, Path]:
        server = next(path for path in SFTP_SERVERS if Path(path).exists())
        script = folder / "sftp"
        script.write_text(
            f"#!/bin/sh\nif mkdir $0.first 2>/dev/null; then exec {server} -e -l DEBUG2 2>>$0.log; fi\n"
            + BESIDE.get(beside, beside).format(server=server)
        )
        (folder / "sftp.sh").write_text(ANSWERS)
        script.chmod(0o755)
        sshd = Sshd(tmp_path / "sshd", options={"Subsystem": f"sftp {script}", **options})
        opened.append(sshd.__enter__())
        sshd.authorize(accounts[0], client_key.public)
        return sshd, folder

    yield make
    for sshd in opened:
        sshd.__exit__(None, None, None)
    shutil.rmtree(folder)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(SIZE))
    return path


def copy(tmp_path: Path, sshd: Sshd, account: Account, key: Key, source: Path) -> None:
    """Put ``source`` into the home, where a command has run before; it must arrive, and a command run after it."""
    inventory = write_inventory(tmp_path, host_section("a", sshd, account, key))
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        assert run(session, "true", "a").status() == {"a": "ok"}
        outcome = collect(session.stream(session.job(Put(str(source), "~/"), ["a"])))
        assert outcome.status() == {"a": "ok"}
        assert not outcome.notes
        target = account.home / source.name
        assert target.read_bytes() == source.read_bytes()
        assert run(session, f"rm {source.name}", "a").status() == {"a": "ok"}


def test_a_large_file_is_synced_beside_its_copy_and_once_more_at_its_end(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path
) -> None:
    os.truncate(big, WORTH + 12 * STEP)  # long enough for a program to start beside it
    sshd, logs = start("logs as the first")
    copy(tmp_path, sshd, accounts[0], client_key, big)
    first, beside = ((logs / f"sftp.{name}").read_text() for name in ("log", "beside"))
    (partial,) = set(re.findall(r'open "([^"]+\.part)"', first))
    assert re.findall(r'open "([^"]+)"', beside) == [partial]
    assert f'fsync "{partial}"\nsent status Success' in beside
    said = re.findall(r"^(?:debug1: request \d+: )?(write|fsync|posix-rename) ", first, re.MULTILINE)
    assert said[-3:] == ["write", "fsync", "posix-rename"]  # after the last byte, and before it has its name
    assert said.count("fsync") == 1


@pytest.mark.parametrize("how", list(BESIDE)[1:])
def test_whatever_becomes_of_the_session_beside_the_copy_is_whole(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path, how: str
) -> None:
    sshd, logs = start(how)
    copy(tmp_path, sshd, accounts[0], client_key, big)
    assert appears(logs / "sftp.beside")


def test_a_server_that_cannot_sync_what_is_read_is_copied_to_as_well(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path
) -> None:
    os.truncate(big, WORTH + 12 * STEP)  # long enough for a program to start beside it
    sshd, logs = start("exec sh $0.sh 8 $0.syncs")
    copy(tmp_path, sshd, accounts[0], client_key, big)
    assert (logs / "sftp.syncs").exists()


def test_a_disk_that_fails_while_the_file_comes_is_told_though_the_last_sync_says_nothing(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path
) -> None:
    """Before Linux 4.13 a failed write was told to one sync only, whichever came first (fsync(2))."""
    os.truncate(big, WORTH + 12 * STEP)  # long enough for a program to start beside it
    sshd, logs = start("touch $0.beside; exec sh $0.sh 4 $0.syncs")
    inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key))
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        assert run(session, "true", "a").status() == {"a": "ok"}
        outcome = collect(session.stream(session.job(Put(str(big), "~/"), ["a"])))
        assert outcome.status() == {"a": "failed"}
        assert run(session, f"ls -A | grep -c {big.name}", "a").status() == {"a": "failed"}  # nothing is left
    assert (logs / "sftp.syncs").exists()


@pytest.mark.parametrize("sessions", ["1", "2"])
def test_a_server_of_few_sessions_is_copied_to_as_well(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path, sessions: str
) -> None:
    sshd, logs = start("logs as the first", MaxSessions=sessions)
    copy(tmp_path, sshd, accounts[0], client_key, big)
    if sessions == "2":
        assert appears(logs / "sftp.beside")
    else:
        assert not (logs / "sftp.beside").exists()


def test_a_smaller_file_needs_no_session_beside(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path
) -> None:
    os.truncate(big, WORTH - 1)
    sshd, logs = start("logs as the first")
    copy(tmp_path, sshd, accounts[0], client_key, big)
    assert (logs / "sftp.log").read_text().count('fsync "') == 1
    assert not (logs / "sftp.beside").exists()


def test_both_sessions_end_when_the_copy_is_stopped_and_the_connection_stays(
    tmp_path: Path, clean_home: Path, start: Start, accounts: list[Account], client_key: Key, big: Path
) -> None:
    os.truncate(big, 4 * 1024**3)  # sparse; far more than is sent until somebody sees the file of the session beside
    sshd, logs = start("is silent")
    inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key))
    with Session(inventory, known_hosts=write_known_hosts(tmp_path, sshd.known_hosts_line)) as session:
        assert run(session, "true", "a").status() == {"a": "ok"}

        def stop(_: object) -> None:
            if (logs / "sftp.beside").exists():
                session.cancel()

        outcome = collect(session.stream(session.job(Put(str(big), "~/"), ["a"])), stop)
        assert outcome.status() == {"a": "cancelled"}
        assert ended(lambda: servers_of(accounts[0]))
        assert run(session, f"rm -f .{big.name}.hostshell-*", "a").status() == {"a": "ok"}


def appears(path: Path) -> bool:
    """Whether a file comes to be there, within some seconds."""
    deadline = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def servers_of(account: Account) -> set[int]:
    """The SFTP servers of an account, and what stands in for one."""
    found = set()
    for pid in processes.of_user(account.uid):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if name in ("cat", "sftp-server"):
            found.add(pid)
    return found
