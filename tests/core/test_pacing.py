"""How endpoints that push back are treated: how many connects they get, who waits, what is told."""

from __future__ import annotations

import pytest

from hostshell.core.pacing import MOST_AT_ONCE, PAUSE_FIRST, PAUSE_MOST, WORTH_A_NOTE, Pacing

AT = ("192.0.2.1", 22)
OTHER = ("192.0.2.2", 22)


def crowd(pacing: Pacing, count: int) -> None:
    """So many connects under way."""
    for _ in range(count):
        assert pacing.take(AT)


def narrowed(limit: int) -> Pacing:
    """Pacing whose endpoint takes so many at a time; nobody is under way. Turns to 99 belong to the old pace."""
    pacing = Pacing()
    crowd(pacing, 2 * limit)
    pacing.pushed_back(AT, 1, 100)
    for _ in range(2 * limit):
        pacing.give_back(AT, 0.0)
    assert pacing.limit(AT) == limit
    return pacing


# --- how many at a time ---


def test_an_endpoint_that_has_not_pushed_back_takes_as_many_as_its_kernel_queues() -> None:
    pacing = Pacing()
    crowd(pacing, MOST_AT_ONCE)
    assert MOST_AT_ONCE < 128  # sshd's backlog
    assert pacing.take(AT) is False
    assert pacing.take(OTHER) is True


