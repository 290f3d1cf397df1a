"""What goes wrong with a file of any kind: file, line and reason, and never a traceback, whatever the text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.errors import HostshellError, InventoryError
from hostshell.core.names import check_address, check_name
from hostshell.inventory.load import load

GOOD = {
    "own.ini": "[host:h1]\nport = 2222\n",
    "ansible.ini": "[web]\nh1 ansible_port=2222\n",
    "ansible.yml": "web:\n  hosts:\n    h1:\n      ansible_port: 2222\n",
    "listing.json": '{"web": {"hosts": ["h1"]}, "_meta": {"hostvars": {"h1": {"ansible_port": 2222}}}}',
    "list.txt": "h1:2222\n",
}
each_kind = pytest.mark.parametrize("name", GOOD)


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    return str(path)


def refused(path: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        load([path])
    return caught.value


@each_kind
def test_a_byte_order_mark_and_crlf_are_tolerated(tmp_path: Path, name: str) -> None:
    content = b"\xef\xbb\xbf" + GOOD[name].replace("\n", "\r\n").encode()
    assert load([write(tmp_path, name, content)]).host("h1").port == 2222


@each_kind
def test_a_port_that_is_none_is_an_error_with_its_place(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, GOOD[name].replace("2222", "70000"))
    error = refused(path)
    assert error.message.startswith(path)
    assert "70000" in error.message
    assert "no port" in error.message


@each_kind
@pytest.mark.parametrize("bad", ["-oX", "$(id)", "a;b", "h'1", "a/b"])
def test_a_name_that_openssh_refuses_is_an_error_with_its_place(tmp_path: Path, name: str, bad: str) -> None:
    text = GOOD[name].replace("h1", bad)
    if name == "ansible.ini" or name == "ansible.yml":
        text = text.replace(bad, f'"{bad}"')
    error = refused(write(tmp_path, name, text))
    assert error.message.startswith(str(tmp_path / name))
    assert "name" in error.message or "bad host" in error.message


@each_kind
@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_names_no_hosts(tmp_path: Path, name: str, content: bytes) -> None:
    assert refused(write(tmp_path, name, content)).message.startswith(("no hosts in ", str(tmp_path)))


@each_kind
def test_what_is_not_utf8_is_an_error_with_line_and_column(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b"# x\n" + GOOD[name].encode() + b"\xff")
    line = 2 + GOOD[name].count("\n")
    column = 1 if GOOD[name].endswith("\n") else len(GOOD[name]) + 1
    assert refused(path).message == f"{path}:{line}: byte {column} of the line is not UTF-8"


@each_kind
def test_no_permission_is_an_error(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, GOOD[name])
    os.chmod(path, 0)
    if os.access(path, os.R_OK):  # root reads everything: a loop of links cannot be read by anybody
        os.remove(path)
        os.symlink(name, path)
    assert f"the inventory {path} cannot be read" in refused(path).message


@each_kind
def test_the_same_host_twice_over_two_sources_is_one(tmp_path: Path, name: str) -> None:
    first = write(tmp_path, name, GOOD[name])
    second = write(tmp_path, "later.ini", "[host:h1]\nport = 23\n")
    found = load([first, second])
    assert list(found.host_names) == ["h1"]
    assert found.host("h1").port == 23
    assert load([second, first]).host("h1").port == 2222


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h", "[web]\nh1\n[web:childs]\n", ":3: unknown section [web:childs]"),
        ("h", "[web]\nh1\n[web:children]\nnone\n", ":4: [web:children] names the group none, which is nowhere"),
        ("h", "[web]\nh1\n[wbe:vars]\nansible_port=1\n", ":3: [wbe:vars] names the group wbe, which is nowhere"),
        ("h", "[web]\nh1\n[web:vars\nx=1\n", ":3: no `]` in this line"),
        ("h", "[web]\nh1\n[db\ndb1\n", ":3: no `]` in this line"),
        ("h", "[web]\nh1\n[web:vars] y\nx=1\n", ":3: this is no section"),
        ("h", "[web]\nh1\n[web:var]\nx=1\n", ":3: unknown section [web:var]"),
        ("h", "[web]\nh1 x\n", ":2: what follows the host's name is no variable"),
        ("h", "[web]\nh1 x='\n", ":2: a host's line that cannot be read: no closing quotation"),
        ("h", "[web]\nh[1:x]\n", ":2: bad host name"),
        ("h", "[web]\nh[9:1]\n", ":2: bad host name `h[9:1]`: the range [9:1] runs backwards"),
        ("h", "[web]\nh[1:99999999]\n", ":2: bad host name"),
        ("h", "[a:children]\nb\n[b:children]\na\n", ":2: a circle of groups: a → b → a"),
        ("h", "[failed]\nh1\n", ":1: no group may be called `failed`"),
        ("h", "[web]\nh1\n[web:children]\nall\n", ":4: `all` is every host already"),
        ("h", "[web]\nh1\n[web:vars]\nansible_group_priority=x\n", ":4: `ansible_group_priority` is no whole number"),
        ("h.yml", "web:\n  hosts:\n   - h1\n", ":3: `hosts` of the group web is no mapping"),
        ("h.yml", "- web\n", ":1: an inventory in YAML begins with the name of a group"),
        ("h.yml", "web:\n hosts: {a: [}\n", ":2: this is no YAML"),
        ("h.yml", "web:\n  hosts:\n    1:\n", ":3: a host's name that is no text"),
        ("h.yml", "plugin: aws_ec2\n", ":1: this sets up one of Ansible's inventory plugins"),
        ("h.yml", "a: &a\n  children:\n    b: *a\n", ":3: the group b in itself"),
        ("h.yml", "a: &a {children: {b: {children: {c: *a}}}}\n", ":1: groups nested more than 200 deep"),
        ("h.json", '{"web":\n {"hosts": "h1"}, "_meta": {}}', ": `hosts` of the group web is no list of names"),
        ("h.json", '{"web": ["h1"],\n x}', ":2: this is no JSON"),
        ("h", "$ANSIBLE_VAULT;1.1;AES256\n6161\n", " is encrypted with Ansible's vault"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path, name, text)
    assert refused(path).message.startswith(path + message)


def test_aliases_of_aliases_do_not_eat_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 {children: {x: {hosts: {h1: }}}}"]
    lines += [
        f"a{n}: &a{n} {{children: {{" + ", ".join(f"y{n}{m}: *a{n - 1}" for m in range(9)) + "}}" for n in range(1, 9)
    ]
    error = refused(write(tmp_path, "h.yml", "\n".join(lines)))
    assert "its aliases stand for more than" in error.message


_WORDS = st.sampled_from(
    [
        *("[web]", "[web:vars]", "[web:children]", "[all:vars]", "[host:h1]", "[defaults]", "[", "]", "web", "all"),
        *(
            "h1",
            "h[1:3]",
            "h[a:c]",
            "x=1",
            "ansible_host=h",
            "ansible_port=22",
            "ansible_ssh_common_args='-J b'",
            "=",
            "#",
        ),
        *("hosts", "children", "vars", ":", "{", "}", '"', "'", "- ", "---", "&a", "*a", "!vault", "<<", "null", "\t"),
        *(
            "ansible_user",
            "{{ x }}",
            "ansible_connection",
            "_meta",
            "hostvars",
            ",",
            "ansible_group_priority",
            "0",
            "\\",
        ),
    ]
)
_TEXTS = st.lists(st.one_of(_WORDS, st.sampled_from(["\n", "\n  ", " ", "\n    "]), st.text(max_size=3)), max_size=30)


@each_kind
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@example(["a:\n  hosts:\n    h1:\n      ansible_port: !!int x"])
@example(["[" * 3000])
@example(['{"a":' * 3000])
@example(["a: 2001-99-99\n? [b]\n: c"])
@given(parts=_TEXTS)
def test_any_text_is_an_inventory_or_an_error_for_people(tmp_path: Path, name: str, parts: list[str]) -> None:
    text = "".join(parts).encode("utf-8", "surrogatepass")
    path = write(tmp_path, name, text)
    try:
        found = load([path])
        for host in found.host_names:
            check_name(host)
            made = found.host(host)
            found.settings(host)
            if made.unusable is None:
                check_address(made.address)
    except HostshellError as error:
        assert "\n" not in error.message
        assert error.message == clean(error.message)
