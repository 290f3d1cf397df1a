"""Endpoint and credentials to an authenticated connection; the library's errors to failure kinds.

Must not know tasks. Order: name and TCP (`dial`), handshake, host key (before any credential leaves), `login`.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable
from functools import partial

import paramiko

from hostshell.core.events import Failure
from hostshell.core.model import DEFAULT_PORT, Host
from hostshell.ssh.certificates import read_certificate
from hostshell.ssh.credentials import Keyring
from hostshell.ssh.dial import dial
from hostshell.ssh.failures import ConnectFailed, KeyOffer, NewHostKey, TurnStopped
from hostshell.ssh.hops import Hops
from hostshell.ssh.hostkeys import algorithm_order, decide, judge
from hostshell.ssh.interview import Ask
from hostshell.ssh.keystore import KeyStore, KeyStores
from hostshell.ssh.knownhosts import HostKey, Known
from hostshell.ssh.link import Link, LinkFlood, Wire, tune
from hostshell.ssh.login import Login
from hostshell.ssh.offers import LISTS, algorithms, offered
from hostshell.ssh.proxy import Proxy
from hostshell.ssh.sessions import Sessions
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import SILENT, Taking, Trace
from hostshell.ssh.transport import Transport
from hostshell.ssh.tunnel import Tunnel

# without a handler of its own, paramiko's transport errors reach the screen through logging's last resort
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connection:
    """An authenticated transport to one host, kept warm by its worker. To a jump host no sessions are opened ahead."""

    def __init__(self, host: Host, transport: Transport, link: Link, *, jump_host: bool = False) -> None:
        self.host = host
        self.transport = transport
        self.link = link
        self.sessions = Sessions(transport, host.connect_timeout, ahead=not jump_host, environment=host.environment)
        self.notes: list[str] = []
        self.hop_lost: Callable[[], str] = lambda: ""  # see `Tunnel`
        self._told_of_command = False

    @property
    def alive(self) -> bool:
        """False as soon as the transport's thread has seen the link end."""
        return bool(self.transport.is_active())

    def note_own_command(self) -> None:
        """Once a command has run: note, once a connection, where the server runs one of its own instead."""
        by = "" if self._told_of_command else self.transport.bound_by
        if by:
            self._told_of_command = True
            self.notes.append(f"{by} binds this key to a command of its own; what ran may not be yours")

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
        self._job = 0
        self.hops = Hops(partial(self.connect, jump_host=True))

    def new_job(self, number: int) -> None:
        """Keys come and go in an agent, and a jump host that was down may be up by now."""
        if number != self._job:
            self._job = number
            self.keyring.agents.refresh()
            self.hops.new_job()

    def close(self) -> None:
        """End the connections to jump hosts, and with them what goes through them."""
        self.hops.close()

    def connect(
        self,
        host: Host,
        stopped: Stopper,
        trace: Trace = SILENT,
        ask: Ask = lambda _: None,
        *,
        jump_host: bool = False,
    ) -> Connection:
        """Log in to ``host`` within its connect_timeout, through its jump hosts where it has some.

        ``stopped`` ends the attempt at once with `TurnStopped`. ``trace`` is told each step. Raises `ConnectFailed` or
        `NewHostKey`. ``ask`` puts to a person what a server asks at a login, of a jump host's too. ``jump_host``: it
        is to be one for others.
        """
        if host.unusable is not None:
            hint = "`show NAME` says where that stands; -x NAME leaves the host out"
            raise ConnectFailed(Failure("unreachable", host.unusable, hint))
        known = self._store_of(host).lookup(*_known_as(host))
        wire, deadline = self._reach(host, stopped, trace, ask)
        link = Link(wire, deadline)
        try:
            transport = Transport(link)
            transport.host_key_order = tuple(algorithm_order(known, transport.preferred_keys))
            if host.compression:
                transport.compress()
        except (OSError, paramiko.SSHException):
            link.release()
            raise ConnectFailed(Failure("refused", "the connection ended at once"), retriable=True) from None
        connection = Connection(host, transport, link, jump_host=jump_host)
        if isinstance(wire, Tunnel):
            connection.hop_lost = wire.hop_lost
        try:
            with stopped.calling(link.close):
                # paramiko's own limits stand behind ours: the link's deadline is the one that counts
                left = max(0.1, deadline - time.monotonic()) + 5
                self._shake(connection, wire, left, stopped, trace)
                link.budget = None
                self._check_key(connection, known, trace)
                transport.auth_timeout = left
                Login(host, connection.sessions, link, self.keyring, stopped, left, trace, ask).run()
        except BaseException:
            connection.close()
            raise
        link.deadline = None
        return connection

    def _store_of(self, host: Host) -> KeyStore:
        return self.stores.of(host.known_hosts, host.user_known_hosts, host.global_known_hosts)

    def _reach(self, host: Host, stopped: Stopper, trace: Trace, ask: Ask) -> tuple[Wire, float]:
        """What carries the bytes, and when the login must be over (on `time.monotonic`)."""
        if host.jump:
            return self.hops.through(host, stopped, trace, ask)
        deadline = time.monotonic() + host.connect_timeout
        if host.proxy_command is not None:
            with trace.step("port") as step:
                step.say(port=host.port, through="its ProxyCommand")
                return Proxy(host.proxy_command, (host.address, host.port)), deadline
        sock = dial(
            *(host.address, host.port, deadline, stopped, trace), family=host.address_family, bind=host.bind_address
        )
        try:
            tune(sock, host.keepalive, host.keepalive_count)
        except OSError:
            sock.close()
            raise ConnectFailed(Failure("refused", "the connection ended at once"), retriable=True) from None
        return sock, deadline

    def _shake(self, connection: Connection, wire: Wire, patience: float, stopped: Stopper, trace: Trace) -> None:
        transport = connection.transport
        failed: ConnectFailed | TurnStopped | None = None
        began = time.monotonic()
        try:
            transport.shake(patience)
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            failed = TurnStopped() if stopped() else _handshake_failed(transport, connection.link, error)
            if isinstance(failed, ConnectFailed) and isinstance(wire, Proxy) and not transport.remote_version:
                failed = _proxy_failed(wire, failed)
        # the banner and the key exchange are one step to paramiko, and two to a person
        with trace.step("banner") as step:
            step.began, step.ended = began, transport.packets.greeted
            step.say(banner=transport.remote_version or connection.link.first.decode("utf-8", "replace"))
            if failed is not None and not str(transport.remote_version).startswith(("SSH-2.0", "SSH-1.99")):
                raise failed
        with trace.step("key exchange") as step:
            step.began = transport.packets.greeted or began
            if trace.heard:
                step.say(**algorithms(transport))
            if failed is not None:
                raise failed

    def _check_key(self, connection: Connection, known: Known, trace: Trace) -> None:
        with trace.step("host key") as step:
            self._decide_on_key(connection, known, step)

    def _decide_on_key(self, connection: Connection, known: Known, step: Taking) -> None:
        host = connection.host
        offered = connection.transport.get_remote_server_key()
        key = HostKey(offered.get_name(), base64.b64encode(offered.asbytes()).decode("ascii"))
        certificate = None
        if offered.public_blob is not None:
            certificate = read_certificate(offered.public_blob.key_blob, _known_as(host)[0], time.time())
        if certificate is not None:
            step.say(authority=f"{certificate.authority.type} {certificate.authority.fingerprint}")
            judged = judge(known, certificate)
            if judged is not None:
                step.say(key=f"{key.type} {key.fingerprint}", decision=judged.verdict)
                if judged.failure is not None:
                    raise ConnectFailed(judged.failure)
                return
        policy = host.host_keys or "strict"
        decision = decide(policy, known, key, host.accepted_key)
        store = self._store_of(host)
        if decision.verdict != "trusted":  # another host may have taught us the key meanwhile
            known = store.lookup(*_known_as(host))
            decision = decide(policy, known, key, host.accepted_key)
        step.say(key=f"{key.type} {key.fingerprint}", decision=decision.verdict)
        for entry in (*known.entries, *known.plain, *known.revoked):
            step.add("known", f"{entry.key.type} {entry.key.fingerprint} in {entry.place}")
        if decision.verdict == "new":
            raise NewHostKey(KeyOffer(host.name, host.address, host.port, f"{key.type} {key.blob}", key.fingerprint))
        if decision.verdict == "learn":
            try:
                store.learn(*_known_as(host), key)
            except OSError as error:
                connection.notes.append(f"the new host key could not be saved: {error.strerror or error}")
        elif decision.verdict != "trusted":
            assert decision.failure is not None
            raise ConnectFailed(decision.failure)


