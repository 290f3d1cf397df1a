"""Jump hosts against real servers: one connection for all behind it, a failure named once, ends without leftovers."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hostshell.core.events import Block
from hostshell.core.model import Run
from hostshell.core.targets import Targets
from hostshell.core.turns import NewKey
from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support.accounts import Account, can_make_users
from tests.support.endings import eventually
from tests.support.faulty import Mute, Slam
from tests.support.keys import Key
from tests.support.running import collect, host_section, run, write_inventory, write_known_hosts
from tests.support.scripted import Scripted
from tests.support.sshd import Sshd, free_port


def logins(server: Sshd) -> int:
    return server.log.read_text(errors="replace").count("Accepted publickey")


@pytest.fixture
def target(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    with Sshd(tmp_path / "target") as server:
        server.authorize(accounts[0], client_key.public)
        yield server


@pytest.fixture
def bastion(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    with Sshd(tmp_path / "bastion") as server:
        server.authorize(accounts[1], client_key.public)
        yield server


@pytest.fixture
def second(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    with Sshd(tmp_path / "second") as server:
        server.authorize(accounts[2], client_key.public)
        yield server


class Fleet:
    """An inventory of hosts behind ``bastion`` (as account 1, with the client's key)."""

    def __init__(self, folder: Path, accounts: list[Account], key: Key) -> None:
        self.folder, self.accounts, self.key = folder, accounts, key

    @contextmanager
    def session(
        self, sections: Sequence[str], servers: Sequence[Sshd], workers: int = 1, **more: object
    ) -> Iterator[Session]:
        known = write_known_hosts(self.folder, *(server.known_hosts_line for server in servers))
        options = {"known_hosts": known, "pool": Pool(workers), **more}
        with Session(write_inventory(self.folder, *sections), **options) as session:  # type: ignore[arg-type]  # of the callers' choice
            yield session

    def hosts(self, server: Sshd, names: Sequence[str], jump: str = "bastion") -> list[str]:
        return [host_section(name, server, self.accounts[0], self.key, jump=jump) for name in names]

    def bastion(self, server: Sshd, name: str = "bastion", account: int = 1, **more: str) -> str:
        return host_section(name, server, self.accounts[account], self.key, **more)


@pytest.fixture
def fleet(tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key) -> Fleet:
    return Fleet(tmp_path, accounts, client_key)


# --- working ---


def test_all_hosts_behind_a_bastion_share_one_connection_to_it(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    names = [f"h{number:02}" for number in range(30)]
    sections = [fleet.bastion(bastion), *fleet.hosts(target, names)]
    with fleet.session(sections, (target, bastion)) as session:
        found = run(session, "echo $USER", "h[00-29]")
        assert set(found.status().values()) == {"ok"}
        assert logins(bastion) == 1
        assert logins(target) == 30
        again = run(session, "echo {host}", "h[00-29]")
        assert again.out == {name: [name] for name in names}
        assert (logins(bastion), logins(target)) == (1, 30)  # all of it is warm


def test_each_hop_has_its_own_user_key_and_port_and_reaches_the_next(
    fleet: Fleet, target: Sshd, bastion: Sshd, second: Sshd
) -> None:
    sections = [
        fleet.bastion(bastion, "b1"),
        fleet.bastion(second, "b2", account=2, jump="b1"),  # a hop's own way is part of the way
        *fleet.hosts(target, ["h1", "h2"], jump="b2"),
        *fleet.hosts(target, ["h3"], jump="b1, b2"),
    ]
    with fleet.session(sections, (target, bastion, second)) as session:
        assert set(run(session, "true", "h[1-3]").status().values()) == {"ok"}
        assert (logins(bastion), logins(second), logins(target)) == (1, 1, 3)
        ways = {one.host: one.via for one in session.connections()}
        assert ways == dict.fromkeys(("h1", "h2", "h3"), ("b1", "b2"))


def test_a_hop_of_the_moment_and_a_default_that_the_bastion_itself_inherits(
    fleet: Fleet, target: Sshd, bastion: Sshd
) -> None:
    moment = f"{fleet.accounts[1].name}@{bastion.address}:{bastion.port}"
    sections = [
        f"[defaults]\njump = {moment}\nkey = {fleet.key.path}\n",
        host_section("h1", target, fleet.accounts[0], None).replace("password =", "# "),
        fleet.bastion(bastion),
        host_section("direct", target, fleet.accounts[0], fleet.key, jump="none"),
    ]
    with fleet.session(sections, (target, bastion)) as session:
        assert run(session, "true", "h1,bastion,direct").status() == {"h1": "ok", "bastion": "ok", "direct": "ok"}
        ways = {one.host: one.via for one in session.connections()}
    assert ways == {"h1": (moment,), "bastion": (), "direct": ()}


def test_a_host_at_the_address_of_its_bastion_is_reached_through_it(fleet: Fleet, bastion: Sshd) -> None:
    bastion.authorize(fleet.accounts[0], fleet.key.public)
    sections = [
        f"[defaults]\njump = bastion\n{fleet.bastion(bastion)}",
        host_section("h1", bastion, fleet.accounts[0], fleet.key),
    ]
    with fleet.session(sections, (bastion,)) as session:
        assert run(session, "true", "h1,bastion").status() == {"h1": "ok", "bastion": "ok"}
        ways = {one.host: one.via for one in session.connections()}
    assert ways == {"h1": ("bastion",), "bastion": ()}


def test_much_output_through_two_hops_that_exchange_keys_again_and_again_is_intact(
    fleet: Fleet, tmp_path: Path, accounts: list[Account], client_key: Key, target: Sshd
) -> None:
    with Sshd(tmp_path / "b1", options={"RekeyLimit": "1M"}) as one, Sshd(tmp_path / "b2") as two:
        one.authorize(accounts[1], client_key.public)
        two.authorize(accounts[2], client_key.public)
        sections = [
            fleet.bastion(one, "b1"),
            fleet.bastion(two, "b2", account=2),
            *fleet.hosts(target, ["h1"], jump="b1, b2"),
        ]
        with fleet.session(sections, (target, one, two)) as session:
            names = session.targets(Targets(hosts=("h1",)))
            digest = hashlib.sha256()
            job = session.job(Run("seq 1 1500000"), names)
            for event in session.stream(job):
                if isinstance(event, Block):
                    digest.update(event.raw)
    wanted = subprocess.run(["seq", "1", "1500000"], capture_output=True, check=True).stdout
    assert digest.hexdigest() == hashlib.sha256(wanted).hexdigest()


def test_a_slow_reader_holds_a_host_behind_a_bastion_back(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1"])]
    with fleet.session(sections, (target, bastion)) as session:
        job = session.job(Run("yes"), session.targets(Targets(hosts=("h1",))))
        with closing(session.stream(job)) as events:
            for _ in zip(range(3), events, strict=False):
                pass
            worker = session._pool._members[0].process.pid
            time.sleep(1.0)
            pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
        assert pages * os.sysconf("SC_PAGE_SIZE") < 200 * 2**20


def test_files_are_copied_through_a_bastion(fleet: Fleet, tmp_path: Path, target: Sshd, bastion: Sshd) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "sent").write_bytes(data)
    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1"])]
    with fleet.session(sections, (target, bastion)) as session:
        collect(session.put(str(tmp_path / "sent"), "jumped", hosts="h1"))
        found = collect(session.get("jumped", str(tmp_path / "got"), hosts="h1"))
    assert found.finished["h1"].status == "ok"
    assert (tmp_path / "got" / "h1" / "jumped").read_bytes() == data


def test_200_hosts_behind_one_bastion(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    names = [f"h{number:03}" for number in range(200)]
    sections = [fleet.bastion(bastion), *fleet.hosts(target, names)]
    with fleet.session(sections, (target, bastion), workers=2, host_keys="strict") as session:
        found = run(session, "echo {host}", "h[000-199]", connect_timeout=60.0)
        assert set(found.status().values()) == {"ok"}
        assert found.out == {name: [name] for name in names}
        assert logins(bastion) <= 2  # one for each worker


# --- failing ---


def test_a_bastion_that_is_down_is_one_sentence_for_all(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    names = [f"h{number:02}" for number in range(20)]
    sections = [fleet.bastion(bastion), *fleet.hosts(target, names)]
    bastion.kill()
    with fleet.session(sections, (target, bastion), workers=2) as session:
        found = run(session, "true", "h[00-19]")
    sentences = {
        (event.status, event.error.kind, event.error.message) for event in found.finished.values() if event.error
    }
    assert sentences == {("unreachable", "refused", f"jump host bastion: connection refused (port {bastion.port})")}
    assert len(found.finished) == 20


def test_a_jump_host_that_nobody_knows_is_an_address_and_its_failure_points_to_the_setting(
    fleet: Fleet, target: Sshd
) -> None:
    with fleet.session(fleet.hosts(target, ["h1"], jump="bastoin.invalid"), (target,)) as session:
        error = run(session, "true", "h1").finished["h1"].error
    assert error is not None
    assert error.message.startswith("jump host bastoin.invalid: its address cannot be resolved")
    assert "`jump`" in error.hint


def test_a_bastion_that_does_not_answer_is_tried_once_a_worker_and_again_in_the_next_job(
    fleet: Fleet, target: Sshd
) -> None:
    names = [f"h{number:02}" for number in range(20)]
    with Mute() as mute:
        sections = [
            f"[host:bastion]\naddress = {mute.address}\nport = {mute.port}\nconnect_timeout = 2\n",
            *fleet.hosts(target, names),
        ]
        with fleet.session(sections, (target,)) as session:
            found = run(session, "true", "h[00-19]", fanout=4)  # most begin when it has failed already
            sentences = {event.error.message for event in found.finished.values() if event.error}
            assert sentences == {"jump host bastion: connected, but no SSH banner came in time"}
            assert mute.accepted == 1
            run(session, "true", "h00")
            assert eventually(lambda: mute.accepted == 2)


def test_a_bastion_that_hangs_up_is_tried_again_for_as_long_as_a_connect_may_take(fleet: Fleet, target: Sshd) -> None:
    with Slam() as slam:
        sections = [
            f"[host:bastion]\naddress = {slam.address}\nport = {slam.port}\n",
            *(section + "connect_timeout = 4\n" for section in fleet.hosts(target, ["h1", "h2"])),
        ]
        with fleet.session([s.replace("\n\nconnect", "\nconnect") for s in sections], (target,)) as session:
            found = run(session, "true", "h1,h2")
        assert set(found.status().values()) == {"unreachable"}
        assert slam.accepted > 1


def test_a_new_key_of_a_bastion_is_asked_about_once(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    asked: list[tuple[NewKey, ...]] = []

    def ask(offers: tuple[NewKey, ...]) -> frozenset[str]:
        asked.append(offers)
        return frozenset(offer.host for offer in offers)

    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1", "h2", "h3"])]
    with fleet.session(sections, (), host_keys="ask", ask_keys=ask, workers=2) as session:
        assert set(run(session, "true", "h[1-3]").status().values()) == {"ok"}
    assert [[offer.host for offer in offers] for offers in asked] == [["bastion"], ["h1", "h2", "h3"]]
    assert asked[0][0].fingerprint == next(iter(bastion.host_keys.values())).fingerprint()


def test_a_new_key_of_a_bastion_that_is_not_accepted_names_the_bastion(
    fleet: Fleet, target: Sshd, bastion: Sshd
) -> None:
    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1", "h2"])]
    with fleet.session(sections, (target,), host_keys="ask", ask_keys=lambda _: frozenset()) as session:
        found = run(session, "true", "h[1-2]")
    messages = {event.error.message for event in found.finished.values() if event.error}
    assert messages == {"the new host key of jump host bastion was not accepted"}
    assert (logins(bastion), logins(target)) == (0, 0)


def test_a_changed_key_of_a_bastion_stops_before_any_credential(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1"])]
    with fleet.session(sections, (target, bastion)) as session:
        bastion.restart(new_host_key=True)
        bastion.authorize(fleet.accounts[1], fleet.key.public)
        found = run(session, "true", "h1")
    assert found.kind("h1") == "hostkey"
    error = found.finished["h1"].error
    assert error is not None
    assert error.message.startswith("jump host bastion: the host key of")
    assert logins(bastion) == 0


@pytest.mark.skipif(not can_make_users(), reason="a password of a real sshd takes root; without, test_hops.py has it")
def test_a_refused_password_of_a_bastion_is_not_offered_again(
    fleet: Fleet, target: Sshd, bastion: Sshd, accounts: list[Account]
) -> None:
    section = host_section("bastion", bastion, accounts[1], None).replace(accounts[1].password, "wrong")
    with fleet.session([section, *fleet.hosts(target, ["h1", "h2"])], (target, bastion)) as session:
        found = run(session, "true", "h[1-2]")
        assert {found.kind("h1"), found.kind("h2")} == {"auth"}
        again = run(session, "true", "h[1-2]").finished["h1"].error
    assert bastion.log.read_text(errors="replace").count("Failed password") == 1
    assert again is not None
    user = accounts[1].name
    assert again.message == f"jump host bastion: the password of {user} was refused before, and is not offered again"
    assert re.fullmatch(r"correct it in \S+hosts.ini:\d+ \[host:bastion\], then `reload`", again.hint)


def test_a_bastion_without_credentials_is_helped_by_the_inventory_alone(
    fleet: Fleet, target: Sshd, bastion: Sshd, accounts: list[Account]
) -> None:
    section = f"[host:bastion]\naddress = {bastion.address}\nport = {bastion.port}\nuser = {accounts[1].name}\n"
    with fleet.session([section, *fleet.hosts(target, ["h1"])], (target, bastion)) as session:
        error = run(session, "true", "h1").finished["h1"].error
    assert error is not None
    assert error.message.startswith("jump host bastion: nothing to log in with")
    assert error.hint == "set `key` or `password_from` for it in the inventory"


def test_a_bastion_that_forwards_nothing_says_so(
    fleet: Fleet, tmp_path: Path, accounts: list[Account], client_key: Key, target: Sshd
) -> None:
    with Sshd(tmp_path / "closed", options={"AllowTcpForwarding": "no"}) as closed:
        closed.authorize(accounts[1], client_key.public)
        with fleet.session([fleet.bastion(closed), *fleet.hosts(target, ["h1"])], (target, closed)) as session:
            found = run(session, "true", "h1")
    error = found.finished["h1"].error
    assert error is not None
    assert error.message == "jump host bastion does not let us through"
    assert "AllowTcpForwarding" in error.hint


def test_what_a_bastion_cannot_reach_is_said_of_the_host(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    port = free_port("127.0.0.1")
    nobody = f"[host:gone]\naddress = 127.0.0.1\nport = {port}\njump = bastion\n"
    nameless = "[host:nameless]\naddress = no-such-host.invalid\njump = bastion\n"
    with fleet.session(
        [fleet.bastion(bastion), nobody, nameless, *fleet.hosts(target, ["h1"])], (target, bastion)
    ) as s:
        found = run(s, "true", "gone,nameless,h1")
    assert found.finished["h1"].status == "ok"
    assert found.kind("gone") == "refused"
    assert found.finished["gone"].error.message == f"connection refused (port {port}), says jump host bastion"  # type: ignore[union-attr]  # kind is looked at above
    assert found.kind("nameless") == "dns"


def test_a_bastion_that_dies_under_a_command_loses_it_and_the_next_command_connects_again(
    fleet: Fleet, target: Sshd, bastion: Sshd
) -> None:
    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1", "h2"])]
    with fleet.session(sections, (target, bastion)) as session:
        job = session.job(Run("echo here; sleep 60"), session.targets(Targets(hosts=("h1", "h2"))))
        killed: list[str] = []

        def kill(event: object) -> None:
            if isinstance(event, Block):
                killed.append(event.host)
                if len(killed) == 2:
                    bastion.kill_sessions()

        found = collect(session.stream(job), kill)
        assert found.status() == {"h1": "lost", "h2": "lost"}
        said = {finished.error.message for finished in found.finished.values() if finished.error}
        assert said == {"the link to jump host bastion ended while the command ran"}
        assert set(run(session, "true", "h1,h2").status().values()) == {"ok"}
        assert logins(bastion) == 2


def test_the_first_jump_host_whose_link_ended_is_named_and_one_that_lives_is_not(
    fleet: Fleet, target: Sshd, bastion: Sshd, second: Sshd
) -> None:
    sections = [
        fleet.bastion(bastion),
        fleet.bastion(second, "inner", 2, jump="bastion"),
        *fleet.hosts(target, ["h1"], "inner"),
    ]
    for killed, wanted in (
        (bastion, "the link to jump host bastion ended while the command ran"),
        (second, "the link to jump host inner ended while the command ran"),
        (target, "the link ended while the command ran"),
    ):
        with fleet.session(sections, (target, bastion, second)) as session:
            job = session.job(Run("echo here; sleep 60"), ["h1"])
            found = collect(session.stream(job), lambda event: isinstance(event, Block) and killed.kill_sessions())  # noqa: B023  # at once
        error = found.finished["h1"].error
        assert error is not None
        assert error.message == wanted


def test_a_stop_while_a_bastion_is_awaited_ends_at_once_and_leaves_nothing(fleet: Fleet, target: Sshd) -> None:
    with Mute() as mute:
        sections = [
            f"[host:bastion]\naddress = {mute.address}\nport = {mute.port}\nconnect_timeout = 100\n",
            *fleet.hosts(target, ["h1", "h2"]),
        ]
        with fleet.session(sections, (target,)) as session:
            found = run(session, "true", "h1,h2", timeout=0.5)
            assert set(found.status().values()) == {"timeout"}
            assert eventually(lambda: not mute._links)
            assert session._pool._members[0].process.is_alive()


# --- ends ---


def test_the_connection_to_a_bastion_ends_after_its_last_user(fleet: Fleet, target: Sshd, bastion: Sshd) -> None:
    sections = [fleet.bastion(bastion), *fleet.hosts(target, ["h1", "h2"])]
    with fleet.session(sections, (target, bastion)) as session:
        run(session, "true", "h1,h2")
        session.disconnect(hosts="h1")
        assert run(session, "echo still", "h2").out == {"h2": ["still"]}
        assert logins(bastion) == 1
        session.disconnect(hosts="h2")
        assert eventually(lambda: not bastion.sessions())
        assert run(session, "true", "h1").status() == {"h1": "ok"}
        assert logins(bastion) == 2
        session.reload()
        assert eventually(lambda: not bastion.sessions())


def test_a_bastion_that_refuses_another_channel_gets_another_connection(fleet: Fleet, target: Sshd) -> None:
    with Scripted(fleet.folder / "scripted", tunnels_at_most=3, key=fleet.key) as narrow:
        bastion = f"[host:bastion]\naddress = {narrow.address}\nport = {narrow.port}\nkey = {fleet.key.path}\n"
        names = [f"h{number}" for number in range(8)]
        with fleet.session([bastion, *fleet.hosts(target, names)], (target,)) as session:
            write_known_hosts(fleet.folder, target.known_hosts_line, narrow.known_hosts_line)
            found = run(session, "echo {host}", "h[0-7]")
        assert found.out == {name: [name] for name in names}
        assert 3 <= narrow.connections <= 8
        assert narrow.most_tunnels == 3
