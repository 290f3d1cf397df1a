"""One login on a connection whose host key is good: which credentials are offered, and how to say that none was.

Must not know how the connection was made. RFC 4252; one request for the service a connection, however many credentials.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import paramiko
from paramiko.auth_handler import AuthHandler

from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.ssh.credentials import Keyring
from hostshell.ssh.failures import ConnectFailed, TurnStopped
from hostshell.ssh.link import Link
from hostshell.ssh.sessions import Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Taking, Trace
from hostshell.ssh.transport import Transport

_AUTH_HINT = "check `user`, `key` and `password_from` in the inventory (show NAME says where each comes from)"


class _Handler(AuthHandler):
    """Asks for the service ``ssh-userauth`` once a connection, where paramiko asks before every attempt.

    RFC 4253 (section 10) asks once, and servers that are not OpenSSH hang up. To OpenSSH the credential goes right
    behind, without waiting for the answer.
    """

    transport: Transport

    def _request_auth(self) -> None:
        if self.transport.service_asked:
            self._send_credential()
            return
        super()._request_auth()  # type: ignore[misc]  # private
        if self.transport.is_openssh and not self._needs_extensions():
            self.transport.service_asked = True
            self._send_credential()

    def _needs_extensions(self) -> bool:
        # which signatures of an RSA key the server takes stands in its EXT_INFO, which may still be under way
        return (
            self.auth_method == "publickey"
            and "rsa" in str(self.private_key.get_name())  # type: ignore[union-attr]  # there is one then
            and not self.transport.server_extensions  # type: ignore[attr-defined]  # absent from the stubs
        )

    def _send_credential(self) -> None:
        accepted = paramiko.Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        super()._parse_service_accept(accepted)  # type: ignore[misc]  # private

    def _parse_service_accept(self, message: paramiko.Message) -> None:
        if not self.transport.service_asked:
            self.transport.service_asked = True
            super()._parse_service_accept(message)  # type: ignore[misc]  # private


class Login:
    """One login: which credentials were tried, what the server still wants, and how to say that none was good."""

    def __init__(
        self,
        host: Host,
        sessions: Sessions,
        link: Link,
        keyring: Keyring,
        stopped: Stopper,
        patience: float,
        trace: Trace = SILENT,
    ) -> None:
        self.host = host
        self.transport = sessions.transport
        self.sessions = sessions
        self.link = link
        self.keyring = keyring
        self.stopped = stopped
        self.patience = patience  # seconds; the link's deadline comes before
        self.allowed: list[str] | None = None  # the methods that the server named; None before it named any
        self.tried: list[str] = []
        self.password_refused = False
        self._trace = trace
        self._step = Taking()

    def run(self) -> None:
        """Log in, or raise `ConnectFailed` or `TurnStopped`."""
        with self._trace.step("login") as self._step:
            self._step.say(user=self.host.user)
            try:
                self._run()
            finally:
                self._step.say(allowed=self.transport.packets.methods)

    def _run(self) -> None:
        host = self.host
        if host.key is not None:
            identity = self.keyring.from_file(host.key, host.passphrase)
            if self._offer_key(identity.key, f"the key {identity.name}"):
                return
        if host.password is not None and self._offer_password(host.password.reveal()):
            return
        for identity in self.keyring.own():
            if self.allowed is not None and "publickey" not in self.allowed:
                break
            if self._offer_key(identity.key, identity.name):
                return
        raise self._refused()

    def _offer_key(self, key: paramiko.PKey, name: str) -> bool:
        return self._attempt(name, lambda auth, event: auth.auth_publickey(self.host.user, key, event))

    def _offer_password(self, password: str) -> bool:
        answered = False

        def interactive(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
            nonlocal answered
            if (answered and prompts) or len(prompts) > 1 or any(echo for _, echo in prompts):
                # one hidden question is the password; anything else is a question that only a person can answer
                raise paramiko.SSHException("the server asks for more than a password")
            answered = answered or bool(prompts)
            return [password] * len(prompts)

        if self.allowed is None or "password" in self.allowed:
            refused_before = len(self.tried)
            if self._attempt("the password", lambda auth, event: auth.auth_password(self.host.user, password, event)):
                return True
            if len(self.tried) > refused_before:
                self.password_refused = True
                return False
        if self.allowed is not None and "keyboard-interactive" in self.allowed:
            ok = self._attempt(
                "the password", lambda auth, event: auth.auth_interactive(self.host.user, interactive, event)
            )
            self.password_refused = not ok
            return ok
        return False

    def _attempt(self, name: str, begin: Callable[[AuthHandler, threading.Event], None]) -> bool:
        """Offer one credential. False: it was refused (and counted in ``tried``) or the server has no such method."""
        if self.stopped():
            raise TurnStopped
        try:
            more = self._answer(begin)
        except paramiko.BadAuthenticationType as error:
            self.allowed = list(error.allowed_types)
            self._step.add("offered", f"{name}: the server does not take that method")
            return False
        except (paramiko.AuthenticationException, paramiko.SSHException, OSError, EOFError) as error:
            if self.stopped():
                raise TurnStopped from None
            refused = isinstance(error, paramiko.AuthenticationException) and self.transport.is_active()
            self.tried.append(name)
            if not refused and self.transport.gone():
                self._step.add("offered", f"{name}: the connection ended")
                raise self._ended() from None
            self._step.add("offered", f"{name}: {'refused' if refused else error}")
            return False
        if more:  # accepted, and the server wants another method as well
            self.allowed = list(more)
            self._step.add("offered", f"{name}: accepted, and it wants {', '.join(more)} as well")
            return False
        self._step.add("offered", f"{name}: accepted")
        return True

    def _answer(self, begin: Callable[[AuthHandler, threading.Event], None]) -> list[str]:
        """Offer one credential; what the server still wants. Raises as `paramiko.Transport.auth_password` does."""
        event = threading.Event()
        handler = self.transport.auth_handler = _Handler(self.transport)
        first = not self.transport.service_asked
        with self.transport.together():
            begin(handler, event)
            if first and self.transport.service_asked:
                # OpenSSH takes the request for a session behind the credential; after a refusal it ignores it
                self.sessions.ahead()
        try:
            event.wait(self.patience)
            more = list(handler.wait_for_response(event))
        except BaseException:
            self.sessions.forget()
            raise
        if more:
            self.sessions.forget()
        return more

    def _ended(self) -> ConnectFailed:
        if self.link.expired:
            return ConnectFailed(
                Failure("timeout", "the login did not end in time", "is the server overloaded, or its DNS or PAM slow?")
            )
        # sshd hangs up after MaxAuthTries; whether this was that or the link, the password may have been heard
        return ConnectFailed(
            Failure(
                "auth",
                f"the server ended the connection during the login ({self._tried()}){self.transport.farewell}",
                _AUTH_HINT,
            ),
            password_refused=self.password_refused or "the password" in self.tried,
        )

    def _refused(self) -> ConnectFailed:
        if not self.tried:
            wanted = f"; it allows {', '.join(self.allowed)[:200]}" if self.allowed else ""
            message = f"nothing to log in with as {self.host.user}{wanted}"
        else:
            message = f"login as {self.host.user} refused ({self._tried()})"
        if self.host.password_withheld:
            message += "; its password was refused before and is not offered again"
            return ConnectFailed(Failure("auth", message, "correct it in the inventory, then `reload`"))
        return ConnectFailed(Failure("auth", message, _AUTH_HINT), password_refused=self.password_refused)

    def _tried(self) -> str:
        names = list(dict.fromkeys(self.tried))
        return "tried " + (", ".join(names) if names else "nothing")
