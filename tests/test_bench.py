"""The benchmarks: turns, medians and tables by made-up figures; costs, and one small work, by real processes."""

from __future__ import annotations

import os
import platform
import secrets
import shlex
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import peers, report, tree
from tests.benchmarks.chart import Bars, chart, panels
from tests.benchmarks.distance import CHUNK, Distance
from tests.benchmarks.fleet import MOST_SOCKETS
from tests.benchmarks.kept import Prompt, Script
from tests.benchmarks.machine import machine, versions
from tests.benchmarks.peers import CannotInstall, Peers, Way
from tests.benchmarks.rows_distance import distance
from tests.benchmarks.rows_hosts import node_set, words_of
from tests.benchmarks.rows_lines import astray, lopsided
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
    return Work("true", contestants, bars, {"wall": "s"}, **more)


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
    assert report.table([done]).splitlines()[2].split()[-4] == ("yes" if met else "NO")


@pytest.mark.parametrize(
    ("ours", "text", "met"),
    [(1.0, "1.00 ×", True), (1.004, "1.004 ×", False), (1.3, "1.30 ×", False), (0.996, "1.00 ×", True)],
)
def test_a_figure_has_the_digits_that_show_on_which_side_of_the_bar_it_is(ours: float, text: str, met: bool) -> None:
    done = measured(Bar("true", "ours", "wall", 1.0, "s", ("peer",)), ours=[ours], peer=[1.0])
    (figure,) = done.figures()
    assert report.figure_text(figure).startswith(f"{text} (")
    assert figure.met is met


def test_each_round_is_held_against_the_same_of_the_peer_or_against_its_median_where_it_did_fewer() -> None:
    bar = Bar("true", "ours", "wall", 1.0, "s", ("peer",))
    (figure,) = measured(bar, ours=[1.0, 4.0, 2.0], peer=[2.0, 3.0, 1.0]).figures()
    assert figure.rounds == pytest.approx((0.5, 4 / 3, 2.0))
    (figure,) = measured(bar, ours=[1.0, 4.0, 3.0], peer=[3.0]).figures()
    assert (figure.rounds_met, len(figure.rounds)) == (2, 3)


def test_a_bar_about_the_worst_is_held_against_the_highest_of_all_rounds() -> None:
    (figure,) = measured(Bar("true", "ours", "wall", 2.0, "s", worst=True), ours=[1.0, 1.0, 3.0]).figures()
    assert (figure.value, figure.met, figure.rounds_met) == (3.0, False, 2)


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("warm `true` on 100 hosts", "warm-true-on-100-hosts"),
        ("put 2,000 files of 4096 bytes, one host", "put-2000-files-of-4096-bytes-one-host"),
        ("20 hosts × 100,000 lines, gathered", "20-hosts--100000-lines-gathered"),
        ("one-shot `true`", "one-shot-true"),
    ],
)
def test_a_link_to_a_section_is_what_github_makes_of_its_title(title: str, anchor: str) -> None:
    assert report.anchor(title) == anchor


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
    assert "| [true](#true) | ≤ 2 × peer | 4.00 × (0.200 s : 0.050 s) | NO | 1 of 3 |" in page
    assert "\n## true\n" in page
    assert "Bars met: 0 of 1." in page
    assert "| ours | 0.200 s (0.100 s – 0.300 s) | 3 |" in page
    assert "\n    ours | true\n    peer | true\n" in page
    assert "2020-02-02, full form" in page
    for name in ("paramiko", "OpenSSH", "Python", "hostshell", "cores", "processor", "memory"):
        assert f"| {name} | " in page
    assert platform.node() not in page
    assert str(Path.home()) not in page


def failing(name: str, peer: bool, after: int = 0) -> Contestant:
    """A contestant that does its work so many times and then fails."""
    left = [after]

    def once() -> Sample:
        if not left[0]:
            raise RuntimeError(f"{name} has broken")
        left[0] -= 1
        return {"wall": 1.0}

    return Contestant(name, f"{name} | true", once, peer=peer)