def _known_as(host: Host) -> tuple[str, int]:
    """Under which address and port its host keys are looked up, as with ssh: an alias goes without a port."""
    return (host.address, host.port) if host.host_key_alias is None else (host.host_key_alias, DEFAULT_PORT)


def _proxy_failed(proxy: Proxy, failed: ConnectFailed) -> ConnectFailed:
    """Where the command ended, its own last words say more than we can."""
    said = proxy.last_words
    if not (said or proxy.ended):
        return failed
    words = f": {said}" if said else " without a word"
    hint = "run that command by hand to see what is wrong (show NAME says where it stands)"
    return ConnectFailed(Failure("refused", f"its ProxyCommand ended{words}", hint))


def _handshake_failed(transport: Transport, link: Link, error: BaseException | None) -> ConnectFailed:
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
            if not _reason(error).startswith("1."):
                what = "what answers there does not speak SSH"
                return ConnectFailed(Failure("refused", what, "is that port really sshd's?"))
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


def _hung_up(transport: Transport, link: Link, error: BaseException | None) -> ConnectFailed:
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
    why = transport.farewell
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


def _offered(transport: Transport, reason: str) -> str:
    """What the server offered of the kind that failed; "" where that is not known."""
    kind = next((kind for kind in LISTS if kind in reason), None)
    names = offered(transport, kind) if kind is not None else []
    return f" (offered: {', '.join(names)[:200]})" if names else ""


def _cut(error: BaseException | None) -> bool:
    """paramiko wraps what ended the banner's line into text: an empty reason is an end of file."""
    text = str(error)
    return text == "Error reading SSH protocol banner" or "reset" in text.lower() or "Exceeded MaxStartups" in text


def _reason(error: BaseException) -> str:
    text = str(error)
    return (text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text)[:200]
