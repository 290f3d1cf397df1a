"""A host's name and port to a connected TCP socket, within a deadline and stoppable at any moment.

Must not know SSH. Every wait is cut into slices, so that a stop is seen at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable

from hostshell.core.events import Failure
from hostshell.core.model import AddressFamily
from hostshell.ssh.failures import ConnectFailed, TurnStopped
from hostshell.ssh.trace import SILENT, Taking, Trace

SLICE = 0.05  # seconds between two looks at `stopped`
STAGGER = 0.25  # seconds before the next address is tried beside the first (RFC 8305, section 5)

_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
_FAMILY_NAMES = {"inet": "IPv4", "inet6": "IPv6"}
_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def dial(
    address: str,
    port: int,
    deadline: float,
    stopped: Callable[[], bool],
    trace: Trace = SILENT,
    *,
    family: AddressFamily = "any",
    bind: str | None = None,
) -> socket.socket:
    """A connected socket, from the local address ``bind``. ``deadline`` is on `time.monotonic`; ``trace`` is told all.

    Raises `ConnectFailed` (kinds dns, refused, unreachable, timeout) or `TurnStopped`.
    """
    with trace.step("name") as step:
        step.say(name=address)
        places = resolve(address, port, deadline, stopped, family)
        step.say(addresses=tuple(str(where[0]) for _, where in places))
    with trace.step("port") as step:
        step.say(port=port)
        return _race(places, port, deadline, stopped, step, bind)


def resolve(
    address: str, port: int, deadline: float, stopped: Callable[[], bool], only: AddressFamily = "any"
) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """The socket addresses of a name, families taking turns (RFC 8305, section 4).

    getaddrinfo knows no time-out, so it runs in a thread of its own that may outlive this call when DNS hangs.
    """
    answer: list[object] = []

    def ask() -> None:
        try:
            found: object = socket.getaddrinfo(address, port, _FAMILIES[only], socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found = error
            if only != "any":
                with contextlib.suppress(OSError, UnicodeError):
                    socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
                    found = _no_address_of(only)
        answer.append(found)

    if _is_literal(address):
        ask()
    else:
        thread = threading.Thread(target=ask, name=f"resolve {address}", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(SLICE)
            if stopped():
                raise TurnStopped
            if time.monotonic() >= deadline and thread.is_alive():
                raise ConnectFailed(
                    Failure("dns", "its address was not resolved in time", "is the DNS server reachable?")
                )
    result = answer[0]
    if isinstance(result, Failure):
        raise ConnectFailed(result)
    if isinstance(result, Exception):
        reason = result.strerror if isinstance(result, OSError) and result.strerror else str(result)
        raise ConnectFailed(
            Failure(
                "dns",
                f"its address cannot be resolved: {reason}",
                "is the name right? show NAME says where it comes from",
            )
        )
    assert isinstance(result, list)
    families: dict[socket.AddressFamily, list[tuple[object, ...]]] = {}
    for family, _, _, _, where in result:
        families.setdefault(family, []).append(where)
    mixed: list[tuple[socket.AddressFamily, tuple[object, ...]]] = []
    while any(families.values()):
        for family, places in families.items():
            if places:
                mixed.append((family, places.pop(0)))
    return mixed


def _no_address_of(family: AddressFamily) -> Failure:
    """For a name that has addresses, and only others than were asked for."""
    return Failure(
        "dns",
        f"it has no {_FAMILY_NAMES[family]} address, and AddressFamily {family} allows no other",
        "AddressFamily is a setting of your ssh_config: show NAME says where it stands",
    )


def _is_literal(address: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


def _race(
    places: list[tuple[socket.AddressFamily, tuple[object, ...]]],
    port: int,
    deadline: float,
    stopped: Callable[[], bool],
    step: Taking,
    bind: str | None = None,
) -> socket.socket:
    def tried(where: object, code: int) -> None:
        step.add("tried", f"{where}: {os.strerror(code).lower() if code else 'connected'}")

    waiting = list(places)
    under_way: dict[int, tuple[socket.socket, object]] = {}
    poll = select.poll()
    last_error = 0
    unbound = ""  # why BindAddress could not be had
    next_start = time.monotonic()
    winner: socket.socket | None = None
    try:
        while waiting or under_way:
            now = time.monotonic()
            if stopped():
                raise TurnStopped
            if now >= deadline:
                raise ConnectFailed(
                    Failure(
                        "timeout", f"no answer from port {port} in time", "is the host up, and does a firewall drop us?"
                    )
                )
            if waiting and (now >= next_start or not under_way):
                family, where = waiting.pop(0)
                next_start = now + STAGGER
                try:
                    sock = socket.socket(family, socket.SOCK_STREAM)
                except OSError as error:  # this machine may have no IPv6, or no descriptor left
                    last_error = error.errno or 0
                    tried(where[0], last_error)
                    continue
                sock.setblocking(False)
                why_not = _bind(sock, family, bind) if bind is not None else ""
                if why_not:
                    unbound = why_not
                    step.add("tried", f"{where[0]}: BindAddress {bind}: {why_not}")
                    sock.close()
                    continue
                result = sock.connect_ex(where)
                if result not in (0, errno.EINPROGRESS):
                    last_error = result
                    tried(where[0], result)
                    sock.close()
                    continue
                under_way[sock.fileno()] = sock, where[0]
                poll.register(sock, select.POLLOUT)
            for fd, _ in poll.poll(SLICE * 1000):
                sock, place = under_way.pop(fd)
                poll.unregister(fd)
                result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                tried(place, result)
                if result == 0:
                    winner = sock
                    return winner
                last_error = result
                sock.close()
                next_start = 0.0
    finally:
        for sock, place in under_way.values():
            if sock is not winner:
                step.add("tried", f"{place}: no answer{' yet' if winner is not None else ''}")
                sock.close()
    if unbound and not last_error:  # an address that could be tried says more
        hint = "is that an address of this machine? it is a setting of your ssh_config: show NAME says where it stands"
        raise ConnectFailed(Failure("unreachable", f"BindAddress {bind} cannot be used: {unbound}", hint))
    # a server that resets what it has just accepted (MaxStartups, tcp wrappers) may take the next connect
    raise ConnectFailed(_failure(last_error, port), retriable=last_error == errno.ECONNRESET)


def _bind(sock: socket.socket, family: socket.AddressFamily, address: str) -> str:
    """Let a connection come from ``address``; why it cannot, "" where it went well."""
    try:
        places = socket.getaddrinfo(address, 0, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        sock.bind(places[0][4])
    except socket.gaierror:
        kind = "IPv6" if family == socket.AF_INET6 else "IPv4"
        return f"the host has an {kind} address, and this is none"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _failure(code: int, port: int) -> Failure:
    if code == errno.ECONNREFUSED:
        return Failure("refused", f"connection refused (port {port})", "is sshd running there, and is the port right?")
    if code == errno.ECONNRESET:
        return Failure(
            "refused",
            "the server closed the connection during the SSH handshake",
            "too many connections at once (MaxStartups), or a firewall; a lower -f may help",
        )
    if code == errno.ETIMEDOUT:
        return Failure("timeout", f"no answer from port {port} in time", "is the host up, and does a firewall drop us?")
    if code in _NO_ROUTE:
        return Failure("unreachable", f"{os.strerror(code).lower()} (port {port})", "check the address and the network")
    reason = os.strerror(code).lower() if code else "the name has no address"
    return Failure("unreachable", f"cannot connect: {reason} (port {port})", "check the address and the network")
