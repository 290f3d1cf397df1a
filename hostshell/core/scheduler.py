"""Who runs when: fan-out, deadlines, retries, cancel, affinity, host-key questions, as a pure function of what happens.

``handle(report, now) -> actions``. No clock, no process, no network: the pool carries the actions out and reports back,
and replaying the recorded reports of a real run gives the same actions.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

from hostshell.core.events import Failure, Finished, Started, Status
from hostshell.core.homes import Homes
from hostshell.core.model import Host, Job
from hostshell.core.outcome import Tally
from hostshell.core.turns import (
    Action,
    Answer,
    Begin,
    Cancel,
    Connected,
    Died,
    Emit,
    Ended,
    Halt,
    HaltReason,
    KeyOffered,
    Kill,
    NewKey,
    Note,
    PasswordRefused,
    Question,
    Ready,
    Replace,
    Report,
    Submit,
    Tick,
)

STOP_PATIENCE = 0.8  # seconds for a worker to answer a halt: its own 0.5 s for the remote command, and some air
CONNECT_SLACK = 2.0  # seconds past the connect timeout before a worker that should have kept it is told to
LEAST_CONNECT = 0.1  # seconds that a try of a connect has at least
RETRY_FIRST = 0.25  # seconds before the first new try of a connect; doubles
RETRY_MOST = 4.0

_Phase = Literal["connecting", "running", "halted"]


@dataclass(slots=True)
class _Turn:
    number: int
    host: Host
    worker: int
    phase: _Phase = "connecting"
    halt: HaltReason | None = None
    connected: bool = False


@dataclass(slots=True)
class _Entry:
    """One host of the job, over all its tries."""

    host: Host
    order: int
    begun: float | None = None  # when its first connect began: what -t and the retries count from
    attempts: int = 0


class Scheduler:
    """The policy of one pool. Lives as long as the pool does; hosts keep to their workers from job to job."""

    def __init__(self, workers: int) -> None:
        self._homes = Homes(workers)
        self._next_turn = 1
        self._job: Job | None = None
        self._reset()

    def _reset(self) -> None:
        self._queues: dict[int, deque[_Entry]] = {worker: deque() for worker in self._homes.workers}
        self._retries: list[tuple[float, int, _Entry]] = []
        self._entries: dict[str, _Entry] = {}
        self._turns: dict[int, _Turn] = {}
        self._busy = 0  # turns that count for the fan-out
        self._connecting = 0
        self._parked: dict[str, NewKey] = {}
        self._asking = False
        self._cancelled = False
        self._alarms: list[tuple[float, int, str]] = []
        self._tally = Tally()
        self._began = 0.0

    # --- what the pool looks at ---

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    def next_alarm(self) -> float | None:
        """When a `Tick` is due even if nothing happens, on the clock of ``now``; None for never."""
        times = [self._alarms[0][0]] if self._alarms else []
        if self._retries:
            times.append(self._retries[0][0])
        return min(times) if times else None

    def host_of(self, turn: int) -> str | None:
        """The host of a turn that is still under way."""
        known = self._turns.get(turn)
        return known.host.name if known else None

    # --- what happens ---

    def handle(self, report: Report, now: float) -> list[Action]:
        """What to do now that ``report`` has happened at ``now`` (seconds on any steady clock)."""
        actions: list[Action] = []
        match report:
            case Submit(job):
                self._submit(job, now, actions)
            case Ready(worker):
                self._homes.started(worker)
            case Died(worker, how):
                self._died(worker, how, now, actions)
            case Connected(number):
                turn = self._turns.get(number)
                if turn is not None:
                    turn.connected = True
                    if turn.phase == "connecting":
                        turn.phase = "running"
                        self._connecting -= 1
            case KeyOffered():
                self._key_offered(report, now, actions)
            case Ended():
                self._ended(report, now, actions)
            case Cancel():
                self._cancel(now, actions)
            case Answer(accepted, seconds):
                self._answer(accepted, seconds, now, actions)
            case Tick():
                pass
        self._ring(now, actions)
        self._fill(now, actions)
        self._ask(actions)
        self._close(now, actions)
        return actions

    def _submit(self, job: Job, now: float, actions: list[Action]) -> None:
        if self._job is not None:
            raise ValueError("a job is under way; the pool runs one at a time")
        self._reset()
        self._job = job
        self._began = now
        names = tuple(host.name for host in job.hosts)
        actions.append(Emit(Started(job.number, job.label, names)))
        for order, host in enumerate(job.hosts):
            entry = _Entry(host, order)
            self._entries[host.name] = entry
            self._enqueue(entry, now, actions)

    def _enqueue(self, entry: _Entry, now: float, actions: list[Action]) -> None:
        worker = self._homes.place(entry.host.name)
        if worker is None:
            how = self._homes.why_none
            self._finish(entry, "lost", now, actions, failure=Failure("worker", f"the worker cannot start: {how}"))
        else:
            self._queues[worker].append(entry)

    def _fill(self, now: float, actions: list[Action]) -> None:
        """Begin turns as far as the fan-out goes. A host is counted busy in the same step that chooses it."""
        job = self._job
        if job is None or self._cancelled:
            return
        while self._retries and self._retries[0][0] <= now:
            _, _, entry = heapq.heappop(self._retries)
            self._enqueue(entry, now, actions)
        while self._busy < job.fanout:
            ready = [w for w in self._homes.ready if self._queues[w]]
            if not ready:
                return
            # in the order that the person gave, which also takes the workers in turn
            worker = min(ready, key=lambda w: self._queues[w][0].order)
            self._begin(self._queues[worker].popleft(), worker, now, job, actions)

    def _begin(self, entry: _Entry, worker: int, now: float, job: Job, actions: list[Action]) -> None:
        number = self._next_turn
        self._next_turn += 1
        self._turns[number] = _Turn(number, entry.host, worker)
        self._busy += 1
        self._connecting += 1
        entry.attempts += 1
        if entry.begun is None:
            entry.begun = now
        if job.timeout is not None:
            self._alarm(entry.begun + job.timeout, number, "timeout")
        # all tries of a connect together have its limit, so what the first ones took is gone
        left = max(LEAST_CONNECT, entry.begun + entry.host.connect_timeout - now)
        host = entry.host if entry.attempts == 1 else replace(entry.host, connect_timeout=left)
        self._alarm(now + host.connect_timeout + CONNECT_SLACK, number, "connect")
        actions.append(Begin(worker, number, host, job.task))

    # --- ends ---

    def _ended(self, report: Ended, now: float, actions: list[Action]) -> None:
        turn = self._leave(report.turn)
        if turn is None:
            return
        entry = self._entries[turn.host.name]
        actions.extend(Note(turn.host.name, text) for text in report.notes)
        if report.password_refused:
            actions.append(PasswordRefused(turn.host.name))
        if report.retriable and turn.halt is None and self._retry(entry, now):
            return
        failure, status = report.failure, report.status
        if turn.halt is not None and status != "ok" and (status == "cancelled" or report.may_still_run):
            status, failure = self._halted(turn.halt)
        self._finish(
            entry,
            status,
            now,
            actions,
            exit_code=report.exit_code,
            signal=report.signal,
            failure=failure,
            may_still_run=report.may_still_run,
        )

    def _retry(self, entry: _Entry, now: float) -> bool:
        """Put a host's connect off for a moment, within its connect timeout and its turn's deadline."""
        job, begun = self._job, entry.begun
        assert job is not None and begun is not None
        most = min(RETRY_MOST, RETRY_FIRST * 2 ** (entry.attempts - 1))
        # jitter from the names of things, so that a replay waits just as long
        jitter = random.Random(f"{job.number}/{entry.host.name}/{entry.attempts}").uniform(0.5, 1.0)  # noqa: S311  # no secret
        when = now + most * jitter
        limit = begun + entry.host.connect_timeout
        if job.timeout is not None:
            limit = min(limit, begun + job.timeout)
        if when >= limit:
            return False
        heapq.heappush(self._retries, (when, self._next_turn, entry))
        self._next_turn += 1
        return True

    def _halted(self, reason: HaltReason) -> tuple[Status, Failure]:
        job = self._job
        assert job is not None
        if reason == "timeout":
            return "timeout", Failure("timeout", f"not done within {job.timeout:g} s", "-t SECONDS sets the limit")
        if reason == "connect":
            return "unreachable", Failure(
                "timeout", "the login did not end in time", "--connect-timeout sets the limit"
            )
        return "cancelled", Failure("cancelled", "cancelled")

    def _finish(
        self,
        entry: _Entry,
        status: Status,
        now: float,
        actions: list[Action],
        *,
        exit_code: int | None = None,
        signal: str | None = None,
        failure: Failure | None = None,
        may_still_run: bool = False,
    ) -> None:
        job = self._job
        assert job is not None
        seconds = now - entry.begun if entry.begun is not None else 0.0
        name = entry.host.name
        event = Finished(job.number, name, status, exit_code, signal, round(seconds, 3), failure, may_still_run)
        del self._entries[name]
        self._tally.add(event)
        actions.append(Emit(event))

    def _leave(self, number: int) -> _Turn | None:
        """Take a turn off the books; None when it has been given up before."""
        turn = self._turns.pop(number, None)
        if turn is not None:
            self._busy -= 1
            if turn.phase == "connecting":
                self._connecting -= 1
        return turn

    def _died(self, worker: int, how: str, now: float, actions: list[Action]) -> None:
        again = self._homes.died(worker, how)
        for turn in [turn for turn in self._turns.values() if turn.worker == worker]:
            self._give_up(
                turn,
                now,
                actions,
                Failure("worker", f"its worker process ended: {how}", "the next command gets a new one"),
            )
        waiting, self._queues[worker] = self._queues[worker], deque()
        if again:
            actions.append(Replace(worker))
        for entry in waiting:
            self._enqueue(entry, now, actions)

    def _give_up(self, turn: _Turn, now: float, actions: list[Action], failure: Failure) -> None:
        """End a turn without its worker's word for it: what it ran may still run."""
        self._leave(turn.number)
        status: Status = "lost"
        if turn.halt is not None:
            status, failure = self._halted(turn.halt)
        entry = self._entries[turn.host.name]
        self._finish(entry, status, now, actions, failure=failure, may_still_run=turn.connected)

    # --- time and stopping ---

    def _alarm(self, when: float, number: int, kind: str) -> None:
        heapq.heappush(self._alarms, (when, number, kind))

    def _ring(self, now: float, actions: list[Action]) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            _, number, kind = heapq.heappop(self._alarms)
            turn = self._turns.get(number)
            if turn is None:
                continue
            if kind == "patience":
                self._kill(turn.worker, actions)
                self._give_up(turn, now, actions, Failure("worker", "its worker did not answer"))
            elif kind == "timeout" and turn.halt is None:
                self._halt(turn, "timeout", now, actions)
            elif kind == "connect" and turn.phase == "connecting" and turn.halt is None:
                self._halt(turn, "connect", now, actions)

    def _halt(self, turn: _Turn, reason: HaltReason, now: float, actions: list[Action]) -> None:
        if turn.phase == "connecting":
            self._connecting -= 1
        turn.phase = "halted"
        turn.halt = reason
        self._alarm(now + STOP_PATIENCE, turn.number, "patience")
        actions.append(Halt(turn.worker, turn.number, reason))

    def _kill(self, worker: int, actions: list[Action]) -> None:
        if self._homes.killed(worker):
            actions.append(Kill(worker))

    def _cancel(self, now: float, actions: list[Action]) -> None:
        if self._job is None:
            return
        if self._cancelled:
            for turn in list(self._turns.values()):
                self._kill(turn.worker, actions)
                self._give_up(turn, now, actions, Failure("cancelled", "cancelled"))
            return
        self._cancelled = True
        running = {turn.host.name for turn in self._turns.values()}
        status, failure = self._halted("cancelled")
        for name in [name for name in self._entries if name not in running]:
            self._finish(self._entries[name], status, now, actions, failure=failure)
        for queue in self._queues.values():
            queue.clear()
        self._retries.clear()
        self._parked.clear()
        self._asking = False
        for turn in self._turns.values():
            if turn.halt is None:
                self._halt(turn, "cancelled", now, actions)

    # --- new host keys ---

    def _key_offered(self, report: KeyOffered, now: float, actions: list[Action]) -> None:
        turn = self._leave(report.turn)
        if turn is None:
            return
        entry = self._entries[turn.host.name]
        if turn.halt is not None:
            status, failure = self._halted(turn.halt)
            self._finish(entry, status, now, actions, failure=failure)
            return
        self._parked[turn.host.name] = NewKey(
            turn.host.name, report.address, report.port, report.key, report.fingerprint
        )

    def _ask(self, actions: list[Action]) -> None:
        """One question, once every other connect has settled."""
        waiting = self._connecting or self._retries or any(self._queues.values())
        if self._parked and not self._asking and not waiting and not self._cancelled:
            self._asking = True
            offers = sorted(self._parked.values(), key=lambda offer: self._entries[offer.host].order)
            actions.append(Question(tuple(offers)))

    def _answer(self, accepted: frozenset[str], seconds: float, now: float, actions: list[Action]) -> None:
        if not self._asking:
            return
        self._asking = False
        # the time to answer counts for no limit
        self._alarms = [(when + seconds, number, kind) for when, number, kind in self._alarms]
        parked, self._parked = self._parked, {}
        for name, offer in parked.items():
            entry = self._entries[name]
            if name in accepted:
                entry.begun = None
                entry.host = replace(entry.host, accepted_key=offer.key)
                self._enqueue(entry, now, actions)
            else:
                failure = Failure("hostkey", "its new host key was not accepted", "run it again to be asked again")
                self._finish(entry, "unreachable", now, actions, failure=failure)

    # --- the end ---

    def _close(self, now: float, actions: list[Action]) -> None:
        if self._job is None or self._entries:
            return
        actions.append(Emit(self._tally.summary(self._job.number, round(now - self._began, 3))))
        self._job = None
        self._reset()
