"""Jump hosts of an inventory: which hops lead to a host, and what is refused before anything runs."""

from __future__ import annotations

import pytest

from hostshell.core.errors import InventoryError
from hostshell.core.model import Host
from hostshell.inventory.model import Inventory
from hostshell.inventory.sections import read


def inventory(text: str) -> Inventory:
    return Inventory([read(text, "hosts.ini")], local_user="me")


def way(found: Inventory, name: str) -> list[str]:
    return [hop.name for hop in found.host(name).jump]


def test_a_hop_of_the_inventory_has_its_own_settings() -> None:
    text = "[host:h1]\njump = bastion\n[host:bastion]\naddress = 192.0.2.1\nport = 2222\nuser = ops\nkey = /k\n"
    hop = inventory(text).host("h1").jump[0]
    assert (hop.name, hop.address, hop.port, hop.user, hop.key) == ("bastion", "192.0.2.1", 2222, "ops", "/k")
    assert hop.jump == ()


def test_several_hops_of_the_moment_and_of_ipv6() -> None:
    found = inventory("[host:h1]\njump = root@b1:2222, [2001:db8::1]:22, b3.example.net\n").host("h1").jump
    assert [(hop.user, hop.address, hop.port) for hop in found] == [
        ("root", "b1", 2222),
        ("me", "2001:db8::1", 22),
        ("me", "b3.example.net", 22),
    ]


def test_the_first_hops_own_way_comes_before_and_that_of_later_ones_does_not_count() -> None:
    text = "[host:b1]\njump = b0\n[host:b2]\njump = elsewhere\n[host:h1]\njump = b1, b2\n[host:b0]\nport = 1\n"
    found = inventory(text)
    assert way(found, "h1") == ["b0", "b1", "b2"]
    assert way(found, "b2") == ["elsewhere"]


def test_none_ends_an_inherited_way() -> None:
    found = inventory("[defaults]\njump = bastion\n[host:h1]\nport = 1\n[host:h2]\njump = none\n")
    assert way(found, "h1") == ["bastion"]
    assert way(found, "h2") == []
    assert [one.text for one in found.settings("h2") if one.key == "jump"] == ["none"]
    assert [(one.text, one.source) for one in found.settings("h1") if one.key == "jump"] == [
        ("bastion", "hosts.ini:2 [defaults]")
    ]


def test_who_is_a_hop_of_the_way_that_all_inherit_is_reached_through_those_before() -> None:
    text = "[defaults]\njump = b1, ops@b2:2222\n[host:b1]\nport = 1\n[host:b2]\nport = 2222\n[host:h1]\nport = 1\n"
    found = inventory(text)
    assert way(found, "b1") == []
    assert way(found, "b2") == ["b1"]
    assert way(found, "h1") == ["b1", "ops@b2:2222"]
    assert found.host("b2@b1").jump == ()


@pytest.mark.parametrize("section", ["[defaults]", "[group:g]\nhosts = inner", "[host:inner]"])
@pytest.mark.parametrize("bastion", ["gw", "ops@192.168.1.1", "ops@gw"])
def test_another_host_at_the_address_of_its_bastion_is_never_reached_directly(section: str, bastion: str) -> None:
    # two networks may share private addresses
    hosts = "[host:gw]\naddress = 192.168.1.1\nuser = ops\njump = none\n[host:inner]\naddress = 192.168.1.1\n"
    text = f"{hosts}jump = {bastion}\n" if section == "[host:inner]" else f"{section}\njump = {bastion}\n{hosts}"
    found = inventory(text)
    assert way(found, "inner") == [bastion]
    assert way(found, "gw") == []


def test_two_hosts_of_one_place_are_told_apart_by_their_names() -> None:
    text = "[defaults]\naddress = 127.0.0.1\nport = 3022\njump = other\n[host:other]\n[host:sg]\n"
    found = inventory(text)
    assert way(found, "sg") == ["other"]
    assert way(found, "other") == []


def test_a_bastion_that_is_named_in_another_way_is_still_itself() -> None:
    hosts = "[host:gw]\naddress = 192.0.2.1\nuser = ops\nport = 2222\n[host:h1]\nport = 1\n"
    for jump in ("ops@192.0.2.1:2222", "gw", "root@gw"):
        found = inventory(f"[defaults]\njump = {jump}\n{hosts}")
        assert way(found, "gw") == []
        assert way(found, "h1") == [jump]


@pytest.mark.parametrize("where", ["host:h1", "defaults", "group:g"])
def test_another_host_at_the_same_address_is_not_ones_own_jump_host(where: str) -> None:
    """Networks behind two bastions may use the same private addresses; or it is one machine, and another user's."""
    text = "[host:b]\naddress = 10.0.0.1\nuser = ops\n[host:h1]\naddress = 10.0.0.1\n[group:g]\nhosts = h1, b\n"
    found = inventory(
        f"{text}[{where}]\njump = b\n" if where == "defaults" else text.replace(f"[{where}]", f"[{where}]\njump = b")
    )
    assert way(found, "h1") == ["b"]
    assert way(found, "b") == []
    assert way(found, "root@b") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[host:h1]\njump = b1\n[host:b1]\njump = b2\n[host:b2]\njump = b3\n[host:b3]\njump = b1\n",
            "a circle of jump hosts: b1 → b2 → b3 → b1",
        ),
        ("[host:b1]\njump = b1\n", "hosts.ini:2: b1 cannot be its own jump host"),
        (
            "[host:b1]\naddress = 192.0.2.1\njump = me@192.0.2.1:22\n",
            "hosts.ini:3: b1 cannot be its own jump host",
        ),
        ("[host:b1]\naddress = 192.0.2.1\njump = root@b1\n", "hosts.ini:3: b1 cannot be its own jump host"),
        (
            "[host:b1]\naddress = 192.0.2.1\njump = b2\n[host:b2]\naddress = 192.0.2.1\njump = root@b1\n",
            "a circle of jump hosts",
        ),
    ],
)
def test_a_circle_is_an_error_with_file_and_line(text: str, says: str) -> None:
    with pytest.raises(InventoryError) as caught:
        for name in inventory(text).host_names:
            inventory(text).host(name)
    assert caught.value.message.startswith("hosts.ini:")
    assert says in caught.value.message


def test_a_circle_is_found_when_the_inventory_is_read() -> None:
    with pytest.raises(InventoryError, match="circle of jump hosts"):
        inventory("[host:b1]\njump = b2\n[host:b2]\njump = b1\n")


def test_hosts_behind_the_same_bastion_share_what_is_known_of_it() -> None:
    found = inventory("[host:h[1-2]]\njump = bastion\n[host:bastion]\nport = 2\n")
    first, second = found.host("h1"), found.host("h2")
    assert isinstance(first, Host)
    assert first.jump[0] is second.jump[0]
