"""The policy of the pool: feed a report, compare the actions. No network, no clock, no process."""

from __future__ import annotations

from typing import TypeVar

import pytest

from hostshell.core.events import Failure, Finished, Started, Summary
from hostshell.core.homes import START_TRIES
from hostshell.core.model import Host, Job, Run, Secret
from hostshell.core.pacing import endpoint_of
from hostshell.core.scheduler import CONNECT_SLACK, STOP_PATIENCE, Scheduler
from hostshell.core.turns import (
    Action,
    Answer,
    Asked,
    AskSecret,
    Begin,
    Cancel,
    Connected,
    Died,
    Emit,
    Ended,
    Halt,
    Inquire,
    Inquiry,
    KeyOffered,
    Kill,
    PasswordRefused,
    Question,
    Ready,
    Replace,
    SecretGiven,
    SecretWanted,
    Submit,
    Supply,
    Tell,
    Tick,
    Told,
)

T = TypeVar("T")


def job(count: int, *, fanout: int = 64, timeout: float | None = None, number: int = 1) -> Job:
    hosts = tuple(Host(f"h{i}", f"h{i}", user="u", connect_timeout=10.0) for i in range(count))
    return Job(hosts, Run("true"), "true", fanout, timeout, number)


def only(actions: list[Action], kind: type[T]) -> list[T]:
    return [action for action in actions if isinstance(action, kind)]


def events(actions: list[Action], kind: type[T]) -> list[T]:
    return [action.event for action in actions if isinstance(action, Emit) and isinstance(action.event, kind)]


def ready(workers: int = 2) -> Scheduler:
    scheduler = Scheduler(workers)
    for worker in range(workers):
        scheduler.handle(Ready(worker), 0.0)
    return scheduler


def finished(actions: list[Action]) -> dict[str, Finished]:
    return {event.host: event for event in events(actions, Finished)}


def test_a_job_starts_with_started_and_begins_every_host_within_the_fanout() -> None:
    scheduler = ready()
    actions = scheduler.handle(Submit(job(5, fanout=3)), 1.0)
    assert events(actions, Started) == [Started(1, "true", ("h0", "h1", "h2", "h3", "h4"))]
    assert [begin.host.name for begin in only(actions, Begin)] == ["h0", "h1", "h2"]
    actions = scheduler.handle(Ended(only(actions, Begin)[0].turn, "ok", 0), 2.0)
    assert [begin.host.name for begin in only(actions, Begin)] == ["h3"]


def test_hosts_are_spread_over_the_workers_and_keep_to_theirs() -> None:
    scheduler = ready()
    first = only(scheduler.handle(Submit(job(4)), 0.0), Begin)
    assert sorted(begin.worker for begin in first) == [0, 0, 1, 1]
    for begin in first:
        scheduler.handle(Ended(begin.turn, "ok", 0), 1.0)
    second = only(scheduler.handle(Submit(job(4, number=2)), 2.0), Begin)
    assert {b.host.name: b.worker for b in first} == {b.host.name: b.worker for b in second}


def test_nothing_begins_on_a_worker_that_is_not_ready() -> None:
    scheduler = Scheduler(1)
    assert only(scheduler.handle(Submit(job(1)), 0.0), Begin) == []
    assert len(only(scheduler.handle(Ready(0), 3.0), Begin)) == 1


def test_the_summary_comes_once_with_the_largest_exit_code_when_every_host_has_ended() -> None:
    scheduler = ready(1)
    begins = only(scheduler.handle(Submit(job(2)), 0.0), Begin)
    assert events(scheduler.handle(Ended(begins[0].turn, "ok", 0), 1.0), Summary) == []
    failure = Failure("refused", "connection refused")
    actions = scheduler.handle(Ended(begins[1].turn, "unreachable", failure=failure), 2.5)
    assert events(actions, Summary) == [Summary(1, ok=1, unreachable=1, seconds=2.5, exit_code=4)]
    assert not scheduler.busy
    assert scheduler.next_alarm() is None


