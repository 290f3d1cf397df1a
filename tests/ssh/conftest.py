"""Connections and a copier for the tests of copies: a real sshd, a folder on "the host", a folder here."""

from __future__ import annotations

import os
import pwd
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
import pytest

from hostshell.core.model import Get, Put
from hostshell.core.paths import local_layout
from hostshell.ssh import transfer
from hostshell.ssh.link import Link, tune
from hostshell.ssh.transport import Transport
from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.sshd import Sshd


@dataclass
class Copier:
    """Copies as ``account`` over one connection. ``there`` is a folder on the host, ``here`` one of this machine."""

    transport: paramiko.Transport
    there: Path
    here: Path
    host: str = "h1"
    stopped: Callable[[], bool] = lambda: False
    reports: list[tuple[str, int, int]] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)  # with each report
    compared: list[int] = field(default_factory=list)  # bytes of each comparison that was told

    @property
    def partials(self) -> Path:
        """Where what cut copies left is recorded."""
        return self.here.parent / f"{self.here.name}-partials"

    def put(self, local: Path | str, remote: Path | str, *, parents: bool = False, **more: Any) -> transfer.Copied:
        """`transfer.put`; a relative remote text is below ``there``. ``more`` are further fields of `Put`."""
        self.reports.clear()
        self.saved.clear()
        self.compared.clear()
        task = Put(os.path.join(self.here, local), self.remote(remote), parents, **more)
        return transfer.put(
            self.transport, task, self.host, report=self._report, stopped=self.stopped, partials=self.partials
        )

    def get(self, remote: Path | str, local: str = "out/", *, expect: str = "", **more: Any) -> transfer.Copied:
        """`transfer.get`; relative texts are below ``there`` and ``here``. ``expect``: how it must fail."""
        self.reports.clear()
        self.saved.clear()
        self.compared.clear()
        layout = local_layout(f"{self.here}/{local}").replace("{host}", self.host)
        task = Get(self.remote(remote), layout, **more)
        if expect:
            with pytest.raises(transfer.TransferError, match=expect):
                transfer.get(self.transport, task, self.host, report=self._report, stopped=self.stopped)
            return transfer.Copied(0, 0)
        return transfer.get(self.transport, task, self.host, report=self._report, stopped=self.stopped)

    def remote(self, text: Path | str) -> str:
        """The text as the host gets it."""
        text = str(text)
        return text if text.startswith(("/", "~")) else f"{self.there}/{text}"

    def give(self, path: Path) -> None:
        """Make all of a tree on the host the login user's own."""
        owner = self.there.stat()
        for below in [path, *path.rglob("*")]:
            os.chown(below, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _report(self, path: str, done: int, total: int, saved: int, comparing: int) -> None:
        self.reports.append((path, done, total))
        self.saved.append(saved)
        if comparing:
            self.compared.append(comparing)


def connect(address: str, port: int, user: str, key: Path) -> paramiko.Transport:
    """A connection over our own transport, logged in; its sessions are paramiko's."""
    sock = socket.create_connection((address, port))
    tune(sock, keepalive=0)
    transport = Transport(Link(sock, budget=None))
    transport.start_client(timeout=20)
    transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(key)))
    return transport


def folder_of(account: Account, parent: Path | None = None) -> Path:
    """A new folder that belongs to ``account``."""
    folder = (parent or account.home) / f"there-{secrets.token_hex(4)}"
    folder.mkdir()
    os.chown(folder, account.uid, pwd.getpwuid(account.uid).pw_gid)
    return folder


@pytest.fixture(scope="session")
def user_transport(sshd: Sshd, accounts: list[Account], client_key: Key) -> Iterator[paramiko.Transport]:
    """A connection of ``accounts[0]``: as root an ordinary user of its own, else ourselves."""
    transport = connect(sshd.address, sshd.port, accounts[0].name, client_key.path)
    yield transport
    transport.close()


@pytest.fixture
def copier(user_transport: paramiko.Transport, accounts: list[Account], tmp_path: Path) -> Copier:
    """Copies as ``accounts[0]``."""
    return Copier(user_transport, folder_of(accounts[0]), tmp_path)
