"""Tab looks at directories of real hosts, over connections that are open, and is never in the way of a job."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.targets import Targets
from hostshell.core.traffic import Glanced
from hostshell.session import Session
from hostshell.ssh.glance import MOST_NAMES
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import run, session_on
from tests.support.six_hosts import SixHosts
from tests.support.sshd import Sshd
from tests.support.terminal import ENTER, TAB
from tests.wire.test_terminal import Open, open_terminal, prompt

__all__ = ["open_terminal", "prompt"]  # fixtures

ALL = Targets(everything=True)


@pytest.fixture
def account(accounts: list[Account]) -> Account:
    return accounts[0]


@pytest.fixture
def session(tmp_path: Path, clean_home: Path, sshd: Sshd, account: Account, client_key: Key) -> Iterator[Session]:
    with session_on(tmp_path, sshd, account, client_key, [f"a{number}" for number in range(9)]) as session:
        yield session


@pytest.fixture
def folder(account: Account) -> Iterator[Path]:
    """A folder in the home of the account."""
    path = account.home / "glance ' folder"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def names(found: tuple[Glanced, ...]) -> list[tuple[str, bool]]:
    (same,) = {one.names for one in found}
    assert same is not None
    return list(same)


def test_nobody_is_connected_to_for_a_look(session: Session, sshd: Sshd) -> None:
    session.start()
    before = sshd.log.read_text(errors="replace").count("Connection from")
    assert session.glance(ALL, "/", "") == ()
    run(session, "true", "a1")
    assert [one.host for one in session.glance(ALL, "/", "et")] == ["a1"]
    assert session.glance(Targets(("a2",)), "/", "") == ()
    assert session.glance(Targets(("nobody-there",)), "/", "") == ()
    assert sshd.log.read_text(errors="replace").count("Connection from") == before + 1


def test_a_few_of_many_are_asked_in_their_order(session: Session) -> None:
    run(session, "true", "a[0-8]")
    asked = [one.host for one in session.glance(ALL, "/", "etc")]
    assert 1 <= len(asked) <= 6
    assert asked == sorted(asked)


def test_names_come_as_they_are_and_what_cannot_be_typed_is_left_out(session: Session, folder: Path) -> None:
    for name in ("-x", "a b", "$(id)", "*", "\u4e2d", ".hidden", "line\nbreak", "esc\x1b[2J"):
        (folder / name).touch()
    (folder / "sub").mkdir()
    (folder / "link").symlink_to("sub")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "x\udcff").touch()
    run(session, "true", "a1")
    here = "~/glance ' folder/"
    found = names(session.glance(ALL, here, ""))
    assert sorted(found) == sorted(
        [(name, False) for name in ("-x", "a b", "$(id)", "*", "\u4e2d", "dangling")] + [("sub", True), ("link", True)]
    )
    assert names(session.glance(ALL, here, ".")) == [(".hidden", False)]
    assert names(session.glance(ALL, here, "*")) == [("*", False)]
    assert names(session.glance(ALL, here.removeprefix("~/"), "$(")) == [("$(id)", False)]
    assert names(session.glance(ALL, f"{folder}/{{host}}/", "")) == []


def test_a_directory_with_more_names_than_anybody_reads_is_cut(session: Session, folder: Path) -> None:
    for number in range(MOST_NAMES + 10):
        (folder / f"n{number:04d}").touch()
    run(session, "true", "a1")
    (found,) = session.glance(ALL, "~/glance ' folder/", "n")
    assert found.names is not None
    assert len(found.names) == MOST_NAMES
    assert not found.whole
    (found,) = session.glance(ALL, "~/glance ' folder/", "n005")
    assert found.whole


def test_looks_from_another_thread_and_jobs_do_not_meet(session: Session) -> None:
    run(session, "true", "a[0-8]")
    over = threading.Event()
    looks: list[int] = []

    def look() -> None:
        while not over.is_set():
            looks.append(len(session.glance(ALL, "/usr/bin/", "a")))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            found = run(session, f"echo {number}", "a[0-8]")
            assert set(found.status().values()) == {"ok"}
            assert all(lines == [str(number)] for lines in found.out.values())
            assert len(found.out) == 9
            assert len(session.connections()) == 9
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert looks
    assert session.glance(ALL, "/", "etc")


def test_a_job_does_not_wait_for_a_host_that_does_not_say(session: Session, folder: Path) -> None:
    run(session, "true", "a1")
    (folder / "home").mkdir()
    thread = threading.Thread(target=lambda: session.glance(ALL, "/proc/self/task/", ""))
    thread.start()
    assert run(session, "echo there", "a1").out == {"a1": ["there"]}
    thread.join(20)
    assert not thread.is_alive()


def test_tab_completes_a_path_on_the_hosts(prompt: Open, six_hosts: SixHosts) -> None:
    for host, name in (("h1", "tab-test-one"), ("h2", "tab-test-one"), ("h2", "tab-test-two")):
        (six_hosts[host].account.home / name).touch()
    try:
        terminal = prompt()
        terminal.run("use -h h1,h2")
        terminal.run("ping")
        terminal.type("get ~/tab" + TAB)
        terminal.wait_for("get ~/tab-test-")
        terminal.wait_for("on 2 of 2 hosts")
        terminal.wait_for("on 1 of 2 hosts")
        terminal.type("o" + TAB)
        terminal.wait_for_line("hostshell h1,h2 (2)> get ~/tab-test-one")
        terminal.type(" ./out/" + ENTER)
        terminal.wait_for("2 ok in")
    finally:
        for host in ("h1", "h2"):
            for path in six_hosts[host].account.home.glob("tab-test*"):
                path.unlink()


def test_enter_right_after_tab_runs_the_line_as_it_was_typed(prompt: Open) -> None:
    terminal = prompt()
    terminal.run("use -h h1,h2")
    terminal.run("ping")
    terminal.type("get /etc/hos" + TAB + "tname ./out/" + ENTER)
    terminal.wait_for("2 ok in")