def test_a_turn_is_halted_at_its_deadline_counted_from_its_own_beginning() -> None:
    scheduler = ready(1)
    first = only(scheduler.handle(Submit(job(2, fanout=1, timeout=5.0)), 0.0), Begin)[0]
    scheduler.handle(Connected(first.turn), 0.1)
    actions = scheduler.handle(Ended(first.turn, "ok", 0), 4.0)
    second = only(actions, Begin)[0]  # waited 4 s in the queue, which counts for nothing
    scheduler.handle(Connected(second.turn), 4.1)
    assert only(scheduler.handle(Tick(), 8.9), Halt) == []
    assert only(scheduler.handle(Tick(), 9.0), Halt) == [Halt(0, second.turn, "timeout")]
    result = finished(scheduler.handle(Ended(second.turn, "cancelled"), 9.1))["h1"]
    assert (result.status, result.error and result.error.kind) == ("timeout", "timeout")


def test_a_worker_that_does_not_answer_a_halt_is_killed_and_replaced() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1, timeout=1.0)), 0.0), Begin)[0]
    scheduler.handle(Connected(begin.turn), 0.1)
    scheduler.handle(Tick(), 1.0)
    actions = scheduler.handle(Tick(), 1.0 + STOP_PATIENCE)
    assert only(actions, Kill) == [Kill(0)]
    assert finished(actions)["h0"].may_still_run
    assert only(scheduler.handle(Died(0, "killed by signal 9"), 2.0), Replace) == [Replace(0)]


def test_a_connect_that_the_worker_does_not_end_by_itself_is_halted() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    assert only(scheduler.handle(Tick(), 10.0 + CONNECT_SLACK), Halt) == [Halt(0, begin.turn, "connect")]
    result = finished(scheduler.handle(Ended(begin.turn, "cancelled"), 12.1))["h0"]
    assert (result.status, result.error and result.error.kind) == ("unreachable", "timeout")


def test_a_long_command_is_not_taken_for_a_long_connect() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(Connected(begin.turn), 1.0)
    assert scheduler.handle(Tick(), 100.0) == []


def test_cancel_ends_what_waits_at_once_and_halts_what_runs() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(3, fanout=1)), 0.0), Begin)[0]
    actions = scheduler.handle(Cancel(), 1.0)
    assert {name: event.status for name, event in finished(actions).items()} == {"h1": "cancelled", "h2": "cancelled"}
    assert only(actions, Halt) == [Halt(0, begin.turn, "cancelled")]
    actions = scheduler.handle(Ended(begin.turn, "cancelled", may_still_run=True), 1.5)
    assert finished(actions)["h0"].may_still_run
    assert events(actions, Summary)[0].exit_code == 130


def test_a_second_cancel_does_not_wait() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(Connected(begin.turn), 0.5)
    scheduler.handle(Cancel(), 1.0)
    actions = scheduler.handle(Cancel(), 1.1)
    assert only(actions, Kill) == [Kill(0)]
    assert finished(actions)["h0"].status == "cancelled"
    assert finished(actions)["h0"].may_still_run
    assert len(events(actions, Summary)) == 1


def test_a_command_that_ended_before_the_halt_arrived_keeps_its_result() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(Cancel(), 1.0)
    assert finished(scheduler.handle(Ended(begin.turn, "ok", 0), 1.01))["h0"].status == "ok"


def test_a_dead_worker_costs_its_own_hosts_and_nothing_else() -> None:
    scheduler = ready(2)
    begins = only(scheduler.handle(Submit(job(4)), 0.0), Begin)
    actions = scheduler.handle(Died(0, "killed by signal 9"), 1.0)
    lost = {begin.host.name for begin in begins if begin.worker == 0}
    assert set(finished(actions)) == lost
    assert all(
        event.status == "lost" and event.error and event.error.kind == "worker" for event in finished(actions).values()
    )
    assert only(actions, Replace) == [Replace(0)]
    for begin in begins:
        if begin.worker == 1:
            actions = scheduler.handle(Ended(begin.turn, "ok", 0), 2.0)
    assert events(actions, Summary)[0].ok == 2


