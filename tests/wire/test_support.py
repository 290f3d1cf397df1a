"""The fixtures themselves: servers really serve, faults really happen, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.support import processes
from tests.support.accounts import BY_KEY, PASSWORDS, Account, can_make_users, made_accounts
from tests.support.endings import eventually
from tests.support.keys import Key
from tests.support.six_hosts import SixHost, SixHosts
from tests.support.sshd import Sshd
from tests.support.standin import StandIn


def ssh_command(server: Sshd | StandIn, account: Account, key: Path, known_hosts: Path, command: str) -> list[str]:
    options = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={known_hosts}", "StrictHostKeyChecking=yes"]
    return [
        *("ssh", "-F", "none", "-i", str(key), "-p", str(server.port), "-l", account.name),
        *(word for option in options for word in ("-o", option)),
        *(server.address, command),
    ]


@pytest.fixture
def known_hosts(tmp_path: Path, sshd: Sshd) -> Path:
    file = tmp_path / "known_hosts"
    file.write_text(f"{sshd.known_hosts_line}\n")
    return file


async def _run_with_password(server: Sshd | StandIn, account: Account, password: str, command: str) -> str:
    async with asyncssh.connect(
        server.address,
        server.port,
        username=account.name,
        password=password,
        client_keys=None,
        agent_path=None,
        config=None,
        known_hosts=asyncssh.import_known_hosts(server.known_hosts_line),
    ) as link:
        return str((await link.run(command)).stdout)


def run_with_password(server: Sshd | StandIn, account: Account, password: str, command: str) -> str:
    return asyncio.run(_run_with_password(server, account, password, command))


class TestSshd:
    def test_a_key_opens_a_plain_shell_in_the_home_of_the_account(
        self, sshd: Sshd, accounts: list[Account], client_key: Key, known_hosts: Path
    ) -> None:
        command = ssh_command(sshd, accounts[0], client_key.path, known_hosts, "pwd; echo $HOME; id -un")
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.split() == [str(accounts[0].home), str(accounts[0].home), accounts[0].name], done.stderr

    def test_sftp_starts_in_the_home_of_the_account(
        self, sshd: Sshd, accounts: list[Account], client_key: Key, known_hosts: Path, tmp_path: Path
    ) -> None:
        batch = tmp_path / "batch"
        batch.write_text(f"put {batch} sent\nls -1\n")
        login = ssh_command(sshd, accounts[0], client_key.path, known_hosts, "")
        options = [word for option in login[login.index("-o") : -2] for word in [option] if option != "-o"]
        done = subprocess.run(
            [
                *("sftp", "-F", "none", "-i", str(client_key.path), "-P", str(sshd.port), "-b", str(batch)),
                *(word for option in options for word in ("-o", option)),
                f"{accounts[0].name}@{sshd.address}",
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert (accounts[0].home / "sent").read_text() == batch.read_text()

    def test_a_key_that_was_not_authorized_is_refused(
        self, sshd: Sshd, accounts: list[Account], client_keys: dict[str, Key], known_hosts: Path
    ) -> None:
        command = ssh_command(sshd, accounts[0], client_keys["ecdsa"].path, known_hosts, "true")
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 255
        assert "Permission denied" in done.stderr

    def test_every_account_with_a_password_gets_in_with_it_and_with_no_other(
        self, password_sshd: Sshd | StandIn, accounts: list[Account]
    ) -> None:
        for account in accounts if can_make_users() else accounts[BY_KEY:]:
            said = run_with_password(password_sshd, account, account.password, "pwd")
            assert said.strip() == str(account.home)
            with pytest.raises(asyncssh.PermissionDenied):
                run_with_password(password_sshd, account, account.password + "x", "true")

    def test_options_add_replace_and_take_away_lines(self, tmp_path: Path) -> None:
        options = {
            "maxstartups": "3:50:9",
            "Subsystem": None,
            "AcceptEnv": ["FIRST", "SECOND"],
            "Match": "User nobody\n  ForceCommand false",
        }
        with Sshd(tmp_path, options=options) as server:
            config = (tmp_path / "sshd_config").read_text()
            assert server.port
        assert "MaxStartups 3:50:9\n" in config
        assert "MaxStartups 1000" not in config
        assert "Subsystem" not in config
        assert "AcceptEnv FIRST\nAcceptEnv SECOND\n" in config
        assert config.endswith("Match User nobody\n  ForceCommand false\n")

    def test_a_line_that_sshd_does_not_know_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="NoSuchSetting"):
            Sshd(tmp_path, options={"NoSuchSetting": "yes"}).start()

    def test_host_keys_of_each_kind_are_served(self, tmp_path: Path) -> None:
        with Sshd(tmp_path, host_key_types=("ed25519", "ecdsa", "rsa")) as server:
            scan = subprocess.run(
                ["ssh-keyscan", "-p", str(server.port), server.address], capture_output=True, text=True, check=True
            )
            served = {line for line in scan.stdout.splitlines() if not line.startswith("#")}
            assert served == set(server.known_hosts_line.splitlines())
            assert len(served) == 3

    def test_restart_keeps_port_and_host_key_unless_asked_for_a_new_one(self, tmp_path: Path) -> None:
        with Sshd(tmp_path) as server:
            before = server.known_hosts_line
            server.restart()
            assert server.known_hosts_line == before
            port = server.port
            server.restart(new_host_key=True)
            assert server.port == port
            assert server.known_hosts_line != before

    def test_stop_ends_sessions_and_what_they_left_in_the_background(
        self, tmp_path: Path, accounts: list[Account], client_key: Key
    ) -> None:
        with Sshd(tmp_path / "sshd") as server:
            server.authorize(accounts[0], client_key.public)
            known_hosts = tmp_path / "known_hosts"
            known_hosts.write_text(f"{server.known_hosts_line}\n")
            left = "sleep 600 >/dev/null 2>&1 & echo $!; exec sleep 601"
            command = ssh_command(server, accounts[0], client_key.path, known_hosts, left)
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
                assert client.stdout is not None
                background = int(client.stdout.readline())
                assert background in server.sessions()
                listener = server.pid
                server.stop()
                assert client.wait() == 255
            assert not processes.is_running(background)
            assert not processes.is_running(listener)
            server.stop()

    def test_a_kill_of_the_sessions_leaves_the_listener(
        self, tmp_path: Path, accounts: list[Account], client_key: Key
    ) -> None:
        with Sshd(tmp_path / "sshd") as server:
            server.authorize(accounts[0], client_key.public)
            known_hosts = tmp_path / "known_hosts"
            known_hosts.write_text(f"{server.known_hosts_line}\n")
            command = ssh_command(server, accounts[0], client_key.path, known_hosts, "echo ready; exec sleep 600")
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
                assert client.stdout is not None
                assert client.stdout.readline() == "ready\n"
                server.kill_sessions()
                assert client.wait() == 255
            again = ssh_command(server, accounts[0], client_key.path, known_hosts, "echo again")
            assert subprocess.run(again, capture_output=True, text=True).stdout == "again\n"


def test_a_process_runs_until_its_last_thread_has_ended() -> None:
    program = """
