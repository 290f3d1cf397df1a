"""The scheduler with endpoints that push back, step by step."""

from __future__ import annotations

from typing import Literal, TypeVar

import pytest

from hostshell.core.events import Failure, Finished, Summary
from hostshell.core.homes import SURELY_WARM
from hostshell.core.model import Host, Job, Run
from hostshell.core.pacing import MOST_AT_ONCE
from hostshell.core.scheduler import Scheduler
from hostshell.core.turns import (
    Action,
    Begin,
    Cancel,
    Connected,
    Emit,
    Ended,
    Halt,
    KeyOffered,
    Note,
    Question,
    Ready,
    Submit,
    Tick,
)

T = TypeVar("T")
DROPPED = Failure("refused", "dropped")


def only(actions: list[Action], kind: type[T]) -> list[T]:
    return [action for action in actions if isinstance(action, kind)]


def finished(actions: list[Action]) -> list[Finished]:
    return [action.event for action in actions if isinstance(action, Emit) and isinstance(action.event, Finished)]


def ready() -> Scheduler:
    scheduler = Scheduler(1)
    scheduler.handle(Ready(0), 0.0)
    return scheduler


def crowd_of(count: int, *, fanout: int = 64, timeout: float | None = None, beside: int = 0) -> Job:
    """``count`` hosts n0 … behind one address, and ``beside`` hosts w0 … with an address each."""
    behind = [Host(f"n{i}", "192.0.2.1", user="u", connect_timeout=10.0) for i in range(count)]
    others = [Host(f"w{i}", f"w{i}", user="u", connect_timeout=10.0) for i in range(beside)]
    return Job((*behind, *others), Run("true"), "true", fanout, timeout, 1)


def drop(scheduler: Scheduler, begin: Begin, now: float) -> list[Action]:
    return scheduler.handle(Ended(begin.turn, "unreachable", failure=DROPPED, retriable=True), now)


def names(actions: list[Action]) -> list[str]:
    return [begin.host.name for begin in only(actions, Begin)]


def test_after_a_push_back_half_as_many_connect_at_a_time_and_each_that_gets_in_makes_room() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(8)), 0.0), Begin)
    assert len(begins) == 8
    for begin in begins:
        assert names(drop(scheduler, begin, 0.1)) == []
    first = only(scheduler.handle(Tick(), 0.5), Begin)
    assert len(first) == 4
    assert names(scheduler.handle(Tick(), 0.6)) == []
    assert len(names(scheduler.handle(Connected(first[0].turn), 0.7))) == 1  # not only once its command has ended
    assert len(names(drop(scheduler, first[1], 0.8))) == 0  # four under way, where two may be
    assert scheduler.next_alarm() is not None


def test_hosts_that_wait_for_their_endpoint_take_no_place_in_the_fanout() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(4, fanout=4, beside=8)), 0.0), Begin)
    assert [begin.host.name for begin in begins] == ["n0", "n1", "n2", "n3"]
    begun = [names(drop(scheduler, begin, 0.1)) for begin in begins]
    assert begun == [["w0"], ["w1"], ["w2"], ["w3"]]
    # their pauses are over, but the fan-out is full: they come first as soon as there is room
    assert names(scheduler.handle(Tick(), 0.5)) == []
    third = next(number for number in range(5, 9) if scheduler.host_of(number) == "w0")
    assert names(scheduler.handle(Ended(third, "ok", 0), 1.0))[0].startswith("n")


def test_what_a_host_waits_in_the_queue_after_it_was_dropped_is_not_taken_from_its_connect() -> None:
    scheduler = ready()
    begin = only(scheduler.handle(Submit(crowd_of(1, fanout=1, beside=1)), 0.0), Begin)[0]
    beside = only(drop(scheduler, begin, 1.0), Begin)[0]
    scheduler.handle(Connected(beside.turn), 1.1)
    assert names(scheduler.handle(Tick(), 2.0)) == []
    again = only(scheduler.handle(Ended(beside.turn, "ok", 0), 60.0), Begin)[0]
    assert (again.host.name, again.host.connect_timeout) == ("n0", 8.0)
    assert finished(drop(scheduler, again, 60.1)) == []  # and it has patience left