def test_a_peer_that_fails_takes_no_further_part_and_the_rest_goes_on() -> None:
    order: list[str] = []
    bars = (
        Bar("against all", "a", "wall", 2.0, "s", ("gone", "early")),
        Bar("alone", "a", "wall", 2.0, "s", ("early",)),
    )
    contestants = (by_the_clock("a", [1.0], order), failing("gone", True, 2), failing("early", True))
    done = carry_out(work(*contestants, bars=bars, rounds=3))
    assert order == ["a"] * 4
    assert done.failed == {"gone": "gone has broken", "early": "early has broken"}
    assert [figure.peer for figure in done.figures()] == ["gone"]
    assert done.values("gone", "wall") == [1.0]
    text = "\n".join(report.details(done))
    assert "early failed and took no further part: early has broken" in text
    assert "Not held: alone; early took no part." in text


def test_a_contestant_of_ours_that_fails_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="has broken"):
        carry_out(work(failing("ours", False), rounds=1))


def test_a_bar_against_peers_of_whom_some_are_absent_is_held_against_the_others() -> None:
    bars = tuple(Bar(name, "a", "wall", 2.0, "s", who) for name, who in (("some", ("b", "c")), ("none", ("c",))))
    made = work(by_the_clock("a", [1.0], []), by_the_clock("b", [1.0], []), bars=bars, rounds=1, absent=("c",))
    done = carry_out(made)
    assert [figure.bar.what for figure in done.figures()] == ["some"]
    assert [bar.what for bar in done.unheld()] == ["none"]


# --- the peers ---

PIP, APT = (Way(kind, f"{kind}-package", (f"{kind}-words",), ("check",)) for kind in ("pip", "apt"))


def sought(starts: set[Way], installable: set[Way]) -> tuple[Peers, list[Way]]:
    """What is found of one peer that can be had in both ways, and what was installed for that."""
    asked: list[Way] = []

    def version_of(way: Way) -> str:
        if way not in starts:
            raise CannotInstall("does not start")
        return "1.2"

    def install(way: Way) -> None:
        asked.append(way)
        if way not in installable:
            raise CannotInstall("no such package")
        starts.add(way)

    return peers.gathered({"peer": (PIP, APT)}, version_of, install, lambda _: None), asked


def test_nothing_is_installed_for_a_peer_that_starts() -> None:
    found, asked = sought({APT}, set())
    assert (found.words, found.versions, found.absent, asked) == ({"peer": ("apt-words",)}, {"peer": "1.2"}, {}, [])


def test_a_peer_is_installed_in_the_first_way_that_works() -> None:
    found, asked = sought(set(), {APT})
    assert (found.words, asked) == ({"peer": ("apt-words",)}, [PIP, APT])


def test_a_peer_that_cannot_be_had_is_absent_with_the_reasons_and_the_page_names_it() -> None:
    found, _ = sought(set(), set())
    assert "peer" not in found
    reason = "pip-package (pip): no such package; apt-package (apt): no such package"
    assert found.absent == {"peer": reason}
    done = measured(Bar("true", "ours", "wall", 2.0, "s"), ours=[1.0])
    page = report.page([done], full=False, date="", machine={}, versions={}, busy=[0.0], peers=found)
    assert f"\npeer took no part. {reason}\n" in page


def test_peers_of_whom_none_can_be_made_are_all_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(peers, "ENVIRONMENT", tmp_path / "file" / "peers")
    found = peers.made(tmp_path, lambda _: None)
    assert set(found.absent) == set(peers.PEERS)
    assert not found.words


def test_a_program_that_does_not_start_is_absent_with_what_it_said_and_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/bin/true")  # as if it were made, and could install
    monkeypatch.setattr(peers, "ENVIRONMENT", environment)
    says = ("sh", "-c", "echo first >&2; echo 'cannot open /some/where/file' >&2; exit 1")
    ways = {"broken": (Way("pip", "x", ("x",), says),), "missing": (Way("pip", "y", ("y",), ("no-such-program",)),)}
    found = peers.made(tmp_path, lambda _: None, ways)
    assert found.absent == {
        "broken": "x (pip): does not start: cannot open file",
        "missing": "y (pip): not installed",
    }


