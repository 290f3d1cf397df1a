"""What a host is logged in to with: keys, certificates, agents and their order, against real servers."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hostshell.core.keyformat import public_of
from hostshell.core.model import Host, Job, Put, Run, Secret, Task
from hostshell.core.turns import PasswordRefused
from hostshell.engine.pool import Chunk, Pool
from tests.support.accounts import Account, can_make_users, public_folder
from tests.support.agent import ScriptedAgent, SecurityKey, listing, never, relay_to, ssh_agent
from tests.support.keys import Key, make_key, sign
from tests.support.running import Outcome, collect, write_known_hosts
from tests.support.sshd import SFTP_SERVERS, Sshd


class Ground:
    """A server of its own, and jobs on it with hosts as ssh_config would make them."""

    def __init__(self, folder: Path, server: Sshd, account: Account) -> None:
        self.folder, self.server, self.account = folder, server, account
        self.pool = Pool(1)
        self.jobs = 0
        self.base = Host(
            "h1",
            server.address,
            server.port,
            account.name,
            known_hosts=write_known_hosts(folder, server.known_hosts_line),
            identity_files=(),
        )

    def run(
        self,
        command: str = "true",
        *,
        count: int = 1,
        task: Task | None = None,
        timeout: float | None = None,
        **fields: object,
    ) -> Outcome:
        host = replace(self.base, **fields)  # type: ignore[arg-type]  # fields of many types
        hosts = tuple(replace(host, name=f"h{number + 1}") for number in range(count))
        self.jobs += 1
        events = self.pool.run(Job(hosts, task or Run(command), command, timeout=timeout, number=self.jobs))
        return collect(event for event in events if not isinstance(event, (Chunk, PasswordRefused)))

    def says(self, **fields: object) -> str:
        error = self.run(**fields).finished["h1"].error  # type: ignore[arg-type]  # fields of many types
        assert error is not None
        assert error.kind == "auth"
        return error.message

    def log(self) -> str:
        return self.server.log.read_text(errors="replace")


@contextmanager
def ground_of(folder: Path, account: Account, options: dict[str, str] | None = None) -> Iterator[Ground]:
    with Sshd(folder / "sshd", options=options) as server:
        ground = Ground(folder, server, account)
        try:
            yield ground
        finally:
            ground.pool.close()


@pytest.fixture
def ground(tmp_path: Path, clean_home: Path, accounts: list[Account]) -> Iterator[Ground]:
    with ground_of(tmp_path, accounts[0]) as made:
        yield made


def key(folder: Path, name: str = "key", kind: str = "ed25519", passphrase: str = "") -> Key:
    return make_key(folder / name, kind, passphrase)


# --- files ---


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_named_files_of_each_kind_log_in_in_their_order(ground: Ground, tmp_path: Path, kind: str) -> None:
    wrong, right = key(tmp_path, "wrong"), key(tmp_path, "right", kind)
    ground.server.authorize(ground.account, right.public)
    files = (str(tmp_path / "missing"), str(wrong.path), str(right.path))
    assert ground.run(identity_files=files).status() == {"h1": "ok"}
    assert ground.run(identity_files=(str(wrong.path),)).kind("h1") == "auth"


def test_an_encrypted_key_opens_with_its_passphrase(ground: Ground, tmp_path: Path) -> None:
    locked = key(tmp_path, "locked", "rsa", "a phrase")
    ground.server.authorize(ground.account, locked.public)
    path = str(locked.path)
    assert ground.run(key=path, passphrase=Secret("a phrase")).status() == {"h1": "ok"}
    assert ground.run(identity_files=(path,), passphrases=((path, Secret("a phrase")),)).status() == {"h1": "ok"}
    assert "it is encrypted" in ground.says(key=path)
    assert "it is encrypted" in ground.says(identity_files=(path,))


def test_an_encrypted_default_key_opens_with_its_passphrase_and_is_named_without(
    ground: Ground, clean_home: Path
) -> None:
    (clean_home / ".ssh").mkdir()
    locked = make_key(clean_home / ".ssh/id_ed25519", "ed25519", "a phrase")
    ground.server.authorize(ground.account, locked.public)
    said = ground.says(identity_files=None)
    assert "cannot use the key ~/.ssh/id_ed25519: it is encrypted" in said
    opened = (("~/.ssh/id_ed25519", Secret("a phrase")),)
    assert ground.run(identity_files=None, passphrases=opened).status() == {"h1": "ok"}


def test_no_key_is_offered_where_that_is_switched_off(ground: Ground, tmp_path: Path) -> None:
    right = key(tmp_path)
    ground.server.authorize(ground.account, right.public)
    assert ground.run(key=str(right.path), pubkey_authentication=False).kind("h1") == "auth"
    assert ground.run(key=str(right.path), preferred_authentications=("password",)).kind("h1") == "auth"
    assert ground.run(key=str(right.path), preferred_authentications=("publickey",)).status() == {"h1": "ok"}


# --- the agent ---


def test_an_agents_key_logs_in_and_with_identities_only_one_that_is_named(ground: Ground, tmp_path: Path) -> None:
    others = [key(tmp_path, f"other{number}") for number in range(6)]
    right = key(tmp_path, "right")
    ground.server.authorize(ground.account, right.public)
    with ssh_agent(*others, right) as path:
        right.path.unlink()  # only the agent has it, as with a key on a card
        file = str(right.path)
        public = f"{right.path}.pub"
        # seven keys are one more than the server hears: MaxAuthTries
        assert ground.run(identity_agent=path).kind("h1") == "auth"
        assert ground.run(identity_agent=path, identity_files=(file,)).status() == {"h1": "ok"}
        assert ground.run(identity_agent=path, identity_files=(public,), identities_only=True).status() == {"h1": "ok"}
        wrong = str(others[0].path)
        assert ground.run(identity_agent=path, identity_files=(wrong,), identities_only=True).kind("h1") == "auth"
        assert ground.run(identity_agent="none", identity_files=(file,)).kind("h1") == "auth"


def test_an_encrypted_key_that_the_agent_has_needs_no_passphrase(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = key(tmp_path, "locked")
    ground.server.authorize(ground.account, locked.public)
    with ssh_agent(locked) as path:
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "phrase", "-f", str(locked.path)], check=True)
        assert ground.run(key=str(locked.path), identity_agent=path).status() == {"h1": "ok"}


def test_300_hosts_log_in_through_one_connection_to_one_agent(ground: Ground, tmp_path: Path) -> None:
    right = key(tmp_path)
    ground.server.authorize(ground.account, right.public)
    with ssh_agent(right) as real, ScriptedAgent(relay_to(real)) as agent:
        found = ground.run(identity_agent=agent.path, count=300, connect_timeout=60.0)
        assert set(found.status().values()) == {"ok"}
        assert agent.connections == 1


def test_an_agent_that_never_answers_costs_only_itself(ground: Ground, tmp_path: Path) -> None:
    right = key(tmp_path)
    ground.server.authorize(ground.account, right.public)
    with ScriptedAgent(never) as agent:
        home_key = (str(right.path),)
        assert ground.run(identity_agent=agent.path, identity_files=home_key, count=3).status() == {
            "h1": "ok",
            "h2": "ok",
            "h3": "ok",
        }
        says = ground.says(identity_agent=agent.path)
    assert "the agent did not answer in time" in says


def test_an_agent_that_dies_before_it_signs_leaves_the_other_keys(ground: Ground, tmp_path: Path) -> None:
    right, dead = key(tmp_path, "right"), key(tmp_path, "dead")
    ground.server.authorize(ground.account, right.public)
    ground.server.authorize(ground.account, dead.public)
    blob = public_of(dead.public.encode())
    assert blob is not None
    home = Path("~/.ssh").expanduser()
    home.mkdir(exist_ok=True)
    shutil.copy(right.path, home / "id_ed25519")
    with ScriptedAgent(lambda request: listing(blob) if request[0] == 11 else None) as agent:
        assert ground.run(identity_agent=agent.path, identity_files=None).status() == {"h1": "ok"}
        says = ground.says(identity_agent=agent.path)
    assert says == f"nothing to log in with as {ground.account.name}; it allows publickey, password; the agent hung up"


def test_a_security_key_logs_in_and_is_touched_only_where_it_would_be_taken(ground: Ground, tmp_path: Path) -> None:
    sk = SecurityKey()
    with ScriptedAgent(sk.reply) as agent:
        assert ground.run(identity_agent=agent.path).kind("h1") == "auth"
        assert sk.touches == 0
        ground.server.authorize(ground.account, sk.public)
        assert ground.run(identity_agent=agent.path).status() == {"h1": "ok"}
        assert sk.touches == 1


@pytest.mark.parametrize("what", ["lists", "signs", "is-touched"])
def test_a_turn_that_waits_for_an_agent_ends_at_once_and_costs_its_worker_nothing(
    ground: Ground, tmp_path: Path, what: str
) -> None:
    right, slow, sk = key(tmp_path, "right"), key(tmp_path, "slow"), SecurityKey()
    ground.server.authorize(ground.account, right.public)
    ground.server.authorize(ground.account, slow.public)
    ground.server.authorize(ground.account, sk.public)
    blob = sk.blob if what == "is-touched" else public_of(slow.public.encode())
    assert blob is not None

    over = threading.Event()

    def reply(request: bytes) -> bytes | None:
        if request[0] == 11 and what != "lists":
            return listing(blob)
        over.wait(60)
        return None

    with ScriptedAgent(reply) as agent:
        assert ground.run(key=str(right.path)).status() == {"h1": "ok"}
        worker = ground.pool._members[0].process.pid
        found = ground.run(count=3, timeout=0.5, identity_agent=agent.path)
        assert found.status() == dict.fromkeys(("h1", "h2", "h3"), "timeout")
        assert ground.run(key=str(right.path)).status() == {"h1": "ok"}
        assert ground.pool._members[0].process.pid == worker
        over.set()


# --- certificates ---


def test_a_users_certificate_beside_a_key_named_or_in_the_agent_logs_in(
    tmp_path: Path, clean_home: Path, accounts: list[Account]
) -> None:
    authority = key(tmp_path, "authority")
    with ground_of(tmp_path, accounts[0], {"TrustedUserCAKeys": f"{authority.path}.pub"}) as ground:
        for kind in ("ed25519", "ecdsa", "rsa"):
            mine = key(tmp_path, f"mine_{kind}", kind)
            path = str(mine.path)
            assert ground.run(key=path).kind("h1") == "auth"
            certificate = sign(authority, mine, principals=ground.account.name)
            assert ground.run(key=path).status() == {"h1": "ok"}, kind
            elsewhere = certificate.rename(tmp_path / f"elsewhere_{kind}")
            files = (str(tmp_path / "nothing"), str(elsewhere))
            assert ground.run(identity_files=(path,), certificate_files=files).status() == {"h1": "ok"}, kind
            with ssh_agent(mine) as agent:  # the agent has the key alone
                found = ground.run(identity_agent=agent, identity_files=(path,), certificate_files=files)
                assert found.status() == {"h1": "ok"}, kind
            elsewhere.rename(certificate)
            with ssh_agent(mine) as agent:  # it has the certificate as well
                assert ground.run(identity_agent=agent).status() == {"h1": "ok"}, kind


# --- several steps ---


@pytest.mark.skipif(not can_make_users(), reason="a password of a real sshd takes root; a scripted server has the rest")
@pytest.mark.parametrize("methods", ["publickey,password", "password,publickey", "publickey,publickey"])
def test_a_server_that_wants_several_credentials_gets_them(
    tmp_path: Path, clean_home: Path, accounts: list[Account], methods: str
) -> None:
    with ground_of(tmp_path, accounts[0], {"AuthenticationMethods": methods}) as ground:
        first, second = key(tmp_path, "first"), key(tmp_path, "second")
        for each in (first, second):
            ground.server.authorize(ground.account, each.public)
        files = (str(first.path), str(second.path))
        found = ground.run(identity_files=files, password=Secret(ground.account.password))
        assert found.status() == {"h1": "ok"}
        with ssh_agent(first, second) as agent:
            found = ground.run(identity_agent=agent, password=Secret(ground.account.password))
            assert found.status() == {"h1": "ok"}


def test_what_was_accepted_in_part_says_what_is_missing(
    tmp_path: Path, clean_home: Path, accounts: list[Account]
) -> None:
    with ground_of(tmp_path, accounts[0], {"AuthenticationMethods": "publickey,password"}) as ground:
        mine = key(tmp_path)
        ground.server.authorize(ground.account, mine.public)
        says = ground.says(key=str(mine.path))
    assert says == f"login as {accounts[0].name} accepted in part only: it wants password as well"


# --- what else ssh_config says ---


def test_compression_environment_alias_and_where_it_comes_from(
    tmp_path: Path, clean_home: Path, accounts: list[Account]
) -> None:
    with ground_of(tmp_path, accounts[0], {"AcceptEnv": "HS_*", "Compression": "delayed"}) as ground:
        mine = key(tmp_path)
        ground.server.authorize(ground.account, mine.public, "no-agent-forwarding")
        path = str(mine.path)
        found = ground.run("seq 1 200000", key=path, compression=True)
        assert found.status() == {"h1": "ok"}
        wanted = (("HS_ONE", "a b"), ("HS_TWO", "ü"), ("PATH", "refused"))
        check = 'test "$HS_ONE,$HS_TWO" = "a b,ü" && test "$PATH" != refused'
        assert ground.run(check, key=path, environment=wanted).status() == {"h1": "ok"}
        known = tmp_path / "by_alias"
        known.write_text(f"alias {next(iter(ground.server.host_keys.values())).public}\n")
        files = {
            "known_hosts": None,
            "user_known_hosts": (str(tmp_path / "none"), str(known)),
            "global_known_hosts": (),
        }
        assert ground.run(key=path, host_key_alias="alias", **files).status() == {"h1": "ok"}  # type: ignore[arg-type]  # fields of many types
        assert ground.run(key=path, host_key_alias="other", **files).kind("h1") == "hostkey"  # type: ignore[arg-type]  # fields of many types
        assert ground.run(key=path, address_family="inet6").kind("h1") == "dns"
        assert ground.run(key=path, address_family="inet", bind_address="127.0.0.9").status() == {"h1": "ok"}
        assert "from 127.0.0.9 port" in ground.log()
        assert ground.run(key=path, bind_address="::1").kind("h1") == "unreachable"


def test_sessions_for_files_ask_for_the_environment_as_sftp_does(
    tmp_path: Path, clean_home: Path, accounts: list[Account]
) -> None:
    folder = public_folder("sftp")
    server = next(path for path in SFTP_SERVERS if Path(path).exists())
    wrapper, said = folder / "sftp", folder / "said"
    wrapper.write_text(f'#!/bin/sh\necho "$HS_ONE" >> {said}\nexec {server}\n')
    wrapper.chmod(0o755)
    said.touch()
    said.chmod(0o666)
    options = {"AcceptEnv": "HS_*", "Subsystem": f"sftp {wrapper}"}
    try:
        with ground_of(tmp_path, accounts[0], options) as ground:
            mine = key(tmp_path)
            ground.server.authorize(ground.account, mine.public, "no-agent-forwarding")
            wanted = {"key": str(mine.path), "environment": (("HS_ONE", "a b"),)}
            (tmp_path / "file").write_text("x")
            task = Put(str(tmp_path / "file"), "/dev/null/no")
            assert ground.run(task=task, **wanted).kind("h1") == "transfer"  # type: ignore[arg-type]  # fields of many types
            ours = said.read_text()
            words = ["sftp", "-F", "none", "-b", "-", "-i", str(mine.path), "-P", str(ground.server.port)]
            words += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/k"]
            words += ["-o", "SetEnv=HS_ONE=theirs", f"{ground.account.name}@{ground.server.address}"]
            subprocess.run(words, input=b"pwd\n", capture_output=True, check=True, timeout=30)
    finally:
        theirs = said.read_text()
        shutil.rmtree(folder)
    assert (ours, theirs) == ("a b\n", "a b\ntheirs\n")
