"""What Ansible's variables become: settings, hosts that cannot be used, and notes; never a secret in any of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hostshell.core.errors import InventoryError
from hostshell.inventory.ansible.sshargs import parse
from hostshell.inventory.load import load
from hostshell.inventory.model import Inventory

CANARY = "canary-7Q"


def made(tmp_path: Path, text: str, name: str = "hosts") -> Inventory:
    path = tmp_path / name
    path.write_text(text)
    path.chmod(0o600)
    return load([str(path)])


def notes(inventory: Inventory) -> list[str]:
    return [note.text for report in inventory.reports for note in report.notes]


def loud(inventory: Inventory) -> list[str]:
    return [note.text for report in inventory.reports for note in report.notes if note.loud]


def sources(inventory: Inventory, host: str) -> dict[str, str]:
    return {setting.key: setting.source for setting in inventory.settings(host)}


def test_show_tells_the_line_and_group_of_each_value(tmp_path: Path) -> None:
    found = made(
        tmp_path, "[web]\nh1 ansible_host=192.0.2.1\n[web:vars]\nansible_user=www\n[all:vars]\nansible_port=2\n"
    )
    path = tmp_path / "hosts"
    said = sources(found, "h1")
    assert (said["address"], said["user"], said["port"]) == (f"{path}:2", f"{path}:4 [web]", f"{path}:6 [all]")


def test_a_password_counts_and_is_never_shown(tmp_path: Path) -> None:
    found = made(
        tmp_path, f"h1 ansible_password='{CANARY} x'\nh2 ansible_ssh_pass={CANARY} ansible_become_pass={CANARY}\n"
    )
    source = found.host("h1").password_from
    assert source is not None
    assert source.literal is not None
    assert source.literal.reveal() == f"{CANARY} x"
    assert found.host("h2").password_from is not None
    assert CANARY not in repr(found.reports) + repr(found.settings("h1")) + repr(found.host("h2"))
    assert {secret.reveal() for secret in found.secrets()} == {f"{CANARY} x", CANARY}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts", f"h1 ansible_password={CANARY}\n"),
        ("hosts.yml", f"all:\n  vars: {{ansible_password: {CANARY}}}\n  hosts: {{h1: }}\n"),
        ("hosts.json", f'{{"a": {{"hosts": ["h1"], "vars": {{"ansible_ssh_private_key_passphrase": "{CANARY}"}}}}}}'),
    ],
)
def test_a_password_that_others_can_read_is_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    path.chmod(0o644)
    with pytest.raises(InventoryError, match="others can read it") as caught:
        load([str(path)])
    assert caught.value.hint == f"chmod 600 {path}"
    assert CANARY not in str(caught.value)


def test_a_password_in_host_vars_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "host_vars"
    folder.mkdir()
    (folder / "h1.yml").write_text(f"# h1\nansible_password: {CANARY}\n")
    (tmp_path / "hosts").write_text("h1\n")
    with pytest.raises(InventoryError, match="others can read it") as caught:
        load([str(tmp_path / "hosts")])
    assert caught.value.message.startswith(f"{folder}/h1.yml:2: ")
    assert caught.value.hint == f"chmod 600 {folder}/h1.yml"


@pytest.mark.parametrize("way", ["local", "docker", "winrm", "community.docker.docker", "httpapi"])
def test_a_host_that_is_not_reached_over_ssh_cannot_be_used(tmp_path: Path, way: str) -> None:
    found = made(tmp_path, f"[a]\nh1\nh2 ansible_connection=ssh\n[a:vars]\nansible_connection={way}\n")
    assert found.host("h1").unusable == f"its connection is `{way}`, and hostshell reaches hosts over SSH only"
    assert found.host("h2").unusable is None
    assert sources(found, "h1")["connection"].endswith(":5 [a]")


@pytest.mark.parametrize("way", ["ssh", "smart", "paramiko", "ansible.builtin.ssh", "ansible.netcommon.network_cli"])
def test_every_way_over_ssh_is_ours(tmp_path: Path, way: str) -> None:
    assert made(tmp_path, f"h1 ansible_connection={way}\n").host("h1").unusable is None


@pytest.mark.parametrize("variable", ["ansible_host", "ansible_port", "ansible_user", "ansible_connection"])
def test_a_template_is_named_and_what_it_would_decide_makes_a_host_unusable(tmp_path: Path, variable: str) -> None:
    plain = "ssh" if variable == "ansible_connection" else "22"
    text = "all:\n  hosts: {h1: , h2: {NAME: 'PLAIN'}}\n  vars:\n    NAME: '{{ somewhere }}'\n"
    found = made(tmp_path, text.replace("NAME", variable).replace("PLAIN", plain), "hosts.yml")
    assert "is a template, and not known here" in (found.host("h1").unusable or "")
    assert found.host("h2").unusable is None
    assert loud(found) == [f"{tmp_path}/hosts.yml:4: {variable} is a template: not read"]


def test_an_encrypted_password_is_named_and_no_other_takes_its_place(tmp_path: Path) -> None:
    text = (
        f"all:\n  vars: {{ansible_password: {CANARY}}}\n  hosts:\n    h1:\n      ansible_password: !vault |\n"
        "        $ANSIBLE_VAULT;1.1;AES256\n        6161\n    h2:\n"
    )
    found = made(tmp_path, text, "hosts.yml")
    assert (found.host("h1").password_from, found.host("h1").unusable) == (None, None)
    assert found.host("h2").password_from is not None
    assert loud(found) == [f"{tmp_path}/hosts.yml:5: ansible_password is encrypted with Ansible's vault: not read"]


def test_what_is_not_used_is_one_line(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(12)]
    found = made(tmp_path, "h1 " + " ".join(f"{name}={CANARY}" for name in names) + "\nh2 v1=1\n")
    assert notes(found) == [f"{tmp_path}/hosts: 12 variables are not used: v0, v1, v2, v3, v4, v5, v6, v7, …"]


def test_host_keys_are_checked_whatever_the_inventory_says(tmp_path: Path) -> None:
    found = made(tmp_path, "h1 ansible_host_key_checking=False\nh2 ansible_host_key_checking=no\n")
    assert found.host("h1").host_keys is None
    assert len(loud(found)) == 1
    assert loud(found)[0].startswith(
        f"{tmp_path}/hosts:1 (and 1 more): ansible_host_key_checking: host keys are checked"
    )


@pytest.mark.parametrize(
    ("args", "hops"),
    [
        ("-J bastion", ["bastion"]),
        ("-o ProxyJump=ops@b1:2222,b2", ["ops@b1:2222", "b2"]),
        ("-oProxyJump=b1 -o ProxyJump=b2", ["b1"]),
        ('-o ProxyCommand="ssh -W %h:%p -q -p 2222 ops@b1"', ["ops@b1:2222"]),
        ("-o 'ProxyCommand ssh -W %h:%p -l ops b1'", ["ops@b1"]),
        ("-o ControlMaster=auto -o ControlPersist=60s", []),
        ("-o ProxyJump=none", []),
    ],
)
def test_jump_hosts_in_the_arguments_of_ssh(tmp_path: Path, args: str, hops: list[str]) -> None:
    text = "all:\n  hosts: {h1: }\n  vars:\n    ansible_ssh_common_args: >-\n      ARGS\n"
    found = made(tmp_path, text.replace("ARGS", args), "hosts.yml")
    assert [hop.name for hop in found.host("h1").jump] == hops
    assert loud(found) == []


def test_the_bastion_of_a_group_ends_where_a_host_has_arguments_of_its_own(tmp_path: Path) -> None:
    text = (
        "bastion ansible_ssh_common_args=''\nother ansible_ssh_common_args=''\nh1\n"
        "h2 ansible_ssh_extra_args='-J other'\n[all:vars]\nansible_ssh_common_args='-J bastion'\n"
    )
    found = made(tmp_path, text)
    assert [hop.name for hop in found.host("h1").jump] == ["bastion"]
    assert found.host("bastion").jump == ()
    assert [hop.name for hop in found.host("h2").jump] == ["other"]


PROXIED = (
    "h1 ansible_host=192.0.2.1 ansible_user=me ansible_ssh_common_args='-o ProxyCommand=\"nc -x %r@proxy %h %p\"'\n"
)


def allowing(tmp_path: Path, text: str, mine: str) -> Inventory:
    (tmp_path / "hosts").write_text(text)
    (tmp_path / "hosts").chmod(0o600)
    (tmp_path / "mine.ini").write_text(mine)
    return load([str(tmp_path / "hosts"), str(tmp_path / "mine.ini")])


def test_a_proxy_command_makes_a_host_say_which_setting_allows_it(tmp_path: Path) -> None:
    found = made(tmp_path, PROXIED)
    why = f"{tmp_path}/hosts:1 sets ProxyCommand, and only `proxy_command = yes` in the inventory lets hostshell run it"
    assert (found.host("h1").unusable, found.host("h1").proxy_command) == (why, None)
    assert sources(found, "h1")["jump"] == f"{tmp_path}/hosts:1"


def test_a_proxy_command_is_used_where_a_setting_allows_it(tmp_path: Path) -> None:
    host = allowing(tmp_path, PROXIED, "[defaults]\nproxy_command = yes\n").host("h1")
    assert (host.unusable, host.proxy_command, host.jump) == (None, "nc -x me@proxy 192.0.2.1 22", ())


def test_no_inventory_of_ansibles_can_allow_a_proxy_command(tmp_path: Path) -> None:
    found = made(tmp_path, PROXIED.replace("h1 ", "h1 proxy_command=yes ansible_proxy_command=yes "))
    assert found.host("h1").proxy_command is None
    assert found.host("h1").unusable is not None


def test_a_jump_host_of_ones_own_takes_the_place_of_a_proxy_command(tmp_path: Path) -> None:
    for jump, hops in (("b1", ["b1"]), ("none", [])):
        mine = f"[host:h1]\njump = {jump}\nproxy_command = yes\n"
        host = allowing(tmp_path, PROXIED, mine).host("h1")
        assert ([hop.name for hop in host.jump], host.proxy_command, host.unusable) == (hops, None, None)


def test_a_proxy_command_with_a_token_that_ssh_does_not_know_makes_a_host_unusable(tmp_path: Path) -> None:
    found = allowing(tmp_path, PROXIED.replace("%p", "%q"), "[defaults]\nproxy_command = yes\n")
    assert "%q" in (found.host("h1").unusable or "")
    assert "its ProxyCommand cannot run: there is no token `%q` here" in loud(found)[0]


BECOMING = f"[web]\nh1 ansible_become=yes\nh2\n[web:vars]\nansible_become_user=www\nansible_become_password={CANARY}\n"


def test_become_is_sudo(tmp_path: Path) -> None:
    for method in (
        "",
        "[all:vars]\nansible_become_method=sudo\n",
        "[all:vars]\nansible_become_method=ansible.builtin.sudo\n",
    ):
        found = made(tmp_path, BECOMING + method)
        for name, sudo in (("h1", True), ("h2", False)):
            host = found.host(name)
            assert (host.sudo, host.sudo_user, host.concerns) == (sudo, "www", ())
            assert host.sudo_password_from is not None
            assert host.sudo_password_from.literal is not None
            assert host.sudo_password_from.literal.reveal() == CANARY
        assert "become_method" not in sources(found, "h1")
        assert loud(found) == []


@pytest.mark.parametrize(
    ("word", "sudo"), [("true", True), ("True", True), ("1", True), ("no", False), ("False", False)]
)
def test_a_become_is_a_yes_or_a_no(tmp_path: Path, word: str, sudo: bool) -> None:
    assert made(tmp_path, f"h1 ansible_become={word}\n").host("h1").sudo is sudo


@pytest.mark.parametrize("method", ["su", "community.general.doas", '"{{ how }}"'])
def test_become_by_another_method_is_never_sudo_and_its_hosts_say_so(tmp_path: Path, method: str) -> None:
    path = tmp_path / "hosts"
    found = made(tmp_path, BECOMING + f"[all:vars]\nansible_become_method={method}\n")
    what = {"su": "`su`", "community.general.doas": "`doas`"}.get(method, "a template")
    h1, h2 = found.host("h1"), found.host("h2")
    said = (
        f"{path}:8 [all]: its ansible_become_method is {what}, and hostshell knows sudo only: commands run without it"
    )
    assert (h1.sudo, h1.sudo_user, h1.sudo_password_from, h1.concerns) == (False, None, None, (said,))
    assert (h2.sudo, h2.sudo_user, h2.sudo_password_from, h2.concerns) == (False, None, None, ())
    assert sources(found, "h1")["become_method"] == f"{path}:8 [all]"
    assert loud(found) == [f"{path}:8: ansible_become_method is {what}: hostshell knows sudo only"]
    assert CANARY not in repr(h1.concerns)


@pytest.mark.parametrize(("who", "unknown"), [("'{{ app_user }}'", True), ("app", False), ("", False)])
def test_sudo_for_a_user_that_is_not_known_is_not_roots(tmp_path: Path, who: str, unknown: bool) -> None:
    found = made(tmp_path, f"h1 ansible_become=yes ansible_become_user={who}\n")
    host = found.host("h1")
    why = "its sudo_user is a template, and not known here; `--sudo -u USER` names one"
    assert (host.sudo, host.no_sudo, host.unusable) == (True, why if unknown else None, None)


def test_a_sudo_user_of_ones_own_takes_the_place_of_a_template(tmp_path: Path) -> None:
    text = "h1 ansible_become=yes ansible_become_user='{{ app_user }}'\n"
    host = allowing(tmp_path, text, "[host:h1]\nsudo_user = app\n").host("h1")
    assert (host.sudo, host.sudo_user, host.no_sudo) == (True, "app", None)


def test_a_become_that_is_a_template_is_no_sudo_and_its_hosts_say_so(tmp_path: Path) -> None:
    found = made(tmp_path, "h1\nh2 ansible_become=no\n[all:vars]\nansible_become='{{ may }}'\n")
    said = f"{tmp_path}/hosts:4 [all]: its ansible_become is a template: commands run without sudo; --sudo asks for it"
    assert (found.host("h1").sudo, found.host("h1").concerns) == (False, (said,))
    assert (found.host("h2").sudo, found.host("h2").concerns) == (False, ())


def test_the_nearest_method_counts(tmp_path: Path) -> None:
    text = BECOMING.replace("h1 ", "h1 ansible_become_method=sudo ") + "[all:vars]\nansible_become_method=su\n"
    assert made(tmp_path, text).host("h1").sudo


def test_sudo_of_ones_own_holds_whatever_the_method_of_become(tmp_path: Path) -> None:
    text = BECOMING + "[all:vars]\nansible_become_method=su\n"
    found = allowing(tmp_path, text, "[host:h1]\nsudo = yes\n")
    host = found.host("h1")
    # the password and the user that stand there are those of su
    assert (host.sudo, host.sudo_user, host.sudo_password_from, host.concerns) == (True, None, None, ())


def test_options_of_ssh_that_mean_nothing_here_are_named(tmp_path: Path) -> None:
    found = made(tmp_path, "h1 ansible_ssh_extra_args='-o StrictHostKeyChecking=no -o Foo=bar -A -v'\n")
    assert loud(found) == [
        f"{tmp_path}/hosts:1: ansible_ssh_extra_args: not used: -o StrictHostKeyChecking, -o Foo, -A"
    ]


def test_what_stands_among_the_arguments_and_is_no_option_is_not_shown(tmp_path: Path) -> None:
    found = made(tmp_path, f"h1 ansible_ssh_args='-o ProxyCommand=nc {CANARY} -v'\n")
    assert loud(found) == [f"{tmp_path}/hosts:1: ansible_ssh_args: not used: a word that is no option"]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("value", [f"*{CANARY}", f"!{CANARY}!x y", f"%{CANARY}", f"@{CANARY}", f'"\\{CANARY}"'])
def test_what_is_no_yaml_is_told_without_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, quick: bool
) -> None:
    import yaml

    if not quick:  # as where PyYAML was made without libyaml: its texts quote
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    with pytest.raises(InventoryError) as error:
        made(tmp_path, f"all:\n  vars:\n    ansible_password: {value}\n", "hosts.yml")
    assert "hosts.yml:3: " in str(error.value)
    assert CANARY not in str(error.value)
    assert value[:2] not in str(error.value)


def test_arguments_that_cannot_be_read_are_errors() -> None:
    for text in ("-o 'x", "-J", "-o"):
        with pytest.raises(ValueError, match=r"quotation|nothing follows"):
            parse(text)


def test_a_key_is_found_at_home(tmp_path: Path) -> None:
    assert made(tmp_path, "h1 ansible_ssh_private_key_file=~/k\n").host("h1").key == os.path.expanduser("~/k")


def test_settings_of_a_later_hosts_ini_beat_group_vars_of_the_same_group(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "web.yml").write_text("ansible_user: www\nansible_port: 2222\n")
    (tmp_path / "hosts").write_text("[web]\nh1\n")
    (tmp_path / "mine.ini").write_text("[group:web]\nuser = me\n[host:h1]\naddress = 192.0.2.1\n")
    host = load([str(tmp_path / "hosts"), str(tmp_path / "mine.ini")]).host("h1")
    assert (host.user, host.port, host.address) == ("me", 2222, "192.0.2.1")


def test_a_later_hosts_ini_beats_ansibles_values_place_by_place(tmp_path: Path) -> None:
    for folder, name in (("group_vars", "all"), ("group_vars", "web"), ("host_vars", "h1")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(f"ansible_user: {name}\n")
    text = "[web]\nh1\nh2\n[rest]\nh3\nh4 ansible_ssh_timeout=7\n[all:vars]\nansible_port=7\nansible_ssh_timeout=9\n"
    mine = (
        "[defaults]\nuser = d\nport = 2200\nconnect_timeout = 3\n[group:web]\nuser = g\n[host:h1]\nuser = own\n"
        "[host:h4]\nuser = four\n"
    )
    found = allowing(tmp_path, text, mine)
    said = {name: (found.host(name).user, found.host(name).port) for name in found.host_names}
    # [defaults] beats [all:vars]; group_vars/all beats it as it beats the groups of the inventory
    assert said == {"h1": ("own", 2200), "h2": ("g", 2200), "h3": ("all", 2200), "h4": ("four", 2200)}
    assert [found.host(name).connect_timeout for name in ("h3", "h4")] == [3, 7]


def test_the_old_name_of_a_variable_counts_within_one_place_and_the_stronger_place_over_two(tmp_path: Path) -> None:
    text = "h1 ansible_user=new ansible_ssh_user=old\nh2 ansible_user=new\nh3\n[all:vars]\nansible_ssh_user=weaker\n"
    found = made(tmp_path, text)
    assert [found.host(name).user for name in ("h1", "h2", "h3")] == ["old", "new", "weaker"]
