"""What sections mean: names, settings, and the errors for what is wrong in one file."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.model import Place, Secret, SecretSource
from hostshell.core.names import check_name
from hostshell.inventory.sections import GroupSection, HostSection, read
from hostshell.inventory.settings import SETTINGS


def error(text: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        read(text, "hosts.ini")
    return caught.value


def value(key: str, text: str) -> object:
    section = read(f"[host:h1]\n{key} = {text}\n", "hosts.ini").sections[0]
    return section.layer.values[key][0]


def test_hosts_groups_and_defaults_are_read() -> None:
    found = read("[defaults]\nport = 1\n[host:web[1-2]]\n[group:g]\nhosts = web[1-2], h1\ngroups = a, b\n", "hosts.ini")
    host, group = found.sections
    assert isinstance(host, HostSection)
    assert isinstance(group, GroupSection)
    assert host.names == ("web1", "web2")
    assert (group.name, group.hosts, group.groups) == ("g", ("web1", "web2", "h1"), ("a", "b"))
    assert found.defaults is not None
    assert found.defaults.values == {"port": (1, 2)}


@pytest.mark.parametrize(
    ("key", "text", "wanted"),
    [
        ("address", "192.0.2.1", "192.0.2.1"),
        ("address", "fe80::1%eth0", "fe80::1%eth0"),
        ("address", "{host}.example.net", "{host}.example.net"),
        ("port", "65535", 65535),
        ("user", "CORP\\jane", "CORP\\jane"),
        ("key", "~/.ssh/{host} key", "~/.ssh/{host} key"),
        ("known_hosts", "/etc/known#hosts", "/etc/known#hosts"),
        ("connect_timeout", "2.5", 2.5),
        ("keepalive", "0", 0.0),
        ("host_keys", "accept-new", "accept-new"),
    ],
)
def test_a_setting_is_checked_and_converted(key: str, text: str, wanted: object) -> None:
    assert value(key, text) == wanted


@pytest.mark.parametrize(
    ("key", "text", "kind", "argument"),
    [
        ("password_from", "env:WEB_PASSWORD", "env", "WEB_PASSWORD"),
        ("password_from", "cmd:pass show 'a;b' | head -n 1", "cmd", "pass show 'a;b' | head -n 1"),
        ("password_from", "keyring:my/service/jane", "keyring", "my/service/jane"),
        ("passphrase_from", "ask", "ask", ""),
    ],
)
def test_a_source_of_secrets_is_read_with_its_place(key: str, text: str, kind: str, argument: str) -> None:
    found = value(key, text)
    assert isinstance(found, SecretSource)
    assert (found.kind, found.argument, found.literal) == (kind, argument, None)
    assert found.place == Place("hosts.ini", 2, "host:h1")


def test_a_password_becomes_a_secret_that_nothing_shows() -> None:
    found = read("[host:h1]\npassword = any;thing#100%\n", "hosts.ini")
    source = found.sections[0].layer.values["password"][0]
    assert isinstance(source, SecretSource)
    assert source.literal == Secret("any;thing#100%")
    assert found.literal == Place("hosts.ini", 2, "host:h1")
    assert "any;thing" not in repr(found)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("address", "-oX", "bad address: it starts with `-`"),
        ("address", "$(id)", "bad address: it holds `$`"),
        ("address", "a b", "bad address: it holds a blank"),
        ("address", "h1:22", "bad address: it holds `:`; the port goes into `port`"),
        ("address", "root@h1", "bad address: it holds `@`; the user goes into `user`"),
        ("address", "{hostname}.x", "bad address: it holds `{`"),
        ("user", "-oX", "bad user: it starts with `-`"),
        ("user", "$(id)", "bad user: it holds `$`"),
        ("user", "a\x1bb", "bad user: it holds a control character"),
        ("port", "0", "`0` is no port"),
        ("port", "65536", "`65536` is no port"),
        ("port", "70000", "`70000` is no port"),
        ("port", "ssh", "`ssh` is no port"),
        ("port", "-1", "`-1` is no port"),
        ("port", "2_2", "`2_2` is no port"),
        ("port", "٢٢", "`٢٢` is no port"),
        ("connect_timeout", "0", "`connect_timeout` must be more than 0 seconds"),
        ("connect_timeout", "-1", "`-1` is no time"),
        ("connect_timeout", "inf", "`inf` is no time"),
        ("connect_timeout", "nan", "`nan` is no time"),
        ("connect_timeout", "10s", "`10s` is no time"),
        ("connect_timeout", "1e3", "`1e3` is no time"),
        ("connect_timeout", "1000001", "`1000001` is no time"),
        ("keepalive", "-1", "`-1` is no time"),
        ("keepalive", "9" * 400, "is no time"),
        ("host_keys", "yes", "`yes` is no policy for host keys"),
        ("key", "a\x1bb", "the path holds a control character"),
        ("password_from", "env:", "what follows `env:` is no name of a variable"),
        ("password_from", "env:A B", "what follows `env:` is no name of a variable"),
        ("password_from", "cmd:", "no command follows `cmd:`"),
        ("password_from", "keyring:x", "`keyring:` needs a service and a user"),
        ("password_from", "keyring:/x", "`keyring:` needs a service and a user"),
        ("passphrase_from", "prompt", "not a source of secrets"),
        ("jump", "a b", "bad jump host `a b`"),
        ("jump", "b1,", "bad jump host"),
        ("jump", "b1, b1", "the jump host b1 stands there twice"),
        ("jump", "b1:port", "`port` is no port"),
        ("jump", "-oProxyCommand=x", "bad jump host"),
        ("encoding", "gbkk", "`gbkk` cannot be a host's encoding: Python knows no such encoding"),
        ("encoding", "utf-16", "`utf-16` cannot be a host's encoding: its ASCII characters are not single bytes"),
        ("encoding", "rot13", "`rot13` cannot be a host's encoding"),
        ("sudo", "true", "`true` is neither yes nor no"),
        ("sudo_user", "-x", "bad user"),
        ("sudo_password_from", "s3cret", "not a source of secrets"),
        ("passphrase", "x", "unknown setting `passphrase`"),
        ("hosts", "h2", "`hosts` stands in [host:h1]"),
        ("groups", "g", "`groups` stands in [host:h1]"),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_with_file_and_line(key: str, text: str, says: str) -> None:
    found = error(f"[host:h1]\n{key} = {text}\n")
    assert found.message.startswith("hosts.ini:2: ")
    assert says in found.message
    assert "\x1b" not in str(found)


@pytest.mark.parametrize("text", ["hunter2", "Ask", "env:hunter2!", "keyring:hunter2"])
def test_a_password_in_the_wrong_setting_is_not_shown(text: str) -> None:
    assert "hunter2" not in str(error(f"[host:h1]\npassword_from = {text}\n"))


def test_both_ways_to_give_a_password_in_one_section_are_an_error() -> None:
    found = error("[host:h1]\npassword_from = ask\npassword = x\n")
    assert found.message == "hosts.ini:3: both `password` and `password_from` in one section"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[host:h1]\nadress = x\n", "hosts.ini:2: unknown setting `adress`", "did you mean address?"),
        ("[host:h1]\nPort = 22\n", "hosts.ini:2: unknown setting `Port`", "did you mean port?"),
        ("[group:g]\nhost = h1\n", "hosts.ini:2: unknown setting `host`", "did you mean hosts?"),
        ("[host:h1]\nhost_keys = strikt\n", "hosts.ini:2: `strikt` is no policy for host keys", "did you mean strict?"),
        ("[DEFAULT]\n", "hosts.ini:1: unknown section [DEFAULT]", "did you mean [defaults]?"),
        ("[default]\n", "hosts.ini:1: unknown section [default]", "did you mean [defaults]?"),
        ("[defaults:x]\n", "hosts.ini:1: unknown section [defaults:x]", "did you mean [defaults]?"),
        ("[hosts:h1]\n", "hosts.ini:1: unknown section [hosts:h1]", "did you mean [host:h1]?"),
        ("[gruop:g]\n", "hosts.ini:1: unknown section [gruop:g]", "did you mean [group:g]?"),
        ("[web]\n", "hosts.ini:1: unknown section [web]", "did you mean [host:web] or [group:web]?"),
        ("[defaults]\n[host:h1]\n[ defaults ]\n", "hosts.ini:3: a second [defaults]", ""),
        (
            "[group:all]\n",
            "hosts.ini:1: the group `all` is every host already",
            "settings for every host go into [defaults]",
        ),
        (
            "[group:g]\ngroups = all\n",
            "hosts.ini:2: the group `all` is every host already",
            "settings for every host go into [defaults]",
        ),
        (
            "[group:failed]\n",
            "hosts.ini:1: no group may be called `failed`",
            "@failed is how hosts of the last command ended",
        ),
        (
            "[group:g]\ngroups = ok\n",
            "hosts.ini:2: no group may be called `ok`",
            "@ok is how hosts of the last command ended",
        ),
        (
            "[group:g]\nhosts = @web\n",
            "hosts.ini:2: a group among hosts",
            "groups in a group are named with `groups = NAME, NAME`",
        ),
        (
            "[group:g]\nhosts = h1 h2\n",
            "hosts.ini:2: bad host name `h1 h2`: it holds a blank",
            "names are separated by commas",
        ),
        ("[group:g]\nhosts = h1,,h2\n", "hosts.ini:2: bad host names: nothing between `,` and `,`", ""),
        (
            "[group:g]\ngroups = a b\n",
            "hosts.ini:2: bad group name `a b`: it holds a blank",
            "names are separated by commas",
        ),
        (
            "[host:root@h1:22]\n",
            "hosts.ini:1: bad host name `root@h1:22`: it holds `@`",
            "a host's user and port are settings: `user = …`, `port = …`",
        ),
        ("[group: g]\n[group:g]\n", "hosts.ini:2: the group g stands in line 1 already", ""),
        ("[host:h1]\n[host: h1]\n", "hosts.ini:2: this names exactly the hosts of [host:h1] in line 1", ""),
        ("[host:w[1-2]]\n[host:w[2,1]]\n", "hosts.ini:2: this names exactly the hosts of [host:w[1-2]] in line 1", ""),
    ],
)
def test_a_wrong_section_or_key_is_an_error_with_the_nearest_right_one(text: str, message: str, hint: str) -> None:
    found = error(text)
    assert (found.message, found.hint) == (message, hint)


@pytest.mark.parametrize(
    "header",
    [
        "host:-oX",
        "host:$(id)",
        "host:a b",
        "host:",
        "host:a;b",
        "host:web*",
        "host:..",
        "host:a/b",
        "host:web[2-1]",
        "host:a\x0bb",
        "host:web[1-9999999]",
        "group:-x",
        "group:$(id)",
        "group:",
        "group:a[1-2]",
        "group:a,b",
    ],
)
def test_a_bad_name_of_a_host_or_group_is_refused_when_the_file_is_read(header: str) -> None:
    assert error(f"[defaults]\n[{header}]\n").message.startswith("hosts.ini:2: ")


def test_a_range_and_a_single_host_in_it_are_two_sections() -> None:
    assert len(read("[host:w[1-2]]\n[host:w1]\n[host:w[1-3]]\n", "hosts.ini").sections) == 3


@pytest.mark.parametrize("section", ["defaults", "group:g", "host:h1"])
def test_every_setting_may_stand_in_every_kind_of_section(section: str) -> None:
    good = {"port": "1", "connect_timeout": "1", "keepalive": "1", "host_keys": "ask", "passphrase_from": "ask"}
    good |= {"encoding": "gbk", "sudo": "yes", "proxy_command": "yes", "match_exec": "no"}
    keys = [key for key in SETTINGS if key not in ("password_from", "sudo_password_from")]
    read(f"[{section}]\n" + "".join(f"{key} = {good.get(key, 'x')}\n" for key in keys), "hosts.ini")


_header = st.sampled_from(
    ["host:h1", "host:web[1-3]", "group:g", "group:all", "defaults", "DEFAULT", "host:", "x", "host:-x", "group:a b"]
)
_key = st.sampled_from([*SETTINGS, "hosts", "groups", "adress", "\x1b"])
_value = st.sampled_from(
    [
        "h1",
        "22",
        "70000",
        "0",
        "10.5",
        "env:X",
        "cmd:x",
        "ask",
        "keyring:a/b",
        "strict",
        "$(id)",
        "-x",
        "::1",
        "web[1-2],h1",
        "@g",
        "g",
        "~/.ssh/k",
    ]
) | st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=5)
_sections = st.lists(
    st.tuples(_header, st.lists(st.tuples(_key, _value), max_size=3)).map(
        lambda section: f"[{section[0]}]\n" + "".join(f"{key} = {value}\n" for key, value in section[1])
    ),
    max_size=3,
).map("".join)


@settings(deadline=None)
@given(_sections)
def test_any_sections_are_read_or_refused_with_file_and_line(text: str) -> None:
    try:
        found = read(text, "hosts.ini")
    except InventoryError as refused:
        assert re.match(r"hosts\.ini:[0-9]+: ", refused.message)
        for sentence in (refused.message, refused.hint):
            assert sentence == clean(sentence)
            assert len(sentence) < 500
        return
    for section in found.sections:
        names = section.names if isinstance(section, HostSection) else (section.name, *(section.hosts or ()))
        for name in names:
            check_name(name)
        for key, (_, line) in section.layer.values.items():
            assert text.split("\n")[line - 1].startswith(key)


_secret = st.text(st.characters(categories=["L", "N"]), min_size=8, max_size=12).map("hunter2".__add__)


@settings(deadline=None)
@given(_secret, _sections, _sections)
def test_whatever_stands_around_a_password_no_error_and_no_repr_shows_it(secret: str, before: str, after: str) -> None:
    try:
        found = read(f"{before}[host:secret]\npassword = {secret}\n{after}", "hosts.ini")
    except InventoryError as refused:
        assert secret not in str(refused)
        return
    assert secret not in repr(found)
    assert found.literal is not None
