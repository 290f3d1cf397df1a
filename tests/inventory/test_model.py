"""The inventory: which hosts and groups there are, what holds for each, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.errors import InventoryError, TargetError
from hostshell.core.model import Host, Secret
from hostshell.core.targets import Targets, resolve
from hostshell.inventory.model import Inventory, Setting
from hostshell.inventory.sections import read


def inventory(*texts: str) -> Inventory:
    names = ["hosts.ini", "more.ini", "last.ini"]
    return Inventory([read(text, name) for text, name in zip(texts, names, strict=False)], local_user="me")


def error(*texts: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        inventory(*texts)
    return caught.value


def literal(host: Host) -> str | None:
    secret = host.password_from.literal if host.password_from else None
    return secret.reveal() if secret else None


CONTRACT = """\
[defaults]
user = deploy
[host:h1]
address = 192.0.2.11
port = 2222
user = root
password = any;thing#100%
[host:web[01-20]]
address = {host}.example.net
[group:web_clusters]
hosts = web[01-20], h1
user = www
[group:db_servers]
hosts = db1, db2
[group:prod]
groups = web_clusters, db_servers
"""


# --- hosts and groups ---


def test_the_contracts_own_example_means_what_it_says() -> None:
    found = inventory(CONTRACT)
    h1, web01, db1 = found.host("h1"), found.host("web01"), found.host("db1")
    assert (h1.address, h1.port, h1.user, literal(h1)) == ("192.0.2.11", 2222, "root", "any;thing#100%")
    assert (web01.address, web01.port, web01.user) == ("web01.example.net", 22, "www")
    assert (db1.address, db1.user, db1.password_from) == ("db1", "deploy", None)


def test_hosts_come_in_the_order_in_which_they_are_first_named() -> None:
    found = inventory("[group:g]\nhosts = c, a\n[host:b]\n[host:a]\n", "[host:d]\n[group:g]\nport = 1\n")
    assert list(found.host_names) == ["c", "a", "b", "d"]
    assert "a" in found.host_names
    assert "x" not in found.host_names


def test_groups_hold_their_own_hosts_and_then_those_of_their_groups_each_once() -> None:
    found = inventory(
        "[group:all_of_it]\ngroups = b, a\nhosts = z, y\n[group:a]\nhosts = x, y\n[group:b]\nhosts = w\n[group:none]\n"
    )
    assert dict(found.groups) == {"all_of_it": ("z", "y", "w", "x"), "a": ("x", "y"), "b": ("w",), "none": ()}
    assert "a" in found.groups
    assert "c" not in found.groups


def test_a_long_chain_of_groups_is_followed() -> None:
    chain = "".join(f"[group:g{n}]\ngroups = g{n + 1}\n" for n in range(5000)) + "[group:g5000]\nhosts = h1\nport = 1\n"
    found = inventory(chain + "[group:late]\nhosts = h1\nport = 2\n")
    assert found.groups["g0"] == ("h1",)
    assert found.host("h1").port == 1


def test_the_inventory_is_a_catalog_of_targets() -> None:
    found = inventory(CONTRACT)
    seed = Targets(hosts=("h1",), groups=("web_clusters,db_servers",), exclude=("web[02-20]",))
    assert resolve(seed, found) == ("h1", "web01", "db1", "db2")


def test_an_empty_inventory_still_knows_hosts_of_the_moment() -> None:
    found = Inventory.empty()
    assert (list(found.host_names), dict(found.groups), found.sources) == ([], {}, ())
    assert found.host("root@10.0.0.5:2222") == Host("root@10.0.0.5:2222", "10.0.0.5", 2222, "root", moment=True)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[group:web]\n[group:g]\nhosts = h1\ngroups = wbe\n", "hosts.ini:4: unknown group wbe", "did you mean web?"),
        ("[group:a]\ngroups = a\n", "hosts.ini:2: a circle of groups: a → a", "take one of them out of its `groups =`"),
        (
            "[group:top]\ngroups = a\n[group:a]\ngroups = b\n[group:b]\ngroups = c\n[group:c]\nhosts = x\ngroups = a\n",
            "hosts.ini:4: a circle of groups: a → b → c → a",
            "take one of them out of its `groups =`",
        ),
    ],
)
def test_groups_that_cannot_be_are_an_error(text: str, message: str, hint: str) -> None:
    found = error(text)
    assert (found.message, found.hint) == (message, hint)


def test_a_circle_over_two_files_is_found() -> None:
    assert error("[group:a]\ngroups = b\n[group:b]\n", "[group:b]\ngroups = a\n").message.endswith(
        "a circle of groups: a → b → a"
    )


def test_a_host_nobody_knows_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(TargetError) as caught:
        inventory(CONTRACT).host("wbe01")
    assert (caught.value.message, caught.value.hint) == ("unknown host wbe01", "did you mean web01?")


# --- precedence ---


def test_the_hosts_own_beats_its_groups_and_those_the_defaults() -> None:
    defaults = "[defaults]\nport = 1\nuser = d\nkeepalive = 1\n"
    host = inventory(defaults + "[group:g]\nhosts = h1\nport = 2\nuser = g\n[host:h1]\nport = 3\n").host("h1")
    assert (host.port, host.user, host.keepalive, host.connect_timeout) == (3, "g", 1.0, 10.0)


def test_the_deepest_group_beats_those_it_is_in_wherever_they_stand() -> None:
    inner = "[group:inner]\nhosts = h1\nport = 1\n"
    outer = "[group:outer]\nhosts = h1\ngroups = inner\nport = 2\nuser = o\n"
    for text in (inner + outer, outer + inner):
        host = inventory(text).host("h1")
        assert (host.port, host.user) == (1, "o")


def test_a_deeper_group_beats_an_unrelated_one_that_stands_later() -> None:
    text = "[group:top]\ngroups = deep\n[group:deep]\nhosts = h1\nport = 1\n[group:flat]\nhosts = h1\nport = 2\n"
    assert inventory(text).host("h1").port == 1


def test_at_equal_depth_the_later_group_in_the_file_wins() -> None:
    text = "[group:b]\nhosts = h1\nport = 1\nuser = b\n[group:a]\nhosts = h1\nport = 2\n"
    host = inventory(text).host("h1")
    assert (host.port, host.user) == (2, "b")


@pytest.mark.parametrize("flip", [False, True])
def test_the_section_that_names_fewer_hosts_wins_wherever_it_stands(flip: bool) -> None:
    sections = [
        "[host:w[1-9]]\nport = 9\nuser = u9\nkey = k9\n",
        "[host:w[1-3]]\nport = 3\nuser = u3\n",
        "[host:w1]\nport = 1\n",
    ]
    host = inventory("".join(reversed(sections) if flip else sections)).host("w1")
    assert (host.port, host.user, host.key) == (1, "u3", "k9")


def test_of_two_ranges_of_the_same_size_the_later_wins() -> None:
    assert inventory("[host:w[1-3]]\nport = 1\n[host:w[2-4]]\nport = 2\n").host("w3").port == 2


def test_a_password_and_its_source_are_one_thing_and_the_nearer_counts() -> None:
    text = "[group:g]\nhosts = h1, h2\npassword = x\n[host:h1]\npassword_from = env:A\n"
    found = inventory(text)
    h1 = found.host("h1").password_from
    assert h1 is not None
    assert h1.kind == "env"
    assert [setting.key for setting in found.settings("h1") if setting.key.startswith("pass")] == ["password_from"]
    assert literal(found.host("h2")) == "x"


def test_the_name_stands_in_for_host_in_address_user_key_and_known_hosts_only() -> None:
    text = "[host:w[1-2]]\naddress = {host}.x\nuser = {host}\nkey = /k/{host}/{host}\nknown_hosts = /n/{host}\n"
    host = inventory(text + "password = {host}\n").host("w2")
    assert (host.address, host.user, host.key, host.known_hosts) == ("w2.x", "w2", "/k/w2/w2", "/n/w2")
    assert literal(host) == "{host}"
    source = inventory("[host:w1]\npassword_from = cmd:pass {host}\n").host("w1").password_from
    assert source is not None
    assert source.argument == "pass {host}"


def test_a_leading_tilde_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    host = inventory("[host:h1]\nkey = ~/.ssh/k\nknown_hosts = ~/n~\n").host("h1")
    assert (host.key, host.known_hosts) == (f"{tmp_path}/.ssh/k", f"{tmp_path}/n~")


def test_without_a_user_it_is_the_local_account() -> None:
    assert inventory("[host:h1]\n").host("h1").user == "me"
    assert Inventory([read("[host:h1]\n", "hosts.ini")]).host("h1").user


# --- several files ---


def test_over_several_files_the_later_wins_key_by_key() -> None:
    first = "[defaults]\nkeepalive = 1\nuser = d1\n[host:h1]\nport = 1\nkey = a\n"
    first += "[group:g]\nhosts = h1\nconnect_timeout = 1\n"
    second = "[defaults]\nuser = d2\n[host:h1]\nport = 2\n[group:g]\nconnect_timeout = 2\n"
    found = inventory(first, second)
    host = found.host("h1")
    assert (host.port, host.key, host.user, host.keepalive, host.connect_timeout) == (2, "a", "d2", 1.0, 2.0)
    assert found.sources == ("hosts.ini", "more.ini")
    assert found.groups["g"] == ("h1",)


def test_a_later_list_of_hosts_takes_the_place_of_the_earlier_one() -> None:
    found = inventory("[group:g]\nhosts = a, b\n[group:h]\n", "[group:g]\nhosts = c\ngroups = h\n")
    assert found.groups["g"] == ("c",)
    assert list(found.host_names) == ["c"]


def test_a_group_may_name_one_of_another_file() -> None:
    assert inventory("[group:g]\ngroups = late\n", "[group:late]\nhosts = h1\n").groups["g"] == ("h1",)


# --- hosts of the moment ---


def test_a_host_of_the_moment_takes_the_defaults() -> None:
    found = inventory(
        "[defaults]\nuser = d\nport = 5\npassword = x\nkeepalive = 7\naddress = {host}.example.net\n[host:h1]\n"
    )
    host = found.host("10.0.0.5")
    assert (host.name, host.address, host.port, host.user, host.keepalive, literal(host)) == (
        "10.0.0.5",
        "10.0.0.5",
        5,
        "d",
        7.0,
        "x",
    )


def test_a_known_host_under_another_user_keeps_its_settings_but_not_its_password() -> None:
    found = inventory(CONTRACT)
    host = found.host("admin@h1")
    assert (host.name, host.address, host.port, host.user, host.password_from) == (
        "admin@h1",
        "192.0.2.11",
        2222,
        "admin",
        None,
    )
    same = found.host("root@h1:22")
    assert (same.address, same.port, same.user, literal(same)) == ("192.0.2.11", 22, "root", "any;thing#100%")
    assert found.host("admin@web01").address == "web01.example.net"


def test_a_password_of_the_defaults_is_only_for_the_user_of_the_defaults() -> None:
    found = inventory("[defaults]\nuser = d\npassword_from = ask\n[host:h1]\n")
    assert found.host("root@10.0.0.5").password_from is None
    assert found.host("d@10.0.0.5").password_from is not None
    of_me = inventory("[defaults]\npassword = x\n[host:h1]\n")
    assert literal(of_me.host("root@h1")) is None
    assert literal(of_me.host("me@h1")) == "x"


def test_what_was_typed_is_shown_as_typed() -> None:
    shown = {
        setting.key: (setting.text, setting.source) for setting in inventory(CONTRACT).settings("bob@10.0.0.5:2200")
    }
    assert shown["user"] == ("bob", "as typed")
    assert shown["port"] == ("2200", "as typed")
    assert shown["address"] == ("10.0.0.5", "as typed")


# --- show and secrets ---


def test_settings_say_where_each_value_comes_from() -> None:
    found = inventory(CONTRACT)
    assert found.settings("h1") == [
        Setting("address", "192.0.2.11", "hosts.ini:4 [host:h1]"),
        Setting("port", "2222", "hosts.ini:5 [host:h1]"),
        Setting("user", "root", "hosts.ini:6 [host:h1]"),
        Setting("password", "***", "hosts.ini:7 [host:h1]"),
        Setting("connect_timeout", "10", "built in"),
        Setting("keepalive", "30", "built in"),
    ]
    assert found.settings("web01")[0] == Setting("address", "web01.example.net", "hosts.ini:9 [host:web[01-20]]")
    assert found.settings("web01")[2] == Setting("user", "www", "hosts.ini:12 [group:web_clusters]")
    assert found.settings("db1")[:3] == [
        Setting("address", "db1", "built in"),
        Setting("port", "22", "built in"),
        Setting("user", "deploy", "hosts.ini:2 [defaults]"),
    ]


@pytest.mark.parametrize("text", ["env:NAME", "keyring:s/u", "ask"])
def test_sources_of_secrets_are_shown_as_they_stand(text: str) -> None:
    shown = inventory(f"[host:h1]\npassword_from = {text}\n").settings("h1")
    assert ("password_from", text) in [(setting.key, setting.text) for setting in shown]


@pytest.mark.parametrize("key", ["password_from", "passphrase_from", "sudo_password_from"])
def test_a_command_that_gives_a_secret_is_not_shown(key: str) -> None:
    # a password may stand in it, as in a ProxyCommand
    shown = inventory(f"[host:h1]\n{key} = cmd:curl -u me:canary-8Z https://vault.example.net\n").settings("h1")
    assert [(one.text, one.source) for one in shown if one.key == key] == [
        ("cmd: a command, not shown", "hosts.ini:2 [host:h1]")
    ]
    assert "canary" not in repr([one.text for one in shown])


def test_seconds_are_shown_as_a_person_writes_them() -> None:
    shown = inventory("[host:h1]\nconnect_timeout = 2.50\nkeepalive = 0\n").settings("h1")
    assert [setting.text for setting in shown if setting.key in ("connect_timeout", "keepalive")] == ["2.5", "0"]


def test_every_password_in_the_files_is_known_so_that_none_is_written_down() -> None:
    found = inventory(
        "[defaults]\npassword = a\n[host:h1]\npassword = b\n[group:g]\npassword = c\n", "[host:h1]\npassword = d\n"
    )
    assert {secret.reveal() for secret in found.secrets()} == {"a", "b", "c", "d"}


_password = (
    st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)


@given(_password)
def test_any_password_arrives_byte_for_byte(text: str) -> None:
    found = inventory(f"[host:h1]\npassword = {text}\n")
    assert literal(found.host("h1")) == text
    assert list(found.secrets()) == [Secret(text)]


def test_no_repr_holds_a_password() -> None:
    found = inventory("[host:h1]\npassword = hunter2\n")
    assert "hunter2" not in repr((found, found.host("h1"), found.settings("h1"), list(found.secrets())))
