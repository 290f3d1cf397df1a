"""How ssh_config lies under the inventory: which value wins, where each comes from, and what is refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.errors import InventoryError
from hostshell.core.model import Host
from hostshell.inventory.load import load
from hostshell.inventory.model import Inventory
from hostshell.inventory.sections import read
from hostshell.inventory.sshconfig import config
from hostshell.inventory.sshconfig.config import SshConfig
from tests.support import processes
from tests.support.endings import ended


def laid(tmp_path: Path, ssh: str, ini: str = "", **environ: str) -> Inventory:
    folder = tmp_path / ".ssh"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(ssh)
    (folder / "config").chmod(0o600)
    inventory = Inventory([read(ini, "hosts.ini")] if ini else [], local_user="me")
    inventory.lay_over(SshConfig(environ={"HOME": str(tmp_path), **environ}, system="/nonexistent"))
    return inventory


def sources(inventory: Inventory, name: str) -> dict[str, tuple[str, str]]:
    return {setting.key: (setting.text, setting.source) for setting in inventory.settings(name)}


def test_the_configuration_answers_for_a_host_by_the_name_that_the_person_uses(tmp_path: Path) -> None:
    inventory = laid(tmp_path, "Host web1\n  HostName 10.0.0.1\n  Port 2222\n  User deploy\n", "[host:web1]\n")
    host = inventory.host("web1")
    assert (host.name, host.address, host.port, host.user) == ("web1", "10.0.0.1", 2222, "deploy")


def test_the_inventory_beats_the_configuration_and_that_beats_what_is_built_in(tmp_path: Path) -> None:
    ssh = "Host *\n  HostName 10.0.0.1\n  Port 2222\n  User ssh\n  ConnectTimeout 7\n  ServerAliveInterval 9\n"
    inventory = laid(tmp_path, ssh, "[defaults]\nuser = deflt\n[host:web1]\naddress = 192.0.2.1\n[host:web2]\n")
    assert sources(inventory, "web1") == {
        "address": ("192.0.2.1", "hosts.ini:4 [host:web1]"),
        "port": ("2222", "~/.ssh/config:3"),
        "user": ("deflt", "hosts.ini:2 [defaults]"),
        "connect_timeout": ("7", "~/.ssh/config:5"),
        "keepalive": ("9", "~/.ssh/config:6"),
    }
    assert inventory.host("web2").address == "10.0.0.1"


def test_with_an_address_patterns_mean_the_name_and_the_address(tmp_path: Path) -> None:
    ssh = (
        "Host web1\n  Port 2201\nHost *.example.net\n  User by-address\nHost * !web1.*\n  Compression yes\n"
        "Match host web1.example.net\n  ConnectTimeout 3\n"
    )
    host = laid(tmp_path, ssh, "[host:web1]\naddress = web1.example.net\n").host("web1")
    assert (host.port, host.user, host.compression, host.connect_timeout) == (2201, "by-address", False, 3.0)


def test_a_host_of_the_moment_is_asked_for_as_it_was_typed(tmp_path: Path) -> None:
    ssh = "Host web1\n  HostName 10.0.0.1\n  User ssh\n  Port 2222\nMatch user root\n  Compression yes\n"
    inventory = laid(tmp_path, ssh, "[defaults]\naddress = 203.0.113.9\n[host:other]\n")
    host = inventory.host("root@web1:22")
    assert (host.address, host.user, host.port, host.compression) == ("10.0.0.1", "root", 22, True)
    assert inventory.host("web1:2022").user == "ssh"
    assert sources(inventory, "root@elsewhere")["address"] == ("elsewhere", "as typed")


def test_every_field_is_filled(tmp_path: Path) -> None:
    ssh = (
        "Host web1\n  IdentityFile ~/.ssh/%h_%r\n  IdentityFile /keys/b\n  IdentitiesOnly yes\n"
        "  CertificateFile ~/c.pub\n  IdentityAgent ${RUN}/agent\n  UserKnownHostsFile ~/kh /kh2\n"
        "  GlobalKnownHostsFile none\n  HostKeyAlias Fleet\n  StrictHostKeyChecking yes\n  PubkeyAuthentication no\n"
        "  PasswordAuthentication no\n  KbdInteractiveAuthentication no\n  AddressFamily inet6\n"
        "  BindAddress 127.0.0.9\n"
        "  PreferredAuthentications password,publickey\n  Compression yes\n"
        "  SendEnv LC_* MISSING\n  SetEnv A=1 LC_B=set\n"
        "  User deploy\n"
    )
    host = laid(tmp_path, ssh, "[host:web1]\n", RUN="/run/me", LC_A="a", LC_B="b", OTHER="x").host("web1")
    assert host == Host(
        "web1",
        "web1",
        user="deploy",
        identity_files=(f"{tmp_path}/.ssh/web1_deploy", "/keys/b"),
        identities_only=True,
        certificate_files=(f"{tmp_path}/c.pub",),
        identity_agent="/run/me/agent",
        user_known_hosts=(f"{tmp_path}/kh", "/kh2"),
        global_known_hosts=(),
        host_key_alias="fleet",
        host_keys="strict",
        pubkey_authentication=False,
        password_authentication=False,
        kbd_interactive_authentication=False,
        preferred_authentications=("password", "publickey"),
        address_family="inet6",
        bind_address="127.0.0.9",
        compression=True,
        environment=(("LC_A", "a"), ("LC_B", "set"), ("A", "1")),
    )


class _Shifting(dict[str, str]):
    """An environment that another thread changes: what stands in the list of its names is gone when it is asked for."""

    def __iter__(self) -> Iterator[str]:
        return iter([*super().__iter__(), "GONE"])


def test_an_environment_that_changes_meanwhile_is_sent_as_far_as_it_is_there(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host web1\n SendEnv *\n")
    inventory = Inventory([], local_user="me")
    inventory.lay_over(SshConfig(environ=_Shifting(HOME=str(tmp_path), LC_A="a"), system="/nonexistent"))
    assert dict(inventory.host("me@web1").environment) == {"HOME": str(tmp_path), "LC_A": "a"}


@pytest.mark.parametrize(
    ("word", "policy"), [("yes", "strict"), ("no", "accept-new"), ("off", "accept-new"), ("ask", "ask")]
)
def test_no_policy_accepts_a_changed_key(tmp_path: Path, word: str, policy: str) -> None:
    inventory = laid(tmp_path, f"StrictHostKeyChecking {word}\n", "[host:a]\n")
    assert inventory.host("a").host_keys == policy


def test_nothing_configured_leaves_the_defaults(tmp_path: Path) -> None:
    host = laid(tmp_path, "# nothing\n", "[host:a]\n").host("a")
    assert host == Inventory([read("[host:a]\n", "hosts.ini")], local_user="me").host("a")


def test_jump_hosts_are_worked_out_by_the_same_rules(tmp_path: Path) -> None:
    ssh = (
        "Host web1\n  ProxyJump gw,inner\nHost gw\n  HostName 192.0.2.9\n  User jumper\n  ProxyJump outer\n"
        "Host outer\n  Port 2200\n"
    )
    host = laid(tmp_path, ssh, "[host:web1]\n[host:inner]\naddress = 10.9.9.9\nuser = own\n").host("web1")
    assert [(hop.name, hop.address, hop.port, hop.user) for hop in host.jump] == [
        ("outer", "outer", 2200, "me"),
        ("gw", "192.0.2.9", 22, "jumper"),
        ("inner", "10.9.9.9", 22, "own"),
    ]


def test_jump_hosts_in_a_circle_are_an_error(tmp_path: Path) -> None:
    inventory = laid(tmp_path, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n", "[host:a]\n")
    with pytest.raises(InventoryError, match="circle of jump hosts"):
        inventory.host("a")


def test_proxyjump_none_and_the_inventorys_own_jump_beat_what_stands_below(tmp_path: Path) -> None:
    ssh = "Host a\n  ProxyJump none\nHost *\n  ProxyJump gw\n"
    inventory = laid(tmp_path, ssh, "[host:a]\n[host:b]\njump = mine\n[host:c]\njump = none\n")
    assert inventory.host("a").jump == ()
    assert inventory.host("b").jump[-1].name == "mine"
    assert inventory.host("c").jump == ()


def test_a_proxycommand_makes_a_host_unusable_until_it_is_allowed(tmp_path: Path) -> None:
    ssh = "Host a b\n  ProxyCommand nc -x %n %h %p %r %%\n  HostName 10.0.0.1\n"
    inventory = laid(tmp_path, ssh, "[host:a]\n[host:b]\nproxy_command = yes\n")
    barred, allowed = inventory.host("a"), inventory.host("b")
    assert barred.proxy_command is None
    assert "~/.ssh/config:2" in (barred.unusable or "") and "proxy_command = yes" in (barred.unusable or "")
    assert (allowed.proxy_command, allowed.unusable) == ("nc -x b 10.0.0.1 22 me %", None)


def test_what_may_hold_a_secret_is_neither_shown_nor_in_a_repr_nor_in_an_error(tmp_path: Path) -> None:
    ssh = "Host a b\n  ProxyCommand nc --pass=c4nary %h %p\n  SetEnv TOKEN=c4nary%x OTHER=1\n  SendEnv MINE\n"
    inventory = laid(tmp_path, ssh, "[host:a]\n[host:b]\nproxy_command = yes\n", MINE="c4nary")
    hosts = [inventory.host(name) for name in ("a", "b")]
    assert hosts[1].proxy_command is not None
    assert ("TOKEN", "c4nary%x") in hosts[0].environment
    shown = {row.key: row.text for row in inventory.settings("a")}
    assert (shown["ProxyCommand"], shown["SetEnv"]) == ("a command, not shown", "TOKEN, OTHER")
    assert inventory._ssh is not None
    for thing in (*hosts, inventory.settings("a"), inventory._ssh.sections, hosts[0].unusable):
        assert "c4nary" not in repr(thing)
    with pytest.raises(InventoryError) as error:
        laid(tmp_path, "Host a\n  SetEnv TOKEN c4nary\n", "[host:a]\n").host("a")
    assert "c4nary" not in str(error.value)


def test_a_jump_host_with_a_proxycommand_bars_what_is_behind_it_only_where_it_is_the_first(tmp_path: Path) -> None:
    ssh = "Host gw\n  ProxyCommand nc %h %p\nHost a\n  ProxyJump gw\nHost b\n  ProxyJump outer,gw\n"
    inventory = laid(tmp_path, ssh, "[host:a]\n[host:b]\n")
    assert "jump host gw" in (inventory.host("a").unusable or "")
    assert inventory.host("b").unusable is None


def test_match_exec_runs_only_where_the_setting_allows_it(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    ssh = f'Match exec "echo %n >>{ran}; test %n = yes1"\n  Port 2222\n'
    inventory = laid(tmp_path, ssh, "[host:no1]\n[group:g]\nhosts = yes1,yes2\nmatch_exec = yes\n")
    quiet = inventory.host("no1")
    assert not ran.exists()
    assert quiet.port == 22
    assert quiet.concerns == (
        "~/.ssh/config:1: `Match exec` was not run; `match_exec = yes` in the inventory allows it",
    )
    assert [inventory.host(name).port for name in ("yes1", "yes2", "yes1")] == [2222, 22, 2222]
    assert ran.read_text() == "yes1\nyes2\n"  # each command once
    assert inventory.host("yes1").concerns == ()


def test_match_exec_that_does_not_end_leaves_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "EXEC_PATIENCE", 0.5)
    mark = f"HS_EXEC_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    before = processes.carrying(f"{mark}=1")
    inventory = laid(tmp_path, 'Match exec "sleep 600 & sleep 601"\n  Port 2\n', "[host:a]\nmatch_exec = yes\n")
    with pytest.raises(InventoryError, match=r"did not end within 0\.5 s"):
        inventory.host("a")
    assert ended(lambda: processes.carrying(f"{mark}=1") - before)


def test_match_exec_is_named_only_where_it_would_make_a_difference(tmp_path: Path) -> None:
    ssh = "Match host web* exec true\n  Port 2222\nMatch exec true\n  ForwardAgent yes\nHost *\n  User u\n"
    inventory = laid(tmp_path, ssh, "[host:web1]\n[host:db1]\n")
    assert len(inventory.host("web1").concerns) >= 1
    assert inventory.host("db1").concerns == ()


def test_what_is_not_obeyed_is_said(tmp_path: Path) -> None:
    ssh = "Host a\n  RevokedHostKeys /r\n  BindInterface eth0\nCanonicalizeHostname yes\nCanonicalDomains example.net\n"
    concerns = laid(tmp_path, ssh, "[host:a]\n").host("a").concerns
    assert [text.split(":")[1] for text in concerns] == ["3", "2", "5"]


@pytest.mark.parametrize(
    ("ssh", "line", "what"),
    [
        ("Host a\n  User -oX\n", 2, "bad `user`"),
        ('Host a\n  User "a b"\n', 2, "bad `user`: it holds a blank"),  # ssh takes these three: the rule is ours
        ("Host a\n  User ${USER}\n", 2, "bad `user`: it holds `$`"),
        ("Host a\n  HostName $(id)\n", 2, "bad `hostname`"),
        ("IdentityFile ${NOT_SET}/k\n", 1, "NOT_SET"),
        ("IdentityFile ~/%z\n", 1, "%z"),
        ("UserKnownHostsFile ~nobody-of-that-name/kh\n", 1, "no such user"),
        ("HosName b\n", 1, "unknown keyword"),
    ],
)
def test_what_cannot_be_is_an_error_with_its_place(tmp_path: Path, ssh: str, line: int, what: str) -> None:
    with pytest.raises(InventoryError) as caught:
        laid(tmp_path, ssh, "[host:a]\n").host("a")
    assert caught.value.message.startswith(f"~/.ssh/config:{line}: ")
    assert what in caught.value.message


def test_a_configuration_that_others_may_write_is_refused(tmp_path: Path) -> None:
    inventory = laid(tmp_path, "User x\n", "[host:a]\n")
    (tmp_path / ".ssh" / "config").chmod(0o666)
    with pytest.raises(InventoryError, match="bad owner or permissions"):
        inventory.host("a")


def test_relative_includes_are_found_beside_the_users_configuration(tmp_path: Path) -> None:
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    for name in ("b.conf", "a.conf"):
        (tmp_path / ".ssh" / "conf.d" / name).write_text(f"Host *\n  IdentityFile /{name}\n")
        (tmp_path / ".ssh" / "conf.d" / name).chmod(0o600)
    inventory = laid(tmp_path, "Include conf.d/*.conf ~/.ssh/missing\nHost *\n  IdentityFile /own\n", "[host:a]\n")
    assert inventory.host("a").identity_files == ("/a.conf", "/b.conf", "/own")
    assert (
        sources(inventory, "a")["IdentityFile"][1] == "~/.ssh/conf.d/a.conf:2, ~/.ssh/conf.d/b.conf:2, ~/.ssh/config:3"
    )


def test_the_systems_configuration_comes_after_the_users(tmp_path: Path) -> None:
    system = tmp_path / "ssh_config"
    system.write_text("Host *\n  User system\n  Port 2222\n")
    inventory = laid(tmp_path, "User own\n", "[host:a]\n")
    inventory.lay_over(SshConfig(environ={"HOME": str(tmp_path)}, system=str(system)))
    assert (inventory.host("a").user, inventory.host("a").port) == ("own", 2222)


def test_a_named_file_stands_alone_and_must_be_there(tmp_path: Path) -> None:
    named = tmp_path / "other"
    named.write_text("Port 2222\n")
    inventory = laid(tmp_path, "User own\n", "[host:a]\n")
    inventory.lay_over(SshConfig(str(named), environ={"HOME": str(tmp_path)}))
    assert (inventory.host("a").user, inventory.host("a").port) == ("me", 2222)
    inventory.lay_over(SshConfig("none", environ={"HOME": str(tmp_path)}))
    assert inventory.host("a").port == 22
    inventory.lay_over(SshConfig(str(tmp_path / "gone"), environ={}))
    with pytest.raises(InventoryError, match="cannot be read: no such file"):
        inventory.host("a")


def test_nothing_of_a_configuration_or_of_ansibles_inventory_runs_here_unless_a_setting_says_so(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "config").write_text(
        f'Match exec "touch {ran}-match"\n  Port 2222\nHost *\n  PermitLocalCommand yes\n'
        f"  LocalCommand touch {ran}-local\n  KnownHostsCommand /usr/bin/touch {ran}-known\n"
        f"  ProxyCommand touch {ran}-proxy\n  PKCS11Provider {ran}.so\n  SecurityKeyProvider {ran}.so\n"
        f"  RemoteCommand touch {ran}-remote\n  XAuthLocation {ran}-xauth\n"
    )
    (tmp_path / "ansible").write_text(
        f"[web]\na ansible_connection=local\nb ansible_ssh_executable={ran}-ssh ansible_shell_executable={ran}-sh\n"
        f'c ansible_ssh_args=\'-o LocalCommand="touch {ran}" -o ProxyCommand="touch {ran}"\'\n'
    )
    inventory = load([str(tmp_path / "ansible")])
    inventory.lay_over(SshConfig(str(tmp_path / "config"), environ={"HOME": str(tmp_path)}))
    hosts = {name: inventory.host(name) for name in ("a", "b", "c", "d@e")}
    for name in hosts:
        inventory.settings(name)
    assert all(host.unusable for host in hosts.values())
    assert {host.proxy_command for host in hosts.values()} == {None}
    assert not list(tmp_path.glob("ran*"))


def test_ten_thousand_hosts_cost_one_answer_for_each_way_in_which_sections_hold(tmp_path: Path) -> None:
    ssh = "".join(
        f"Host web{number} *.zone{number}\n  Port {2000 + number}\n  User u{number}\n" for number in range(100)
    )
    ssh += "Host gw !gw1\n  HostName %h.example.net\nMatch host web*\n  ConnectTimeout 5\nHost *\n  User all\n"
    inventory = laid(tmp_path, ssh, "[group:all_of_them]\nhosts = h[1-10000], web[1-99]\n")
    for name in inventory.host_names:
        inventory.host(name)
    assert inventory._ssh is not None
    assert inventory._ssh.work == {"compiled": 102, "matched": 10_099, "assembled": 100}


@pytest.mark.parametrize("jump", ["none", "bastion"])
def test_a_jump_of_the_inventory_takes_the_place_of_proxycommand(tmp_path: Path, jump: str) -> None:
    ini = f"[host:a]\njump = {jump}\n[host:b]\n"
    inventory = laid(tmp_path, "Host a b\n  ProxyCommand nc %h %p\n", ini)
    assert (inventory.host("a").proxy_command, inventory.host("a").unusable) == (None, None)
    assert inventory.host("b").unusable is not None