def test_addresses_are_folded_by_their_last_number() -> None:
    assert node_set(("127.1.0.2", "127.1.0.3", "127.1.1.1")) == "127.1.0.[2-3],127.1.1.1"


# --- lines and bars ---


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a: 1\nb: 1\na: 2\nb: 2\n", 0),
        ("a: 1\nb: 1\nb: 2\na: 2", 0),
        ("a: 1\nb: 1\na: 2\n", 1),  # one is missing
        ("a: 2\nb: 1\na: 1\nb: 2\n", 2),  # two changed places
        ("a: 1\na: b: 12\nb: 2\n", 3),  # one was cut by another: neither is right, and one is missing
        ("a: 1\na: 2\n", 1),  # a host is missing
    ],
)
def test_every_line_has_to_be_the_next_of_its_host(tmp_path: Path, text: str, wrong: int) -> None:
    (tmp_path / "out").write_text(text)
    assert astray(tmp_path / "out", 2, 2) == wrong


@pytest.mark.parametrize(("busy", "times"), [((3.0, 2.0, 1.0), 1.5), ((3.0,), float("inf")), ((), float("inf"))])
def test_the_busiest_is_held_against_the_second(busy: tuple[float, ...], times: float) -> None:
    assert lopsided(busy) == times


def test_the_chart_has_a_bar_for_each_and_marks_ours() -> None:
    done = measured(Bar("true", "ours", "wall", 2.0, "s", ("<peer> & co",)), **{"ours": [0.2], "<peer> & co": [0.4]})
    drawn = chart([Done(replace(done.work, chart=("wall",)), done.samples)])
    root = xml.etree.ElementTree.fromstring(drawn)  # noqa: S314  # our own
    bars = {bar.get("class"): float(bar.get("width") or 0) for bar in root.iter("{http://www.w3.org/2000/svg}rect")}
    assert bars["theirs"] == pytest.approx(2 * bars["ours"], abs=0.2)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[1:] == ["true: wall", "ours", "0.200 s", "<peer> & co", "0.400 s"]


def test_a_panel_of_bars_too_different_is_logarithmic_and_one_of_a_single_bar_is_not_drawn() -> None:
    bars = Bars("x", "s", (("a", 0.1, True), ("b", 1.0, False), ("c", 10.0, False)))
    assert bars.logarithmic
    assert 0 < bars.share(0.1) < bars.share(1.0) < bars.share(10.0) == 1
    assert bars.share(1.0) - bars.share(0.1) == pytest.approx(bars.share(10.0) - bars.share(1.0))
    alone = measured(Bar("true", "ours", "wall", 2.0, "s"), ours=[0.2])
    assert panels([Done(replace(alone.work, chart=("wall",)), alone.samples)]) == []


# --- distance ---

FAR = 0.1  # seconds


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what one client sends, and says its end when the client has said it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as client:
                while piece := client.recv(65536):
                    client.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()
        thread.join()


def test_bytes_take_a_round_trip_there_and_back_and_the_first_one_more(echo: tuple[str, int]) -> None:
    with Distance(echo, FAR) as relay, socket.create_connection((relay.address, relay.port)) as client:
        for trips in (2, 1, 1):
            begun = time.monotonic()
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            # at least: how much more it takes is the machine's business
            assert time.monotonic() - begun >= trips * FAR - 0.005  # the connection is older than our clock's start
        assert relay.links == 1


def test_what_is_sent_while_bytes_are_under_way_is_not_held_longer_and_arrives_in_order(echo: tuple[str, int]) -> None:
    sent = os.urandom(20 * CHUNK + 1)
    with Distance(echo, FAR) as relay, socket.create_connection((relay.address, relay.port)) as client:

        def send() -> None:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        sender.join()
        time.sleep(2 * FAR)  # more is due by now than the way back takes at once
        arrived = b""
        while piece := client.recv(65536):
            arrived += piece
    assert arrived == sent


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
    return witness(words, cwd=tmp_path, environment=os.environ, **more)


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
    one = f"{sys.executable} -c 'import time; x = b\"x\" * {HUGE}; time.sleep(3)'"
    found = cost(tmp_path, "sh", "-c", f"{one} & {one}; wait", look_every=0.05)
    assert found.pss >= 2 * HUGE
    assert found.bound >= 2 * HUGE


