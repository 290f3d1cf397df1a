"""One login on a connection whose host key is good: which credentials are offered, in what order.

Must not know how the connection was made. RFC 4252; one request for the service a connection, however many credentials.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, TypeAlias

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import cMSG_USERAUTH_REQUEST

from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.core.records import dataclass
from hostshell.ssh.agent import asked_by
from hostshell.ssh.credentials import Identity, Keyring
from hostshell.ssh.failures import ConnectFailed, TurnStopped
from hostshell.ssh.interview import Ask, Interview, typed
from hostshell.ssh.link import Link
from hostshell.ssh.sessions import Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Taking, Trace
from hostshell.ssh.transport import Transport

_AUTH_HINT = "check `user`, `key` and `password_from` in the inventory (show NAME says where each comes from)"
NOTHING_HINT = "set `key` or `password_from` in the inventory, or name one for this command: -i KEY, or -k to be asked"
_MOMENT_HINT = (
    "it is in no inventory: -i KEY names a key, -k asks for a password, USER@ before its name says who logs in"
)


class _Handler(AuthHandler):
    """Asks for the service ``ssh-userauth`` once a connection, where paramiko asks before every attempt.

    RFC 4253 (section 10) asks once, and servers that are not OpenSSH hang up. To OpenSSH the credential goes right
    behind, without waiting for the answer.
    """

    transport: Transport
    unusable = ""  # why the credential could not be offered
    stopped: Callable[[], bool]
    encoding: str  # of the host
    _accepted = False  # whether the server has said that it would take the key

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
        try:
            if self.asks_first():
                self._query()
            else:
                with asked_by(self.stopped):  # in the transport's thread, too
                    super()._parse_service_accept(accepted)  # type: ignore[misc]  # private
        except (paramiko.SSHException, OSError, ValueError, TypeError) as error:
            # a key that cannot sign (its agent has died) is one credential less, and nothing to end the connection for
            self.unusable = str(error) or type(error).__name__
            assert self.auth_event is not None
            self.auth_event.set()

    def _parse_service_accept(self, message: paramiko.Message) -> None:  # noqa: ARG002  # paramiko's
        if not self.transport.service_asked:
            self.transport.service_asked = True
            self._send_credential()

    # --- a key that wants to be touched is offered without a signature first (RFC 4252, section 7) ---

    def asks_first(self) -> bool:
        """Whether the server is only asked so far whether it would take the key."""
        return self.auth_method == "publickey" and getattr(self.private_key, "touched", False) and not self._accepted

    def _query(self) -> None:
        message = paramiko.Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        message.add_string(self.username or "")
        message.add_string("ssh-connection")
        message.add_string("publickey")
        message.add_boolean(False)
        key_type, bits = self._get_key_type_and_bits(self.private_key)  # type: ignore[attr-defined]  # private
        message.add_string(key_type)
        message.add_string(bits)
        self.transport._send_message(message)  # type: ignore[attr-defined]  # private

    def _parse_userauth_info_request(self, message: paramiko.Message) -> None:
        if self.asks_first():  # the same number as SSH_MSG_USERAUTH_PK_OK
            self._accepted = True
            self._send_credential()
            return
        # paramiko reads UTF-8 only, as RFC 4256 has it, and a question in another encoding would end the connection
        message.get_text = partial(_readable, message, self.encoding)  # type: ignore[method-assign]  # for this one message
        super()._parse_userauth_info_request(message)  # type: ignore[misc]  # private


def _readable(message: paramiko.Message, encoding: str) -> str:
    text = message.get_binary()
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode(encoding, "replace")


Method: TypeAlias = Literal["none", "publickey", "password", "keyboard-interactive"]


@dataclass(frozen=True, slots=True)
class _Offer:
    """One credential: how to begin with it, and what to call it. ``mark`` tells it from every other one."""

    method: Method
    name: str
    mark: object
    begin: Callable[[AuthHandler, threading.Event], None]


class Login:
    """One login: which credentials were tried, what the server still wants, and how to say that none was good.

    ``ask`` puts a question of the server's to a person and waits; it gives None where there is nobody to ask.
    """

    def __init__(
        self,
        host: Host,
        sessions: Sessions,
        link: Link,
        keyring: Keyring,
        stopped: Stopper,
        patience: float,
        trace: Trace = SILENT,
        ask: Ask = lambda _: None,
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
        self.problems: list[str] = []  # keys that could not be used, and why
        self.password_refused = False
        self._spent: set[object] = set()  # marks of what was offered
        self._partly = False  # something was accepted, and more is wanted
        self._interview = Interview(host, link, ask)
        self._trace = trace
        self._step = Taking()

    def run(self) -> None:
        """Log in, or raise `ConnectFailed` or `TurnStopped`."""
        with self._trace.step("login") as self._step:
            self._step.say(user=self.host.user)
            try:
                with asked_by(self.stopped):
                    self._run()
            finally:
                self._step.say(allowed=self.transport.packets.methods)

    def _run(self) -> None:
        again = True
        while again:  # what was accepted in part opens other methods: from the first credential on again
            again = False
            for offer in self._offers():
                if offer.mark in self._spent or not (self.allowed is None or offer.method in self.allowed):
                    continue
                outcome = self._attempt(offer)
                if outcome == "in":
                    return
                if outcome == "more":
                    again = True
                    break
            if self.allowed is None and not self.tried:
                # there was nothing to offer: what the server takes is still to be learned (RFC 4252, section 5.2)
                if self._attempt(self._nothing()) == "in":
                    return
                again = self.allowed is not None
        raise self._refused()

    # --- what is offered, in order ---

    def _nothing(self) -> _Offer:
        return _Offer("none", "nothing", "none", lambda auth, event: auth.auth_none(self.host.user, event))

    def _offers(self) -> Iterator[_Offer]:
        host = self.host
        wanted = host.preferred_authentications
        if wanted is None:
            yield from self._keys(self.keyring.own(host))
            yield from self._passwords()
            yield from self._keys(self._others())
        for method in wanted or ():
            if method == "publickey":
                yield from self._keys(self.keyring.own(host))
                yield from self._keys(self._others())
            else:
                yield from (offer for offer in self._passwords() if offer.method == method)

    def _others(self) -> Iterator[Identity]:
        if self.host.pubkey_authentication and (self.allowed is None or "publickey" in self.allowed):
            yield from self.keyring.others(self.host, self.problems)

    def _keys(self, identities: Iterator[Identity]) -> Iterator[_Offer]:
        if not self.host.pubkey_authentication:
            return
        for identity in identities:
            key = identity.key
            mark = key.public_blob.key_blob if key.public_blob else key.asbytes()

            def begin(auth: AuthHandler, event: threading.Event, key: paramiko.PKey = key) -> None:
                auth.auth_publickey(self.host.user, key, event)

            yield _Offer("publickey", identity.name, mark, begin)

    def _passwords(self) -> Iterator[_Offer]:
        host = self.host
        secret = host.password
        if secret is not None and host.password_authentication and not self.password_refused:
            yield _Offer(
                "password",
                "the password",
                "password",
                # as bytes: what is not UTF-8 is sent as it came, and no error of an encoder shows a part of it
                lambda auth, event: auth.auth_password(host.user, typed(secret.reveal()), event),  # type: ignore[arg-type]  # any bytes do
            )
        # the same password as before would count as another wrong one
        if (
            self.allowed is not None
            and host.kbd_interactive_authentication
            and not self.password_refused
            and (secret is not None or self._partly or self.alone)
        ):
            name = "the password" if secret is not None else "answers to its questions"
            yield _Offer(
                "keyboard-interactive",
                name,
                "keyboard-interactive",
                lambda auth, event: auth.auth_interactive(host.user, self._interview.answer, event),  # type: ignore[arg-type]  # as above
            )

    @property
    def alone(self) -> bool:
        """Whether questions are all that the server takes."""
        return self.allowed == ["keyboard-interactive"]

    # --- one credential ---

    def _attempt(self, offer: _Offer) -> Literal["in", "more", "no"]:
        """Offer one credential. ``no``: it was refused (and counted in ``tried``) or the server has no such method."""
        if self.stopped():
            raise TurnStopped
        name = offer.name
        try:
            more = self._answer(offer)
        except paramiko.BadAuthenticationType as error:
            self.allowed = list(error.allowed_types)
            why = (
                "the server does not take that method" if offer.method != "none" else "there is no key and no password"
            )
            self._step.add("offered", f"{name}: {why}")
            return "no"
        except _Unusable as error:
            self._spent.add(offer.mark)
            self.problems.append(str(error))
            self._step.add("offered", f"{name}: {error}")
            return "no"
        except (paramiko.AuthenticationException, paramiko.SSHException, OSError, EOFError) as error:
            if self.stopped():
                raise TurnStopped from None
            self._spent.add(offer.mark)
            refused = isinstance(error, paramiko.AuthenticationException) and self.transport.is_active()
            self.tried.append(name)
            if name == "the password":
                self.password_refused = self._interview.password_given or offer.method == "password"
            if self._interview.unanswered:
                raise self._interview.failure(self.tried) from None
            if not refused and self.transport.gone():
                self._step.add("offered", f"{name}: the connection ended")
                raise self._ended() from None
            self._step.add("offered", f"{name}: {'refused' if refused else error}")
            return "no"
        self._spent.add(offer.mark)
        if more:  # accepted, and the server wants another method as well
            self.allowed = list(more)
            self._partly = True
            self._step.add("offered", f"{name}: accepted, and it wants {', '.join(more)} as well")
            return "more"
        self._step.add("offered", f"{name}: accepted")
        return "in"

    def _answer(self, offer: _Offer) -> list[str]:
        """Offer one credential; what the server still wants. Raises as `paramiko.Transport.auth_password` does."""
        event = threading.Event()
        handler = self.transport.auth_handler = _Handler(self.transport)
        handler.stopped, handler.encoding = self.stopped, self.host.encoding
        first = not self.transport.service_asked
        with self.transport.together():
            offer.begin(handler, event)
            # OpenSSH takes the request for a session behind the credential; after a refusal it ignores it. Where
            # compression begins with the login, what travels behind the credential could not be read
            together = self.transport.service_asked and not (self.host.compression or handler.asks_first())
            if first and together:
                self.sessions.ahead()
        try:
            while not event.wait(self.patience) and self._interview.under_way(time.monotonic() - self.patience):
                pass  # the time that a person takes to answer counts for nothing
            if handler.unusable:
                raise _Unusable(handler.unusable)
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
                self._advice(),
            ),
            password_refused=self.password_refused or "the password" in self.tried,
        )

    def _refused(self) -> ConnectFailed:
        if self._partly:
            message = f"login as {self.host.user} accepted in part only"
            message += f": it wants {', '.join(self.allowed or ())[:200]} as well"
        elif not self.tried and self.host.password_withheld:
            message = f"the password of {self.host.user} was refused before, and is not offered again"
        elif not self.tried:
            wanted = f"; it allows {', '.join(self.allowed)[:200]}" if self.allowed else ""
            message = f"nothing to log in with as {self.host.user}{wanted}"
        else:
            message = f"login as {self.host.user} refused ({self._tried()})"
        for problem in dict.fromkeys(self.problems):
            message += f"; {problem}"
        if self.host.password_withheld and (self.tried or self._partly):
            message += "; its password was refused before, and is not offered again"
        return ConnectFailed(Failure("auth", message, self._advice()), password_refused=self.password_refused)

    def _advice(self) -> str:
        """What a person can do."""
        host = self.host
        if host.password_advice and host.password_withheld:
            return host.password_advice
        if host.password_advice and self.password_refused:
            return f"the password or `user` is wrong: {host.password_advice}"
        if host.moment:
            return _MOMENT_HINT
        if any(
            problem.startswith("cannot use the key") for problem in self.problems
        ):  # the inventory's own ends a login
            return f"correct that IdentityFile, or {_AUTH_HINT}"
        return _AUTH_HINT if self.tried or self._partly or self.problems else NOTHING_HINT

    def _tried(self) -> str:
        names = list(dict.fromkeys(self.tried))
        return "tried " + (", ".join(names) if names else "nothing")


class _Unusable(Exception):
    """A credential that could not be offered; the text says why."""
