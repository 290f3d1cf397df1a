"""The body of one process: owns warm connections, obeys orders, reports what happens.

Decides nothing: no fan-out, no limit, no retry. Must not know the shell, so that it starts cheaply.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe

from hostshell.core.events import CopyCounts, Failure, Status, Stream
from hostshell.core.model import HOST_FIELD, Connect, Examine, Get, Host, Ping, Put, Run, Secret
from hostshell.core.turns import (
    Asked,
    Begin,
    Connected,
    Ended,
    Forget,
    Glance,
    Glanced,
    Glancing,
    Halt,
    Input,
    Inquiry,
    Keep,
    KeyOffered,
    Moved,
    Opened,
    Printed,
    Quit,
    Ready,
    Resize,
    SecretWanted,
    Stepped,
    Supply,
    Survey,
    Surveyed,
    Tell,
    Took,
)
from hostshell.engine.checkup import examine
from hostshell.engine.outbox import Outbox
from hostshell.engine.running import carry_out, command_ended
from hostshell.engine.warm import Warm, raise_descriptor_limit
from hostshell.ssh import proxy, transfer
from hostshell.ssh.connect import Connection, Connector
from hostshell.ssh.deadlines import DEADLINES
from hostshell.ssh.failures import ConnectFailed, LinkLost, NewHostKey, NoSession, TurnStopped
from hostshell.ssh.glance import names_in
from hostshell.ssh.interactive import Interactive
from hostshell.ssh.interview import Ask
from hostshell.ssh.sessions import Refused
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Trace

WIND_UP = 2.0  # seconds that all turns together may take to stop once the parent is gone
TRUST = 5.0  # seconds of silence after which a connection has to answer before a command is sent on it
MOST_TURNS = 100_000  # no limit of ours: the fan-out is the scheduler's
# objects made since the last look for garbage: a connection is some 2,000, and Python's own 700 would have it look
# through all of them again and again, which is a third of what the second command costs on a thousand hosts
YOUNG = 50_000
STOP_GRACE = 0.65  # seconds that a stopped turn may take before its connection is cut


class Turn:
    """One host's part of a job, in a thread of its own."""

    def __init__(self, worker: Worker, order: Begin) -> None:
        self.order = order
        self.stopped = Stopper()
        self._worker = worker
        self._connection: Connection | None = None
        self._interactive: Interactive | None = None
        self._done = threading.Event()
        self._told = threading.Event()
        self._answers: tuple[Secret, ...] | None = None
        self._supply: Secret | None = None
        self._supplied = threading.Event()

    def start(self) -> None:
        # threads of turns that have ended take new ones: to start one costs a tenth of a warm command
        self._worker.threads.submit(self._body)

    def ask(self, inquiry: Inquiry) -> tuple[str, ...] | None:
        """Have a person asked, and wait for the answers; None where there are none, or the turn is to stop."""
        self._told.clear()
        self._worker.outbox.put(Asked(self.order.turn, inquiry))
        with self.stopped.calling(self._told.set):
            self._told.wait()
        answers, self._answers = self._answers, None
        return None if answers is None or self.stopped() else tuple(answer.reveal() for answer in answers)

    def tell(self, answers: tuple[Secret, ...] | None) -> None:
        """The answers have come."""
        self._answers = answers
        self._told.set()

    def halt(self) -> None:
        """Stop. What does not answer in time loses its connection, so that its thread cannot hang."""
        self.stopped.stop()
        DEADLINES.set(time.monotonic() + STOP_GRACE, self._cut)

    def typed(self, data: bytes) -> None:
        """The person typed this."""
        if self._interactive is not None:
            self._interactive.type(data)

    def resize(self, rows: int, columns: int) -> None:
        """The person's terminal has another size now."""
        if self._interactive is not None:
            self._interactive.resize(rows, columns)

    def wait(self, seconds: float) -> None:
        """Until the turn has ended, at most ``seconds``."""
        self._done.wait(max(0.0, seconds))

    def _cut(self) -> None:
        connection = self._connection
        if not self._done.is_set() and connection is not None:
            connection.link.close()

    def _body(self) -> None:
        number = self.order.turn
        try:
            report = self._try()
        except TurnStopped:
            report = Ended(number, "cancelled")
        except NewHostKey as new:
            offer = new.offer
            self._worker.outbox.put(
                KeyOffered(
                    number,
                    offer.address,
                    offer.port,
                    offer.line,
                    offer.fingerprint,
                    offer.host if offer.host != self.order.host.name else "",
                )
            )
            return
        except ConnectFailed as error:
            report = Ended(
                number,
                "unreachable",
                failure=error.failure,
                retriable=error.retriable,
                password_refused=error.password_refused,
                hop=error.hop,
            )
        except LinkLost as error:
            status: Status = "cancelled" if self.stopped() else "lost"
            report = Ended(number, status, failure=Failure("lost", str(error)), may_still_run=error.started)
        except Exception as error:  # one host's surprise must not cost the others
            if os.environ.get("HOSTSHELL_DEBUG"):
                import traceback

                traceback.print_exc()
            what = f"{type(error).__name__} in the worker"
            report = Ended(number, "lost", failure=Failure("worker", what, "HOSTSHELL_DEBUG=1 shows where"))
        finally:
            self._done.set()
            self._worker.forget_turn(self)
            if self._connection is not None:
                self._worker.warm.give_back(self._connection)
        self._worker.outbox.put(report)

    def _examine(self, task: Examine) -> Ended:
        number, host, worker = self.order.turn, self.order.host, self._worker

        def connect(trace: Trace) -> Connection:
            self._connection = connection = worker.new_connection(host, self.stopped, self.ask, trace)
            worker.outbox.put(Connected(number))
            return connection

        failure = examine(
            host, task, self.stopped, connect, lambda step: worker.outbox.put(Stepped(number, step), later=True)
        )
        if self.stopped():
            return Ended(number, "cancelled")
        return Ended(number, "ok" if failure is None else "failed", failure=failure)

    def _try(self) -> Ended:
        if isinstance(self.order.task, Examine):
            return self._examine(self.order.task)
        connection, warm = self._worker.connection(self.order.host, self.stopped, self.ask)
        while True:
            self._connection = connection
            self._worker.outbox.put(Connected(self.order.turn), later=warm and isinstance(self.order.task, Run))
            try:
                ended = self._carry_out(connection)
            except LinkLost as error:
                # an idle connection may have died unseen; as long as no command was sent, a new one is the same turn
                if error.started or not warm or self.stopped():
                    if isinstance(error, NoSession) and not self.stopped():
                        self._worker.warm.drop(connection)
                        hint = "is its PAM or systemd-logind slow? --connect-timeout sets the limit"
                        raise ConnectFailed(Failure("timeout", f"logged in, but {error}", hint)) from None
                    raise
                self._worker.warm.drop(connection)
                connection, warm = self._worker.connection(self.order.host, self.stopped, self.ask)
                continue
            if connection.notes:
                notes, connection.notes = tuple(connection.notes), []
                ended = replace(ended, notes=ended.notes + notes)
            return ended

    def _carry_out(self, connection: Connection) -> Ended:
        task = self.order.task.for_host(self.order.host.name)
        patience = self.order.host.connect_timeout
        try:
            # a connection that was idle may have died unseen: only an answer shows that it lives
            if isinstance(task, Ping) or connection.link.idle > TRUST:
                connection.sessions.prove(patience)
            match task:
                case Ping():
                    return Ended(self.order.turn, "ok")
                case Run():
                    ended = carry_out(
                        task,
                        self.order.host,
                        connection.sessions,
                        self.order.turn,
                        emit=self._print,
                        stopped=self.stopped,
                        silent=self._worker.outbox.flush,
                        ask=self._ask_sudo,
                    )
                    connection.note_own_command()
                    return ended
                case Examine():
                    raise AssertionError("it makes its own connection")
                case Connect():
                    return self._interact(connection, task)
                case Put() | Get():
                    return self._copy(connection, task)
        except Refused as error:
            return Ended(self.order.turn, "failed", failure=Failure("exit", str(error)))

    def _interact(self, connection: Connection, task: Connect) -> Ended:
        number, outbox = self.order.turn, self._worker.outbox
        self._interactive = Interactive(
            connection.sessions,
            task,
            self._print,
            self.stopped,
            patience=self.order.host.connect_timeout,
            opened=lambda: outbox.put(Opened(number)),
            took=lambda size: outbox.put(Took(number, size)),
            environment=self.order.host.environment,
            encoding=self.order.host.encoding,
        )
        return command_ended(number, self._interactive.run())

    def _copy(self, connection: Connection, task: Put | Get) -> Ended:
        number = self.order.turn

        def report(path: str, done: int, total: int) -> None:
            self._worker.outbox.put(Moved(number, path, done, total))

        copy = transfer.put if isinstance(task, Put) else transfer.get
        try:
            copied = copy(connection.sessions, task, self.order.host.name, report=report, stopped=self.stopped)  # type: ignore[arg-type]  # each gets its own kind of task
        except transfer.CopyStopped as error:
            return Ended(number, "cancelled", notes=(str(error),) if str(error) else ())
        except transfer.TransferError as error:
            if self.stopped():
                return Ended(number, "cancelled", notes=(str(error),))
            if not connection.alive:
                return Ended(number, "lost", failure=Failure("lost", error.message, error.hint))
            return Ended(number, "failed", failure=Failure("transfer", error.message, error.hint))
        compared = () if copied.compared is None else (copied.compared,)
        counts = CopyCounts(
            copied.files,
            copied.bytes,
            copied.unchanged,
            copied.saved,
            compared,
            copied.links,
            copied.directories,
            copied.planned,
        )
        return Ended(number, "ok", notes=copied.notes, copied=counts)

    def _print(self, stream: Stream, data: bytes) -> None:
        self._worker.outbox.put(Printed(self.order.turn, stream, data), len(data), self.stopped)

    def _ask_sudo(self, whose: str) -> Secret | None:
        """The password that sudo wants, from a person: this thread waits until there is an answer."""
        question = SecretWanted(self.order.turn, f"sudo {whose}", f"[sudo] password for {whose}: ")
        with self.stopped.calling(self._supplied.set):
            self._worker.outbox.put(question)
            self._supplied.wait()
        if self.stopped():
            raise TurnStopped
        return self._supply

    def supply(self, secret: Secret | None) -> None:
        """The answer to what was asked for."""
        self._supply = secret
        self._supplied.set()


