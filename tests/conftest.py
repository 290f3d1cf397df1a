"""Fixtures for every test: a home of its own, accounts, keys, and real OpenSSH servers on loopback.

Must not know what is tested.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import settings

from tests.support.accounts import BY_KEY, Account, can_make_users, made_accounts
from tests.support.keys import Key, make_key
from tests.support.six_hosts import SixHosts, six_hosts_in
from tests.support.sshd import Sshd, find_sshd
from tests.support.standin import StandIn
from tests.support.sudo import real_sudo

# What of the surroundings would change an answer. HOME and XDG_* are set anew.
FOREIGN = ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")
NO_SUDO = "the real sudo is not tested, only a stand-in: it takes root and sudo (sh tests/support/get-sudo)"
STAND_IN = (
    "not root: an asyncssh server stands in for the users with passwords; run the tests as root to meet OpenSSH there"
)


def pytest_configure() -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that accounts and servers are taken away.

    Properties try the same examples in each run, and new ones when HOSTSHELL_FUZZ_EXAMPLES asks for so many: what fails
    must fail again, and whoever changed something else must not meet it.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    asked = int(os.environ.get("HOSTSHELL_FUZZ_EXAMPLES", "0"))
    settings.register_profile("ordinary", derandomize=not asked, deadline=None, max_examples=asked or 100)
    settings.load_profile("ordinary")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_report_header() -> list[str]:
    """Say which sshd is used, and when the password users are not real."""
    sshd = find_sshd()
    if sshd is None:
        return ["sshd: none found; tests that need one fail (get one with: sh tests/support/get-sshd)"]
    ssh = shutil.which("ssh")
    version = subprocess.run([ssh, "-V"], capture_output=True, text=True).stderr.strip() if ssh else ""
    lines = [f"sshd: {sshd} ({version})" if version else f"sshd: {sshd}"]
    if not real_sudo():
        lines.append(NO_SUDO)
    return lines if can_make_users() else [*lines, STAND_IN]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat at the end what was not tested against the real thing."""
    if not real_sudo():
        terminalreporter.section("sudo")
        terminalreporter.line(NO_SUDO)
    if not can_make_users():
        terminalreporter.section("stand-ins")
        terminalreporter.line(STAND_IN)


def _own_surroundings(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("HOME", str(home))
    for name, folder in {
        "CONFIG": ".config",
        "STATE": ".local/state",
        "DATA": ".local/share",
        "CACHE": ".cache",
    }.items():
        patch.setenv(f"XDG_{name}_HOME", str(home / folder))
    for name in [*FOREIGN, *(name for name in os.environ if name.startswith("HOSTSHELL_"))]:
        patch.delenv(name, raising=False)
    # nor ~/.ssh/config and /etc/ssh/ssh_config of whoever runs this: tests of them name a file, or take this away
    patch.setenv("HOSTSHELL_SSH_CONFIG", "none")


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty HOME for the whole run: the real user's files never count, even where a test forgets `clean_home`."""
    home = tmp_path_factory.mktemp("nobodys-home")
    with pytest.MonkeyPatch.context() as patch:
        _own_surroundings(patch, home)
        yield home


@pytest.fixture
def clean_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME (and XDG_*_HOME in it, not made yet) for one test alone, without an agent."""
    home = tmp_path_factory.mktemp("home")
    _own_surroundings(monkeypatch, home)
    return home


@pytest.fixture(scope="session")
def accounts() -> Iterator[list[Account]]:
    """Six accounts: the first three can log in by key to an `Sshd`, the last three by password to `password_sshd`."""
    with made_accounts() as made:
        yield made


@pytest.fixture(scope="session")
def client_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    """Keys of a person: ``ed25519``, ``ecdsa`` (P-256), and ``rsa``, which has a passphrase."""
    folder = tmp_path_factory.mktemp("client-keys")
    return {
        "ed25519": make_key(folder / "id_ed25519"),
        "ecdsa": make_key(folder / "id_ecdsa", "ecdsa"),
        "rsa": make_key(folder / "id_rsa", "rsa", passphrase="open; sesame #1"),
    }


@pytest.fixture(scope="session")
def client_key(client_keys: dict[str, Key]) -> Key:
    """A person's ed25519 key without a passphrase."""
    return client_keys["ed25519"]


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    """One OpenSSH server that lets ``accounts[:3]`` in with ``client_key`` (as root: all six, with passwords too)."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        # Without root the first three are one user of the system: one key cannot lead to three homes.
        for account in accounts if can_make_users() else accounts[:1]:
            server.authorize(account, client_key.public)
        yield server


@pytest.fixture(scope="session")
def signalled_sshd(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, accounts: list[Account], client_key: Key
) -> Iterator[Sshd]:
    """As `sshd`, for ``accounts[0]``, and OpenSSH passes signals on to its commands: as root the same server.

    Without root the home of the account is the real one of who runs the tests: write nothing there.
    """
    if can_make_users():
        yield request.getfixturevalue("sshd")
        return
    with Sshd(tmp_path_factory.mktemp("signalled-sshd")) as server:
        # an option of its own keeps `authorize` from forcing a command, to which OpenSSH would send no signal
        server.authorize(accounts[0], client_key.public, "no-agent-forwarding")
        yield server


@pytest.fixture(scope="session")
def password_sshd(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, accounts: list[Account]
) -> Iterator[Sshd | StandIn]:
    """A server at which ``accounts[3:]`` log in with their passwords: as root the same as `sshd`."""
    if can_make_users():
        yield request.getfixturevalue("sshd")
        return
    with StandIn(tmp_path_factory.mktemp("stand-in"), accounts[BY_KEY:]) as server:
        yield server


@pytest.fixture(scope="session")
def six_hosts(
    tmp_path_factory: pytest.TempPathFactory, accounts: list[Account], client_keys: dict[str, Key]
) -> Iterator[SixHosts]:
    """Six servers with different addresses, ports, users and credentials, and a hosts.ini that names them."""
    with six_hosts_in(tmp_path_factory.mktemp("six-hosts"), accounts, client_keys) as made:
        yield made
