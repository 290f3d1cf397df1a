"""Lines that name the hosts of the last command by how they ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.events import Failure, Finished
from hostshell.core.targets import Targets
from tests.shell.playing import Play, Stage, failed

UNREACHABLE = Finished(0, "", "unreachable", error=Failure("refused", "connection refused (port 22)"))


@pytest.fixture
def stage(tmp_path: Path, clean_home: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, Play(ends={"web1": failed(1), "web3": failed(2), "db1": UNREACHABLE}))
    with contextlib.closing(made.session):
        yield made


@pytest.mark.parametrize(
    ("targets", "hosts"),
    [
        ("-h @failed", ["web1", "web3"]),
        ("-g failed,unreachable", ["web1", "web3", "db1"]),
        ("-h @ok", ["web2", "db2"]),
        ("-a -x @failed,@unreachable", ["web2", "db2"]),
        ("-h '@web!@failed'", ["web2"]),
        ("-h @failed,@timeout", ["web1", "web3"]),
    ],
)
def test_a_command_runs_on_the_hosts_that_ended_so(stage: Stage, targets: str, hosts: list[str]) -> None:
    stage("batch_run -a -cmd x")
    stage(f"batch_run {targets} -cmd y")
    assert stage.ran_on() == hosts


def test_every_verb_that_runs_on_hosts_is_a_last_command(stage: Stage) -> None:
    stage("ping -h db1,db2")
    stage("batch_run -h @unreachable -cmd x")
    assert stage.ran_on() == ["db1"]
    stage("use -g web")
    stage("run x")
    stage("ping -h @failed")
    assert stage.ran_on() == ["web1", "web3"]


def test_a_line_that_runs_nothing_changes_nothing(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    for line in ("hosts -a", "batch_run -h nobody -cmd x", "nonsense", "groups", "!true"):
        stage(line)
    assert stage("hosts @failed")[1].splitlines()[-1] == "2 hosts"


def test_repeating_narrows_down(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    del stage.play.ends["web1"]
    stage("batch_run -h @failed -cmd x")
    stage("batch_run -h @failed -cmd x")
    assert stage.ran_on() == ["web3"]


@pytest.mark.parametrize("line", ["batch_run -h @failed -cmd x", "ping -g ok", "hosts @lost", "use -h @timeout"])
def test_before_the_first_command_the_error_says_so(stage: Stage, line: str) -> None:
    code, out, err = stage(line)
    assert (code, out, stage.pool.jobs) == (2, "", [])
    assert "no command has run on hosts in this session yet" in err


def test_when_nobody_ended_so_the_error_says_how_they_ended(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    code, out, err = stage("batch_run -h @timeout -cmd x")
    assert (code, out, len(stage.pool.jobs)) == (2, "", 1)
    assert err.splitlines() == [
        "error: no hosts left: -h @timeout names none",
        "  nobody of the last command is @timeout; there is @ok (2 hosts), @failed (2 hosts), @unreachable (1 host)",
    ]


def test_use_keeps_the_hosts_and_not_the_word(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    assert stage("use -h @failed")[1] == "-h web[1,3]  (2 hosts: web[1,3])\n"
    stage("batch_run -h db2 -cmd x")
    stage("run x")
    assert stage.ran_on() == ["web1", "web3"]


def test_use_leaves_out_the_hosts_and_not_the_word(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    stage("use -g web")
    stage("use -x @failed")
    assert stage.session.defaults == Targets(("web2",))


def test_use_without_them_stays_as_it_was_typed(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    stage("use -g web -x web1")
    assert stage.session.defaults == Targets((), ("web",), ("web1",))


def test_the_groups_of_the_inventory_are_listed_without_them(stage: Stage) -> None:
    stage("batch_run -a -cmd x")
    assert "failed" not in stage("groups")[1]
