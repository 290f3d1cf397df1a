"""Copies through the whole engine, to and from real OpenSSH servers with different users and credentials."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.errors import LocalFileError
from hostshell.core.events import Progress
from hostshell.core.model import Get, Put
from hostshell.session import Session
from hostshell.shell.commands import Shell
from hostshell.shell.screen import Screen
from tests.support.accounts import Account, public_folder
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.running import (
    Outcome,
    collect,
    host_section,
    run,
    session_on,
    write_inventory,
    write_known_hosts,
)
from tests.support.six_hosts import SixHosts
from tests.support.sshd import Sshd

SIX = ["h1", "h2", "h3", "web01", "web02", "db01"]


@pytest.fixture
def six(six_hosts: SixHosts, clean_home: Path) -> Iterator[Session]:
    with Session(str(six_hosts.hosts_ini), known_hosts=str(six_hosts.known_hosts)) as session:
        yield session


@pytest.fixture
def one(tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> Iterator[Session]:
    with session_on(tmp_path, sshd, accounts[0], client_key, ["a"]) as session:
        yield session


def put(session: Session, local: Path | str, remote: str, hosts: list[str], **more: bool) -> Outcome:
    return collect(session.stream(session.job(Put(str(local), remote, **more), hosts, label="put")))


def get(session: Session, remote: str, local: Path | str, hosts: list[str]) -> Outcome:
    return collect(session.stream(session.job(Get(remote, str(local)), hosts, label="get")))


def test_a_file_goes_to_every_host_and_comes_back_from_each_into_a_folder_of_its_own(
    six: Session, tmp_path: Path
) -> None:  # row 35
    source = tmp_path / "test.py"
    source.write_bytes(os.urandom(300_000))
    assert set(put(six, source, "~/", SIX).status().values()) == {"ok"}
    assert set(run(six, "cksum < test.py", ",".join(SIX)).out) == set(SIX)
    assert set(get(six, "test.py", tmp_path / "out", SIX).status().values()) == {"ok"}
    for host in SIX:
        assert (tmp_path / "out" / host / "test.py").read_bytes() == source.read_bytes()
    run(six, "rm test.py", ",".join(SIX))


def test_a_tree_goes_there_and_back(one: Session, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "deeper").mkdir(parents=True)
    (tree / "empty").mkdir()
    (tree / "deep" / "deeper" / "x").write_text("x")
    (tree / "link").symlink_to("deep/deeper/x")
    for _ in range(2):  # the second time merges, and never makes NAME/tree
        assert put(one, tree, "copied", ["a"]).status() == {"a": "ok"}
    assert get(one, "copied", tmp_path / "back", ["a"]).status() == {"a": "ok"}
    back = tmp_path / "back" / "a" / "copied"
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == [
        "deep",
        "deep/deeper",
        "deep/deeper/x",
        "empty",
        "link",
    ]
    assert (back / "link").readlink() == Path("deep/deeper/x")
    run(one, "rm -r copied", "a")


def test_host_in_the_local_path_replaces_the_added_folder(six: Session, tmp_path: Path) -> None:
    assert set(get(six, "/etc/hostname", tmp_path / "{host}.name", ["h1", "h2"]).status().values()) == {"ok"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h1.name", "h2.name"]


def test_two_hosts_that_would_write_one_path_are_refused_before_anything_starts(six: Session, tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="would both write"):
        six.job(Get("/etc/hostname", f"{tmp_path}/{{host}}/../same"), ["h1", "h2"])


def test_a_missing_local_file_is_found_before_any_host_is_touched(one: Session, sshd: Sshd, tmp_path: Path) -> None:
    before = sshd.log.read_text(errors="replace").count("Connection from")
    with pytest.raises(LocalFileError, match="no such local file"):
        put(one, tmp_path / "not-there", "~/", ["a"])
    assert sshd.log.read_text(errors="replace").count("Connection from") == before


def test_a_download_of_a_file_that_is_not_there_leaves_the_old_one(one: Session, tmp_path: Path) -> None:  # row 29
    old = tmp_path / "out" / "a" / "gone.txt"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    found = get(one, "gone.txt", tmp_path / "out", ["a"])
    assert (found.finished["a"].status, found.kind("a")) == ("failed", "transfer")
    assert old.read_text() == "old"
    assert [path.name for path in old.parent.iterdir()] == ["gone.txt"]
    assert found.summary is not None
    assert found.summary.exit_code == 1


@pytest.mark.parametrize(
    ("remote", "words"),
    [
        ("/etc/forbidden.txt", "permission"),
        ("no/such/dir/x", "no such directory"),
        ("/proc/x", ""),
    ],
)
def test_a_refused_upload_says_why_and_leaves_nothing(
    one: Session, tmp_path: Path, remote: str, words: str
) -> None:  # row 30
    source = tmp_path / "x"
    source.write_text("x")
    found = put(one, source, remote, ["a"])
    assert (found.finished["a"].status, found.kind("a")) == ("failed", "transfer")
    error = found.finished["a"].error
    assert error is not None
    assert words in error.message
    assert not [name for name in os.listdir("/etc") if "forbidden" in name]


def test_a_link_cut_at_half_of_a_copy_is_lost_and_the_name_never_holds_a_part(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 31
    source = tmp_path / "big"
    source.write_bytes(b"x" * 8_000_000)
    with CutRelay((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port)}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:
            run(session, "true", "a")
            relay.cut_after(up=4_000_000)
            assert put(session, source, "half", ["a"]).finished["a"].status == "lost"
            assert run(session, "ls half 2>&1; rm -f .half.*", "a").finished["a"].status == "ok"
            assert run(session, "test ! -e half", "a").finished["a"].status == "ok"


def test_progress_is_told_and_ends_with_all_bytes(one: Session, tmp_path: Path) -> None:
    source = tmp_path / "p"
    source.write_bytes(b"x" * 1_000_000)
    told: list[Progress] = []
    job = one.job(Put(str(source), "~/p"), ["a"])
    collect(one.stream(job), lambda event: told.append(event) if isinstance(event, Progress) else None)
    assert (told[-1].host, told[-1].bytes, told[-1].total) == ("a", 1_000_000, 1_000_000)
    run(one, "rm p", "a")


def test_a_cancelled_copy_leaves_no_temporary_file(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    source = tmp_path / "endless"
    with source.open("wb") as file:
        file.truncate(40_000_000_000)  # sparse: far more than can be sent meanwhile
    with session_on(tmp_path, sshd, accounts[0], client_key, ["a"]) as session:
        run(session, "mkdir copying", "a")
        cancelled: list[bool] = []

        def cancel_on_progress(event: object) -> None:
            if isinstance(event, Progress) and event.bytes and not cancelled:
                cancelled.append(True)
                session.cancel()

        job = session.job(Put(str(source), "copying/"), ["a"])
        found = collect(session.stream(job), cancel_on_progress)
        assert found.finished["a"].status == "cancelled"
        left = run(session, "ls -A copying; rm -r copying", "a").out
    assert left == {} or found.notes  # gone, or named


def test_another_users_file_in_a_sticky_directory_is_told_as_such(
    six: Session, tmp_path: Path, accounts: list[Account]
) -> None:
    shared = public_folder("sticky")
    shared.chmod(0o1777)
    try:
        source = tmp_path / "x"
        source.write_text("x")
        assert put(six, source, f"{shared}/", ["h1"]).status() == {"h1": "ok"}
        source.write_text("y")
        found = put(six, source, f"{shared}/", ["h2"])
        if accounts[0].real:  # without root both hosts log in as one user, who may replace it
            error = found.finished["h2"].error
            assert error is not None
            assert error.message == f"no permission to replace {shared}/x on the host"
        assert [path.name for path in shared.iterdir()] == ["x"]
    finally:
        shutil.rmtree(shared)


def test_a_local_path_below_a_file_is_refused_before_any_host_is_touched(one: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LocalFileError, match="is not a directory"):
        get(one, "x", tmp_path / "file" / "out", ["a"])


def test_a_host_without_sftp_is_copied_to_and_a_note_says_so(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "no-sftp", options={"Subsystem": None}) as server:
        server.authorize(accounts[0], client_key.public, "restrict")
        with session_on(tmp_path, server, accounts[0], client_key, ["a", "b"]) as session:
            source = tmp_path / "src"
            source.write_bytes(os.urandom(1_000_000))
            sent = put(session, source, "no-sftp-{host}", ["a", "b"])
            assert set(sent.status().values()) == {"ok"}
            assert {note.host for note in sent.notes if "has no SFTP subsystem" in note.text} == {"a", "b"}
            got = get(session, "no-sftp-{host}", tmp_path / "out", ["a", "b"])
            assert set(got.status().values()) == {"ok"}
            for host in ("a", "b"):
                assert (tmp_path / "out" / host / f"no-sftp-{host}").read_bytes() == source.read_bytes()
                (accounts[0].home / f"no-sftp-{host}").unlink()


def test_the_summary_counts_what_was_sent_and_what_was_there(one: Session, tmp_path: Path) -> None:
    tree = tmp_path / "counted"
    tree.mkdir()
    for name in ("x", "y"):
        (tree / name).write_text(name * 10)
    first = put(one, tree, "counted", ["a"]).summary.copied
    (tree / "x").write_text("other")
    again = put(one, tree, "counted", ["a"]).summary.copied
    run(one, "rm -r counted", "a")
    assert first is not None and again is not None
    assert (first.files, first.bytes, first.unchanged, first.compared) == (2, 20, 0, ())
    assert (again.files, again.bytes, again.unchanged, again.saved) == (1, 5, 1, 10)
    assert again.compared == ("sha256sum",)


def test_a_host_that_grants_one_session_is_compared_by_size_and_time_and_cannot_be_verified(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    tree = tmp_path / "single"
    tree.mkdir()
    for name in ("x", "y"):
        (tree / name).write_text(name * 10)
    with Sshd(tmp_path / "sshd", options={"MaxSessions": "1"}) as server:
        server.authorize(accounts[0], client_key.public)
        with session_on(tmp_path, server, accounts[0], client_key, ["a"]) as session:
            first, again = (put(session, tree, "single", ["a"]).finished["a"].copied for _ in range(2))
            (tree / "x").write_text("X" * 10)
            os.utime(tree / "x", (1_000_000_000, 1_000_000_000))
            third = put(session, tree, "single", ["a"]).finished["a"].copied
            verified = put(session, tree, "single", ["a"], force=True, verify=True)
            run(session, "rm -r single", "a")
    assert [one and one.files for one in (first, again, third)] == [2, 0, 1]
    assert again is not None and again.compared == ("size and time",)
    failure = verified.finished["a"].error
    assert failure is not None
    assert "could not be verified" in failure.message
    assert "MaxSessions" in failure.hint


def test_the_line_of_a_host_says_unchanged_or_what_would_be_done(one: Session, tmp_path: Path) -> None:
    (tmp_path / "said").write_text("content")
    lines = []
    for more in ("--dry-run", "", "", "--dry-run"):
        said = io.StringIO()
        assert Shell(one, Screen(io.StringIO(), said)).line(f"put {tmp_path}/said ./ -h a {more}") == 0
        lines.append(said.getvalue().partition(" (")[0])
    run(one, "rm said", "a")
    there = "~/said"
    assert lines == [
        f"a: would copy 1 file -> {there}",
        f"a: sent 1 file, 7 B -> {there}",
        f"a: unchanged: {there}",
        f"a: would change nothing: {there}",
    ]


def test_the_line_of_a_host_says_where_the_copy_is(
    one: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree").mkdir()
    for name in ("said", "more", "tree/in"):
        (tmp_path / name).write_text("content")
    (home,) = run(one, "pwd", "a").out["a"]
    lines = []
    for line in (
        f"put said {home}/other -h a",
        "put said other -h a --force",
        "put tree ~ -h a",
        "put said more tree/ -h a",
        "get other out/ -h a",
        "get tree out/ -h a",
        "get tree/said tree/more {host}/ -h a",
    ):
        said = io.StringIO()
        assert Shell(one, Screen(io.StringIO(), said)).line(line) == 0
        lines.append(said.getvalue().partition(" (")[0])
    run(one, "rm -r other tree", "a")
    assert lines == [
        f"a: sent 1 file, 7 B -> {home}/other",
        "a: sent 1 file, 7 B -> ~/other",
        "a: sent 1 file, 7 B -> ~/tree/",
        "a: sent 2 files, 14 B -> ~/tree/",
        "a: fetched 1 file, 7 B -> out/a/other",
        "a: fetched 3 files, 21 B -> out/a/tree/",
        "a: fetched 2 files, 14 B -> a/",
    ]
