"""The seven hosts of the demo fleet, and the texts that describe them: hosts.ini, known_hosts, sample files.

Must not know SSH, processes or where anything is written.
"""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass

DEFAULT_USER = "demo"


@dataclass(frozen=True, slots=True)
class Seat:
    """One host as it is planned: who may log in and how. ``off``: it has a place but nothing listens there."""

    name: str
    group: str
    user: str
    by_key: bool = False
    off: bool = False


SEATS = (
    Seat("web01", "web_clusters", "www", by_key=True),
    Seat("web02", "web_clusters", "www", by_key=True),
    Seat("db01", "db_servers", "postgres"),
    Seat("db02", "db_servers", "postgres"),
    Seat("h1", "lab", "alice"),
    Seat("h2", "lab", "bob", by_key=True),
    Seat("h3", "lab", DEFAULT_USER, off=True),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a host listens, on the loopback interface."""

    ip: str
    port: int


def passwords() -> dict[str, str]:
    """A fresh password for each host that takes one. db01 has its group's, db02 one of its own."""
    fresh = {seat.name: secrets.token_urlsafe(12) for seat in SEATS if not seat.by_key}
    # hosts.ini takes a value byte for byte, and this one shows it
    fresh["db02"] += ";#100%"
    return fresh


def inventory(addresses: dict[str, Address], secret: dict[str, str], key: str, known_hosts: str) -> str:
    """The fleet's hosts.ini. ``secret`` is a password for each name, ``key`` and ``known_hosts`` are paths."""

    def place(name: str) -> str:
        return f"address = {addresses[name].ip}\nport = {addresses[name].port}"

    return f"""\
# The hosts of the demo: SSH servers on this machine alone, gone when you leave. Your own hosts.ini looks the same.
# A setting may stand in [defaults], in a group or at a host; the host's own wins, then its group's, then [defaults].
# Try at the prompt:  show web01     It tells where each value came from.

[defaults]
# Who logs in where nothing else is said.
user = {DEFAULT_USER}
# The keys by which these hosts are recognised. Leave this out and your ~/.ssh/known_hosts is used.
known_hosts = {known_hosts}

# A group names hosts. web[01-02] is web01 and web02.
[group:web_clusters]
hosts = web[01-02]
user = www
# A private key file logs in without a password.
key = {key}

[group:db_servers]
hosts = db[01-02]
user = postgres
# A file that holds passwords must be yours alone (chmod 600 hosts.ini). Better for real hosts: password_from = ask
password = {secret["db01"]}

[group:lab]
hosts = h[1-3]

# A host needs a section only where it differs from its group. These share one machine, so each has its own port.
[host:web01]
{place("web01")}

[host:web02]
{place("web02")}

[host:db01]
{place("db01")}

[host:db02]
{place("db02")}
# Its own password beats the group's. A value is taken byte for byte: ; # % and quotes belong to it.
password = {secret["db02"]}

[host:h1]
{place("h1")}
user = alice
password = {secret["h1"]}

[host:h2]
{place("h2")}
user = bob
key = {key}

# This one is switched off, to show how that looks.
[host:h3]
{place("h3")}
password = {secret["h3"]}
"""


def known_hosts(addresses: dict[str, Address], keys: dict[str, str]) -> str:
    """The fleet's known_hosts: one line a host. ``keys`` is ``type base64`` for each name."""
    return "".join(
        f"[{addresses[seat.name].ip}]:{addresses[seat.name].port} {keys[seat.name]} {seat.name}\n" for seat in SEATS
    )


def programs(seat: Seat) -> dict[str, str]:
    """Scripts that come first on the host's PATH, by name: each host answers with its own name and user."""
    return {
        "hostname": f"#!/bin/sh\necho {seat.name}\n",
        "whoami": f"#!/bin/sh\necho {seat.user}\n",
        "uname": f"""\
#!/bin/sh
if [ "$*" = -n ]; then echo {seat.name}; exit; fi
PATH="${{PATH#*:}}"
exec uname "$@"
""",
    }


def samples(seat: Seat) -> dict[str, str]:
    """Files for the home directory, by relative path: some are the same everywhere, some differ."""
    # db02 missed the last release: -b shows the odd one out
    version = "1.4.1" if seat.name == "db02" else "1.4.2"
    role = {"web_clusters": "serves the site", "db_servers": "keeps the data", "lab": "is for trying things"}
    return {
        "notes.txt": f"{seat.name} {role[seat.group]}.\nLog in as {seat.user}.\n",
        "app.conf": f"[app]\nversion = {version}\nworkers = 4\nlog = logs/app.log\n",
        "logs/app.log": _log(seat.name),
    }


def _log(name: str) -> str:
    """A day of a small program, the same at every start but different for each host."""
    state = zlib.crc32(name.encode())
    lines = []
    for minute in range(0, 1440, 30):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        level, text = "INFO", f"served {state % 900 + 100} requests"
        if state % 11 == 0:
            level, text = "ERROR", "upstream did not answer"
        elif state % 5 == 0:
            level, text = "WARN", f"slow request: {state % 4000 + 1000} ms"
        lines.append(f"2024-05-01T{minute // 60:02}:{minute % 60:02}:00 {name} app {level} {text}\n")
    return "".join(lines)
