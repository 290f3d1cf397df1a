"""Each step of a connect is told, in order, with what was seen; a step that fails is told as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostshell.core.model import Host, Secret
from hostshell.core.steps import Step
from hostshell.ssh.connect import Connector
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import LONGEST, MOST_OF_ONE, Trace
from tests.support.accounts import Account
from tests.support.faulty import Mute
from tests.support.keys import Key
from tests.support.running import write_known_hosts
from tests.support.sshd import Sshd, free_port


def walked(host: Host) -> tuple[list[Step], ConnectFailed | None]:
    steps: list[Step] = []
    try:
        Connector().connect(host, Stopper(), Trace(steps.append)).close()
    except ConnectFailed as error:
        return steps, error
    return steps, None


def test_a_connect_that_goes_well_tells_its_six_steps(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    user = accounts[0].name
    host = Host("h1", sshd.address, sshd.port, user, key=str(client_key.path), known_hosts=known)
    steps, error = walked(host)
    assert error is None
    assert [step.name for step in steps] == ["name", "port", "banner", "key exchange", "host key", "login"]
    assert {step.result for step in steps} == {"ok"}
    name, port, banner, exchange, key, login = (step.facts for step in steps)
    assert name["addresses"] == (sshd.address,)
    assert port["tried"] == (f"{sshd.address}: connected",)
    assert str(banner["banner"]).startswith("SSH-2.0-OpenSSH")
    assert "aes128-ctr" in exchange["cipher of the server"]  # type: ignore[operator]  # a tuple
    assert "aes128-ctr" in exchange["cipher of ours"]  # type: ignore[operator]  # a tuple
    assert key["decision"] == "trusted"
    assert f"in {known}:1" in key["known"][0]  # type: ignore[index]  # a tuple
    assert login["user"] == user
    assert login["offered"] == (f"the key {client_key.path}: accepted",)


def test_the_step_that_fails_is_the_last_and_says_why(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account]
) -> None:
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    user = accounts[0].name
    steps, error = walked(Host("h1", sshd.address, sshd.port, user, password=Secret("wrong 1"), known_hosts=known))
    assert error is not None
    login = steps[-1]
    assert (login.name, login.result, login.message) == ("login", "failed", error.failure.message)
    assert login.facts["offered"] == ("the password: refused",)
    assert "publickey" in login.facts["allowed"]  # type: ignore[operator]  # a tuple
    assert "wrong 1" not in repr(steps)


def test_an_address_that_refuses_is_told_with_its_error(tmp_path: Path, clean_home: Path) -> None:
    steps, _ = walked(Host("h1", "127.0.0.1", free_port("127.0.0.1"), "nobody"))
    assert (steps[-1].name, steps[-1].result) == ("port", "failed")
    assert steps[-1].facts["tried"] == ("127.0.0.1: connection refused",)


def test_a_server_that_says_nothing_fails_at_its_banner(tmp_path: Path, clean_home: Path) -> None:
    with Mute() as mute:
        steps, _ = walked(Host("h1", mute.address, mute.port, "nobody", connect_timeout=0.5))
    assert (steps[-1].name, steps[-1].result) == ("banner", "failed")
    assert "no SSH banner" in steps[-1].message


def test_the_steps_of_a_jump_host_carry_its_name() -> None:
    steps: list[Step] = []
    with Trace(steps.append).through("gate").step("port") as step:
        step.say(port=22)
    assert (steps[0].via, steps[0].facts) == ("gate", {"port": 22})


def test_facts_are_bounded() -> None:
    steps: list[Step] = []
    with Trace(steps.append).step("login") as step:
        step.say(banner="x" * 9999, names=("y" * 9999,) * 9999)
        for _ in range(9999):
            step.add("offered", "z" * 9999)
    for fact in steps[0].facts.values():
        assert len(fact) <= max(LONGEST, MOST_OF_ONE)  # type: ignore[arg-type]  # no number here
        assert all(len(text) <= LONGEST for text in fact)  # type: ignore[union-attr]  # no number here


def test_a_surprise_goes_on_to_the_caller() -> None:
    with pytest.raises(ZeroDivisionError), Trace(lambda _: None).step("name"):
        raise ZeroDivisionError