def test_a_host_whose_patience_ended_while_its_endpoint_had_no_place_is_not_tried_again() -> None:
    scheduler = ready()
    slow, dropped = only(scheduler.handle(Submit(crowd_of(2)), 0.0), Begin)
    drop(scheduler, dropped, 0.1)
    late = Ended(slow.turn, "unreachable", failure=Failure("timeout", "no answer"))
    actions = scheduler.handle(late, 10.1)
    assert names(actions) == []
    assert [(event.host, event.error) for event in finished(actions)] == [("n0", late.failure), ("n1", DROPPED)]


def test_what_is_let_in_late_is_neither_late_for_its_connect_nor_for_its_turn() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(2, timeout=5.0)), 0.0), Begin)
    drop(scheduler, begins[1], 0.1)
    # the other one is let in after 4 s, and gives the place back: one at a time from now on
    again = only(scheduler.handle(Connected(begins[0].turn), 4.0), Begin)[0]
    assert (again.host.name, again.host.connect_timeout) == ("n1", 10.0)
    scheduler.handle(Connected(again.turn), 4.1)
    assert [halt.turn for halt in only(scheduler.handle(Tick(), 5.0), Halt)] == [begins[0].turn]
    assert only(scheduler.handle(Tick(), 8.8), Halt) == []
    # 0.1 s of its five went into the first try, the wait into nothing
    assert [halt.turn for halt in only(scheduler.handle(Tick(), 8.9), Halt)] == [again.turn]


def test_an_endpoint_that_lets_nobody_in_is_given_up_when_a_connect_or_a_turn_would_be_over() -> None:
    for timeout, most in ((None, 10.0), (2.0, 2.0)):
        scheduler = ready()
        actions = scheduler.handle(Submit(crowd_of(3, timeout=timeout)), 0.0)
        now, ended = 0.0, 0
        while scheduler.busy:
            for begin in only(actions, Begin):
                now += 0.001
                more = drop(scheduler, begin, now)
                ended += len(finished(more))
                assert only(more, Begin) == []
            if scheduler.busy:
                alarm = scheduler.next_alarm()
                assert alarm is not None
                now = max(now, alarm)
                actions = scheduler.handle(Tick(), now)
                ended += len(finished(actions))
        assert ended == 3
        assert most / 2 < now < most + 1


@pytest.mark.parametrize("kind", ["auth", "hostkey", "algorithms"])
def test_a_server_that_says_no_has_let_the_connect_in(kind: Literal["auth", "hostkey", "algorithms"]) -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(3)), 0.0), Begin)
    drop(scheduler, begins[0], 0.1)
    scheduler.handle(Ended(begins[1].turn, "unreachable", failure=Failure(kind, "no")), 9.0)
    actions = scheduler.handle(Ended(begins[2].turn, "unreachable", failure=Failure(kind, "no")), 9.5)
    assert [begin.host.name for begin in only(actions, Begin)] == ["n0"]
    assert only(actions, Begin)[0].host.connect_timeout == 10.0


