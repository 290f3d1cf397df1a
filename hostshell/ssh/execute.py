"""One command on one connection: its output as it comes, its end as it was, and its stop.

Must not know turns or events; it is told what to do with each piece of output.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import paramiko

from hostshell.core.events import Stream
from hostshell.core.explain import HEAD
from hostshell.core.records import dataclass
from hostshell.ssh.failures import LinkLost, TurnStopped
from hostshell.ssh.sessions import Refused, Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.transport import Transport, exit_code, exit_signal, send_environment, send_exec, send_signal

PIECE = 64 * 1024  # bytes of output passed on at once
COMMAND_LIMIT = 255 * 1024  # bytes: OpenSSH cuts the link at a packet of more than 256 KiB (packet.c, PACKET_MAX_SIZE)
LINGER = (
    0.3  # seconds that output may still come after the command's exit: a background child may hold it open for ever
)
SILENCE = 0.02  # seconds without a word after which a command is no quick one
TERM_PATIENCE = 0.25  # seconds between TERM and KILL
KILL_PATIENCE = 0.25  # seconds between KILL and giving up; together the contract's 0.5 s


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: ``exit_code``, or ``signal`` (without "SIG"), or neither where it was stopped.

    ``stopped``: we were told to stop. ``may_still_run``: its end was not seen. ``head``: how its output began.
    """

    exit_code: int | None = None
    signal: str | None = None
    stopped: bool = False
    may_still_run: bool = False
    head: bytes = b""


def _ended(transport: Transport, error: BaseException) -> str:
    reason = f": {error}" if str(error) else ""
    return f"the link ended{transport.farewell or reason}"


