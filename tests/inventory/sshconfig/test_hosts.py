"""`-i ssh`: which names of an ssh_config are hosts, and what holds for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hostshell.core.errors import InventoryError
from hostshell.inventory.load import find, load
from hostshell.inventory.model import Inventory
from hostshell.inventory.sshconfig.config import SshConfig


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


def test_no_configuration_at_all_is_the_same_error() -> None:
    with pytest.raises(InventoryError, match="names a host") as caught:
        load(["ssh"], SshConfig("none"))
    assert "-F FILE" in caught.value.hint


def test_the_variable_may_say_ssh_too() -> None:
    assert find({"HOSTSHELL_INVENTORY": "ssh", "HOME": "/nonexistent"}, "/") == "ssh"
