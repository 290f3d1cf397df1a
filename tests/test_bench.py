"""The benchmarks: turns, medians and tables by made-up figures; costs, and one small work, by real processes."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import report, tree
from tests.benchmarks.fleet import MOST_SOCKETS
from tests.benchmarks.machine import machine, versions
from tests.benchmarks.rows_oneshot import one_shot
from tests.benchmarks.stage import Stage
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.witness import Cost, witness
from tests.benchmarks.work import Bar, Contestant, Done, Sample, Work, carry_out, percentile
from tests.support import processes
from tests.support.accounts import Account
from tests.support.keys import make_key

# Goes into the background as a daemon does, and burns 0.2 s of CPU there, whatever the clock on the wall says.
DAEMON = (
    "import os, time\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "while time.process_time() < 0.2: pass\n"
)
BURNED = 0.2
HUGE = 60_000_000  # bytes


# --- made-up figures ---


def by_the_clock(name: str, times: list[float], order: list[str], rounds: int = 0) -> Contestant:
    """A contestant whose clock says ``times`` one after the other, the last again and again."""

    def once() -> Sample:
        order.append(name)
        return {"wall": times.pop(0) if len(times) > 1 else times[0]}

    return Contestant(name, f"{name} | true", once, rounds)


def work(*contestants: Contestant, bars: tuple[Bar, ...] = (), **more: object) -> Work:
    return Work("true", contestants, bars, {"wall": "s"}, **more)  # type: ignore[arg-type]


def measured(bar: Bar, **walls: list[float]) -> Done:
    contestants = [by_the_clock(name, [0.0], []) for name in walls]
    return Done(work(*contestants, bars=(bar,)), {name: [{"wall": wall} for wall in walls[name]] for name in walls})


def test_contestants_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []
    a, b = by_the_clock("a", [9.0, 1.0, 2.0, 3.0], order), by_the_clock("b", [9.0, 4.0, 5.0, 6.0], order)
    done = carry_out(work(a, b, rounds=3))
    assert order == ["a", "b"] * 4
    assert (done.values("a", "wall"), done.values("b", "wall")) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])


def test_a_slow_contestant_may_do_fewer_rounds() -> None:
    order: list[str] = []
    carry_out(
        work(by_the_clock("a", [1.0], order), by_the_clock("slow", [1.0], order, rounds=1), rounds=3, warm_up=False)
    )
    assert order == ["a", "slow", "a", "a"]


def test_a_ratio_is_of_the_medians_and_against_the_best_peer() -> None:
    bar = Bar("true", "ours", "wall", 2.0, "s", ("slow", "quick"))
    done = measured(bar, ours=[3.0, 100.0, 2.0], slow=[9.0], quick=[1.0, 2.0, 60.0], other=[0.1])
    (figure,) = done.figures()
    assert (figure.value, figure.ours, figure.theirs, figure.peer, figure.met) == (1.5, 3.0, 2.0, "quick", True)


@pytest.mark.parametrize(("value", "met"), [(0.5, True), (0.50001, False)])
def test_a_bar_is_met_up_to_its_limit_and_nothing_is_rounded(value: float, met: bool) -> None:
    done = measured(Bar("true", "ours", "wall", 0.5, "s"), ours=[value])
    assert done.figures()[0].met is met
    assert report.table([done]).split()[-1] == ("yes" if met else "NO")


@pytest.mark.parametrize(
    "bar",
    [Bar("x", "nobody", "wall", 1, "s"), Bar("x", "a", "wall", 1, "s", ("nobody",)), Bar("x", "a", "cpu", 1, "s")],
)
def test_a_bar_about_nobody_or_nothing_is_refused(bar: Bar) -> None:
    with pytest.raises(ValueError, match=r"nobody|cpu"):
        work(by_the_clock("a", [1.0], []), bars=(bar,))


def test_two_contestants_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        work(by_the_clock("a", [1.0], []), by_the_clock("a", [1.0], []))


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (1.0, 100), (0.0, 1), (0.951, 96)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile(range(100, 0, -1), share) == value


def test_the_page_has_figures_commands_versions_and_machine_and_no_name_of_it() -> None:
    done = measured(Bar("true", "ours", "wall", 2.0, "s", ("peer",)), ours=[0.3, 0.1, 0.2], peer=[0.05])
    page = report.page([done], full=True, date="2020-02-02", machine=machine(), versions=versions(), busy=[0.01, 0.5])
    assert "other programs used 1% and 50% of the cores" in page
    assert "| true | ≤ 2 × peer | 4.00 × (0.200 s : 0.050 s) | NO |" in page
    assert "Bars met: 0 of 1." in page
    assert "| ours | 0.200 s (0.100 s – 0.300 s) | 3 |" in page
    assert "\n    ours | true\n    peer | true\n" in page
    assert "2020-02-02, full form" in page
    for name in ("paramiko", "OpenSSH", "Python", "hostshell", "cores", "processor", "memory"):
        assert f"| {name} | " in page
    assert platform.node() not in page
    assert str(Path.home()) not in page


# --- what a run cost ---


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark in the environment of what a test starts; at the end nothing that carries it may run."""
    name = f"HS_BENCH_{secrets.token_hex(8)}"
    monkeypatch.setenv(name, "1")
    yield f"{name}=1"
    left = processes.carrying(f"{name}=1")
    processes.end_all(lambda: processes.carrying(f"{name}=1"))
    assert not left


