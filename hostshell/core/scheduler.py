"""Who runs when: fan-out, deadlines, retries, cancel, affinity, host-key questions, as a pure function of what happens.

``handle(report, now) -> actions``. No clock, no process, no network: the pool carries the actions out and reports back,
and replaying the recorded reports of a real run gives the same actions.
"""

from __future__ import annotations

from dataclasses import replace

from hostshell.core.alarms import Alarms
from hostshell.core.events import CopyCounts, Failure, Finished, Started, Status
from hostshell.core.inquiries import PATIENCE, Inquiries
from hostshell.core.lineup import Entry, Lineup
from hostshell.core.model import Host, Job
from hostshell.core.newkeys import NewKeys, not_accepted
from hostshell.core.outcome import Tally
from hostshell.core.turns import (
    Action,
    Answer,
    Asked,
    Begin,
    Cancel,
    Connected,
    Died,
    Emit,
    Ended,
    Halt,
    HaltReason,
    Inquire,
    KeyOffered,
    Kill,
    Note,
    PasswordRefused,
    Question,
    Ready,
    Replace,
    Report,
    SecretGiven,
    SecretWanted,
    Submit,
    Tell,
    Tick,
    Told,
)
from hostshell.core.underway import Turns, UnderWay, why_halted
from hostshell.core.wanted import Wanted

STOP_PATIENCE = 0.8  # seconds for a worker to answer a halt: its own 0.5 s for the remote command, and some air
CONNECT_SLACK = 2.0  # seconds past the connect timeout before a worker that should have kept it is told to
REACHED = ("hostkey", "auth", "algorithms")  # kinds of failures that come from servers that took the connect


