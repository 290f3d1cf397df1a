"""Endpoint and credentials to an authenticated connection; the library's errors to failure kinds.

Must not know tasks. Order: name and TCP (`dial`), handshake, host key (before any credential leaves), login.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable

import paramiko

from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.ssh.credentials import Keyring
from hostshell.ssh.dial import dial
from hostshell.ssh.failures import ConnectFailed, KeyOffer, NewHostKey, TurnStopped
from hostshell.ssh.hostkeys import algorithm_order, decide
from hostshell.ssh.keystore import KeyStores
from hostshell.ssh.knownhosts import HostKey
from hostshell.ssh.link import Link, LinkFlood, tune
from hostshell.ssh.packets import Packets, Transport, farewell, has_own_command, listen, packets_of
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.userauth import attempt

# paramiko still offers retired algorithms; ours are those that OpenSSH 9 offers, the cheapest safe cipher first
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)

# without a handler of its own, paramiko's transport errors reach the screen through logging's last resort
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connection:
    """An authenticated transport to one host, kept warm by its worker."""

    def __init__(self, host: Host, transport: paramiko.Transport, link: Link) -> None:
        self.host = host
        self.transport = transport
        self.link = link
        self.notes: list[str] = []
        self._told_of_command = False

    @property
    def alive(self) -> bool:
        """False as soon as the transport's thread has seen the link end."""
        return bool(self.transport.is_active())

    def note_own_command(self) -> None:
        """Once a command has run: note, once a connection, where the server runs one of its own instead."""
        if not self._told_of_command and has_own_command(self.transport):
            self._told_of_command = True
            self.notes.append("authorized_keys binds this key to a command of its own; what ran may not be yours")

    def close(self) -> None:
        """End the connection and give everything back; safe from any thread, more than once."""
        self.link.close()
        self.transport.close()
        if self.transport.is_alive():
            self.transport.join(2.0)
        self.link.release()


class Connector:
    """Makes connections for one worker: what all its hosts share (keys, agent, known_hosts) lives here."""

    def __init__(self) -> None:
        self.keyring = Keyring()
        self.stores = KeyStores()

    def connect(self, host: Host, stopped: Stopper) -> Connection:
        """Log in to ``host`` within its connect_timeout.

        ``stopped`` ends the attempt at once with `TurnStopped`. Raises `ConnectFailed` or `NewHostKey`.
        """
        deadline = time.monotonic() + host.connect_timeout
        store = self.stores.of(host.known_hosts)
        known = store.lookup(host.address, host.port)
        sock = dial(host.address, host.port, deadline, stopped)
        link = Link(sock, deadline)
        try:
            tune(sock, host.keepalive)
            transport = Transport(link, packetizer_class=Packets)  # type: ignore[arg-type]  # any socket-like object does
            listen(transport)
            options = transport.get_security_options()
            options.ciphers = CIPHERS
            options.digests = DIGESTS
            options.key_types = algorithm_order(known, options.key_types)
        except (OSError, paramiko.SSHException):
            link.release()
            raise ConnectFailed(Failure("refused", "the connection ended at once"), retriable=True) from None
        connection = Connection(host, transport, link)
        try:
            with stopped.calling(link.close):
                self._shake(connection, deadline, stopped)
                link.budget = None
                self._check_key(connection)
                self._login(connection, stopped)
        except BaseException:
            connection.close()
            raise
        link.deadline = None
        return connection

    def _shake(self, connection: Connection, deadline: float, stopped: Stopper) -> None:
        transport, link = connection.transport, connection.link
        # paramiko's own limits stand behind ours: the link's deadline is the one that counts
        left = max(0.1, deadline - time.monotonic())
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = left + 5
        try:
            transport.start_client(timeout=left + 5)
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            if stopped():
                raise TurnStopped from None
            raise _handshake_failed(transport, link, error) from None
        if not transport.is_active():
            raise _handshake_failed(transport, link, transport.get_exception())

    def _check_key(self, connection: Connection) -> None:
        host = connection.host
        offered = connection.transport.get_remote_server_key()
        key = HostKey(offered.get_name(), base64.b64encode(offered.asbytes()).decode("ascii"))
        store = self.stores.of(host.known_hosts)
        known = store.lookup(host.address, host.port)
        policy = host.host_keys or "strict"
        decision = decide(policy, known, key, host.accepted_key)
        if decision.verdict == "new":
            raise NewHostKey(KeyOffer(host.name, host.address, host.port, f"{key.type} {key.blob}", key.fingerprint))
        if decision.verdict == "learn":
            try:
                store.learn(host.address, host.port, key)
            except OSError as error:
                connection.notes.append(f"the new host key could not be saved: {error.strerror or error}")
        elif decision.verdict != "trusted":
            assert decision.failure is not None
            raise ConnectFailed(decision.failure)

    def _login(self, connection: Connection, stopped: Stopper) -> None:
        _Login(connection, self.keyring, stopped).run()


