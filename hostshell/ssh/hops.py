"""The connections of one worker to jump hosts, each shared by all hosts behind it.

Must not know jobs or what runs behind them. An attempt to reach a jump host has a thread of its own, because the turn
that asked first may be stopped while others wait for the same.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import paramiko

from hostshell.core.events import Failure, Kind
from hostshell.core.model import Host, login_of
from hostshell.ssh.deadlines import DEADLINES
from hostshell.ssh.failures import ConnectFailed, NewHostKey, TurnStopped
from hostshell.ssh.interview import Ask
from hostshell.ssh.login import NOTHING_HINT
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Trace
from hostshell.ssh.transport import SessionAsked
from hostshell.ssh.tunnel import Tunnel

if TYPE_CHECKING:
    from hostshell.ssh.connect import Connection

LINGER = 3.0  # seconds that a jump host's connection stays open after its last user

# reasons for refusing a channel (RFC 4254, section 5.1)
PROHIBITED, UNKNOWN_TYPE, SHORTAGE = 1, 3, 4

Connect: TypeAlias = "Callable[[Host, Stopper, Trace, Ask], Connection]"


@dataclass(eq=False)
class _Line:
    """One connection to a jump host. ``users``: tunnels through it, and turns that ask for one just now."""

    connection: Connection
    users: int = 0
    tunnels: int = 0  # those that are open
    most: int | None = None  # tunnels that it bears, once it has refused one more
    abandoned: list[SessionAsked] = field(default_factory=list)  # asked for, and then nobody wanted to wait

    @property
    def room(self) -> bool:
        return self.connection.alive and (self.most is None or self.users < self.most)


class _Attempt:
    """A connection that is being made, and who waits for it."""

    def __init__(self) -> None:
        self.stopper = Stopper()
        self.failure: ConnectFailed | NewHostKey | None = None
        self.bells: list[threading.Event] = []


class _Bastion:
    """One jump host, reached in one way."""

    def __init__(self) -> None:
        self.lines: list[_Line] = []
        self.attempt: _Attempt | None = None
        self.failure: ConnectFailed | None = None  # what makes another attempt useless, in this job


class _Full(Exception):
    """The jump host bears no more tunnels on this connection."""


class Hops:
    """``connect`` makes a connection to a host whose ``jump`` are the hops before it. Safe from any thread."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._bastions: dict[tuple[Host, ...], _Bastion] = {}
        self._closed = False

    def new_job(self) -> None:
        """What was down in the job before is tried again."""
        with self._lock:
            for bastion in self._bastions.values():
                bastion.failure = None

    def close(self) -> None:
        """Close every connection, those in use as well."""
        with self._lock:
            self._closed = True
            bastions, self._bastions = list(self._bastions.values()), {}
            for bastion in bastions:
                if bastion.attempt is not None:
                    bastion.attempt.stopper.stop()
        for bastion in bastions:
            for line in bastion.lines:
                _end(line)

    def through(
        self, host: Host, stopped: Stopper, trace: Trace = SILENT, ask: Ask = lambda _: None
    ) -> tuple[Tunnel, float]:
        """A tunnel to ``host`` through its ``jump``, and when its login must be over (on `time.monotonic`).

        Each jump host has its own time to connect; the host's own begins when the last of them stands. ``trace`` is
        told the steps of an attempt that begins here, and ``ask`` what is asked there. Raises `ConnectFailed`,
        `NewHostKey` (of a jump host) or `TurnStopped`.
        """
        key = tuple(login_of(hop) for hop in host.jump)
        while True:
            line = self._line(key, host.jump, stopped, trace, ask)
            deadline = time.monotonic() + host.connect_timeout
            try:
                with trace.step("port") as step:
                    step.say(port=host.port, through=line.connection.host.name)
                    channel = self._open(line, host, deadline, stopped)
            except _Full:
                self._release(key, line)
            except BaseException:
                self._release(key, line)
                raise
            else:
                release, lost = partial(self._release, key, line, 1), partial(_hop_lost, line.connection)
                return Tunnel(channel, (host.address, host.port), release, lost), deadline

    # --- a connection to the jump host ---

    def _line(self, key: tuple[Host, ...], way: tuple[Host, ...], stopped: Stopper, trace: Trace, ask: Ask) -> _Line:
        """A connection with room, counted as one more user's."""
        while True:
            bell = threading.Event()
            with self._lock:
                bastion = self._bastions.setdefault(key, _Bastion())
                for line in bastion.lines:
                    if line.room:
                        line.users += 1
                        return line
                if bastion.failure is not None:
                    with trace.through(way[-1].name).step("port"):
                        raise _again(bastion.failure)
                attempt = bastion.attempt
                if attempt is None:
                    attempt = bastion.attempt = _Attempt()
                    body = partial(self._attempt, bastion, way, attempt, trace.through(way[-1].name), ask, stopped)
                    threading.Thread(target=body, name=f"jump host {way[-1].name}", daemon=True).start()
                attempt.bells.append(bell)
            with stopped.calling(bell.set):
                bell.wait()
            with self._lock:
                attempt.bells.remove(bell)
                if stopped():
                    if not attempt.bells:
                        attempt.stopper.stop()
                    raise TurnStopped
                if attempt.failure is not None:
                    raise _again(attempt.failure)

    def _attempt(
        self,
        bastion: _Bastion,
        way: tuple[Host, ...],
        attempt: _Attempt,
        trace: Trace,
        ask: Ask,
        starter: Stopper,
    ) -> None:
        failure: ConnectFailed | NewHostKey | None = None
        connection = None
        hop = way[-1]
        try:
            connection = self._connect(replace(hop, jump=way[:-1]), attempt.stopper, trace, ask)
        except ConnectFailed as error:
            # where the turn that would have had a person asked was stopped, the next one that waits may do so
            if not starter() or error.failure.kind != "auth" or error.password_refused:
                failure = error if error.hop else _named(error, hop)
        except NewHostKey as error:
            failure = error
        except TurnStopped:
            pass
        except Exception as error:  # a surprise here must not leave everybody waiting
            failure = ConnectFailed(Failure("worker", f"{type(error).__name__} on the way to jump host {hop.name}"))
        line = _Line(connection) if connection is not None else None
        with self._lock:
            unwanted = self._closed and line is not None
            if bastion.attempt is attempt:
                bastion.attempt = None
            attempt.failure = failure
            if isinstance(failure, ConnectFailed) and not failure.retriable:
                bastion.failure = failure
            if line is not None and not unwanted:
                bastion.lines.append(line)
                line.connection.transport.on_end = partial(self._ended, bastion, line)
            for bell in attempt.bells:
                bell.set()
        if line is None:
            return
        if unwanted:
            _end(line)
        else:
            self._when_idle(bastion, line)

    def _ended(self, bastion: _Bastion, line: _Line) -> None:
        """The connection's own thread says that it is about to end; what goes through it ends by itself."""
        with self._lock:
            known = line in bastion.lines
            if known:
                bastion.lines.remove(line)
        if known:
            _end(line)

    # --- a tunnel through it ---

    def _open(self, line: _Line, host: Host, deadline: float, stopped: Stopper) -> paramiko.Channel:
        hop = line.connection.host.name
        try:
            asked = line.connection.transport.ask_tunnel(host.address, host.port)
        except (paramiko.SSHException, OSError, EOFError):
            raise _lost(hop) from None
        with stopped.calling(asked.answered.set):
            asked.answered.wait(max(0.0, deadline - time.monotonic()))
        self._tidy(line)
        with self._lock:
            if asked.opened and not stopped():
                line.tunnels += 1
                return asked.channel
            refusal = asked.refusal
            if refusal is None:
                line.abandoned.append(asked)
        if stopped():
            raise TurnStopped
        if refusal is None:
            if not line.connection.alive:
                raise _lost(hop)
            what = f"no answer from port {host.port} in time, behind jump host {hop}"
            raise ConnectFailed(Failure("timeout", what, "is the host up, and may the jump host reach it?"))
        with self._lock:
            if refusal[0] in (PROHIBITED, SHORTAGE) and line.tunnels:
                line.most = line.tunnels  # it may be full; a connection of its own shows whether that was it
                raise _Full
        raise _refused(refusal, host, hop)

    def _tidy(self, line: _Line) -> None:
        """Close what came late."""
        with self._lock:
            late = [one for one in line.abandoned if one.opened]
            line.abandoned = [one for one in line.abandoned if not one.opened and one.refusal is None]
        for one in late:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                one.channel.close()

    def _release(self, key: tuple[Host, ...], line: _Line, tunnels: int = 0) -> None:
        with self._lock:
            line.users -= 1
            line.tunnels -= tunnels
            bastion = self._bastions.get(key)
        if bastion is not None:
            self._when_idle(bastion, line)

    def _when_idle(self, bastion: _Bastion, line: _Line) -> None:
        if not line.users:
            DEADLINES.set(time.monotonic() + LINGER, partial(self._sweep, bastion, line))

    def _sweep(self, bastion: _Bastion, line: _Line) -> None:
        with self._lock:
            if line.users or line not in bastion.lines:
                return
            bastion.lines.remove(line)
        _end(line)