def test_hosts_that_waited_for_a_dead_worker_still_run() -> None:
    scheduler = ready(1)
    scheduler.handle(Submit(job(2, fanout=1)), 0.0)
    actions = scheduler.handle(Died(0, "exit code 1"), 1.0)
    assert set(finished(actions)) == {"h0"}
    assert [begin.host.name for begin in only(scheduler.handle(Ready(0), 2.0), Begin)] == ["h1"]


def test_news_of_a_turn_that_was_given_up_changes_nothing() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(Died(0, "killed by signal 9"), 1.0)
    assert scheduler.handle(Ended(begin.turn, "ok", 0), 1.1) == []
    assert scheduler.handle(Connected(begin.turn), 1.1) == []


def test_a_worker_that_never_starts_is_given_up_and_its_hosts_fail() -> None:
    scheduler = Scheduler(1)
    scheduler.handle(Submit(job(1)), 0.0)
    for _ in range(START_TRIES - 1):
        assert only(scheduler.handle(Died(0, "exit code 1"), 1.0), Replace) == [Replace(0)]
    actions = scheduler.handle(Died(0, "exit code 1"), 1.0)
    assert only(actions, Replace) == []
    assert finished(actions)["h0"].status == "lost"


def test_a_dropped_connect_is_tried_again_after_a_while_and_counts_as_one_turn() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    dropped = Failure("refused", "dropped")
    actions = scheduler.handle(Ended(begin.turn, "unreachable", failure=dropped, retriable=True), 0.1)
    assert actions == []
    alarm = scheduler.next_alarm()
    assert alarm is not None
    assert alarm > 0.1
    again = only(scheduler.handle(Tick(), alarm), Begin)[0]
    assert again.turn != begin.turn
    result = finished(scheduler.handle(Ended(again.turn, "ok", 0), alarm + 1))["h0"]
    assert result.seconds == pytest.approx(0.1 + 1, abs=0.001)  # waiting to be let in is like waiting in the queue


def test_a_connect_is_not_tried_again_past_the_connect_timeout() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    now, tries = 0.0, 0
    while True:
        tries += 1
        now += 0.01
        actions = scheduler.handle(
            Ended(begin.turn, "unreachable", failure=Failure("refused", "dropped"), retriable=True), now
        )
        if finished(actions):
            break
        alarm = scheduler.next_alarm()
        assert alarm is not None
        now = alarm
        begin = only(scheduler.handle(Tick(), now), Begin)[0]
    assert 2 <= tries <= 12
    assert now <= 10.0


def test_one_question_lists_all_new_keys_once_every_other_connect_has_settled() -> None:
    scheduler = ready(1)
    a, b, c = only(scheduler.handle(Submit(job(3)), 0.0), Begin)
    assert only(scheduler.handle(KeyOffered(a.turn, "h0", 22, "ssh-ed25519 AAA", "SHA256:a"), 0.1), Question) == []
    assert only(scheduler.handle(KeyOffered(b.turn, "h1", 22, "ssh-ed25519 BBB", "SHA256:b"), 0.2), Question) == []
    actions = scheduler.handle(Connected(c.turn), 0.3)  # running, so settled: it goes on meanwhile
    assert [offer.host for offer in only(actions, Question)[0].offers] == ["h0", "h1"]
    actions = scheduler.handle(Answer(frozenset({"h0"}), 60.0), 60.3)
    assert only(actions, Begin)[0].host.accepted_key == "ssh-ed25519 AAA"
    refused = finished(actions)["h1"]
    assert (refused.status, refused.error and refused.error.kind) == ("unreachable", "hostkey")


def test_a_jump_hosts_new_key_is_one_question_for_all_hosts_behind_it() -> None:
    way = (Host("b1", "b1"), Host("b2", "b2"))
    hosts = tuple(Host(f"h{i}", f"h{i}", connect_timeout=10.0, jump=way) for i in range(3))
    scheduler = ready(1)
    turns = only(scheduler.handle(Submit(Job(hosts, Run("true"))), 0.0), Begin)
    actions: list[Action] = []
    for begin in turns:
        offer = KeyOffered(begin.turn, "b2", 22, "ssh-ed25519 AAA", "SHA256:a", hop="b2")
        actions = scheduler.handle(offer, 0.1)
    assert [(one.host, one.fingerprint) for one in only(actions, Question)[0].offers] == [("b2", "SHA256:a")]
    begun = only(scheduler.handle(Answer(frozenset({"b2"}), 1.0), 1.1), Begin)
    assert len(begun) == 3
    for begin in begun:
        assert [hop.accepted_key for hop in begin.host.jump] == [None, "ssh-ed25519 AAA"]
        assert begin.host.accepted_key is None