import ctypes, threading
waiting = threading.Event()
threading.Thread(target=lambda: (print("ready", flush=True), waiting.wait(600))).start()
ctypes.CDLL(None).pthread_exit(None)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert eventually(lambda: _state(process.pid) == "Z")
        assert process.pid in processes.running()
        process.kill()
        assert eventually(lambda: not processes.is_running(process.pid))


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class TestAccounts:
    def test_passwords_are_distinct_and_survive_a_round_trip_through_lines(self) -> None:
        assert len(set(PASSWORDS)) == len(PASSWORDS) == 6
        assert all(password == password.strip() and "\n" not in password for password in PASSWORDS)

    @pytest.mark.parametrize("fails", [False, True])
    def test_accounts_are_gone_with_their_homes_and_processes_even_after_a_failure(self, fails: bool) -> None:
        made: list[Account] = []
        running: list[subprocess.Popen[bytes]] = []

        def use() -> None:
            with made_accounts() as accounts:
                made.extend(accounts)
                assert all(account.home.is_dir() for account in accounts)
                if can_make_users():
                    running.append(subprocess.Popen(["sleep", "600"], user=accounts[0].uid))
                if fails:
                    raise ZeroDivisionError

        if fails:
            with pytest.raises(ZeroDivisionError):
                use()
        else:
            use()
        assert [process.wait() for process in running] == [-9] * len(running)
        assert not any(account.home.exists() for account in made)
        names = {user.pw_name for user in pwd.getpwall()}
        assert not [account.name for account in made if account.real and account.name in names]


class TestSixHosts:
    @pytest.fixture(params=["h1", "h2", "h3", "web01", "web02", "db01"])
    def host(self, request: pytest.FixtureRequest, six_hosts: SixHosts) -> Iterator[SixHost]:
        yield six_hosts[request.param]

    def test_each_host_takes_its_own_credential(self, host: SixHost, six_hosts: SixHosts) -> None:
        async def whoami() -> str:
            async with asyncssh.connect(
                host.server.address,
                host.server.port,
                username=host.account.name,
                password=host.account.password if host.key is None else None,
                client_keys=[(str(host.key_path))] if host.key else None,
                passphrase=(host.key.passphrase or None) if host.key else None,
                agent_path=None,
                config=None,
                known_hosts=str(six_hosts.known_hosts),
            ) as link:
                return str((await link.run("pwd")).stdout).strip()

        assert asyncio.run(whoami()) == str(host.account.home)

    def test_no_two_have_the_same_place_user_or_credential(self, six_hosts: SixHosts) -> None:
        hosts = list(six_hosts.hosts.values())
        assert len(hosts) == 6
        assert len({(host.server.address, host.server.port) for host in hosts}) == 6
        assert len({host.account for host in hosts}) == 6
        assert len({host.key or host.account.password for host in hosts}) == 6

    def test_the_inventory_is_private_and_names_all_six(self, six_hosts: SixHosts) -> None:
        assert stat.S_IMODE(six_hosts.hosts_ini.stat().st_mode) == 0o600
        text = six_hosts.hosts_ini.read_text(encoding="utf-8")
        assert all(f"[host:{name}]" in text for name in six_hosts.hosts)
        assert "[group:web_clusters]\nhosts = web[01-02]\n" in text
        assert "[group:db_servers]\nhosts = db01\n" in text


class TestHome:
    def test_home_is_empty_and_there_is_no_agent(self, clean_home: Path) -> None:
        assert Path.home() == clean_home
        assert list(clean_home.iterdir()) == []
        assert "SSH_AUTH_SOCK" not in os.environ
        assert Path(os.environ["XDG_STATE_HOME"]).is_relative_to(clean_home)

    def test_a_test_that_asks_for_no_home_does_not_get_the_real_one(self, nobodys_home: Path) -> None:
        assert Path.home() == nobodys_home
        assert nobodys_home != Path(pwd.getpwuid(os.getuid()).pw_dir)
