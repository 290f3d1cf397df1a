"""The scheduler in worlds of endpoints that push back: what must hold whatever they do."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hostshell.core.events import Failure, Finished, Summary
from hostshell.core.model import Host, Job, Run
from hostshell.core.pacing import PAUSE_MOST
from hostshell.core.scheduler import Scheduler
from hostshell.core.turns import (
    Action,
    Begin,
    Cancel,
    Connected,
    Died,
    Emit,
    Ended,
    Halt,
    Kill,
    Ready,
    Replace,
    Report,
    Submit,
    Tick,
)


@dataclass
class Endpoint:
    """A server that takes ``most`` connects at a time and drops some others for no reason."""

    most: int
    whims: float  # the share that it drops all the same
    until: float  # before this moment it drops everybody
    let_in: list[float] = field(default_factory=list)  # when it let somebody in
    under_way: dict[int, None] = field(default_factory=dict)  # turns


class World:
    """Plays the pool, its workers and the servers; checks what must hold at every step."""

    def __init__(self, scheduler: Scheduler, workers: int, endpoints: dict[tuple[str, int], Endpoint], seed: int):
        self.scheduler = scheduler
        self.endpoints = endpoints
        self.chance = random.Random(seed)  # no secret
        self.now = 0.0
        self.coming: list[tuple[float, int, Report]] = []
        self.turns: dict[int, Begin] = {}
        self.warm: dict[str, int] = {}  # host → worker
        self.sent: Counter[str] = Counter()
        self.ends: list[tuple[float, Finished]] = []
        self.first_try: dict[str, float] = {}
        self.summaries: list[Summary] = []
        self.log: list[tuple[Report, float, list[Action]]] = []
        self.number = 0
        for worker in range(workers):
            self.tell(Ready(worker))

    def later(self, seconds: float, report: Report) -> None:
        self.number += 1
        heapq.heappush(self.coming, (self.now + seconds, self.number, report))

    def tell(self, report: Report) -> None:
        match report:
            case Connected(turn) if turn in self.turns:
                host = self.turns[turn].host
                at = self.endpoints[host.address, host.port]
                del at.under_way[turn]
                if host.name not in self.warm:
                    at.let_in.append(self.now)
                self.warm[host.name] = self.turns[turn].worker
                self.sent[host.name] += 1
            case Ended(turn) if turn in self.turns:
                self.gone(turn)
            case Died(worker):
                for turn in [turn for turn, begin in self.turns.items() if begin.worker == worker]:
                    self.gone(turn)
                self.warm = {name: home for name, home in self.warm.items() if home != worker}
        actions = self.scheduler.handle(report, self.now)
        self.log.append((report, self.now, actions))
        for action in actions:
            self.obey(action)

    def gone(self, turn: int) -> None:
        host = self.turns.pop(turn).host
        self.endpoints[host.address, host.port].under_way.pop(turn, None)

    def obey(self, action: Action) -> None:
        match action:
            case Begin(turn=turn, host=host):
                self.begin(turn, host)
                self.turns[turn] = action
            case Halt(turn=turn):
                self.later(0.01, Ended(turn, "cancelled"))
            case Kill(worker):
                self.later(0.0, Died(worker, "killed"))
            case Replace(worker):
                self.later(0.2, Ready(worker))
            case Emit(Finished() as event):
                self.ends.append((self.now, event))
            case Emit(Summary() as event):
                self.summaries.append(event)

    def begin(self, turn: int, host: Host) -> None:
        key = (host.address, host.port)
        at = self.endpoints[key]
        assert self.sent[host.name] == 0, "a command is never sent twice"
        self.first_try.setdefault(host.name, self.now)
        at.under_way[turn] = None
        if host.name in self.warm:
            self.later(0.01, Connected(turn))
            self.later(0.02, Ended(turn, "ok", 0))
            return
        assert len(at.under_way) <= self.scheduler._pacing.held(key), "whoever is under way has a place"
        assert len(at.under_way) <= self.scheduler._pacing.limit(key), "nothing begins beyond its endpoint's limit"
        if len(at.under_way) > at.most or self.now < at.until or self.chance.random() < at.whims:
            dropped = Failure("refused", "dropped")
            self.later(self.chance.uniform(0.001, 0.3), Ended(turn, "unreachable", failure=dropped, retriable=True))
        else:
            taken = self.chance.uniform(0.01, 2.0)
            self.later(taken, Connected(turn))
            self.later(taken + self.chance.uniform(0.01, 5.0), Ended(turn, "ok", 0))

    def play(self, job: Job, cancel_after: int | None) -> None:
        self.ends.clear()
        self.sent.clear()
        self.first_try.clear()
        before = len(self.summaries)
        self.tell(Submit(job))
        steps = 0
        while self.scheduler.busy:
            steps += 1
            assert steps < 100 * len(job.hosts) + 1000, "it comes to an end"
            if steps == cancel_after:
                self.tell(Cancel())
                continue
            alarm = self.scheduler.next_alarm()
            assert self.coming or alarm is not None, "somebody waits for ever"
            if self.coming and (alarm is None or self.coming[0][0] <= alarm):
                self.now, _, report = heapq.heappop(self.coming)
                self.tell(report)
            else:
                assert alarm is not None
                self.now = max(self.now, alarm)
                self.tell(Tick())
        assert len(self.summaries) == before + 1
        assert sorted(event.host for _, event in self.ends) == sorted(host.name for host in job.hosts)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Endpoint], list[int], int, int]:
    """Endpoints, the number of hosts behind each, the fan-out, a seed."""
    endpoint = st.builds(
        Endpoint, st.integers(1, 20), st.sampled_from([0.0, 0.2, 0.7]), st.sampled_from([0.0, 3.0, 60.0])
    )
    endpoints = draw(st.lists(endpoint, min_size=1, max_size=4))
    sizes = draw(st.lists(st.integers(1, 60), min_size=len(endpoints), max_size=len(endpoints)))
    return endpoints, sizes, draw(st.integers(1, 100)), draw(st.integers(0, 2**32))


def job_on(sizes: list[int], fanout: int, number: int) -> Job:
    hosts = [
        Host(f"h{at}-{index}", f"192.0.2.{at}", user="u", connect_timeout=10.0)
        for at, size in enumerate(sizes)
        for index in range(size)
    ]
    random.Random(number).shuffle(hosts)  # no secret
    return Job(tuple(hosts), Run("true"), "true", fanout, None, number)


def world_of(endpoints: list[Endpoint], seed: int) -> World:
    return World(Scheduler(2), 2, {(f"192.0.2.{number}", 22): at for number, at in enumerate(endpoints)}, seed)


thorough = settings(max_examples=60, deadline=None, derandomize=True)


@given(worlds())
@thorough
def test_whatever_pushes_back_every_host_ends_once_and_none_gives_up_while_others_get_in(
    made: tuple[list[Endpoint], list[int], int, int],
) -> None:
    endpoints, sizes, fanout, seed = made
    world = world_of(endpoints, seed)
    job = job_on(sizes, fanout, 1)
    world.play(job, None)
    address = {host.name: host.address for host in job.hosts}
    for when, event in world.ends:
        at = world.endpoints[address[event.host], 22]
        assert event.host in world.first_try
        assert world.sent[event.host] == (event.status == "ok")
        if event.status != "ok":
            assert event.error == Failure("refused", "dropped")
            # nobody got in for as long as a connect may take, but for the pause that would have gone beyond it
            since = max(world.first_try[event.host], *(moment for moment in at.let_in if moment <= when), 0.0)
            assert when - since >= 10.0 - PAUSE_MOST
        if at.until == 0.0 and at.whims == 0.0:
            assert event.status == "ok"  # however few it takes at a time


@given(worlds(), st.integers(1, 150), st.integers(1, 150))
@thorough
def test_ctrl_c_and_a_dead_worker_leave_no_endpoint_with_places_that_nobody_has(
    made: tuple[list[Endpoint], list[int], int, int], cancel_after: int, die_after: int
) -> None:
    endpoints, sizes, fanout, seed = made
    world = world_of(endpoints, seed)
    world.later(die_after / 20, Died(0, "killed"))
    world.play(job_on(sizes, fanout, 1), cancel_after)
    world.play(job_on(sizes, fanout, 2), None)


@given(worlds())
@thorough
def test_a_replay_gives_the_same_actions(made: tuple[list[Endpoint], list[int], int, int]) -> None:
    endpoints, sizes, fanout, seed = made
    world = world_of(endpoints, seed)
    world.play(job_on(sizes, fanout, 1), None)
    again = Scheduler(2)
    assert [again.handle(report, now) for report, now, _ in world.log] == [actions for _, _, actions in world.log]


def test_hosts_of_an_endpoint_that_takes_two_at_a_time_hold_up_nobody_else() -> None:
    narrow, wide = Endpoint(2, 0.0, 0.0), Endpoint(1000, 0.0, 0.0)
    world = world_of([narrow, wide], 1)
    world.play(job_on([60, 60], 10, 1), None)
    ended = {event.host: when for when, event in world.ends}
    tries = Counter(action.host.name for _, _, actions in world.log for action in actions if isinstance(action, Begin))
    assert {event.status for _, event in world.ends} == {"ok"}
    assert {tries[f"h1-{index}"] for index in range(60)} == {1}
    last = max(when for host, when in ended.items() if host.startswith("h1-"))
    assert last < max(ended.values())
