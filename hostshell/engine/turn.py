"""One host's part of a job: its connect, its task, its end, in a thread of its own.

Must not know how orders come in, nor what other turns do: all that it shares with them is its `Place`.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from hostshell.core.events import CopyCounts, Failure, Status, Stream
from hostshell.core.model import Connect, Examine, Get, Host, Ping, Put, Run, Secret
from hostshell.core.traffic import Moved, Opened, Printed, Stepped, Took
from hostshell.core.turns import Asked, Begin, Connected, Ended, Inquiry, KeyOffered, SecretWanted
from hostshell.engine.checkup import examine
from hostshell.engine.outbox import Outbox
from hostshell.engine.running import carry_out, command_ended
from hostshell.engine.warm import Warm
from hostshell.localfiles import partials_path
from hostshell.ssh import transfer
from hostshell.ssh.connect import Connection
from hostshell.ssh.deadlines import DEADLINES
from hostshell.ssh.failures import ConnectFailed, LinkLost, NewHostKey, NoSession, TurnStopped
from hostshell.ssh.interactive import Interactive
from hostshell.ssh.interview import Ask
from hostshell.ssh.sessions import Refused
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Trace

TRUST = 5.0  # seconds of silence after which a connection has to answer before a command is sent on it
STOP_GRACE = 0.65  # seconds that a stopped turn may take before its connection is cut


class Place(Protocol):
    """What a turn needs of the worker that it is in."""

    outbox: Outbox
    warm: Warm
    threads: ThreadPoolExecutor

    def connection(self, host: Host, stopped: Stopper, ask: Ask) -> tuple[Connection, bool]:
        """A live connection for ``host``, and whether it was warm. Raises as `Connector.connect` does."""

    def new_connection(self, host: Host, stopped: Stopper, ask: Ask, trace: Trace = SILENT) -> Connection:
        """The same, whether one is warm or not; that one is closed."""

    def forget_turn(self, turn: Turn) -> None:
        """A turn's thread is about to end."""