class Worker:
    """One process: its connections, its turns under way."""

    def __init__(self, pipe: Pipe, number: int, warm: Warm) -> None:
        self._pipe = pipe
        self._number = number
        self.outbox = Outbox(pipe)
        self.warm = warm
        self._connector = Connector()
        self.threads = ThreadPoolExecutor(MOST_TURNS, "turn")
        self._lock = threading.Lock()
        self._turns: dict[int, Turn] = {}

    def serve(self) -> bool:
        """Obey until told to quit (True), or until the parent is gone (False)."""
        self.outbox.put(Ready(self._number))
        while True:
            try:
                order = self._pipe.recv()
            except (EOFError, OSError):
                self._wind_up()
                return False
            match order:
                case Begin():
                    self._connector.new_job(order.job)
                    turn = Turn(self, order)
                    with self._lock:
                        self._turns[order.turn] = turn
                    try:
                        turn.start()
                    except RuntimeError:  # no thread left; the others go on
                        self.forget_turn(turn)
                        failure = Failure("worker", "this machine has no thread left", "a lower -f needs fewer")
                        self.outbox.put(Ended(order.turn, "lost", failure=failure))
                case Halt():
                    with self._lock:
                        known = self._turns.get(order.turn)
                    if known is not None:
                        known.halt()
                case Input(number, data):
                    with self._lock:
                        known = self._turns.get(number)
                    if known is not None:
                        known.typed(data)
                case Resize(number, rows, columns):
                    with self._lock:
                        known = self._turns.get(number)
                    if known is not None:
                        known.resize(rows, columns)
                case Tell():
                    with self._lock:
                        known = self._turns.get(order.turn)
                    if known is not None:
                        known.tell(order.answers)
                case Supply(_, number, secret):
                    with self._lock:
                        known = self._turns.get(number)
                    if known is not None:
                        known.supply(secret)
                case Keep(longest):
                    self.warm.keep(longest)
                case Survey(number, hosts, close):
                    self.outbox.put(Surveyed(number, self.warm.survey(hosts, close)))
                case Glance():
                    self._glance(order)
                case Forget():
                    self._connector.close()
                    self._connector = Connector()
                    self.warm.clear()
                case Quit():
                    return True

    def _glance(self, order: Glance) -> None:
        """Ask some hosts whose connections are open, each in a thread of its own: orders go on being read."""
        asked = self.warm.unused(order.hosts, order.most)
        self.outbox.put(Glancing(order.number, tuple(connection.host.name for connection in asked)))

        def look(connection: Connection) -> None:
            host = connection.host.name
            directory = order.directory.replace(HOST_FIELD, host)
            begun = order.begun.replace(HOST_FIELD, host)
            found = names_in(connection.transport, directory, begun)
            names, whole = (None, True) if found is None else found
            self.outbox.put(Glanced(order.number, host, names, whole))

        for connection in asked:
            with contextlib.suppress(RuntimeError):  # no thread left
                self.threads.submit(look, connection)

    def _wind_up(self) -> None:
        """The parent was killed: stop what runs, so that no command goes on and no half-copied file stays."""
        with self._lock:
            turns = list(self._turns.values())
        for turn in turns:
            turn.halt()
        deadline = time.monotonic() + WIND_UP
        for turn in turns:
            turn.wait(deadline - time.monotonic())

    def connection(self, host: Host, stopped: Stopper, ask: Ask) -> tuple[Connection, bool]:
        """A live connection for ``host``, and whether it was warm. Raises as `Connector.connect` does."""
        connection = self.warm.take(host)
        if connection is not None:
            return connection, True
        return self.new_connection(host, stopped, ask), False

    def new_connection(self, host: Host, stopped: Stopper, ask: Ask, trace: Trace = SILENT) -> Connection:
        """The same, whether one is warm or not; that one is closed."""
        return self.warm.open(host, lambda: self._connector.connect(host, stopped, trace, ask), stopped)

    def forget_turn(self, turn: Turn) -> None:
        """A turn's thread is about to end."""
        with self._lock:
            self._turns.pop(turn.order.turn, None)


def main(pipe: Pipe, number: int, orphaned: Callable[[], None] = lambda: None) -> None:
    """Run a worker process to its end. Ctrl-C is the parent's to handle."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_RDWR)
        os.dup2(devnull, 0)  # nothing here may read the person's keyboard
        os.close(devnull)
    gc.freeze()
    gc.set_threshold(YOUNG)
    gc.enable()
    try:
        if not Worker(pipe, number, Warm(raise_descriptor_limit())).serve():
            orphaned()
    finally:
        proxy.end_all()
        sys.stderr.flush()
        # threads may be waiting on dead hosts; the sockets go with the process
        os._exit(0)
