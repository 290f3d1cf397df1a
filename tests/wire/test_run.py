"""Commands on real OpenSSH servers, through the whole engine."""

from __future__ import annotations

import getpass
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.events import Block, Finished
from hostshell.core.model import Run
from hostshell.core.scheduler import Scheduler
from hostshell.core.targets import Targets
from hostshell.core.turns import Action, Report
from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import ended, eventually, with_command, within_tries
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.running import collect, host_section, ping, run, session_on, write_inventory, write_known_hosts
from tests.support.six_hosts import SixHosts
from tests.support.sshd import Sshd

FIVE = [f"h{number}" for number in range(5)]


@pytest.fixture
def five(
    tmp_path: Path, clean_home: Path, signalled_sshd: Sshd, accounts: list[Account], client_key: Key
) -> Iterator[Session]:
    with session_on(tmp_path, signalled_sshd, accounts[0], client_key, FIVE) as session:
        yield session


def test_six_hosts_with_different_users_ports_and_credentials_answer(six_hosts: SixHosts, clean_home: Path) -> None:
    with Session(str(six_hosts.hosts_ini), known_hosts=str(six_hosts.known_hosts)) as session:
        names = session.targets(Targets(hosts=("h1,h2,h3",), groups=("web_clusters,db_servers",)))
        assert names == ("h1", "h2", "h3", "web01", "web02", "db01")
        found = collect(session.stream(session.job(Run("id -un; echo to-stderr >&2"), names)))
    assert set(found.status().values()) == {"ok"}
    assert {host: lines[0] for host, lines in found.out.items()} == {
        # a stand-in runs its commands as whoever runs the tests
        name: host.account.name if host.account.real else getpass.getuser()
        for name, host in six_hosts.hosts.items()
    }
    assert all(lines == ["to-stderr"] for lines in found.err.values())


def test_lines_arrive_while_the_command_still_runs(five: Session) -> None:
    seen: list[str] = []

    def stop_after_first(event: object) -> None:
        if isinstance(event, Block):
            seen.append(event.raw.decode())
            five.cancel()

    job = five.job(Run("echo early; exec sleep 600"), ["h0"])
    found = collect(five.stream(job), stop_after_first)
    assert seen == ["early\n"]
    assert found.finished["h0"].status == "cancelled"


def test_exit_codes_and_signals_are_told_apart(five: Session) -> None:  # FAULTS row 16
    assert run(five, "exit 7", "h0").finished["h0"].exit_code == 7
    killed = run(five, "kill -9 $$", "h0").finished["h0"]
    assert (killed.status, killed.signal, killed.exit_code) == ("failed", "KILL", None)
    assert killed.error is not None
    assert killed.error.message == "killed by signal KILL"


def test_a_background_child_that_holds_the_output_open_does_not_hold_the_turn(five: Session) -> None:  # row 17
    found = run(five, "sleep 617 & echo started; exit 3", "h0", timeout=20)
    assert found.finished["h0"].exit_code == 3
    assert found.out["h0"] == ["started"]
    processes.end_all(lambda: with_command("sleep\x00617"))


def test_a_command_that_reads_its_input_sees_the_end_at_once(five: Session) -> None:  # row 18
    found = run(five, "cat; echo end", "h0", timeout=20)
    assert found.out["h0"] == ["end"]


def test_the_hosts_name_replaces_host_and_nothing_else_is_rewritten(five: Session) -> None:
    found = run(five, "printf '%s\\n' {host} '%h' '$HOME' '!x' '*' '{other}'", "h3")
    assert found.out["h3"] == ["h3", "%h", "$HOME", "!x", "*", "{other}"]


@pytest.mark.parametrize("size", [1, 100_000])
def test_output_is_whole_on_both_streams(five: Session, size: int) -> None:
    found = run(five, f"head -c {size} /dev/zero | tr '\\0' x; echo; seq {size} >&2", "h0,h1")
    for host in ("h0", "h1"):
        assert found.raw[host] == b"x" * size + b"\n"
        assert found.err[host] == [str(number) for number in range(1, size + 1)]


def test_bytes_that_are_not_text_are_kept(five: Session) -> None:  # row 24
    assert run(five, "printf 'a\\000b\\377c\\n'", "h0").raw["h0"] == b"a\x00b\xffc\n"


def test_a_command_of_many_kinds_works_literally(five: Session) -> None:  # row 40
    long = "echo " + "x" * 100_000
    assert "".join(run(five, long, "h0").out["h0"]) == "x" * 100_000
    assert run(five, "echo one\necho two", "h0").out["h0"] == ["one", "two"]


def test_the_second_command_uses_the_same_connection(five: Session, signalled_sshd: Sshd) -> None:
    before = signalled_sshd.log.read_text(errors="replace").count("Accepted publickey")
    for _ in range(3):
        assert run(five, "true", "h0,h1").status() == {"h0": "ok", "h1": "ok"}
    assert signalled_sshd.log.read_text(errors="replace").count("Accepted publickey") == before + 2