def test_warm_hosts_do_not_wait_for_an_endpoint_that_pushed_back_when_they_were_cold() -> None:
    scheduler = ready()
    waiting = only(scheduler.handle(Submit(crowd_of(6)), 0.0), Begin)
    drop(scheduler, waiting.pop(), 0.1)
    now = 0.2
    while scheduler.busy:
        begin = waiting.pop(0)
        now += 1.0
        waiting += only(scheduler.handle(Connected(begin.turn), now), Begin)
        waiting += only(scheduler.handle(Ended(begin.turn, "ok", 0), now), Begin)
    now += SURELY_WARM / 2
    again = only(scheduler.handle(Submit(crowd_of(6)), now), Begin)
    assert len(again) == 6
    # that they answer says nothing of how the endpoint takes connects; those that were lost make new ones at its pace
    dropped = {begin.host.name: drop(scheduler, begin, now) for begin in again[:4]}
    assert sum(len(names(actions)) for actions in dropped.values()) == 0
    scheduler.handle(Connected(again[4].turn), now + 9.0)
    actions = scheduler.handle(Connected(again[5].turn), now + 9.1)
    assert [begin.host.connect_timeout for begin in only(actions, Begin)] == [pytest.approx(0.9)]
    assert len(names(scheduler.handle(Tick(), now + 9.2))) == 0


def test_hosts_that_were_not_used_for_long_are_not_taken_for_warm() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(MOST_AT_ONCE + 50, fanout=200)), 0.0), Begin)
    while scheduler.busy:
        begin = begins.pop(0)
        begins += only(scheduler.handle(Connected(begin.turn), 1.0), Begin)
        begins += only(scheduler.handle(Ended(begin.turn, "ok", 0), 2.0), Begin)
    again = only(scheduler.handle(Submit(crowd_of(MOST_AT_ONCE + 50, fanout=200)), 3.0 + SURELY_WARM), Begin)
    assert len(again) == MOST_AT_ONCE


def test_hosts_that_lost_their_connection_connect_at_the_pace_that_was_learned() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(4)), 0.0), Begin)
    again = drop(scheduler, begins[3], 0.1)
    for begin in begins[:3]:
        again += scheduler.handle(Connected(begin.turn), 1.0)
    (last,) = only(again, Begin)
    scheduler.handle(Connected(last.turn), 1.1)
    for begin in (*begins[:3], last):
        scheduler.handle(Ended(begin.turn, "lost", failure=Failure("lost", "the link ended")), 2.0)
    assert not scheduler.busy
    assert len(names(scheduler.handle(Submit(crowd_of(4)), 3.0))) == 3  # two, and one more as that went well


def test_a_wait_for_an_endpoint_that_mattered_is_told_with_the_summary() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(3)), 0.0), Begin)
    drop(scheduler, begins[2], 0.1)
    scheduler.handle(Connected(begins[0].turn), 1.0)
    scheduler.handle(Ended(begins[0].turn, "ok", 0), 1.0)
    again = only(scheduler.handle(Connected(begins[1].turn), 3.0), Begin)[0]
    scheduler.handle(Ended(begins[1].turn, "ok", 0), 3.0)
    actions = scheduler.handle(Ended(again.turn, "ok", 0), 3.5)
    text = "connections to it were dropped at first, so it was tried again more slowly"
    assert actions[-2:] == [Note("n2", text), Emit(Summary(1, ok=3, seconds=3.5))]


def test_a_question_waits_for_hosts_that_wait_for_their_endpoint() -> None:
    scheduler = ready()
    a, b = only(scheduler.handle(Submit(crowd_of(2)), 0.0), Begin)
    drop(scheduler, b, 0.1)
    assert only(scheduler.handle(KeyOffered(a.turn, "n0", 22, "ssh-ed25519 AAA", "SHA256:a"), 0.1), Question) == []
    again = only(scheduler.handle(Tick(), 0.5), Begin)[0]
    actions = scheduler.handle(KeyOffered(again.turn, "n1", 22, "ssh-ed25519 AAA", "SHA256:a"), 0.6)
    assert [offer.host for offer in only(actions, Question)[0].offers] == ["n0", "n1"]


def test_ctrl_c_ends_hosts_that_wait_for_their_endpoint() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(crowd_of(3)), 0.0), Begin)
    for begin in begins:
        drop(scheduler, begin, 0.1)
    actions = scheduler.handle(Cancel(), 0.2)
    assert [event.status for event in finished(actions)] == ["cancelled"] * 3
    assert not scheduler.busy
    assert scheduler.next_alarm() is None