def test_the_pace_grows_to_that_and_no_further() -> None:
    pacing = narrowed(MOST_AT_ONCE // 2)
    crowd(pacing, MOST_AT_ONCE // 2)
    for _ in range(MOST_AT_ONCE**2):
        pacing.give_back(AT, 1.0, let_in=True)
        while pacing.take(AT):
            pass
    assert pacing.limit(AT) == MOST_AT_ONCE


@pytest.mark.parametrize(("under_way", "limit"), [(100, 50), (9, 4), (2, 1), (1, 1)])
def test_the_first_push_back_halves_what_is_under_way_but_leaves_one(under_way: int, limit: int) -> None:
    pacing = Pacing()
    crowd(pacing, under_way)
    pacing.pushed_back(AT, 1, 1000)
    assert pacing.limit(AT) == limit
    assert pacing.take(AT) is False
    assert pacing.limit(OTHER) == MOST_AT_ONCE


def test_all_that_is_dropped_of_one_round_halves_the_pace_once() -> None:
    pacing = Pacing()
    crowd(pacing, 64)
    for turn in range(1, 64):
        pacing.pushed_back(AT, turn, 65)
        pacing.give_back(AT, 0.1)
    assert pacing.limit(AT) == 32
    pacing.give_back(AT, 0.1)
    crowd(pacing, 32)
    pacing.pushed_back(AT, 65, 97)  # the next round was still too much
    assert pacing.limit(AT) == 16


def test_a_round_that_went_well_adds_one() -> None:
    pacing = narrowed(4)
    crowd(pacing, 4)
    for done in range(4):
        assert pacing.limit(AT) == 4
        pacing.give_back(AT, 1.0, let_in=True)
        if done < 3:
            crowd(pacing, 1)
    assert pacing.limit(AT) == 5


def test_connects_that_were_never_held_back_add_nothing() -> None:
    pacing = narrowed(4)
    for _ in range(100):
        crowd(pacing, 1)
        pacing.give_back(AT, 1.0, let_in=True)
    assert pacing.limit(AT) == 4


def test_a_warm_host_may_always_begin_and_is_counted() -> None:
    pacing = narrowed(1)
    assert [pacing.take(AT, warm=True) for _ in range(3)] == [True, True, True]
    assert pacing.held(AT) == 3
    assert pacing.take(AT) is False


def test_the_pace_holds_for_the_next_job_unless_nobody_was_let_in() -> None:
    pacing = narrowed(4)
    pacing.take(AT)
    pacing.give_back(AT, 1.0, let_in=True)
    pacing.new_job()
    assert pacing.limit(AT) == 4
    pacing.pushed_back(AT, 200, 201)
    pacing.new_job()
    assert pacing.limit(AT) == MOST_AT_ONCE


# --- who waits ---


def test_hosts_go_on_in_turn_as_places_become_free() -> None:
    pacing = narrowed(2)
    crowd(pacing, 2)
    for name in "abc":
        pacing.wait(AT, name, 0.0, 1.0)
    assert pacing.next_alarm() is None
    assert list(pacing.released(1.0)) == []
    assert pacing.next_alarm() is None  # nothing to look at before a connect ends
    pacing.give_back(AT, 2.0)
    assert list(pacing.released(2.0)) == ["a"]
    assert list(pacing.released(2.0)) == []
    pacing.give_back(AT, 3.0)
    pacing.give_back(AT, 3.0)
    assert list(pacing.released(3.0)) == ["b", "c"]


def test_a_pause_is_kept_though_there_is_room_and_an_alarm_ends_it() -> None:
    pacing = narrowed(2)
    pacing.wait(AT, "a", 0.5, 1.0)
    assert list(pacing.released(1.4)) == []
    assert pacing.next_alarm() == 1.5
    assert list(pacing.released(1.5)) == ["a"]
    assert pacing.next_alarm() is None


def test_a_pause_that_ends_while_there_is_no_room_wakes_nobody_again() -> None:
    pacing = narrowed(1)
    crowd(pacing, 1)
    pacing.wait(AT, "a", 0.5, 1.0)
    assert list(pacing.released(1.5)) == []
    assert pacing.next_alarm() is None
    pacing.give_back(AT, 9.0)
    assert list(pacing.released(9.0)) == ["a"]


def test_pauses_double_while_nobody_is_let_in_have_jitter_and_are_the_same_again() -> None:
    pacing = Pacing()
    longest = []
    for turn in range(1, 8):
        pacing.take(AT)
        pacing.pushed_back(AT, turn, turn + 1)
        pacing.give_back(AT, float(turn))
        pauses = [pacing.pause(AT, f"seed {number}") for number in range(200)]
        assert pauses == [pacing.pause(AT, f"seed {number}") for number in range(200)]
        assert len(set(pauses)) == 200
        assert min(pauses) >= max(pauses) / 2 - 0.01
        longest.append(round(max(pauses) / PAUSE_FIRST))
    assert longest == [1, 2, 4, 8, 16, 16, 16]
    assert max(pauses) <= PAUSE_MOST
    pacing.take(AT)
    pacing.give_back(AT, 9.0, let_in=True)
    assert pacing.pause(AT, "x") <= PAUSE_FIRST


# --- what is told ---


def slowed(pacing: Pacing, at: tuple[str, int], names: str, seconds: float, *, dropped: int = 1) -> None:
    """An endpoint that dropped connections, let hosts in all the same, and made some wait."""
    for _ in range(dropped):
        pacing.take(at)
        pacing.pushed_back(at, 1, 100)
        pacing.give_back(at, 1.0)
    pacing.take(at)
    pacing.give_back(at, 1.0, let_in=True)
    for name in names:
        pacing.waited(at, name, seconds)


def test_a_note_names_the_endpoint_for_all_the_hosts_that_waited_there() -> None:
    pacing = Pacing()
    slowed(pacing, AT, "ab", WORTH_A_NOTE, dropped=37)
    slowed(pacing, ("::1", 2222), "cd", WORTH_A_NOTE)
    assert list(pacing.notes()) == [
        *((name, "192.0.2.1:22 dropped 37 connections; connected to it 2 at a time") for name in "ab"),
        *((name, "[::1]:2222 dropped 1 connection; connected to it 2 at a time") for name in "cd"),
    ]
    pacing.new_job()
    assert list(pacing.notes()) == []


def test_what_hardly_cost_time_and_what_failed_altogether_gets_no_note() -> None:
    pacing = Pacing()
    slowed(pacing, AT, "ab", WORTH_A_NOTE / 2)
    pacing.take(OTHER)
    pacing.pushed_back(OTHER, 1, 2)
    pacing.give_back(OTHER, 1.0)
    pacing.waited(OTHER, "c", 60.0)
    assert list(pacing.notes()) == []


def test_many_endpoints_with_a_host_each_share_one_sentence() -> None:
    pacing = Pacing()
    for number in range(100):
        slowed(pacing, (f"192.0.2.{number}", 22), "x", WORTH_A_NOTE)
    assert len({text for _, text in pacing.notes()}) == 1
    for number in range(100):
        slowed(pacing, (f"192.0.2.{number}", 22), "y", WORTH_A_NOTE)
    assert len({text for _, text in pacing.notes()}) == 1