def test_a_jump_host_has_a_connect_limit_of_its_own_and_is_the_endpoint_of_what_is_behind_it() -> None:
    host = Host("h1", "h1", connect_timeout=10.0, jump=(Host("b1", "b1", connect_timeout=20.0),))
    assert endpoint_of(host) == ("b1", 22)
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(Job((host,), Run("true"))), 0.0), Begin)[0]
    assert only(scheduler.handle(Tick(), 31.9), Halt) == []
    assert only(scheduler.handle(Tick(), 32.0), Halt)[0].turn == begin.turn


def test_a_password_that_a_jump_host_refused_is_the_jump_hosts() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    refused = Ended(begin.turn, "unreachable", failure=Failure("auth", "no"), password_refused=True, hop="b1")
    assert only(scheduler.handle(refused, 1.0), PasswordRefused) == [PasswordRefused("b1")]


def test_what_a_server_asks_waits_for_other_connects_takes_no_fan_out_and_holds_the_clocks() -> None:
    scheduler = ready(1)
    (a,) = only(scheduler.handle(Submit(job(2, fanout=1, timeout=50.0)), 0.0), Begin)
    actions = scheduler.handle(Asked(a.turn, Inquiry("h0", "", (("Code:", False),))), 1.0)
    (b,) = only(actions, Begin)  # its place is free
    assert only(actions, Inquire) == []  # another connect is under way
    actions = scheduler.handle(Connected(b.turn), 2.0)
    assert [one.turn for one in only(actions, Inquire)] == [a.turn]
    answers = (Secret("123456"),)
    actions = scheduler.handle(Told(a.turn, answers, 100.0), 102.0)
    assert only(actions, Tell) == [Tell(0, a.turn, answers)]
    assert only(actions, Halt) == []
    assert only(scheduler.handle(Tick(), 113.0), Halt) == []
    assert [halt.turn for halt in only(scheduler.handle(Tick(), 114.0), Halt)] == [a.turn]  # its connect's own limit
    assert [halt.turn for halt in only(scheduler.handle(Tick(), 151.0), Halt)] == [b.turn]  # -t


def test_a_turn_whose_warm_connection_was_dead_is_asked_at_its_second_login() -> None:
    scheduler = ready(1)
    (a,) = only(scheduler.handle(Submit(job(1)), 0.0), Begin)
    scheduler.handle(Connected(a.turn), 0.1)  # it was warm; then nobody answered on it
    actions = scheduler.handle(Asked(a.turn, Inquiry("h0", "", (("Code:", False),))), 5.0)
    assert [one.turn for one in only(actions, Inquire)] == [a.turn]
    assert only(scheduler.handle(Told(a.turn, (Secret("1"),), 30.0), 35.0), Tell) != []
    scheduler.handle(Connected(a.turn), 36.0)
    assert only(scheduler.handle(Tick(), 99.0), Halt) == []
    assert finished(scheduler.handle(Ended(a.turn, "ok", 0), 100.0))["h0"].status == "ok"


def test_a_question_waits_no_longer_than_its_patience_and_that_of_a_jump_host_not_at_all() -> None:
    scheduler = ready(1)
    a, b, _ = only(scheduler.handle(Submit(job(3)), 0.0), Begin)
    assert only(scheduler.handle(Asked(a.turn, Inquiry("h0", "", (("Code:", False),))), 0.5), Inquire) == []
    assert [one.turn for one in only(scheduler.handle(Tick(), 10.5), Inquire)] == [a.turn]
    asked = Asked(b.turn, Inquiry("bastion", "", (("Code:", False),)))
    assert only(scheduler.handle(asked, 10.6), Inquire) == []  # one at a time
    assert [one.turn for one in only(scheduler.handle(Told(a.turn, None, 0.0), 10.7), Inquire)] == [b.turn]


