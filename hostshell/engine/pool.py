"""The local engine: worker processes, their pipes, and one loop that tells the scheduler what happens.

Decides nothing itself: what to begin, halt, kill or replace comes from `core.scheduler`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from typing import TypeAlias

from hostshell.core.errors import EngineError
from hostshell.core.events import Event, Examined, Progress, Stream, Summary
from hostshell.core.model import Job
from hostshell.core.records import dataclass
from hostshell.core.scheduler import Scheduler
from hostshell.core.traffic import (
    Forget,
    Glanced,
    Glancing,
    Keep,
    Moved,
    OpenConnection,
    Opened,
    Printed,
    Stepped,
    Surveyed,
    Took,
)
from hostshell.core.turns import (
    Action,
    AskSecret,
    Begin,
    Cancel,
    Died,
    Emit,
    Halt,
    Inquire,
    Kill,
    Note,
    PasswordRefused,
    Question,
    Replace,
    Report,
    Submit,
    Supply,
    Tell,
    Tick,
)
from hostshell.engine.asking import Asking
from hostshell.engine.attach import Attachment, Keyboard
from hostshell.engine.members import Member, Members, start
from hostshell.engine.questions import AskKeys, AskPrompts, AskSecrets, Questions
from hostshell.engine.turnstile import Turnstile

LONGEST_WAIT = 3600.0  # seconds: epoll takes no more than some weeks


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a host's output as it came: not yet cut into lines."""

    host: str
    stream: Stream
    data: bytes