class Scheduler:
    """The policy of one pool. Lives as long as the pool does; hosts keep to their workers from job to job."""

    def __init__(self, workers: int) -> None:
        self._lineup = Lineup(workers)
        self._homes = self._lineup.homes
        self._pacing = self._lineup.pacing
        self._turns = Turns()
        self._job: Job | None = None
        self._reset()

    def _reset(self) -> None:
        self._lineup.new_job()
        self._entries: dict[str, Entry] = {}
        self._turns.clear()
        self._parked = NewKeys()
        self._asking = False
        self._inquiries = Inquiries()
        self._wanted = Wanted()
        self._cancelled = False
        self._alarms = Alarms()
        self._tally = Tally()
        self._began = 0.0

    # --- what the pool looks at ---

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    def next_alarm(self) -> float | None:
        """When a `Tick` is due even if nothing happens, on the clock of ``now``; None for never."""
        times = (self._pacing.next_alarm(), self._alarms.next())
        return min((when for when in times if when is not None), default=None)

    def host_of(self, turn: int) -> str | None:
        """The host of a turn that is still under way."""
        known = self._turns.get(turn)
        return known.entry.host.name if known else None

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
                self._connected(number, now)
            case KeyOffered():
                self._key_offered(report, now, actions)
            case Ended():
                self._ended(report, now, actions)
            case Cancel():
                self._cancel(now, actions)
            case Asked():
                self._asked(report, now)
            case Told():
                self._told(report, now, actions)
            case SecretWanted(number):
                turn = self._turns.get(number)
                if turn is not None and turn.halt is None:
                    actions.extend(self._wanted.wanted(report, turn.worker))
            case SecretGiven(key, secret, seconds):
                self._alarms.hold(seconds)
                actions.extend(self._wanted.given(key, secret))
            case Answer(accepted, seconds):
                self._answer(accepted, seconds, now, actions)
            case Tick():
                pass
        self._ring(now, actions)
        self._fill(now, actions)
        self._ask(now, actions)
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
            entry = Entry(host, order)
            self._entries[host.name] = entry
            self._enqueue(entry, now, actions)

    def _enqueue(self, entry: Entry, now: float, actions: list[Action]) -> None:
        if not self._lineup.add(entry, now):
            how = self._homes.why_none
            self._finish(entry, "lost", actions, failure=Failure("worker", f"the worker cannot start: {how}"))

    def _fill(self, now: float, actions: list[Action]) -> None:
        """Begin turns as far as the fan-out goes. A host is counted busy in the same step that chooses it."""
        job = self._job
        if job is None or self._cancelled:
            return
        for entry in self._lineup.released(now):
            if entry.attempts and now >= self._lineup.patience(entry, job.timeout):
                self._lineup.leave(entry, now)
                self._finish(entry, "unreachable", actions, failure=entry.failure)
            else:
                self._enqueue(entry, now, actions)
        while self._turns.busy < job.fanout:
            chosen = self._lineup.next(now)
            if chosen is None:
                return
            self._begin(*chosen, now, job, actions)

    def _begin(self, entry: Entry, worker: int, now: float, job: Job, actions: list[Action]) -> None:
        number = self._turns.begin(entry, worker, now).number
        # what it waited for a worker since it was released is the fan-out's doing
        entry.begun = now if entry.begun is None else entry.begun + now - entry.since
        entry.attempts += 1
        if job.timeout is not None:
            self._alarms.set(now + max(0.0, job.timeout - entry.spent), number, "timeout")
        host, limit = entry.host, self._lineup.connect_limit(entry, now)
        if limit != host.connect_timeout:
            host = replace(host, connect_timeout=limit)
        self._limit_connect(number, host, now)
        actions.append(Begin(worker, number, host, job.task, job.number))

    def _limit_connect(self, number: int, host: Host, now: float) -> None:
        way = sum(hop.connect_timeout for hop in host.jump)  # each jump host has a limit of its own
        self._alarms.set(now + host.connect_timeout + way + CONNECT_SLACK, number, "connect")

    def _connected(self, number: int, now: float) -> None:
        turn = self._turns.get(number)
        if turn is None:
            return
        turn.connected = True
        self._homes.warmed(turn.entry.host.name, now)
        self._lineup.leave(turn.entry, now, let_in=True)
        if turn.phase == "connecting":
            self._turns.move(turn, "running")

    # --- ends ---

    def _ended(self, report: Ended, now: float, actions: list[Action]) -> None:
        turn = self._turns.get(report.turn)
        if turn is None:
            return
        entry, failure, status = turn.entry, report.failure, report.status
        name = entry.host.name
        if status in ("unreachable", "lost"):
            self._homes.cooled(name)
        elif turn.connected:
            self._homes.warmed(name, now)
        if report.retriable:
            self._pacing.pushed_back(entry.endpoint, turn.number, self._turns.next)
        self._leave(turn, now, reached=failure is not None and failure.kind in REACHED)
        actions.extend(Note(name, text) for text in report.notes)
        if report.password_refused:
            actions.append(PasswordRefused(report.hop or name))
        if report.retriable and turn.halt is None:
            assert self._job is not None
            entry.failure = failure
            # jitter from the names of things, so that a replay waits just as long
            if self._lineup.again(entry, f"{self._job.number}/{name}/{entry.attempts}", self._job.timeout, now):
                return
        if turn.halt is not None and status != "ok" and (status == "cancelled" or report.may_still_run):
            status, failure = why_halted(turn.halt, self._job)
        self._finish(
            entry,
            status,
            actions,
            exit_code=report.exit_code,
            signal=report.signal,
            failure=failure,
            may_still_run=report.may_still_run,
            copied=report.copied,
        )

    def _finish(
        self,
        entry: Entry,
        status: Status,
        actions: list[Action],
        *,
        exit_code: int | None = None,
        signal: str | None = None,
        failure: Failure | None = None,
        may_still_run: bool = False,
        copied: CopyCounts | None = None,
    ) -> None:
        job = self._job
        assert job is not None
        name = entry.host.name
        seconds = round(entry.spent, 3)
        copied = copied if status == "ok" else None
        event = Finished(job.number, name, status, exit_code, signal, seconds, failure, may_still_run, copied)
        del self._entries[name]
        self._tally.add(event)
        actions.append(Emit(event))

    def _leave(self, turn: UnderWay, now: float, *, reached: bool = False) -> None:
        """Take a turn off the books; ``reached`` when a server answered, although not as was wished."""
        self._turns.end(turn)
        if turn.phase == "asking":
            self._inquiries.drop(turn.number)
        turn.entry.spent += now - turn.began
        self._lineup.leave(turn.entry, now, let_in=reached)

    def _died(self, worker: int, how: str, now: float, actions: list[Action]) -> None:
        again = self._homes.died(worker, how)
        failure = Failure("worker", f"its worker process ended: {how}", "the next command gets a new one")
        for turn in self._turns.all(worker):
            self._give_up(turn, now, actions, failure)
        if again:
            actions.append(Replace(worker))
        for entry in self._lineup.died(worker):
            self._enqueue(entry, now, actions)

    def _give_up(self, turn: UnderWay, now: float, actions: list[Action], failure: Failure) -> None:
        """End a turn without its worker's word for it: what it ran may still run."""
        self._leave(turn, now)
        status: Status = "lost"
        if turn.halt is not None:
            status, failure = why_halted(turn.halt, self._job)
        self._finish(turn.entry, status, actions, failure=failure, may_still_run=turn.connected)

    # --- time and stopping ---

    def _ring(self, now: float, actions: list[Action]) -> None:
        for number, kind in self._alarms.due(now):
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

    def _halt(self, turn: UnderWay, reason: HaltReason, now: float, actions: list[Action]) -> None:
        if turn.phase == "asking":
            self._inquiries.drop(turn.number)
        self._turns.move(turn, "halted")
        turn.halt = reason
        self._alarms.set(now + STOP_PATIENCE, turn.number, "patience")
        actions.append(Halt(turn.worker, turn.number, reason))

    def _kill(self, worker: int, actions: list[Action]) -> None:
        if self._homes.killed(worker):
            actions.append(Kill(worker))

    def _cancel(self, now: float, actions: list[Action]) -> None:
        if self._job is None:
            return
        if self._cancelled:
            for turn in self._turns.all():
                self._kill(turn.worker, actions)
                self._give_up(turn, now, actions, Failure("cancelled", "cancelled"))
            return
        self._cancelled = True
        running = {turn.entry.host.name for turn in self._turns.all()}
        status, failure = why_halted("cancelled", self._job)
        for name in [name for name in self._entries if name not in running]:
            self._finish(self._entries[name], status, actions, failure=failure)
        self._lineup.stop()
        self._parked.take()
        self._asking = False
        for turn in self._turns.all():
            if turn.halt is None:
                self._halt(turn, "cancelled", now, actions)

    # --- new host keys ---

    def _key_offered(self, report: KeyOffered, now: float, actions: list[Action]) -> None:
        turn = self._turns.get(report.turn)
        if turn is None:
            return
        self._leave(turn, now, reached=True)
        if turn.halt is not None:
            status, failure = why_halted(turn.halt, self._job)
            self._finish(turn.entry, status, actions, failure=failure)
            return
        self._parked.add(turn.entry, report)

    def _ask(self, now: float, actions: list[Action]) -> None:
        """One question, once every other connect has settled; what a server waits for goes before."""
        inquiry = self._inquiries.next(now, settled=not self._turns.connecting)
        if inquiry is not None:
            actions.append(Inquire(*inquiry))
        waiting = self._turns.connecting or self._lineup.anybody or len(self._inquiries)
        if self._parked and not self._asking and not waiting and not self._cancelled:
            self._asking = True
            actions.append(Question(self._parked.offers()))

    def _answer(self, accepted: frozenset[str], seconds: float, now: float, actions: list[Action]) -> None:
        if not self._asking:
            return
        self._asking = False
        self._alarms.hold(seconds)  # the time to answer counts for no limit
        for entry, offer in self._parked.take():
            if offer.host in accepted:
                entry.begun = None
                entry.spent = 0.0
                entry.accept(offer)
                self._enqueue(entry, now, actions)
            else:
                self._finish(entry, "unreachable", actions, failure=not_accepted(entry, offer))

    # --- what servers ask at a login ---

    def _asked(self, report: Asked, now: float) -> None:
        """A turn that waits for a person takes no place in the fan-out, and its connect has no limit meanwhile."""
        turn = self._turns.get(report.turn)
        if turn is None or turn.phase not in ("connecting", "running"):
            return
        # from "running" where its connection was dead, and it logs in again before anything runs
        self._turns.move(turn, "asking")
        urgent = report.inquiry.host != turn.entry.host.name
        self._inquiries.add(turn.number, report.inquiry, now, urgent=urgent)
        self._alarms.set(now + PATIENCE, turn.number, "asked")

    def _told(self, report: Told, now: float, actions: list[Action]) -> None:
        self._alarms.hold(report.seconds)
        turn = self._turns.get(report.turn)
        if turn is None or turn.phase != "asking":
            return
        self._inquiries.drop(turn.number)
        self._turns.move(turn, "connecting")
        # what is left of its time is given anew: in the worker the clock has stood still
        self._alarms.drop(turn.number, "connect")
        self._limit_connect(turn.number, turn.entry.host, now)
        actions.append(Tell(turn.worker, turn.number, report.answers))

    # --- the end ---

    def _close(self, now: float, actions: list[Action]) -> None:
        if self._job is None or self._entries:
            return
        actions.extend(Note(host, text) for host, text in self._pacing.notes())
        actions.append(Emit(self._tally.summary(self._job.number, round(now - self._began, 3))))
        self._job = None
        self._reset()
