"""The sessions of one connection: one is kept open ahead, so that a command costs a single round trip.

Must not know what runs in them.
"""

from __future__ import annotations

import contextlib
import time

import paramiko

from hostshell.ssh.failures import LinkLost, NoSession
from hostshell.ssh.transport import WINDOW, SessionAsked, Transport, send_environment, widen

_GONE = (paramiko.SSHException, OSError, EOFError)  # what sending on a link that has ended may raise


_PAUSES = (0.05, 0.2)  # seconds before a session that was refused is asked for again


class Refused(Exception):
    """The server would not open a session or start the command."""


class Sessions:
    """Sessions of ``transport``, for one command or copy at a time.

    OpenSSH allows ten at once (MaxSessions) unless it is told otherwise: one is used, one waits. ``environment`` is
    asked of the server for each session, as ssh and sftp do; it mostly allows a few names of its own choice.
    """

    def __init__(
        self,
        transport: Transport,
        patience: float = 60.0,
        *,
        ahead: bool = True,
        environment: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.transport = transport
        self._patience = patience
        self.environment = environment
        self._spare: SessionAsked | None = None
        # this server would not open a second one beside the first; or none is ever wanted, as on a jump host
        self._one_only = not ahead

    def ahead(self) -> None:
        """Ask for the session that the next `take` gives, unless there is one. Never fails: it may be done without."""
        if self._spare is None and not self._one_only:
            with contextlib.suppress(LinkLost):
                self._spare = self._ask(WINDOW)

    def forget(self) -> None:
        """What was asked for came to nothing: the login behind which it travelled failed."""
        if self._spare is not None:
            self.transport.forget_session(self._spare)
            self._spare = None

    def take(self, patience: float) -> paramiko.Channel:
        """A session, within ``patience`` seconds; at once where one waits. Whoever uses it asks for `environment`.

        Raises `LinkLost` (not started), `NoSession` where no answer came, or `Refused`.
        """
        return (self._waiting(patience) or self._new(patience)).channel

    def open_session(self, window_size: int, timeout: float) -> paramiko.Channel:
        """A session with a window of its own, as paramiko's transport gives one, and `environment` is asked for.

        It is the one that waits, where there is one, and the next is asked for: a copy may want two. A window can be
        made wider only, so that for one narrower than `WINDOW` a session is opened anew.

        Raises as `take` does.
        """
        patience = min(timeout, self._patience)
        if window_size < WINDOW:
            self._close_spare(patience)
        waiting = self._waiting(patience)
        channel = (waiting or self._new(patience, window_size)).channel
        try:
            if waiting is not None:
                widen(channel, window_size)
            self.ahead()
            for name, value in self.environment:
                send_environment(channel, name, value)
        except _GONE as error:
            raise self._lost(error) from None
        return channel

    def at_hand(self) -> paramiko.Channel | None:
        """The session that waits, where the server has opened it already; the next is asked for. Never fails."""
        if self._spare is None or not self._spare.answered.is_set():
            return None
        with contextlib.suppress(LinkLost, NoSession, *_GONE):
            spare = self._waiting(0)
            if spare is not None:
                self.ahead()
                return spare.channel
        return None

    def _waiting(self, patience: float) -> SessionAsked | None:
        """The session that was asked for ahead, where there is one that the server has opened."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        self._await(spare, patience)
        self.transport.calm_down()
        if spare.opened:
            return spare
        # asked for while another was in use, it may have been one too many
        if self.transport.is_active():
            self._one_only = True
            self.transport.get_exception()
        return None

    def _close_spare(self, patience: float) -> None:
        spare = self._waiting(patience)
        if spare is not None:
            with contextlib.suppress(*_GONE):
                spare.channel.close()

    def prove(self, patience: float) -> None:
        """Make sure that the other side is there: only an answer shows it. Raises as `take` does."""
        if self._spare is not None and not self._spare.answered.is_set():
            self._await(self._spare, patience)  # the answer that is under way is one, too
            return
        self._close_spare(patience)
        try:
            asked = self._new(patience)
            if self._one_only:
                asked.channel.close()
            else:
                self._spare = asked
        except _GONE as error:
            raise self._lost(error) from None

    def _ask(self, window: int) -> SessionAsked:
        try:
            return self.transport.ask_session(window)
        except _GONE as error:
            raise self._lost(error) from None

    def _new(self, patience: float, window: int = WINDOW) -> SessionAsked:
        for pause in _PAUSES:
            try:
                return self._once(patience, window)
            except Refused:
                # sshd that allows one at a time counts the last one until it has looked round once more
                time.sleep(pause)
        return self._once(patience, window)

    def _once(self, patience: float, window: int) -> SessionAsked:
        asked = self._ask(window)
        self._await(asked, patience)
        self.transport.calm_down()
        if not asked.opened:
            error = self.transport.get_exception()
            if not self.transport.is_active():
                raise self._lost(error)
            reason = error.args[-1] if isinstance(error, paramiko.ChannelException) else "no reason given"
            raise Refused(f"the server opens no session: {reason}")
        return asked

    def _await(self, asked: SessionAsked, patience: float) -> None:
        if not asked.answered.wait(patience):
            if self.transport.is_active():
                raise NoSession("the server opened no session in time")
            raise self._lost(None)

    def _lost(self, error: BaseException | None) -> LinkLost:
        reason = f": {error}" if error is not None and str(error) else ""
        return LinkLost(f"the link ended{self.transport.farewell or reason}", started=False)