News: TypeAlias = Event | Note | Chunk | PasswordRefused | Opened


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class Pool:
    """A pool of worker processes. `run` one job at a time; `close` when done.

    ``record`` is told every report with its time and the actions that followed: a replay gives the same actions.
    """

    def __init__(
        self, workers: int | None = None, record: Callable[[Report, float, list[Action]], None] | None = None
    ) -> None:
        self._size = workers or cores()
        self._scheduler = Scheduler(self._size)
        self._record = record
        self._members = Members()
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)
        self._cancels = 0
        self._questions = Questions()
        self._job: Job | None = None
        self._late: list[News] = []  # what happened while a survey was waited for
        self._longest: float | None = None  # seconds that a connection may be idle
        self._asking = Asking(self._members, self._members.send, lambda seconds: self._read(seconds, self._late))
        self._turnstile = Turnstile(self.wake)
        self._attached: Attachment | None = None  # the keyboard of an interactive job
        self._lock = threading.Lock()
        self._started = False
        self._starter: threading.Thread | None = None
        self._start_error: Exception | None = None
        self._closed = False

    # --- life ---

    def start(self) -> None:
        """Start the workers in the background; returns at once. `run` waits for what it needs."""
        with self._lock:
            if self._started or self._closed:
                return
            self._started = True
        starter = threading.Thread(target=self._start_all, name="pool starter", daemon=True)
        starter.start()
        self._starter = starter  # only now: where an interrupt kept it from starting, nobody can wait for its end

    def _start_all(self) -> None:
        try:
            for number in range(self._size):
                self._enlist(number)
        except Exception as error:  # told to whoever runs the first job
            self._start_error = error

    def _enlist(self, number: int) -> Member:
        member = start(number)
        with self._lock:
            self._members.add(number, member, Keep(self._longest))
        return member

    def _await_start(self) -> None:
        self.start()
        starter = self._starter
        if starter is not None:
            starter.join()
            self._starter = None
            for number, member in self._members.items():
                self._selector.register(member.pipe, selectors.EVENT_READ, number)
        if self._start_error is not None:
            hint = "is the machine out of memory, processes or descriptors (ulimit -a)?"
            if "AF_UNIX" in str(self._start_error):
                hint = "the folder for temporary files has too long a path: set TMPDIR to a shorter one"
            raise EngineError(f"cannot start worker processes: {self._start_error}", hint)

    def close(self) -> None:
        """End every worker; no process of ours is left after it."""
        with self._turnstile:
            self._close()

    def _close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._starter is not None:
            self._starter.join()
        self._members.close()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def forget(self) -> None:
        """Close every warm connection and forget loaded keys."""
        if not self._started:
            return
        with self._turnstile:
            self._await_start()
            for number in list(self._members):
                self._members.send(number, Forget())

    # --- warm connections ---

    def keep(self, longest: float | None) -> None:
        """From now on close connections that nobody has used for ``longest`` seconds; None: keep them."""
        if longest == self._longest:
            return
        with self._turnstile, self._lock:
            self._longest = longest
            for number in list(self._members):
                self._members.send(number, Keep(longest))

    def survey(
        self, hosts: Collection[str] | None = None, *, close: bool = False
    ) -> tuple[list[OpenConnection], list[int]]:
        """The open connections to ``hosts`` (None: all), and the workers that did not say in time which they have.

        With ``close`` those that nobody uses are closed. Raises `EngineError`.
        """
        if not self._started or self._closed:
            return [], []
        with self._turnstile:
            self._await_start()
            return self._asking.survey(self._members.used(), hosts, close)

    def glance(self, hosts: Sequence[str], directory: str, begun: str) -> tuple[Glanced, ...]:
        """Which names begin with ``begun`` in a ``directory`` of a few of ``hosts``, asked over open connections only.

        From any thread; whatever else is to be done with the pool sends it away at once. Never raises for a host.
        """
        if not self._turnstile.slip_in():
            return ()
        try:
            # a starter that nobody has waited for means that there was no job yet
            if not self._started or self._closed or self._starter is not None:
                return ()
            return self._asking.glance(
                self._members.used(), tuple(hosts), directory, begun, lambda: self._turnstile.hurried
            )
        finally:
            self._turnstile.slip_out()

    # --- work ---

    def cancel(self) -> None:
        """Stop the job under way; a second call does not wait. Safe from any thread and from a signal handler."""
        self._cancels += 1
        self.wake()

    def wake(self) -> None:
        """Have the job under way look round: the terminal has another size, say. Safe from a signal handler."""
        with contextlib.suppress(OSError):
            os.write(self._wake_in, b"!")

    def run(
        self,
        job: Job,
        ask: AskKeys | None = None,
        keyboard: Keyboard | None = None,
        ask_prompts: AskPrompts | None = None,
        ask_secret: AskSecrets | None = None,
    ) -> Generator[News, None, None]:
        """Carry out ``job``: what happens, in order, ending with its `Summary`.

        Closing the iterator cancels the job. ``ask`` is shown new host keys and gives the names of the hosts whose key
        is accepted; without it none is. ``ask_prompts`` answers what servers ask at a login. ``ask_secret`` gets
        what a secret is known by and the question for it, and gives the secret, or None. ``keyboard`` is what is typed
        for a `Connect` job of one host: listened to between its `Opened` and its end. Raises `EngineError`.
        """
        with self._turnstile:
            yield from self._run(job, Questions(ask, ask_prompts, ask_secret), keyboard)

    def _run(self, job: Job, questions: Questions, keyboard: Keyboard | None) -> Generator[News, None, None]:
        if self._scheduler.busy:
            raise EngineError("a job is under way", "end or close the one before: a session runs one at a time")
        self._cancels = 0
        self._questions = questions
        self._job = job
        self._late.clear()
        self._await_start()
        news: list[News] = []
        self._read(0.0, news)  # a worker that has died since the last job is replaced before it is given a turn
        finished = False
        if keyboard is not None:
            self._attached = Attachment(keyboard, self._selector, self._members.send)
        try:
            self._handle(Submit(job), news)
            seen = 0
            while True:
                for item in news:
                    finished = finished or isinstance(item, Summary)
                    # after Ctrl-C a slow screen would go on for long with what had come before
                    if not (self._cancels and isinstance(item, Chunk)):
                        yield item
                news.clear()
                news, self._late = self._late, news
                if finished:
                    return
                while seen < min(self._cancels, 2):
                    seen += 1
                    questions.clear()
                    self._handle(Cancel(), news)
                if questions.any and not news:
                    self._handle(questions.put(), news)
                if not news:
                    self._wait(news)
        finally:
            if self._attached is not None:
                self._attached.end()
                self._attached = None
            if not finished:
                self._abandon()

    def _abandon(self) -> None:
        """The caller stopped listening: cancel what runs and wait for its end, within the scheduler's patience."""
        sink: list[News] = []
        if self._closed:
            return
        self._handle(Cancel(), sink)
        while self._scheduler.busy:
            self._wait(sink)
            sink.clear()

    def _wait(self, news: list[News]) -> None:
        alarm = self._scheduler.next_alarm()
        self._read(None if alarm is None else min(LONGEST_WAIT, max(0.0, alarm - time.monotonic())), news)
        alarm = self._scheduler.next_alarm()
        if alarm is not None and alarm <= time.monotonic():
            self._handle(Tick(), news)

    def _read(self, patience: float | None, news: list[News]) -> None:
        for key, _ in self._selector.select(patience):
            number = key.data
            if isinstance(number, Attachment):
                number.typed()
            elif number is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_out, 4096)
            else:
                self._receive(number, news)
        if self._attached is not None:
            self._attached.look()

    def _receive(self, number: int, news: list[News]) -> None:
        member = self._members.get(number)
        if member is None:
            return
        try:
            batch = pickle.loads(member.pipe.recv_bytes())  # noqa: S301  # from our own child process
        except (EOFError, OSError, pickle.UnpicklingError):
            self._bury(number, news)
            return
        for item in batch:
            match item:
                case Printed(turn, stream, data):
                    host = self._scheduler.host_of(turn)
                    if host is not None:
                        news.append(Chunk(host, stream, data))
                case Moved(turn, path, done, total, saved, comparing):
                    host = self._scheduler.host_of(turn)
                    if host is not None and self._job is not None:
                        news.append(Progress(self._job.number, host, path, done, total, saved, comparing))
                case Surveyed() | Glancing() | Glanced():
                    self._asking.take(number, item)
                case Stepped(turn, step):
                    host = self._scheduler.host_of(turn)
                    if host is not None and self._job is not None:
                        news.append(Examined(self._job.number, host, step))
                case Opened(turn):
                    if self._attached is not None and self._scheduler.host_of(turn) is not None:
                        self._attached.opened(number, turn)
                        news.append(item)
                case Took(turn, size):
                    if self._attached is not None:
                        self._attached.took(turn, size)
                case _:
                    self._handle(item, news)

    def _bury(self, number: int, news: list[News]) -> None:
        self._selector.unregister(self._members[number].pipe)
        how = self._members.bury(number)
        self._handle(Died(number, how), news)

    def _handle(self, report: Report, news: list[News]) -> None:
        now = time.monotonic()
        actions = self._scheduler.handle(report, now)
        if self._record is not None:
            self._record(report, now, list(actions))
        for action in actions:
            match action:
                case Emit(event):
                    news.append(event)
                case Begin() | Halt() | Supply():
                    if isinstance(action, Begin) and action.worker in self._members:
                        self._members[action.worker].used = True
                    self._members.send(action.worker, action)
                case Kill(number):
                    self._members.kill(number)
                case Replace(number):
                    self._replace(number, news)
                case Question() | Inquire() | AskSecret():
                    self._questions.add(action)
                case Tell():
                    self._members.send(action.worker, action)
                case Note() | PasswordRefused():
                    news.append(action)

    def _replace(self, number: int, news: list[News]) -> None:
        try:
            member = self._enlist(number)
        except (OSError, EOFError) as error:  # EOFError: the forkserver itself cannot fork
            self._handle(Died(number, str(error) or "it cannot be started"), news)
            return
        self._selector.register(member.pipe, selectors.EVENT_READ, number)