def test_a_host_that_runs_out_of_time_is_stopped_and_the_others_go_on(five: Session) -> None:
    command = "case {host} in h1) exec sleep 6111;; *) echo quick;; esac"
    run(five, "true", "h0,h1,h2")  # the time is for the command alone
    found = run(five, command, "h0,h1,h2", timeout=2.0)
    assert found.status() == {"h0": "ok", "h1": "timeout", "h2": "ok"}
    assert not found.finished["h1"].may_still_run
    assert ended(lambda: with_command("sleep\x006111"))
    assert found.summary is not None
    assert found.summary.exit_code == 3


def test_cancel_ends_the_remote_processes_of_every_host(five: Session) -> None:  # row 19
    running: set[str] = set()

    def cancel_when_all_run(event: object) -> None:
        if isinstance(event, Block):
            running.add(event.host)
            if running == set(FIVE):
                five.cancel()

    job = five.job(Run("echo up; exec sleep 6222"), FIVE)
    found = collect(five.stream(job), cancel_when_all_run)
    assert set(found.status().values()) == {"cancelled"}
    assert ended(lambda: with_command("sleep\x006222"))
    assert found.summary is not None
    assert found.summary.exit_code == 130
    assert run(five, "echo again", "h0").out["h0"] == ["again"]


def test_a_command_that_ignores_term_is_killed(five: Session) -> None:
    def cancel_at_output(event: object) -> None:
        if isinstance(event, Block):
            five.cancel()

    def seen_to_be_killed() -> bool:
        job = five.job(Run("trap '' TERM; echo up; sleep 6333; sleep 6333"), ["h0"])
        found = collect(five.stream(job), cancel_at_output).finished["h0"]
        assert found.signal == "KILL" or found.may_still_run
        return found.signal == "KILL" and ended(lambda: with_command("sleep\x006333"))

    assert within_tries(seen_to_be_killed, lambda: with_command("sleep\x006333"))