def test_a_turn_that_ends_or_is_stopped_while_it_asks_needs_no_answer() -> None:
    scheduler = ready(1)
    a, b = only(scheduler.handle(Submit(job(2)), 0.0), Begin)
    for begin in (a, b):
        scheduler.handle(Asked(begin.turn, Inquiry(begin.host.name, "", (("Code:", False),))), 0.1)
    gone = Ended(a.turn, "unreachable", failure=Failure("auth", "it hung up"))
    scheduler.handle(gone, 0.2)
    actions = scheduler.handle(Cancel(), 0.3)
    assert [halt.turn for halt in only(actions, Halt)] == [b.turn]
    assert only(scheduler.handle(Told(b.turn, None, 0.1), 0.4), Tell) == []
    done = scheduler.handle(Ended(b.turn, "cancelled"), 0.5)
    assert finished(done)["h1"].status == "cancelled"
    assert not scheduler.busy


def test_hosts_behind_one_jump_host_share_a_worker() -> None:
    scheduler = ready(2)
    hosts = tuple(Host(f"h{i}", f"h{i}", jump=(Host("b", f"b{i % 2}"),)) for i in range(8))
    begun = only(scheduler.handle(Submit(Job(hosts, Run("true"))), 0.0), Begin)
    homes = {begin.host.jump[0].address: set[int]() for begin in begun}
    for begin in begun:
        homes[begin.host.jump[0].address].add(begin.worker)
    assert sorted(map(len, homes.values())) == [1, 1]
    assert homes["b0"] != homes["b1"]


def test_the_time_to_answer_counts_for_no_limit() -> None:
    scheduler = ready(1)
    a, b = only(scheduler.handle(Submit(job(2, timeout=5.0)), 0.0), Begin)
    scheduler.handle(Connected(a.turn), 0.1)
    scheduler.handle(KeyOffered(b.turn, "h1", 22, "ssh-ed25519 BBB", "SHA256:b"), 0.2)
    actions = scheduler.handle(Answer(frozenset({"h1"}), 100.0), 100.2)
    assert only(actions, Halt) == []
    again = only(actions, Begin)[0]
    scheduler.handle(Connected(again.turn), 100.3)
    assert only(scheduler.handle(Tick(), 104.9), Halt) == []
    assert [halt.turn for halt in only(scheduler.handle(Tick(), 105.0), Halt)] == [a.turn]


def test_cancel_while_a_question_is_open_ends_the_job() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(KeyOffered(begin.turn, "h0", 22, "ssh-ed25519 AAA", "SHA256:a"), 0.1)
    actions = scheduler.handle(Cancel(), 1.0)
    assert finished(actions)["h0"].status == "cancelled"
    assert scheduler.handle(Answer(frozenset({"h0"}), 1.0), 2.0) == []


def test_a_refused_password_is_told_so_that_it_is_not_offered_again() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    refused = Ended(begin.turn, "unreachable", failure=Failure("auth", "refused"), password_refused=True)
    assert only(scheduler.handle(refused, 1.0), PasswordRefused) == [PasswordRefused("h0")]


def test_a_second_job_while_one_runs_is_an_error() -> None:
    scheduler = ready(1)
    scheduler.handle(Submit(job(1)), 0.0)
    with pytest.raises(ValueError, match="one at a time"):
        scheduler.handle(Submit(job(1)), 0.0)


def test_the_same_reports_give_the_same_actions() -> None:
    def play() -> list[Action]:
        scheduler = ready(2)
        found = scheduler.handle(Submit(job(6, fanout=2)), 0.0)
        now, turn = 0.0, 0
        while scheduler.busy and now < 60:
            now += 0.05
            turn += 1
            found += scheduler.handle(Ended(turn, "unreachable", failure=Failure("refused", "x"), retriable=True), now)
            found += scheduler.handle(Tick(), now)
        return found

    assert play() == play()