class _Bell:
    """What paramiko's buffers set when something comes. They also clear it when one of them is empty, which must not
    silence the other, so clearing is ours alone.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        """For paramiko: ignored."""

    def wait(self, seconds: float | None) -> bool:
        """Until it rings; False when it did not in so many ``seconds``."""
        rung = self._event.wait(seconds)
        self._event.clear()
        return rung


class _Nobody:
    """An event for which nobody waits: to ring the bell for it would wake the turn for nothing."""

    def set(self) -> None:
        """Nothing."""

    def clear(self) -> None:
        """Nothing."""


_NOBODY = _Nobody()


class Execution:
    """One command under way, run in the turn's own thread. ``emit`` may block: then the host waits.

    ``silent`` is called once where it says nothing for a moment. ``environment`` is asked of the server, which mostly
    allows a few names of its own choice.

    ``patience`` is how many seconds the server has to open a session: a link that died unseen never answers.
    """

    def __init__(
        self,
        sessions: Sessions,
        command: str,
        emit: Callable[[Stream, bytes], None],
        stopped: Stopper,
        *,
        patience: float,
        silent: Callable[[], None] = lambda: None,
        environment: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._sessions = sessions
        self._transport = sessions.transport
        self._patience = patience
        self._command = command
        self._emit = emit
        self._stopped = stopped
        self._silent = silent
        self._environment = environment
        self._bell = _Bell()
        self._head = b""

    def run(self) -> Ending:
        """Run the command to its end.

        Raises `LinkLost` (with ``started`` telling whether the command may have begun), `Refused`, `TurnStopped`.
        """
        channel = self._sessions.take(self._patience)
        try:
            with self._stopped.calling(self._bell.set):
                return self._run(channel)
        finally:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):  # the link may end just now
                channel.close()

    def _run(self, channel: paramiko.Channel) -> Ending:
        if self._stopped():
            raise TurnStopped
        command = self._encoded()
        self._ring_for(channel)
        channel.event = _NOBODY  # type: ignore[assignment]  # nobody waits for the answer alone
        try:
            with self._transport.together():
                for name, value in self._environment:
                    send_environment(channel, name, value)
                send_exec(channel, command)
                channel.shutdown_write()  # a command that reads its standard input sees the end at once
                self._sessions.ahead()
        except (paramiko.SSHException, OSError, EOFError) as error:
            # part of it may have been sent: from here on the command may have begun, whatever became of the rest
            raise LinkLost(_ended(self._transport, error), started=True) from None
        try:
            return self._follow(channel)
        except (paramiko.SSHException, OSError, EOFError):  # reading widens the window, and so it sends
            raise self._lost() from None

    def _encoded(self) -> bytes:
        command = self._command.encode("utf-8", "surrogateescape")
        if len(command) > COMMAND_LIMIT:
            raise Refused(f"the command is too long for SSH ({len(command)} bytes); put it into a file and run that")
        return command

    def _ring_for(self, channel: paramiko.Channel) -> None:
        """Ring the bell for all that comes on ``channel``."""
        channel.in_buffer.set_event(self._bell)  # type: ignore[arg-type]  # has what is called
        channel.in_stderr_buffer.set_event(self._bell)  # type: ignore[arg-type]  # has what is called
        channel.status_event = self._bell  # type: ignore[assignment]  # has what is called
        channel.event = self._bell  # type: ignore[assignment]  # has what is called

    def _follow(self, channel: paramiko.Channel) -> Ending:
        """To the command's end. The answer to the request comes with the output: nothing waits for it alone."""
        exited: float | None = None
        unanswered_until = time.monotonic() + self._patience
        patience = SILENCE
        while True:
            if self._stopped():
                return self._halt(channel)
            moved = self._drain(channel)
            code, signal = exit_code(channel), exit_signal(channel)
            done = code is not None or signal is not None
            if channel.closed or (done and channel.eof_received):
                self._drain(channel)
                code, signal = exit_code(channel), exit_signal(channel)
                if (code is not None or signal is not None) and (channel.eof_received or self._transport.is_active()):
                    return Ending(code, signal, head=self._head)
                if self._transport.gone():
                    raise self._lost()
                if not channel.event_ready:
                    raise Refused("the server refused to run a command")
                raise LinkLost("the server closed the session without an exit status", started=True)
            if not self._transport.is_active():
                raise self._lost()
            if not channel.event_ready and not moved and time.monotonic() >= unanswered_until:
                raise LinkLost("the server did not answer the request to run a command", started=True)
            if done:
                now = time.monotonic()
                if exited is None or moved:
                    exited = now
                elif now - exited >= LINGER:
                    return Ending(code, signal, head=self._head)
                self._bell.wait(LINGER / 3)
            elif not moved and not self._bell.wait(patience) and patience == SILENCE:
                patience = 1.0
                self._silent()

    def _lost(self) -> LinkLost:
        return LinkLost(f"the link ended while the command ran{self._transport.farewell}", started=True)

    def _drain(self, channel: paramiko.Channel) -> bool:
        """Pass on what has come, a piece of each stream in turn. ``emit`` may block: then the window closes."""
        moved = False
        while not self._stopped():
            again = False
            if channel.recv_stderr_ready():
                self._pass_on("stderr", channel.recv_stderr(PIECE))
                again = True
            if channel.recv_ready():
                self._pass_on("stdout", channel.recv(PIECE))
                again = True
            if not again:
                break
            moved = True
        return moved

    def _pass_on(self, stream: Stream, data: bytes) -> None:
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._emit(stream, data)

    def _halt(self, channel: paramiko.Channel) -> Ending:
        for name, patience in (("TERM", TERM_PATIENCE), ("KILL", KILL_PATIENCE)):
            try:
                send_signal(channel, name)
            except (paramiko.SSHException, OSError, EOFError):
                break
            if self._seen_to_end(channel, time.monotonic() + patience):
                return Ending(exit_code(channel), exit_signal(channel), stopped=True)
        return Ending(stopped=True, may_still_run=True)

    def _seen_to_end(self, channel: paramiko.Channel, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if exit_code(channel) is not None or exit_signal(channel) is not None:
                return True
            if channel.closed or not self._transport.is_active():
                return False
            # what still comes is thrown away, or a full window would keep the end from being told
            while channel.recv_ready():
                channel.recv(PIECE)
            while channel.recv_stderr_ready():
                channel.recv_stderr(PIECE)
            self._bell.wait(0.02)
        return False