def test_what_is_not_seen_to_end_is_named(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    with CutRelay((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port)}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:

            def cancel_a_dead_link(event: object) -> None:
                if isinstance(event, Block):
                    relay.freeze()
                    session.cancel()

            found = collect(session.stream(session.job(Run("echo up; sleep 6"), ["a"])), cancel_a_dead_link)
    assert found.finished["a"].status == "cancelled"
    assert found.finished["a"].may_still_run


def test_closing_the_iterator_cancels(five: Session) -> None:
    events = five.run("echo up; exec sleep 6555", hosts="h0")
    for event in events:
        if getattr(event, "raw", b"") == b"up":
            break
    events.close()
    assert ended(lambda: with_command("sleep\x006555"))
    assert run(five, "echo next", "h0").out["h0"] == ["next"]


def test_a_killed_worker_costs_its_own_hosts_and_is_replaced(five: Session) -> None:  # row 20
    run(five, "true", "h0,h1,h2,h3,h4")
    pool: Pool = five._pool
    victim = pool._members[0].process
    killed: list[int] = []

    def kill_once(event: object) -> None:
        if isinstance(event, Block) and not killed:
            assert victim.pid is not None
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    job = five.job(Run("echo up; sleep 4; echo down"), FIVE)
    found = collect(five.stream(job), kill_once)
    lost = {host for host, event in found.finished.items() if event.status == "lost"}
    assert lost
    assert lost != set(FIVE)
    assert {found.kind(host) for host in lost} == {"worker"}
    assert all(found.out[host][-1] == "down" for host in set(FIVE) - lost)
    assert set(run(five, "true", "h0,h1,h2,h3,h4").status().values()) == {"ok"}


def test_a_connection_that_died_while_idle_is_opened_again(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 22
    with Sshd(tmp_path / "sshd") as server:
        server.authorize(accounts[0], client_key.public)
        with session_on(tmp_path, server, accounts[0], client_key, ["a"]) as session:
            assert run(session, "echo one", "a").out["a"] == ["one"]
            server.kill_sessions()
            assert eventually(lambda: not session.connections())
            assert run(session, "echo two", "a").out["a"] == ["two"]


def test_a_server_killed_in_the_middle_of_a_command_is_lost_never_ok(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 21
    with Sshd(tmp_path / "sshd") as server:
        server.authorize(accounts[0], client_key.public)
        with session_on(tmp_path, server, accounts[0], client_key, ["a"]) as session:

            def kill_at_output(event: object) -> None:
                if isinstance(event, Block):
                    server.kill()

            job = session.job(Run("echo up; sleep 600"), ["a"], label="sleep")
            found = collect(session.stream(job), kill_at_output)
    assert found.finished["a"].status == "lost"
    assert found.kind("a") == "lost"
    assert found.summary is not None
    assert found.summary.exit_code == 4


def test_a_rekey_in_the_middle_of_a_stream_loses_nothing(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 23
    with Sshd(tmp_path / "sshd", options={"RekeyLimit": "1M"}) as server:
        server.authorize(accounts[0], client_key.public)
        with session_on(tmp_path, server, accounts[0], client_key, ["a"]) as session:
            found = run(session, "seq 1000000", "a")
    assert found.finished["a"].status == "ok"
    assert found.raw["a"] == "".join(f"{number}\n" for number in range(1, 1_000_001)).encode()


def test_an_endless_output_keeps_memory_bounded_and_stops_at_once(five: Session) -> None:  # row 15
    received = peak = 0

    def cancel_later(event: object) -> None:
        nonlocal received, peak
        if isinstance(event, Block):
            received += len(event.raw)
            if received > 50_000_000 and not peak:
                peak = max(_peak_memory(member.process.pid) for member in five._pool._members.values())
                five.cancel()

    job = five.job(Run("yes"), FIVE)
    found = collect_sizes(five, job, cancel_later)
    assert set(found.values()) == {"cancelled"}
    assert 0 < peak < 250_000_000


def collect_sizes(session: Session, job, after) -> dict[str, str]:
    status = {}
    for event in session.stream(job):
        after(event)
        if isinstance(event, Finished):
            status[event.host] = event.status
    return status


def _peak_memory(pid: int | None) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_a_slow_reader_makes_the_hosts_wait_and_loses_nothing(five: Session) -> None:
    job = five.job(Run("seq 300000"), ["h0"])
    events = five.stream(job)
    next(events)
    time.sleep(0.5)  # nobody reads meanwhile
    found = collect(events)
    assert found.raw["h0"].count(b"\n") == 300_000


def test_replaying_the_reports_of_a_real_run_gives_the_same_actions(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    journal: list[tuple[Report, float, list[Action]]] = []
    pool = Pool(2, record=lambda report, now, actions: journal.append((report, now, actions)))
    inventory = write_inventory(tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in FIVE))
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    with Session(inventory, known_hosts=known, pool=pool) as session:
        run(session, "case {host} in h1) exit 1;; h2) sleep 600;; esac", "h0,h1,h2,h3,h4", timeout=1.0, fanout=3)
        run(session, "true", "h0,h1,h2,h3,h4")
    assert len(journal) > 15
    again = Scheduler(2)
    for report, now, actions in journal:
        assert again.handle(report, now) == actions


def test_a_hundred_hosts_at_once_all_answer(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    names = [f"n{number:03}" for number in range(100)]
    with session_on(tmp_path, sshd, accounts[0], client_key, names) as session:
        for _ in range(2):
            found = run(session, "echo {host}", "n[000-099]")
            assert found.out == {name: [name] for name in names}


def test_cancel_in_the_middle_of_fifty_hosts_ends_all_of_them(
    tmp_path: Path, clean_home: Path, signalled_sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 19
    names = [f"n{number:02}" for number in range(50)]
    with session_on(tmp_path, signalled_sshd, accounts[0], client_key, names) as session:
        run(session, "true", "n[00-49]")
        running: set[str] = set()

        def cancel_when_half_run(event: object) -> None:
            if isinstance(event, Block):
                running.add(event.host)
                if len(running) == 25:
                    session.cancel()

        def all_seen_to_end() -> bool:
            running.clear()
            job = session.job(Run("echo up; exec sleep 6778"), names)
            found = collect(session.stream(job), cancel_when_half_run)
            assert set(found.status().values()) == {"cancelled"}
            named = any(event.may_still_run for event in found.finished.values())
            return not named and ended(lambda: with_command("sleep\x006778"))

        assert within_tries(all_seen_to_end, lambda: with_command("sleep\x006778"))
        assert set(run(session, "true", "n[00-49]").status().values()) == {"ok"}


def test_a_link_that_died_unseen_is_noticed_by_ping_and_replaced_by_run(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 22
    with CutRelay((sshd.address, sshd.port)) as relay:
        known = write_known_hosts(tmp_path, sshd.known_as(relay.address, relay.port))
        place = {"address": relay.address, "port": str(relay.port), "connect_timeout": "5"}
        inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key, **place))
        with Session(inventory, known_hosts=known) as session:
            assert run(session, "echo one", "a").out == {"a": ["one"]}
            relay.freeze()
            assert ping(session, "a").finished["a"].status == "unreachable"
            relay.thaw()
            assert run(session, "echo two", "a").out == {"a": ["two"]}


def test_a_command_that_is_no_utf8_goes_as_its_bytes(five: Session) -> None:
    command = b"printf %s 'caf\xe9' | od -An -tx1".decode("utf-8", "surrogateescape")
    assert run(five, command, "h0").out["h0"] == [" 63 61 66 e9"]


def test_the_command_after_two_cancels_works(five: Session) -> None:
    def cancel_twice(event: object) -> None:
        if isinstance(event, Block):
            five.cancel()
            five.cancel()

    collect(five.stream(five.job(Run("trap '' TERM; echo up; exec sleep 6"), ["h0"])), cancel_twice)
    assert set(run(five, "true", "h0,h1,h2,h3,h4").status().values()) == {"ok"}