class _Login:
    """One login: which credentials were tried, what the server still wants, and how to say that none was good."""

    def __init__(self, connection: Connection, keyring: Keyring, stopped: Stopper) -> None:
        self.host = connection.host
        self.transport = connection.transport
        self.link = connection.link
        self.keyring = keyring
        self.stopped = stopped
        self.allowed: list[str] | None = None  # the methods that the server named; None before it named any
        self.tried: list[str] = []
        self.password_refused = False

    def run(self) -> None:
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
        return self._attempt(
            name, lambda: attempt(self.transport, lambda auth, event: auth.auth_publickey(self.host.user, key, event))
        )

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
            if self._attempt(
                "the password",
                lambda: attempt(
                    self.transport, lambda auth, event: auth.auth_password(self.host.user, password, event)
                ),
            ):
                return True
            if len(self.tried) > refused_before:
                self.password_refused = True
                return False
        if self.allowed is not None and "keyboard-interactive" in self.allowed:
            ok = self._attempt(
                "the password",
                lambda: attempt(
                    self.transport, lambda auth, event: auth.auth_interactive(self.host.user, interactive, event)
                ),
            )
            self.password_refused = not ok
            return ok
        return False

    def _attempt(self, name: str, send: Callable[[], list[str]]) -> bool:
        """Offer one credential. False: it was refused (and counted in ``tried``) or the server has no such method."""
        if self.stopped():
            raise TurnStopped
        try:
            more = send()
        except paramiko.BadAuthenticationType as error:
            self.allowed = list(error.allowed_types)
            return False
        except (paramiko.AuthenticationException, paramiko.SSHException, OSError, EOFError):
            if self.stopped():
                raise TurnStopped from None
            if not self.transport.is_active():
                self.tried.append(name)
                raise self._ended() from None
            self.tried.append(name)
            return False
        if more:  # accepted, and the server wants another method as well
            self.allowed = list(more)
            return False
        return True

    def _ended(self) -> ConnectFailed:
        if self.link.expired:
            return ConnectFailed(
                Failure("timeout", "the login did not end in time", "is the server overloaded, or its DNS or PAM slow?")
            )
        # sshd hangs up after MaxAuthTries; whether this was that or the link, the password may have been heard
        return ConnectFailed(
            Failure(
                "auth",
                f"the server ended the connection during the login ({self._tried()}){farewell(self.transport)}",
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


_AUTH_HINT = "check `user`, `key` and `password_from` in the inventory (show NAME says where each comes from)"


def _handshake_failed(transport: paramiko.Transport, link: Link, error: BaseException | None) -> ConnectFailed:
    greeted = bool(transport.remote_version)
    if link.expired:
        if not greeted:
            return ConnectFailed(
                Failure("timeout", "connected, but no SSH banner came in time", "is that port really sshd's?")
            )
        return ConnectFailed(
            Failure(
                "timeout",
                "the SSH handshake did not end in time",
                "is the server overloaded, or a middlebox in the way?",
            )
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        if str(error).startswith("Incompatible version"):
            what = f"the server speaks an old version of SSH ({_reason(error)})"
            return ConnectFailed(Failure("algorithms", what, "only version 2 is safe; update the server"))
        return ConnectFailed(
            Failure(
                "algorithms",
                f"no algorithm in common: {_reason(error)}{_offered(transport, _reason(error))}",
                "the server offers only retired ones; update it",
            )
        )
    if isinstance(error, LinkFlood) or (link.budget is not None and link.budget < 0):
        return ConnectFailed(
            Failure("refused", "the server sent too much text instead of an SSH banner", "is that port really sshd's?")
        )
    return _hung_up(transport, link, error)


def _hung_up(transport: paramiko.Transport, link: Link, error: BaseException | None) -> ConnectFailed:
    """The server closed the connection before the login: in its own words where it gave any."""
    said = "" if transport.remote_version else link.first.decode("utf-8", "replace").strip()
    if said.startswith("Not allowed at this time"):  # OpenSSH 9.8 and later
        return ConnectFailed(
            Failure(
                "refused",
                "the server turns this machine away for a while (PerSourcePenalties)",
                "too many failed logins from here, perhaps; wait, and correct what fails",
            )
        )
    if said and not said.startswith("Exceeded MaxStartups") and not _is_banner(said):
        if not isinstance(error, (EOFError, ConnectionError)) and not _cut(error):
            what = "what answers there does not speak SSH"
            return ConnectFailed(Failure("refused", what, "is that port really sshd's?"))
        line = said.splitlines()[0][:80]
        return ConnectFailed(
            Failure("refused", f'the server said "{line}" and closed the connection', "is that port really sshd's?"),
            retriable=True,
        )
    why = farewell(transport)
    if transport.remote_version and not why and isinstance(error, paramiko.SSHException) and str(error) != _CLOSED:
        what = f"the SSH handshake failed: {str(error)[:100]}"
        return ConnectFailed(Failure("refused", what, "is a middlebox in the way, or the server broken?"))
    # sshd drops connections at random beyond MaxStartups; what happened then looks just like this
    return ConnectFailed(
        Failure(
            "refused",
            f"the server closed the connection during the SSH handshake{why}",
            "too many connections at once (MaxStartups), or a firewall; a lower -f may help",
        ),
        retriable=True,
    )


_CLOSED = "Negotiation failed."  # what paramiko says when the link ended and it does not know why


def _is_banner(text: str) -> bool:
    return "SSH-".startswith(text[:4])


# the word in paramiko's reason, and the list of the server's KEXINIT (RFC 4253, section 7.1) that it is about
_LISTS = {"kex": 0, "host key": 1, "cipher": 3, "mac": 5}


def _offered(transport: paramiko.Transport, reason: str) -> str:
    """What the server offered of the kind that failed; "" where that is not known."""
    index = next((index for word, index in _LISTS.items() if word in reason), None)
    raw = packets_of(transport).offer
    if index is None or not raw:
        return ""
    message = paramiko.Message(raw[16:])  # after the cookie
    names = [message.get_list() for _ in range(index + 1)][-1]
    return f" (offered: {', '.join(names)[:200]})"


def _cut(error: BaseException | None) -> bool:
    """paramiko wraps what ended the banner's line into text: an empty reason is an end of file."""
    text = str(error)
    return text == "Error reading SSH protocol banner" or "reset" in text.lower() or "Exceeded MaxStartups" in text


def _reason(error: BaseException) -> str:
    text = str(error)
    return (text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text)[:200]
