"""A person's session on one connection: a terminal on the other side, what is typed, what comes back, both bounded.

Must not know turns, events or our own terminal; its bytes are passed on as they come, in both directions.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

import paramiko

from hostshell.core.encodings import UTF_8, encode
from hostshell.core.events import Stream
from hostshell.core.model import Connect
from hostshell.ssh.execute import Ending, Execution
from hostshell.ssh.failures import LinkLost
from hostshell.ssh.sessions import Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.transport import send_exec, send_pty, send_shell

# bytes that may wait unread: what a slow terminal still shows after Ctrl-C has stopped a flood
WINDOW = 128 * 1024
_GONE = (paramiko.SSHException, OSError, EOFError)


class Interactive(Execution):
    """One session, run in the turn's own thread; what is typed goes out by another one, so that neither waits for the
    other: Ctrl-C has to reach a host whose output nobody takes.

    ``opened`` is called once, when the session stands. ``took`` is told how many bytes of input the host has taken.
    Whoever calls `type` keeps to what was taken, so that what waits here is bounded.
    """

    def __init__(
        self,
        sessions: Sessions,
        task: Connect,
        emit: Callable[[Stream, bytes], None],
        stopped: Stopper,
        *,
        patience: float,
        opened: Callable[[], None],
        took: Callable[[int], None],
        encoding: str = UTF_8,
    ) -> None:
        super().__init__(sessions, encode(task.command or "", encoding), emit, stopped, patience=patience)
        self._task = task
        self._opened = opened
        self._took = took
        self._typed: queue.SimpleQueue[bytes | tuple[int, int] | None] = queue.SimpleQueue()

    def type(self, data: bytes) -> None:
        """Send this to the host; returns at once."""
        self._typed.put(data)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the host another size of the terminal; returns at once."""
        self._typed.put((rows, columns))

    def run(self) -> Ending:
        """To the session's end. Raises as `Execution.run`."""
        channel = self._sessions.open_session(WINDOW, self._patience)
        typist = threading.Thread(target=self._send_typed, args=(channel,), name="typist", daemon=True)
        try:
            with self._stopped.calling(self._bell.set):
                self._ring_for(channel)
                self._begin(channel)
                self._opened()
                typist.start()
                try:
                    return self._follow(channel)
                except _GONE:  # reading widens the window, and so it sends
                    raise self._lost() from None
        finally:
            self._typed.put(None)
            with contextlib.suppress(*_GONE):  # the link may end just now
                channel.close()  # which wakes a typist that waits for the window

    def _begin(self, channel: paramiko.Channel) -> None:
        task = self._task
        started = False
        try:
            send_pty(channel, task.term, task.rows, task.columns, task.modes)
            self._await(channel, "the server gives no terminal (PermitTTY no, or an option of the key?)")
            started = True  # from here on it may run there, and nothing is sent twice: a key may run anything
            if task.command is None:
                send_shell(channel)
            else:
                send_exec(channel, self._checked())
            self._await(channel, "the server refused to start a session", started=True)
        except _GONE:
            raise LinkLost("the link ended before the session stood", started=started) from None

    def _send_typed(self, channel: paramiko.Channel) -> None:
        while (item := self._typed.get()) is not None:
            try:
                if isinstance(item, bytes):
                    channel.sendall(item)  # waits while the host takes nothing
                    self._took(len(item))
                else:
                    rows, columns = item
                    channel.resize_pty(columns, rows)
            except _GONE:
                return  # the session has ended, and `_follow` says how

    def _halt(self, channel: paramiko.Channel) -> Ending:  # noqa: ARG002  # as in `Execution`
        # the person leaves: the server hangs up on its terminal when the channel closes, as when a window is closed
        return Ending(stopped=True)
