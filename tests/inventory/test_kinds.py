"""Which kind a text is taken for, and what a plain list of hosts may say."""

from __future__ import annotations

import pytest

from hostshell.core.errors import InventoryError
from hostshell.inventory import hostlist
from hostshell.inventory.kinds import Kind, kind_of
from hostshell.inventory.model import Inventory


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "own"),
        ("[host:h1]\n", "own"),
        ("# x\n\n[defaults]\nuser = me\n", "own"),
        ("[group:web]\nhosts = a\n", "own"),
        ("[web]\naddress = 192.0.2.1\n", "own"),  # a section of ours, mistyped: its error helps
        ("user = me\n[host:h1]\n", "own"),
        ("[web]\nh1\n", "ini"),
        ("[group:vars]\nx=1\n[group]\nh1\n", "ini"),
        ("h1\n[web:children]\ndb\n[db]\n", "ini"),
        ("[db:vars]\nansible_user = x\n[db]\nh1\n", "ini"),
        ("[web]\nh1\n[web:vars\nx=1\n", "ini"),  # a heading of Ansible's, mistyped: again its error helps
        ("[web:vars\nx=1\n", "ini"),
        ("[web]\nh1\n[web:vars] x\nx=1\n", "ini"),
        ("[web]\nh1\n[web:var]\nx=1\n", "ini"),
        ("[hots:h1]\naddress = 192.0.2.1\n", "own"),
        ("[group:hosts]\nhosts = 192.0.2.1\n", "own"),  # Ansible has such a heading, but no such line below it
        ("[host:hosts]\naddress = 192.0.2.1\n", "own"),
        ("[group:hosts\nhosts = 192.0.2.1\n", "own"),
        ("[gorup:vary]\nhosts = 192.0.2.1\n", "own"),
        ("h1 ansible_host=192.0.2.1\n", "ini"),
        ("web[01:20]\n", "ini"),
        ("---\nall:\n", "yaml"),
        ("all:\n  hosts:\n", "yaml"),
        ("# x\n'web':\n", "yaml"),
        ('{"web": ["h1"]}', "json"),
        ("h1\nh2\n", "list"),
        ("deploy@h1:2222 # x\nweb[01-20]\n", "list"),
        ("[::1]:2222\n::1\n2001:db8::1\n", "list"),
        ("h1:22\n", "list"),
    ],
)
def test_the_kind_is_found_from_the_content(text: str, kind: Kind) -> None:
    assert kind_of(text) == kind
    assert kind_of("\ufeff" + text) == kind
    assert kind_of(text.replace("\n", "\r\n")) == kind


def test_an_ending_says_the_kind_and_folders_beside_make_a_list_ansibles() -> None:
    assert kind_of("h1", "hosts.yml") == "yaml"
    assert kind_of("h1", "hosts.json") == "json"
    assert kind_of("h1\n", folders=True) == "ini"
    assert kind_of("me@h1\n", folders=True) == "list"


def test_a_list_names_hosts_users_and_ports() -> None:
    text = "# mine\nh1\n\ndeploy@web[01-02]:2222 # both\nx[1:3:2],y\n[::1]:22\n2001:db8::1\n10.0.0.5:2200\n; old\nh1\n"
    found = Inventory([hostlist.read(text, "l")], local_user="me")
    assert list(found.host_names) == ["h1", "web01", "web02", "x1", "x3", "y", "::1", "2001:db8::1", "10.0.0.5"]
    web = found.host("web02")
    assert (web.address, web.user, web.port) == ("web02", "deploy", 2222)
    assert (found.host("::1").port, found.host("10.0.0.5").port) == (22, 2200)
    assert next(setting.source for setting in found.settings("web01") if setting.key == "user") == "l:4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h1\nh2 h3\n", "l:2: more than one word"),
        ("h1\n-oX\n", "l:2: bad host `-oX`: it starts with `-`"),
        ("$(id)\n", "l:1: bad host `$(id)`: it holds `$`"),
        ("h1:70000\n", "l:1: `70000` is no port"),
        ("-x@h1\n", "l:1: bad user"),
        ("h1:22\nh1:23\n", "l:2: h1 stands in line 1 with another user or port"),
        ("web[1-\n", "l:1: bad host"),
        ("[defaults\n", "l:1: bad host"),
    ],
)
def test_what_is_no_host_is_an_error_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InventoryError) as caught:
        hostlist.read(text, "l")
    assert caught.value.message.startswith(message)
