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
from multiprocessing.connection import Connection as Pipe

from hostshell.core.events import Failure
from hostshell.core.model import HOST_FIELD, Host
from hostshell.core.traffic import Forget, Glance, Glanced, Glancing, Input, Keep, Quit, Resize, Survey, Surveyed
from hostshell.core.turns import Begin, Ended, Halt, Ready, Supply, Tell
from hostshell.engine.outbox import Outbox
from hostshell.engine.turn import Turn
from hostshell.engine.warm import Warm, raise_descriptor_limit
from hostshell.ssh import proxy
from hostshell.ssh.connect import Connection, Connector
from hostshell.ssh.glance import names_in
from hostshell.ssh.interview import Ask
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Trace

WIND_UP = 2.0  # seconds that all turns together may take to stop once the parent is gone
MOST_TURNS = 100_000  # no limit of ours: the fan-out is the scheduler's
# objects made since the last look for garbage: a connection is some 2,000, and Python's own 700 would have it look
# through all of them again and again, which is a third of what the second command costs on a thousand hosts
YOUNG = 50_000


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
            found = names_in(connection.transport, directory, begun, connection.host.encoding)
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