def test_a_worker_that_is_being_killed_gets_nothing_more_to_do() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(2, fanout=1, timeout=1.0)), 0.0), Begin)[0]
    scheduler.handle(Connected(begin.turn), 0.1)
    scheduler.handle(Tick(), 1.0)
    actions = scheduler.handle(Tick(), 1.0 + STOP_PATIENCE)
    assert only(actions, Kill) == [Kill(0)]
    assert only(actions, Begin) == []
    assert only(scheduler.handle(Died(0, "killed by signal 9"), 2.0), Replace) == [Replace(0)]
    assert [begin.host.name for begin in only(scheduler.handle(Ready(0), 2.5), Begin)] == ["h1"]


def test_the_next_job_after_two_cancels_waits_for_the_new_worker() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(Connected(begin.turn), 0.5)
    scheduler.handle(Cancel(), 1.0)
    scheduler.handle(Cancel(), 1.1)
    assert only(scheduler.handle(Submit(job(1, number=2)), 1.2), Begin) == []
    assert finished(scheduler.handle(Died(0, "killed by signal 9"), 1.3)) == {}
    assert len(only(scheduler.handle(Ready(0), 1.5), Begin)) == 1


def test_all_tries_of_a_connect_together_have_its_limit() -> None:
    scheduler = ready(1)
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    assert begin.host.connect_timeout == 10.0
    dropped = Failure("refused", "dropped")
    scheduler.handle(Ended(begin.turn, "unreachable", failure=dropped, retriable=True), 9.0)
    alarm = scheduler.next_alarm()
    assert alarm is not None
    again = only(scheduler.handle(Tick(), alarm), Begin)[0]
    assert again.host.connect_timeout == pytest.approx(10.0 - alarm)
    assert only(scheduler.handle(Tick(), 10.0 + CONNECT_SLACK), Halt) == [Halt(0, again.turn, "connect")]


def test_turns_that_want_the_same_secret_share_one_question_and_its_answer() -> None:
    scheduler = ready()
    begins = only(scheduler.handle(Submit(job(3, fanout=3, timeout=10.0)), 0.0), Begin)
    for begin in begins:
        scheduler.handle(Connected(begin.turn), 0.1)
    first = scheduler.handle(SecretWanted(begins[0].turn, "sudo deploy", "password? "), 1.0)
    assert only(first, AskSecret) == [AskSecret("sudo deploy", "password? ")]
    assert scheduler.handle(SecretWanted(begins[1].turn, "sudo deploy", "password? "), 1.0) == []
    secret = Secret("x")
    given = scheduler.handle(SecretGiven("sudo deploy", secret, 60.0), 61.0)
    assert given == [Supply(begin.worker, begin.turn, secret) for begin in begins[:2]]  # and nobody has timed out
    late = scheduler.handle(SecretWanted(begins[2].turn, "sudo deploy", "password? "), 62.0)
    assert late == [Supply(begins[2].worker, begins[2].turn, secret)]
    other = scheduler.handle(SecretWanted(begins[2].turn, "sudo root", "root? "), 62.0)
    assert only(other, AskSecret) == [AskSecret("sudo root", "root? ")]
    assert scheduler.handle(SecretGiven("sudo root", None, 1.0), 63.0) == [
        Supply(begins[2].worker, begins[2].turn, None)
    ]


def test_a_secret_for_a_turn_that_is_over_goes_nowhere_and_the_next_job_asks_anew() -> None:
    scheduler = ready()
    begin = only(scheduler.handle(Submit(job(1)), 0.0), Begin)[0]
    scheduler.handle(Connected(begin.turn), 0.1)
    scheduler.handle(SecretWanted(begin.turn, "k", "?"), 1.0)
    scheduler.handle(Ended(begin.turn, "lost"), 2.0)
    assert scheduler.handle(SecretGiven("k", Secret("x"), 1.0), 3.0) == []
    again = only(scheduler.handle(Submit(job(1, number=2)), 4.0), Begin)[0]
    scheduler.handle(Connected(again.turn), 4.1)
    assert only(scheduler.handle(SecretWanted(again.turn, "k", "?"), 5.0), AskSecret) == [AskSecret("k", "?")]