def cost(tmp_path: Path, *words: str, **more: float) -> Cost:
    return witness(words, cwd=tmp_path, environment=os.environ, **more)  # type: ignore[arg-type]


def test_the_cpu_of_what_went_into_the_background_counts(tmp_path: Path, mark: str) -> None:
    found = cost(tmp_path, sys.executable, "-c", DAEMON)
    assert (found.code, found.ended) == (0, 0)
    assert found.cpu >= BURNED


def test_the_cpu_of_a_server_somewhere_else_does_not_count(tmp_path: Path, mark: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as server:
        stat = f"open('/proc/{server.pid}/stat').read().rpartition(')')[2].split()[11]"
        # ends when the server has burned 2 s
        words = [sys.executable, "-c", f"import time\nwhile int({stat}) < {2 * tree.TICKS}: time.sleep(0.05)"]
        found = cost(tmp_path, *words)
        server.kill()
    assert found.cpu < 2


def test_what_outlives_the_command_is_ended(tmp_path: Path, mark: str) -> None:
    found = cost(tmp_path, "sh", "-c", "sleep 6877 & exit 3", linger=0.1)
    assert (found.code, found.ended) == (3, 1)
    assert not processes.carrying(mark)


def test_a_command_that_takes_too_long_is_ended_with_all_below_it(tmp_path: Path, mark: str) -> None:
    with pytest.raises(TimeoutError, match="sleep 6878"):
        cost(tmp_path, "sh", "-c", "sleep 6878 & sleep 6878; true", limit=0.3)
    assert not processes.carrying(mark)


def test_memory_is_the_sum_over_all_processes(tmp_path: Path, mark: str) -> None:
    one = f"{sys.executable} -c 'import time; x = b\"x\" * {HUGE}; time.sleep(1)'"
    found = cost(tmp_path, "sh", "-c", f"{one} & {one}; wait", look_every=0.05)
    assert found.pss >= 2 * HUGE
    assert found.bound >= 2 * HUGE


def test_the_cpu_of_a_living_tree_has_its_living_and_its_dead(tmp_path: Path, mark: str) -> None:
    burn = f"while time.process_time() < {BURNED}: pass"
    script = (
        f"import os, sys, time\nif not os.fork():\n {burn}\n os._exit(0)\nos.wait()\n{burn}\nprint(flush=True)\ninput()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert tree.cpu_seconds(process.pid) >= 2 * BURNED - 0.04  # each number of /proc is cut to 0.01 s
        process.kill()


def test_a_terminal_tells_when_a_text_is_drawn_and_that_the_program_ended(tmp_path: Path, mark: str) -> None:
    script = "printf 'a\\033[1mb\\033[0mc'; read x; echo \"<$x>\""
    with Terminal(["sh", "-c", script], cwd=tmp_path, environment=os.environ) as terminal:
        assert terminal.moment_of(b"abc") >= terminal.begun
        terminal.type("typed\r")
        terminal.moment_of(b"<typed>")
        with pytest.raises(EOFError, match="<typed>"):
            terminal.moment_of(b"never")


# --- on real servers ---


@pytest.fixture
def stage(tmp_path: Path, clean_home: Path, accounts: list[Account]) -> Stage:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return Stage(tmp_path, accounts[0], make_key(tmp_path / "key"), environment, full=False)


def test_a_work_is_done_by_all_who_take_part(stage: Stage, mark: str) -> None:
    with one_shot(stage) as made:
        done = carry_out(replace(made, rounds=1, warm_up=False))
        assert [figure.peer for figure in done.figures()] == ["ssh", "ssh"]
        assert all(figure.value > 0 for figure in done.figures())
        assert all(sample["cpu"] > 0 for samples in done.samples.values() for sample in samples)


def test_a_fleet_of_more_hosts_than_one_sshd_has_sockets_answers_on_each(stage: Stage, mark: str) -> None:
    with stage.fleet(MOST_SOCKETS + 1) as fleet:
        assert len(set(fleet.addresses)) == MOST_SOCKETS + 1
        out = stage.folder / "out"
        words = ["hostshell", "-i", "hosts.ini", "--known-hosts", "known_hosts", "batch_run", "-a", "-N", "-q"]
        with out.open("wb") as into:
            stage.cost([*words, "-cmd", "set -- $SSH_CONNECTION; echo $3"], stdout=into)
        assert sorted(out.read_text().split()) == sorted(fleet.addresses)


def test_a_contestant_that_fails_is_no_figure(stage: Stage, mark: str) -> None:
    with pytest.raises(RuntimeError, match="ended with 3, not 0: said so"):
        stage.command("x", ["sh", "-c", "echo said so >&2; exit 3"]).once()