class Turn:
    """One host's part of a job, in a thread of its own."""

    def __init__(self, place: Place, order: Begin) -> None:
        self.order = order
        self.stopped = Stopper()
        self._place = place
        self._connection: Connection | None = None
        self._interactive: Interactive | None = None
        self._done = threading.Event()
        self._told = threading.Event()
        self._answers: tuple[Secret, ...] | None = None
        self._supply: Secret | None = None
        self._supplied = threading.Event()

    def start(self) -> None:
        # threads of turns that have ended take new ones: to start one costs a tenth of a warm command
        self._place.threads.submit(self._body)

    def ask(self, inquiry: Inquiry) -> tuple[str, ...] | None:
        """Have a person asked, and wait for the answers; None where there are none, or the turn is to stop."""
        self._told.clear()
        self._place.outbox.put(Asked(self.order.turn, inquiry))
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
            self._place.outbox.put(
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
            failure = Failure("lost", self._lost(str(error)))
            report = Ended(number, status, failure=failure, may_still_run=error.started)
        except Exception as error:  # one host's surprise must not cost the others
            if os.environ.get("HOSTSHELL_DEBUG"):
                import traceback

                traceback.print_exc()
            what = f"{type(error).__name__} in the worker"
            report = Ended(number, "lost", failure=Failure("worker", what, "HOSTSHELL_DEBUG=1 shows where"))
        finally:
            self._done.set()
            self._place.forget_turn(self)
            if self._connection is not None:
                self._place.warm.give_back(self._connection)
        self._place.outbox.put(report)

    def _lost(self, message: str) -> str:
        """``message`` of a lost link, with the jump host whose own link ended, where that was it."""
        hop = self._connection.hop_lost() if self._connection is not None and not self.stopped() else ""
        if not hop:
            return message
        ended = "the link ended"
        if message.startswith(ended):
            return f"the link to jump host {hop} ended{message.removeprefix(ended)}"
        return f"{message} (the link to jump host {hop} ended)"

    def _examine(self, task: Examine) -> Ended:
        number, host, place = self.order.turn, self.order.host, self._place

        def connect(trace: Trace) -> Connection:
            self._connection = connection = place.new_connection(host, self.stopped, self.ask, trace)
            place.outbox.put(Connected(number))
            return connection

        failure = examine(
            host, task, self.stopped, connect, lambda step: place.outbox.put(Stepped(number, step), later=True)
        )
        if self.stopped():
            return Ended(number, "cancelled")
        return Ended(number, "ok" if failure is None else "failed", failure=failure)

    def _try(self) -> Ended:
        if isinstance(self.order.task, Examine):
            return self._examine(self.order.task)
        connection, warm = self._place.connection(self.order.host, self.stopped, self.ask)
        while True:
            self._connection = connection
            self._place.outbox.put(Connected(self.order.turn), later=warm and isinstance(self.order.task, Run))
            try:
                ended = self._carry_out(connection)
            except LinkLost as error:
                # an idle connection may have died unseen; as long as no command was sent, a new one is the same turn
                if error.started or not warm or self.stopped():
                    if isinstance(error, NoSession) and not self.stopped():
                        self._place.warm.drop(connection)
                        hint = "is its PAM or systemd-logind slow? --connect-timeout sets the limit"
                        raise ConnectFailed(Failure("timeout", f"logged in, but {error}", hint)) from None
                    raise
                self._place.warm.drop(connection)
                connection, warm = self._place.connection(self.order.host, self.stopped, self.ask)
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
                        silent=self._place.outbox.flush,
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
        number, outbox = self.order.turn, self._place.outbox
        self._interactive = Interactive(
            connection.sessions,
            task,
            self._print,
            self.stopped,
            patience=self.order.host.connect_timeout,
            opened=lambda: outbox.put(Opened(number)),
            took=lambda size: outbox.put(Took(number, size)),
            encoding=self.order.host.encoding,
        )
        return command_ended(number, self._interactive.run())

    def _copy(self, connection: Connection, task: Put | Get) -> Ended:
        number = self.order.turn

        def report(path: str, done: int, total: int, saved: int, comparing: int) -> None:
            self._place.outbox.put(Moved(number, path, done, total, saved, comparing))

        copy = transfer.put if isinstance(task, Put) else transfer.get
        try:
            host = self.order.host
            copied = copy(
                connection.sessions,
                task,  # type: ignore[arg-type]  # each gets its own kind of task
                host.name,
                report=report,
                stopped=self.stopped,
                encoding=host.encoding,
                partials=partials_path(),
                login=f"{host.user}:{host.port}",
            )
        except transfer.CopyStopped as error:
            return Ended(number, "cancelled", notes=(str(error),) if str(error) else ())
        except transfer.TransferError as error:
            if self.stopped():
                return Ended(number, "cancelled", notes=(str(error),))
            if not connection.alive:
                return Ended(number, "lost", failure=Failure("lost", self._lost(error.message), error.hint))
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
            copied.landed,
        )
        return Ended(number, "ok", notes=copied.notes, copied=counts)

    def _print(self, stream: Stream, data: bytes) -> None:
        self._place.outbox.put(Printed(self.order.turn, stream, data), len(data), self.stopped)

    def _ask_sudo(self, whose: str) -> Secret | None:
        """The password that sudo wants, from a person: this thread waits until there is an answer."""
        host, task = self.order.host, self.order.task
        rights = (task.sudo_user if isinstance(task, Run) else None) or host.sudo_user or "root"
        if whose in (host.user, rights, "root"):
            question = SecretWanted(self.order.turn, f"sudo {whose}", f"[sudo] password for {whose}: ")
        else:  # a host may name whom it likes: what another one was told is not for it, and a person sees who asks
            text = f"[sudo] {host.name} asks for the password of {whose}: "
            question = SecretWanted(self.order.turn, f"sudo {whose} on {host.name}", text)
        with self.stopped.calling(self._supplied.set):
            self._place.outbox.put(question)
            self._supplied.wait()
        if self.stopped():
            raise TurnStopped
        return self._supply

    def supply(self, secret: Secret | None) -> None:
        """The answer to what was asked for."""
        self._supply = secret
        self._supplied.set()
