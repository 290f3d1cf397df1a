"""`-i ssh`: which names of an ssh_config are hosts, and what holds for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostshell.core.errors import InventoryError, TargetError
from hostshell.core.targets import Targets
from hostshell.inventory.load import find, load
from hostshell.inventory.model import Inventory
from hostshell.inventory.sshconfig.config import SshConfig
from hostshell.session import Session
from hostshell.shell import answers
from tests.support.running import write_inventory


@pytest.fixture
def named(tmp_path: Path) -> Callable[..., Inventory]:
    """The inventory of ``-i ssh`` and more sources, where ~/.ssh/config holds this text."""
    (tmp_path / ".ssh").mkdir()

    def made(text: str, *more: str) -> Inventory:
        (tmp_path / ".ssh" / "config").write_text(text)
        (tmp_path / ".ssh" / "config").chmod(0o600)
        ssh = SshConfig(environ={"HOME": str(tmp_path)}, system="/nonexistent")
        inventory = load(["ssh", *more], ssh)
        inventory.lay_over(ssh)
        return inventory

    return made


def test_hosts_are_the_names_without_wildcards_in_their_order(named: Callable[..., Inventory]) -> None:
    text = "User x\nHost web2 web1\n Port 22\nHost db? *.net !gone\nHost web1 db1\nMatch host m1\n Port 3\nHost *\n"
    found = named(text)
    assert list(found.host_names) == ["web2", "web1", "db1"]
    (report,) = found.reports
    assert (report.name, report.kind, report.hosts, report.groups, report.notes) == ("ssh", "ssh_config", 3, 0, ())


def test_a_name_that_its_own_line_leaves_out_is_no_host(named: Callable[..., Inventory]) -> None:
    assert list(named("Host a1 a2 b !a2 !b*\n").host_names) == ["a1"]


def test_included_files_name_hosts_too_where_they_can_hold(tmp_path: Path, named: Callable[..., Inventory]) -> None:
    (tmp_path / ".ssh" / "more").write_text("Host web1 db1\n  User deploy\n")
    (tmp_path / ".ssh" / "more").chmod(0o600)
    assert list(named("Include more\nHost z\n").host_names) == ["web1", "db1", "z"]
    assert list(named("Host web*\n  Include more\n").host_names) == ["web1"]


def test_what_holds_for_a_host_is_what_ssh_says_and_a_later_hosts_ini_beats_it(
    tmp_path: Path, named: Callable[..., Inventory]
) -> None:
    (tmp_path / "mine.ini").write_text("[group:web]\nhosts = web1\nuser = mine\n")
    found = named("Host web1\n  HostName 192.0.2.1\n  User theirs\n  Port 2222\n", str(tmp_path / "mine.ini"))
    host = found.host("web1")
    assert (host.address, host.port, host.user, found.groups["web"]) == ("192.0.2.1", 2222, "mine", ("web1",))
    assert {setting.key: setting.source for setting in found.settings("web1")}["address"] == "~/.ssh/config:2"


def test_a_name_that_cannot_be_a_hosts_is_named(named: Callable[..., Inventory]) -> None:
    found = named("Host web1\nHost a;b me@h\n")
    assert list(found.host_names) == ["web1"]
    assert [note.text.partition(": ")[0] for note in found.reports[0].notes] == ["~/.ssh/config:2"] * 2
    assert all(note.loud for note in found.reports[0].notes)
    assert "a;b is taken for no host" in found.reports[0].notes[0].text


@pytest.mark.parametrize("text", ["", "Host *\n  User x\n"])
def test_no_host_at_all_is_an_error(named: Callable[..., Inventory], text: str) -> None:
    with pytest.raises(InventoryError, match="no `Host` line of your ssh_config names a host"):
        named(text)


def test_no_configuration_at_all_is_an_error_of_its_own() -> None:
    with pytest.raises(InventoryError, match="none is read here") as caught:
        load(["ssh"], SshConfig("none"))
    assert "-F ~/.ssh/config" in caught.value.hint
    assert "the demo" in caught.value.hint


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """One whose inventory has web01, and whose ssh_config has hosts that are in none."""
    named = tmp_path / "config"
    named.write_text("User all\nHost gate wbe01 !x\n  User ops\nHost *.lab\n  Port 7\nHost plain\n")
    with Session(write_inventory(tmp_path, "[host:web01]\n"), ssh_config=str(named)) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gate", "{config}:2 has it: name it all@gate, or start with -i ssh, which takes all hosts from there"),
        ("wbe01", "{config}:2 has it: name it all@wbe01, or start with -i ssh, which takes all hosts from there"),
        ("plain", "{config}:6 has it: name it all@plain, or start with -i ssh, which takes all hosts from there"),
        ("db.lab", "`hosts -a` shows every host"),  # a pattern says nothing of whether there is such a host
        ("web1", "did you mean web01?"),
    ],
)
def test_a_host_that_only_the_configuration_has_is_told_how_it_is_reached(
    session: Session, tmp_path: Path, name: str, hint: str
) -> None:
    wanted = hint.format(config=tmp_path / "config")
    with pytest.raises(TargetError) as caught:
        session.targets(Targets(("web01," + name,)))
    assert (caught.value.message, caught.value.hint) == (f"unknown host {name}", wanted)
    assert session.inventory.host(f"all@{name}").user == "all"
    if name == "gate":
        with pytest.raises(TargetError, match="no host or group") as caught:
            answers.show(session, name, 80, colour=False)
        assert caught.value.hint == wanted


def test_a_configuration_with_a_mistake_is_not_what_an_unknown_name_is_about(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host a\n  HosName b\n")
    with Session(ssh_config=str(tmp_path / "config")) as session, pytest.raises(TargetError) as caught:
        session.targets(Targets(("a",)))
    assert "HosName" not in caught.value.hint


def test_where_no_configuration_is_read_it_says_so(tmp_path: Path) -> None:
    with Session(ssh_config="none") as session, pytest.raises(TargetError) as caught:
        session.targets(Targets(("gate",)))
    assert caught.value.hint.endswith("; no ssh_config is read here")


def test_the_variable_may_say_ssh_too() -> None:
    assert find({"HOSTSHELL_INVENTORY": "ssh", "HOME": "/nonexistent"}, "/") == "ssh"
