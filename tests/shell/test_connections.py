"""The verbs `connections` and `disconnect`, with a pool that says what is open."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from hostshell.core.targets import Targets
from hostshell.core.traffic import OpenConnection
from hostshell.shell import answers
from tests.shell.test_commands import INVENTORY, Desk, NoPool


class Wired(NoPool):
    """Says that connections are open to some hosts, and which it was to close; worker 1 may not answer."""

    def __init__(self, *found: OpenConnection) -> None:
        super().__init__()
        self.found = list(found)
        self.silent: list[int] = []
        self.kept: list[float | None] = []

    def keep(self, longest: float | None) -> None:
        self.kept.append(longest)

    def survey(
        self, hosts: Collection[str] | None = None, *, close: bool = False
    ) -> tuple[list[OpenConnection], list[int]]:
        asked = [one for one in self.found if hosts is None or one.host in hosts]
        if close:
            self.found = [one for one in self.found if one not in asked or one.busy]
        return asked, self.silent


@pytest.fixture
def wired(tmp_path: Path, clean_home: Path) -> Iterator[Desk]:
    inventory = tmp_path / "hosts.ini"
    inventory.touch(mode=0o600)
    inventory.write_text(INVENTORY, encoding="utf-8")
    pool = Wired(
        OpenConnection("root@[::1]:2222", "root", "::1", 2222, 59.6, False),
        OpenConnection("web02", "www", "web02", 22, 0.314, False),
        OpenConnection("h1", "deploy", "192.0.2.11", 2222, 4000.0, False, ("b1",)),
        OpenConnection("web01", "www", "web01", 22, 0.0, True),
    )
    desk = Desk(inventory, pool=pool)
    with contextlib.closing(desk.session):
        yield desk


def open_there(desk: Desk) -> set[str]:
    assert isinstance(desk.pool, Wired)
    return {one.host for one in desk.pool.found}


def test_connections_are_shown_in_the_order_of_the_hosts_or_of_the_inventory(wired: Desk) -> None:
    assert wired("connections").out == (
        "host             connected to                   idle for    busy\n"
        "h1               deploy@192.0.2.11:2222 via b1  1 h 06 min\n"
        "web01            www@web01:22                               yes\n"
        "web02            www@web02:22                   0.31 s\n"
        "root@[::1]:2222  root@[::1]:2222                60 s\n"
        "4 connections\n"
    )
    assert [row["host"] for row in wired.data("connections web02,h2,h1 --json")] == ["web02", "h1"]
    assert [row["host"] for row in wired.data("connections -x web01 --json")] == ["h1", "web02", "root@[::1]:2222"]
    assert wired("connections db01").out == "no connections\n"
    assert wired("connections nope").code == 2
    wired("use -h db01")
    assert wired("connections").out.endswith("4 connections\n")  # whatever the default targets are
    assert wired.data("connections web01 --json") == [
        {"host": "web01", "user": "www", "address": "web01", "port": 22, "via": [], "idle": None, "busy": True}
    ]


def test_connections_on_a_narrow_terminal_are_blocks(wired: Desk) -> None:
    said, _ = answers.connections(wired.session, Targets(("h1,web01",)), 20, False)
    assert said.text == (
        "host: h1\nconnected to:\n  deploy@192.0.2.11:2222\n  via b1\nidle for: 1 h 06 min\n\n"
        "host: web01\nconnected to:\n  www@web01:22\nbusy: yes\n\n2 connections\n"
    )


def test_disconnect_closes_what_is_named_and_leaves_what_is_in_use(wired: Desk) -> None:
    said = wired("disconnect -g web_clusters").out
    assert said == "1 connection closed; left open, because a command is under way: web01\n"
    assert open_there(wired) == {"h1", "web01", "root@[::1]:2222"}
    assert wired.data("disconnect -a --json") == {"closed": ["h1", "root@[::1]:2222"], "busy": ["web01"]}
    assert open_there(wired) == {"web01"}


def test_disconnect_alone_means_the_default_targets_or_asks_for_some(wired: Desk) -> None:
    for line in ("disconnect", "disconnect -x h1", "disconnect nope", "disconnect -a nope"):
        assert wired(line).code == 2
    assert "-a for all connections" in wired("disconnect").err
    assert len(open_there(wired)) == 4
    wired("use -h h1,web02")
    assert wired("disconnect -x h1").out == "1 connection closed\n"
    assert wired("disconnect").out == "1 connection closed\n"
    assert open_there(wired) == {"web01", "root@[::1]:2222"}


def test_disconnect_all_but_some(wired: Desk) -> None:
    assert wired("disconnect -a -x h1").out.startswith("2 connections closed")
    assert open_there(wired) == {"h1", "web01"}


def test_a_worker_that_does_not_say_what_it_has_is_named_below_what_the_others_have(wired: Desk) -> None:
    assert isinstance(wired.pool, Wired)
    wired.pool.silent = [1]
    said = wired("connections h1")
    assert (said.code, said.out.splitlines()[-1]) == (4, "1 connection")
    assert said.err == "error: no answer from worker 1: what is open there is not known\n"
    assert wired("disconnect h1").code == 4


def test_the_idle_limit_is_told_at_once(wired: Desk) -> None:
    assert isinstance(wired.pool, Wired)
    assert wired("set idle_timeout 90").out == "idle_timeout is 90\n"
    assert wired("set idle_timeout off").out == "idle_timeout is off\n"
    assert wired("set fanout 3").code == 0
    assert wired.pool.kept == [600.0, 90.0, None]
    assert wired("set idle_timeout 0").code == 2
