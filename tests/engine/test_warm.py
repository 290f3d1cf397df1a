"""Which connections a worker keeps, and when it closes them: with connections that are none, and a clock of our own."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hostshell.core.model import Host
from hostshell.engine.warm import Warm
from hostshell.ssh.stopping import Stopper

PATIENCE = 30.0  # seconds for another thread to do what it is to do; far more than it takes


class Fake:
    """A connection to nowhere, which knows by whom it was shut down and closed."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.alive = True
        self.transport: Any = SimpleNamespace(on_end=None)
        self.link = SimpleNamespace(close=self._shut)
        self.shut = False
        self.may_close = threading.Event()
        self.may_close.set()
        self.closed = threading.Event()
        self.closed_by: list[str] = []

    def _shut(self) -> None:
        self.shut = True

    def end(self) -> None:
        """The other side hangs up."""
        self.alive = False
        self.transport.on_end()

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)
        self.may_close.wait(PATIENCE)
        self.closed.set()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bell(threading.Condition):
    """Counts how often it was rung."""

    rung = 0

    def notify(self, n: int = 1) -> None:
        self.rung += 1
        super().notify(n)


class NoJanitor(Warm):
    """Nothing is closed unless the test calls `tidy`; ``bell`` is what would wake the janitor."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self._janitor = threading.current_thread()
        self._wakes = float("inf")
        self._work = self.bell = Bell(self._lock)


def host(name: str, **more: Any) -> Host:
    return Host(name, f"{name}.example.net", user="u", **{"connect_timeout": PATIENCE, **more})


def opened(warm: Warm, name: str) -> Any:
    """A new connection to ``name``, in use."""
    where = host(name)
    return warm.open(where, lambda: Fake(where), Stopper())


def idle(warm: Warm, *names: str) -> list[Any]:
    """New connections, used and given back in this order."""
    found = [opened(warm, name) for name in names]
    for connection in found:
        warm.give_back(connection)
    return found


def names(warm: Warm) -> list[str]:
    return sorted(one.host for one in warm.survey(None, False))


# --- use ---


def test_a_connection_is_taken_again_and_is_busy_meanwhile() -> None:
    clock = Clock()
    warm = NoJanitor(100, clock)
    (connection,) = idle(warm, "a")
    clock.now += 12
    (seen,) = warm.survey(None, False)
    assert (seen.host, seen.user, seen.address, seen.port) == ("a", "u", "a.example.net", 22)
    assert (seen.idle, seen.busy) == (12.0, False)
    assert warm.take(host("a", connect_timeout=1.0)) is connection
    assert [(one.idle, one.busy) for one in warm.survey(None, False)] == [(0.0, True)]
    warm.give_back(connection)
    assert [(one.idle, one.busy) for one in warm.survey(None, False)] == [(0.0, False)]
    assert warm.take(host("b")) is None


def test_a_connection_that_two_turns_use_is_busy_until_both_gave_it_back() -> None:
    warm = NoJanitor()
    connection = opened(warm, "a")
    assert warm.take(host("a")) is connection
    warm.give_back(connection)
    assert [one.busy for one in warm.survey(None, True)] == [True]
    warm.give_back(connection)
    assert [one.busy for one in warm.survey(None, True)] == [False]
    assert names(warm) == []


def test_a_connection_for_another_login_is_not_taken() -> None:
    warm = NoJanitor()
    (connection,) = idle(warm, "a")
    assert warm.take(replace(host("a"), key="/another/key")) is None
    assert connection.shut
    assert names(warm) == []


def test_the_connection_of_another_user_is_not_taken_and_stays_open_beside() -> None:
    warm = NoJanitor()
    (connection,) = idle(warm, "a")
    assert warm.take(replace(host("a"), user="other")) is None
    assert warm.take(replace(host("a"), port=23)) is None
    assert not connection.shut
    assert warm.take(connection.host) is connection


def test_two_connections_to_one_host_are_both_closed_in_the_end() -> None:
    warm = NoJanitor()
    given_up, newer = opened(warm, "a"), opened(warm, "a")
    assert not given_up.shut  # its turn still uses it
    warm.give_back(given_up)
    warm.tidy()
    assert given_up.closed.is_set()
    warm.give_back(newer)
    assert warm.take(host("a")) is newer


def test_a_connect_that_fails_leaves_nothing_behind() -> None:
    warm = NoJanitor(1)
    for _ in range(3):
        with pytest.raises(OSError, match="no route"):
            warm.open(host("a"), _no_route, Stopper())
    assert names(warm) == []
    opened(warm, "a")


def _no_route() -> Any:
    raise OSError("no route")


# --- closing ---


def test_what_is_idle_for_too_long_is_closed_and_what_is_in_use_is_not() -> None:
    clock = Clock()
    warm = NoJanitor(100, clock)
    warm.keep(600.0)
    (a, b), busy = idle(warm, "a", "b"), opened(warm, "c")
    clock.now += 400
    assert warm.take(host("a")) is a
    warm.give_back(a)
    clock.now += 199
    warm.tidy()
    assert not b.shut
    clock.now += 1
    warm.tidy()
    assert b.closed.is_set()
    assert not (a.shut or busy.shut)
    assert names(warm) == ["a", "c"]


def test_a_new_limit_counts_for_what_is_idle_already_and_none_keeps_all() -> None:
    clock = Clock()
    warm = NoJanitor(100, clock)
    (a,) = idle(warm, "a")
    clock.now += 1e9
    warm.tidy()
    assert not a.shut
    warm.keep(30.0)
    warm.tidy()
    assert a.closed.is_set()


def test_a_link_that_ends_while_idle_is_closed_at_once() -> None:
    warm = NoJanitor()
    a, b = idle(warm, "a", "b")
    a.end()
    assert names(warm) == ["b"]
    warm.tidy()
    assert a.closed.is_set()
    assert not b.shut


def test_a_link_that_ends_in_use_is_closed_when_its_turn_gives_it_back() -> None:
    warm = NoJanitor()
    connection = opened(warm, "a")
    connection.end()
    assert not connection.shut
    warm.give_back(connection)
    warm.tidy()
    assert connection.closed.is_set()
    assert warm.take(host("a")) is None


def test_a_link_that_had_ended_before_anybody_could_be_told_is_not_kept() -> None:
    warm = NoJanitor()
    connection = opened(warm, "a")
    connection.alive = False
    warm.give_back(connection)
    assert names(warm) == []


def test_closing_what_is_asked_for_leaves_what_is_in_use() -> None:
    warm = NoJanitor()
    a, b = idle(warm, "a", "b")
    busy = opened(warm, "c")
    found = warm.survey({"a", "c", "nobody"}, True)
    assert sorted((one.host, one.busy) for one in found) == [("a", False), ("c", True)]
    assert [one.shut for one in (a, b, busy)] == [True, False, False]
    assert names(warm) == ["b", "c"]


def test_clearing_closes_all_and_what_is_given_back_after_it_is_no_surprise() -> None:
    warm = NoJanitor()
    (a,), busy = idle(warm, "a"), opened(warm, "b")
    warm.clear()
    warm.give_back(busy)
    warm.drop(busy)
    warm.tidy()
    assert a.closed.is_set()
    assert busy.closed.is_set()
    assert names(warm) == []


def test_one_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    warm = NoJanitor()
    found = idle(warm, "a", "b", "c")
    found[1].close = _no_route
    warm.clear()
    warm.tidy()
    assert found[0].closed.is_set()
    assert found[2].closed.is_set()


# --- the janitor ---


def eventually(event: threading.Event) -> bool:
    return event.wait(PATIENCE)


def until(check: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if check():
            return
        pause.wait(0.01)
    raise AssertionError("it never came true")


def test_no_turn_closes_a_connection_itself() -> None:
    warm = Warm()
    found = idle(warm, "dead", "other", "asked for", "dropped")
    found.append(opened(warm, "died in use"))
    found[4].alive = False
    warm.give_back(found[4])
    found[0].alive = False
    assert warm.take(found[0].host) is None
    assert warm.take(replace(found[1].host, key="/another")) is None
    warm.survey({"asked for"}, True)
    warm.drop(found[3])
    for connection in found:
        assert eventually(connection.closed)
        assert connection.closed_by == ["janitor"]


def test_what_is_due_is_closed_though_nobody_asks_for_anything() -> None:
    warm = Warm()
    warm.keep(0.05)
    (first,) = idle(warm, "a")
    assert eventually(first.closed)
    (second,) = idle(warm, "b")
    assert eventually(second.closed)


def test_a_shorter_limit_wakes_the_janitor() -> None:
    warm = Warm()
    warm.keep(3600.0)
    (connection,) = idle(warm, "a")
    until(lambda: 0 < warm._wakes < math.inf)  # it waits for the hour to be over
    warm.keep(0.01)
    assert eventually(connection.closed)


def test_commands_on_warm_connections_do_not_wake_the_janitor() -> None:
    clock = Clock()
    warm = NoJanitor(10_000, clock)
    warm.keep(600.0)
    idle(warm, *(f"n{number}" for number in range(1000)))
    before = warm.bell.rung
    for number in range(1000):
        clock.now += 0.01
        connection = warm.take(host(f"n{number}"))
        assert connection is not None
        warm.give_back(connection)
    assert (before, warm.bell.rung) == (1, 1)


# --- room ---


def test_the_one_that_was_idle_for_the_longest_makes_room() -> None:
    warm = Warm(3)
    a, b, c = idle(warm, "a", "b", "c")
    taken = warm.take(host("a"))
    assert taken is a
    warm.give_back(a)  # from now on b is the oldest
    d = opened(warm, "d")
    assert b.closed.is_set()  # its descriptor is there before another one is asked for
    assert names(warm) == ["a", "c", "d"]
    assert not (a.shut or c.shut or d.shut)


def in_thread(body: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(body()), daemon=True)
    thread.start()
    return thread, given


def waiting(warm: Warm, count: int) -> None:
    """Until so many turns wait for room."""
    until(lambda: warm._hungry == count)


def test_a_turn_waits_for_room_while_all_are_in_use() -> None:
    warm = Warm(2)
    a, b = opened(warm, "a"), opened(warm, "b")
    thread, given = in_thread(lambda: opened(warm, "c"))
    waiting(warm, 1)
    assert names(warm) == ["a", "b"]
    warm.give_back(a)
    thread.join(PATIENCE)
    assert [one.host.name for one in given] == ["c"]
    assert a.closed.is_set()
    assert not b.shut
    assert names(warm) == ["b", "c"]


def test_no_more_are_closed_than_turns_wait_for_room() -> None:
    warm = Warm(8)
    idle(warm, *(f"old{number}" for number in range(8)))
    turns = [in_thread(lambda number=number: opened(warm, f"new{number}")) for number in range(3)]
    for thread, given in turns:
        thread.join(PATIENCE)
        assert len(given) == 1
    assert names(warm) == sorted([f"new{number}" for number in range(3)] + [f"old{number}" for number in range(3, 8)])


def test_a_turn_waits_until_the_descriptor_is_really_back_and_has_no_second_one_closed_meanwhile() -> None:
    warm = Warm(2)
    (a,), b = idle(warm, "a"), opened(warm, "b")
    a.may_close.clear()
    where = host("c")
    room: list[bool] = []
    thread, _ = in_thread(lambda: warm.open(where, lambda: room.append(a.closed.is_set()) or Fake(where), Stopper()))
    until(lambda: a.shut)
    warm.give_back(b)  # which wakes whoever waits
    warm._look_again()
    thread.join(0.2)
    a.may_close.set()
    thread.join(PATIENCE)
    assert room == [True]
    assert not b.shut
    assert names(warm) == ["b", "c"]


def test_the_place_of_a_connect_that_fails_goes_to_the_next_turn() -> None:
    warm = Warm(1)
    under_way = threading.Event()
    refused = threading.Event()

    def refuse() -> Any:
        under_way.set()
        refused.wait(PATIENCE)
        raise OSError("no route")

    def fail() -> None:
        with pytest.raises(OSError, match="no route"):
            warm.open(host("a"), refuse, Stopper())

    first, _ = in_thread(fail)
    until(under_way.is_set)
    second, given = in_thread(lambda: opened(warm, "b"))
    waiting(warm, 1)
    refused.set()
    first.join(PATIENCE)
    second.join(PATIENCE / 2)
    assert [one.host.name for one in given] == ["b"]


def test_many_turns_that_want_few_places_all_get_one_in_the_end() -> None:
    warm = Warm(4)
    most = 0
    lock = threading.Lock()

    def turn(name: str) -> None:
        nonlocal most
        connection = opened(warm, name)
        with lock:
            most = max(most, len(names(warm)))
        warm.give_back(connection)

    turns = [in_thread(lambda number=number: turn(f"n{number}")) for number in range(60)]
    for thread, given in turns:
        thread.join(PATIENCE)
        assert given == [None]
    assert most <= 4


def test_a_turn_that_is_stopped_waits_for_room_no_longer() -> None:
    warm = Warm(1)
    opened(warm, "a")
    stopped = Stopper()
    where = host("b", connect_timeout=3600.0)
    thread, given = in_thread(lambda: warm.open(where, lambda: Fake(where), stopped))
    waiting(warm, 1)
    stopped.stop()
    thread.join(PATIENCE)
    assert len(given) == 1


def test_a_turn_waits_for_room_no_longer_than_a_connect_may_take() -> None:
    warm = Warm(1)
    opened(warm, "a")
    where = host("b", connect_timeout=0.05)
    assert warm.open(where, lambda: Fake(where), Stopper())


# --- descriptors ---


def test_the_soft_limit_is_raised_to_the_hard_one_and_some_descriptors_are_left_for_other_things() -> None:
    script = (
        "import resource\n"
        "from hostshell.engine.warm import raise_descriptor_limit\n"
        "for hard in (400, 40, 10):\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (10, hard))\n"
        "    most = raise_descriptor_limit()\n"
        "    print(most, *resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("300 400 400\n16 40 40\n1 10 10\n", "")