def _hop_lost(connection: Connection) -> str:
    """The first jump host on the way whose link has ended, ``connection``'s own or one before it."""
    return (connection.hop_lost() or connection.host.name) if connection.transport.gone() else ""


def _end(line: _Line) -> None:
    """Close it now; what closing waits for, a thread of its own waits for."""
    line.connection.link.close()
    threading.Thread(target=line.connection.close, name="jump host's end", daemon=True).start()


# --- failures, in words ---


def _again(error: ConnectFailed | NewHostKey) -> ConnectFailed | NewHostKey:
    """The same for another thread: an exception keeps the place where it was raised."""
    if isinstance(error, NewHostKey):
        return NewHostKey(error.offer)
    return ConnectFailed(
        error.failure, retriable=error.retriable, password_refused=error.password_refused, hop=error.hop
    )


def _named(error: ConnectFailed, hop: Host) -> ConnectFailed:
    hint = error.failure.hint
    if error.failure.kind == "dns":
        hint = "check `jump` in the inventory (show NAME)"
    elif hint == NOTHING_HINT:
        hint = "set `key` or `password_from` for it in the inventory"  # -i and -k are for the hosts behind it
    failure = replace(error.failure, message=f"jump host {hop.name}: {error.failure.message}", hint=hint)
    return ConnectFailed(failure, retriable=error.retriable, password_refused=error.password_refused, hop=hop.name)