def test_who_was_busy_below_the_command_is_told_of_each_that_starts_no_other(tmp_path: Path, mark: str) -> None:
    burn = f"import time\nwhile time.process_time() < {BURNED}: pass\ntime.sleep(3)"
    one = f"{sys.executable} -c {shlex.quote(burn)}"
    found = cost(tmp_path, "sh", "-c", f"({one} & {one}; wait) & wait", look_every=0.05)
    assert len(found.busy) == 2
    assert min(found.busy) > BURNED / 2  # each number of /proc is cut to 0.01 s, and the last look may come early


def test_a_program_that_stays_answers_each_turn_and_a_wrong_answer_is_an_error(stage: Stage, mark: str) -> None:
    code = "print('ready', flush=True)\nfor answer in '1', '1', '2':\n input()\n print(answer, flush=True)"
    with Script(stage, [sys.executable, "-c", code]) as script:
        assert script.turn(1) > 0
        assert tree.cpu_seconds(script.pid) >= 0
        script.turn(1)
        with pytest.raises(RuntimeError, match="answered `2`, not `1`"):
            script.turn(1)


def test_a_command_that_leaves_others_behind_is_timed_to_its_own_end(tmp_path: Path, mark: str) -> None:
    wall, cpu = tree.timed(["sh", "-c", "sleep 6879 &"], cwd=tmp_path, environment=os.environ)
    assert wall < 6879
    assert cpu < 6879
    assert len(processes.carrying(mark)) == 1
    processes.end_all(lambda: processes.carrying(mark))
    with pytest.raises(RuntimeError, match="ended with 3: said so"):
        tree.timed(["sh", "-c", "echo said so; exit 3"], cwd=tmp_path, environment=os.environ)


def test_the_cpu_of_a_living_tree_has_its_living_and_its_dead(tmp_path: Path, mark: str) -> None:
    burn = f"while time.process_time() < {BURNED}: pass"
    script = (
        f"import os, sys, time\nif not os.fork():\n {burn}\n os._exit(0)\nos.wait()\n{burn}\nprint(flush=True)\ninput()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert round(tree.cpu_seconds(process.pid), 2) >= 2 * BURNED - 0.04  # each number of /proc is cut to 0.01 s
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
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm-256color"}
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


def test_round_trips_are_counted_through_the_relay(stage: Stage, mark: str) -> None:
    with distance(stage, round_trip=0.05) as made:
        done = carry_out(replace(made, rounds=1))
    assert not done.failed
    for name in ("hostshell", "ssh, ControlPersist"):
        assert done.median(name, "cold") >= 4  # TCP, key exchange, login, command: nobody can do with less
        assert done.median(name, "warm") >= 1


def test_a_prompt_does_a_command_again_and_again_and_a_host_that_fails_is_an_error(stage: Stage, mark: str) -> None:
    with (
        stage.fleet(2) as fleet,
        Prompt(stage, ["hostshell", "-i", "hosts.ini", "--known-hosts", "known_hosts"]) as prompt,
    ):
        assert fleet.connections() == 0
        for _ in range(2):
            assert prompt.turn("batch_run -a -cmd true", "2 ok") > 0
        assert fleet.connections() == 2
        with pytest.raises(RuntimeError, match="did not say `2 ok`"):
            prompt.turn("batch_run -a -cmd 'test {host} = n0001'", "2 ok")


def test_peers_that_are_absent_have_no_command_line(stage: Stage, mark: str) -> None:
    with stage.fleet(1) as fleet:
        assert words_of(stage, fleet, "pdsh", "true", 1) is None
        here = replace(stage, peers=Peers(words={"pdsh": ("pdsh",)}))
        words = words_of(here, fleet, "pdsh", "true", 7)
        assert words is not None
        assert words[2:] == ["pdsh", "-S", *shlex.split(f"-R ssh -l {fleet.account.name} -f 7 -w 127.1.0.2 true")]
