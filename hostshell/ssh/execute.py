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
from hostshell.core.model import Terminal
from hostshell.core.records import dataclass
from hostshell.core.remote import kill_line
from hostshell.ssh.failures import LinkLost, TurnStopped
from hostshell.ssh.feeding import Feed
from hostshell.ssh.gate import Gate, SudoRefused
from hostshell.ssh.sessions import Refused, Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.transport import (
    Transport,
    exit_code,
    exit_signal,
    quiet_modes,
    send_environment,
    send_exec,
    send_pty,
    send_signal,
)

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


@dataclass(frozen=True, slots=True)
class Around:
    """What a command has around it. ``raw``: the terminal passes every byte on as it is."""

    feed: Feed | None = None
    gate: Gate | None = None
    terminal: Terminal | None = None
    raw: bool = False


_NOTHING = Around()


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

    ``silent`` is called once where it says nothing for a moment.

    ``patience`` is how many seconds the server has to open a session: a link that died unseen never answers.
    """

    def __init__(
        self,
        sessions: Sessions,
        line: bytes,
        emit: Callable[[Stream, bytes], None],
        stopped: Stopper,
        *,
        patience: float,
        silent: Callable[[], None] = lambda: None,
        around: Around = _NOTHING,
    ) -> None:
        self._sessions = sessions
        self._transport = sessions.transport
        self._patience = patience
        self._line = line
        self._feed, self._gate = around.feed, around.gate
        self._around = around
        self._emit = emit
        self._stopped = stopped
        self._silent = silent
        self._bell = _Bell()
        self._head = b""

    def run(self) -> Ending:
        """Run the command to its end.

        Raises `LinkLost` (with ``started`` telling whether the command may have begun), `Refused`, `TurnStopped`,
        `InputChanged`, `SudoRefused` and `NeedsTerminal`.
        """
        if self._feed is not None:
            self._feed.prepare()
        channel = self._sessions.take(self._patience)
        try:
            with self._stopped.calling(self._bell.set):
                return self._run(channel)
        finally:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):  # the link may end just now
                channel.close()
            if self._feed is not None:
                self._feed.close()

    def _run(self, channel: paramiko.Channel) -> Ending:
        if self._stopped():
            raise TurnStopped
        line = self._checked()
        self._ring_for(channel)
        if self._around.terminal is not None:
            self._get_terminal(channel, self._around.terminal)
        channel.event = _NOBODY  # type: ignore[assignment]  # nobody waits for the answer alone
        try:
            with self._transport.together():
                for name, value in self._sessions.environment:
                    send_environment(channel, name, value)
                send_exec(channel, line)
                if self._feed is None:
                    channel.shutdown_write()  # a command that reads its standard input sees the end at once
                else:
                    channel.hostshell_on_room = self._bell.set  # type: ignore[attr-defined]  # ours
                    self._pump(channel)
                self._sessions.ahead()
        except (paramiko.SSHException, OSError, EOFError) as error:
            # part of it may have been sent: from here on the command may have begun, whatever became of the rest
            raise LinkLost(_ended(self._transport, error), started=True) from None
        try:
            ending = self._follow(channel)
        except (paramiko.SSHException, OSError, EOFError):  # reading widens the window, and so it sends
            raise self._lost() from None
        if self._gate is not None and not self._gate.is_open and not ending.stopped:
            raise self._gate.refusal(ending.exit_code, self._head)
        return ending

    def _get_terminal(self, channel: paramiko.Channel, terminal: Terminal) -> None:
        """A command that needs one must not begin without: what the server answers is waited for."""
        channel.event_ready = False
        try:
            send_pty(channel, "dumb", terminal.lines, terminal.columns, quiet_modes(raw=self._around.raw))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkLost(_ended(self._transport, error), started=False) from None
        self._await(channel, "the server gives no terminal (PermitTTY no, or an option of the key?)")

    def _await(self, channel: paramiko.Channel, refusal: str, *, started: bool = False) -> None:
        """Until the server has said yes to the request under way. Raises `Refused` where it said no.

        ``started``: what was asked for may run already, whatever becomes of the answer.
        """
        deadline = time.monotonic() + self._patience
        while not channel.event_ready:
            if self._stopped():
                raise TurnStopped
            if not self._transport.is_active():
                raise LinkLost(f"the link ended{self._transport.farewell}", started=started)
            if channel.closed:
                raise Refused(refusal)
            left = deadline - time.monotonic()
            if left <= 0:
                raise LinkLost("the server did not answer the request for a session", started=started)
            self._bell.wait(min(left, 1.0))

    def _pump(self, channel: paramiko.Channel) -> bool:
        """Send what it reads, once there is somebody who reads it."""
        if self._feed is None or self._feed.done or not (self._gate is None or self._gate.is_open):
            return False
        return self._feed.pump(channel)

    def _checked(self) -> bytes:
        """The line, if SSH can carry it."""
        if len(self._line) > COMMAND_LIMIT:
            raise Refused(f"the command is too long for SSH ({len(self._line)} bytes); --script runs a local file")
        return self._line

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
            moved = self._drain(channel) | self._pump(channel)
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
            if self._gate is not None and not self._gate.is_open:
                self._gate.look()

    def _lost(self) -> LinkLost:
        return LinkLost(f"the link ended while the command ran{self._transport.farewell}", started=True)

    def _drain(self, channel: paramiko.Channel) -> bool:
        """Pass on what has come, a piece of each stream in turn. ``emit`` may block: then the window closes."""
        moved = False
        while not self._stopped():
            again = False
            if channel.recv_stderr_ready():
                self._pass_on(channel, "stderr", channel.recv_stderr(PIECE))
                again = True
            if channel.recv_ready():
                self._pass_on(channel, "stdout", channel.recv(PIECE))
                again = True
            if not again:
                break
            moved = True
        return moved

    def _pass_on(self, channel: paramiko.Channel, stream: Stream, data: bytes) -> None:
        gate = self._gate
        if gate is not None and not gate.is_open and stream == gate.stream:
            told, data = gate.hear(data, channel.sendall)
            if told:
                self._emit("stderr", told)
            if not data:
                return
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._emit(stream, data)

    def _halt(self, channel: paramiko.Channel) -> Ending:
        if self._gate is not None:
            if self._gate.is_open:
                return self._halt_under_sudo(channel)
            return Ending(stopped=True, may_still_run=self._gate.may_open)
        for name, patience in (("TERM", TERM_PATIENCE), ("KILL", KILL_PATIENCE)):
            try:
                send_signal(channel, name)
            except (paramiko.SSHException, OSError, EOFError):
                break
            if self._seen_to_end(channel, time.monotonic() + patience):
                return Ending(exit_code(channel), exit_signal(channel), stopped=True)
        return Ending(stopped=True, may_still_run=True)

    def _halt_under_sudo(self, channel: paramiko.Channel) -> Ending:
        """Whoever logs in may send no signal to another user's process: sudo has to do that as well."""
        assert self._gate is not None
        deadline = time.monotonic() + TERM_PATIENCE + KILL_PATIENCE
        gate = self._gate.again()
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError, LinkLost, Refused, SudoRefused):
            killer = self._sessions.take(TERM_PATIENCE)
            try:
                killer.in_buffer.set_event(self._bell)  # type: ignore[arg-type]  # has what is called
                killer.in_stderr_buffer.set_event(self._bell)  # type: ignore[arg-type]  # has what is called
                if self._around.terminal is not None:
                    send_pty(killer, "dumb", 24, 80, quiet_modes(raw=True))
                send_exec(killer, kill_line(gate.tokens, self._gate.talk.group))
                while time.monotonic() < deadline and not killer.closed:
                    for ready, receive in (
                        (killer.recv_stderr_ready, killer.recv_stderr),
                        (killer.recv_ready, killer.recv),
                    ):
                        if ready():
                            gate.hear(receive(PIECE), killer.sendall)
                    if self._seen_to_end(channel, time.monotonic() + 0.02):
                        return Ending(exit_code(channel), exit_signal(channel), stopped=True)
            finally:
                if gate.given is None and not gate.is_open:
                    killer.close()  # else it is let go on, also past our time: it ends by itself
        ended = self._seen_to_end(channel, deadline)
        return Ending(exit_code(channel), exit_signal(channel), stopped=True, may_still_run=not ended)

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
