"""A visitor of the demo fleet: reads its inventory, logs in, runs commands, copies files."""

from __future__ import annotations

import asyncio
import configparser
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncssh
import paramiko
from ClusterShell.NodeSet import NodeSet

from hostshell.demo.fleet import DemoFleet

T = TypeVar("T")
NAMES = ("web01", "web02", "db01", "db02", "h1", "h2", "h3")
RUNNING = NAMES[:-1]
PATIENCE = 30.0


@dataclass(frozen=True)
class Entry:
    """A host as its inventory describes it."""

    name: str
    address: str
    port: int
    user: str
    password: str | None
    key: str | None


def entries(fleet: DemoFleet) -> dict[str, Entry]:
    """What hosts.ini says of each host: [defaults], then its group, then its own section."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.read_string(Path(fleet.inventory).read_text())
    found = {}
    for section in parser.sections():
        kind, _, _ = section.partition(":")
        if kind != "group":
            continue
        for name in NodeSet(parser[section]["hosts"]):
            settings = {**parser["defaults"], **parser[section], **parser[f"host:{name}"]}
            found[name] = Entry(
                name,
                settings["address"],
                int(settings["port"]),
                settings["user"],
                settings.get("password"),
                settings.get("key"),
            )
    return found


def groups(fleet: DemoFleet) -> dict[str, list[str]]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.read_string(Path(fleet.inventory).read_text())
    return {s.partition(":")[2]: list(NodeSet(parser[s]["hosts"])) for s in parser.sections() if s.startswith("group:")}


def home(fleet: DemoFleet, name: str = "web01") -> Path:
    return Path(fleet.root, name, "home")


def login(fleet: DemoFleet, name: str, **changed: object) -> paramiko.SSHClient:
    """A paramiko connection, with the credential and the host key of the fleet's own files."""
    entry = entries(fleet)[name]
    client = paramiko.SSHClient()
    client.load_host_keys(fleet.known_hosts)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    options = {"username": entry.user, "password": entry.password, "key_filename": entry.key, **changed}
    try:
        client.connect(entry.address, entry.port, allow_agent=False, look_for_keys=False, timeout=20, **options)
    except BaseException:
        client.close()
        raise
    return client


def connection(fleet: DemoFleet, name: str = "web01") -> asyncssh.connection._ACMWrapper:
    """An asyncssh connection, for what paramiko has no call for."""
    entry = entries(fleet)[name]
    return asyncssh.connect(
        entry.address,
        entry.port,
        username=entry.user,
        password=entry.password,
        client_keys=[entry.key] if entry.key else None,
        known_hosts=fleet.known_hosts,
        agent_path=None,
        config=None,
        encoding=None,
    )


def on_host(fleet: DemoFleet, act: Callable[[asyncssh.SSHClientConnection], Awaitable[T]], name: str = "web01") -> T:
    async def go() -> T:
        async with connection(fleet, name) as conn:
            return await asyncio.wait_for(act(conn), PATIENCE)

    return asyncio.run(go())


def by_sftp(fleet: DemoFleet, act: Callable[[asyncssh.SFTPClient], Awaitable[T]], name: str = "web01") -> T:
    async def go(conn: asyncssh.SSHClientConnection) -> T:
        async with conn.start_sftp_client() as sftp:
            return await act(sftp)

    return on_host(fleet, go, name)


def run(fleet: DemoFleet, command: str | bytes, name: str = "web01", **options: object) -> asyncssh.SSHCompletedProcess:
    return on_host(fleet, lambda conn: conn.run(command, encoding=None, **options), name)


def alive(pid: int) -> bool:
    """Whether a process is there and not only waits to be buried."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


async def first_number(process: asyncssh.SSHClientProcess) -> int:
    return int(await process.stdout.readline())