def _lost(hop: str) -> ConnectFailed:
    return ConnectFailed(Failure("refused", f"jump host {hop}: the connection to it ended"), retriable=True, hop=hop)


def _refused(refusal: tuple[int, str], host: Host, hop: str) -> ConnectFailed:
    number, text = refusal
    if number == PROHIBITED:
        hint = "AllowTcpForwarding and PermitOpen in its sshd_config decide that"
        return ConnectFailed(Failure("refused", f"jump host {hop} does not let us through", hint))
    if number == UNKNOWN_TYPE:
        return ConnectFailed(Failure("refused", f"{hop} is no jump host: it forwards nothing", "check `jump`"))
    if number == SHORTAGE:
        return ConnectFailed(Failure("refused", f"jump host {hop} is short of resources"), retriable=True)
    kind, what, hint = _why(text.lower(), host.port)
    return ConnectFailed(Failure(kind, f"{what}, says jump host {hop}", hint))


def _why(text: str, port: int) -> tuple[Kind, str, str]:
    """What a jump host says of its own connect, in our words: it gives its system's text."""
    if "refused" in text:
        return "refused", f"connection refused (port {port})", "is sshd running there, and is the port right?"
    if "timed out" in text or "timeout" in text:
        return "timeout", f"no answer from port {port} in time", "is the host up, and may the jump host reach it?"
    if any(word in text for word in ("name or service", "name resolution", "nodename", "not known", "resolve")):
        return "dns", "its address cannot be resolved", "the jump host looks it up: check `address` (show NAME)"
    reason = text.strip()[:80] or "no reason given"
    return "unreachable", f"cannot connect: {reason} (port {port})", "check the address, and the jump host's network"
