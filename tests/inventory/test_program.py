"""Programs that print an inventory: run because they were named, bounded in time and output, heard when they fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hostshell.core.errors import InventoryError
from hostshell.inventory import load as loading
from hostshell.inventory import program
from hostshell.inventory.files import read_file
from hostshell.inventory.load import load
from tests.support.endings import ended


def script(folder: Path, body: str, name: str = "cloud") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def refused(path: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        load([path])
    return caught.value


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_its_list_is_the_inventory_and_its_place_is_said(tmp_path: Path) -> None:
    answer = '{"web": {"hosts": ["h1"], "vars": {"ansible_port": 23}}, "_meta": {"hostvars": {}}}'
    path = script(tmp_path, f"""[ "$*" = --list ] && echo '{answer}'""")
    found = load([path])
    assert found.host("h1").port == 23
    assert found.reports[0].kind == "program (Ansible JSON)"
    assert next(one.source for one in found.settings("h1") if one.key == "port") == f"output of {path} [web]"


def test_it_has_the_environment_and_no_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET", "h7")
    assert list(load([script(tmp_path, """cat; echo '{"a": ["'$FLEET'"]}'""")]).host_names) == ["h7"]


def test_exit_code_and_the_end_of_standard_error_are_in_the_error(tmp_path: Path) -> None:
    path = script(tmp_path, "for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; printf 'a\\033[2Jb\\n' >&2; exit 3")
    error = refused(path)
    assert error.message == f"{path} --list ended with exit code 3"
    assert error.hint.splitlines()[0] == "line 4"
    assert "\x1b" not in error.hint


def test_what_it_prints_must_be_json(tmp_path: Path) -> None:
    path = script(tmp_path, "echo hello")
    assert refused(path).message.startswith(f"output of {path}:1: this is no JSON")
    assert refused(script(tmp_path, "exit 0")).message.endswith("--list printed nothing")


def test_a_warning_of_its_is_a_note(tmp_path: Path) -> None:
    path = script(tmp_path, """echo careful >&2; echo '{"a": ["h1"]}'""")
    assert load([path]).reports[0].notes[0].text == f"{path}: it wrote to standard error: careful"


def test_one_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 600 & echo $! >{tmp_path}/pid; wait")
    with pytest.raises(InventoryError, match="did not end"):
        program.run(read_file(path), patience=0.5)
    child = int((tmp_path / "pid").read_text())
    assert ended(lambda: {child} if _runs(child) else set())


def test_one_that_prints_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MOST_BYTES", 1024 * 1024)
    assert "printed more than 1 MiB" in refused(script(tmp_path, "yes")).message


def test_the_x_bit_alone_makes_no_program(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("[web]\nh1\n")
    path.chmod(0o755)
    assert list(load([str(path)]).host_names) == ["h1"]


def test_a_program_without_the_x_bit_is_not_run(tmp_path: Path) -> None:
    path = script(tmp_path, f"touch {tmp_path}/ran")
    os.chmod(path, 0o644)
    with pytest.raises(InventoryError):
        load([path])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("body", ["import json\nprint(json.dumps({}))", "x = 1\nprint(x)", "[[ -e x ]] && echo '{}'"])
def test_what_looks_like_a_program_and_is_not_run_is_told_how_it_would_be(tmp_path: Path, body: str) -> None:
    path = script(tmp_path, body, "my cloud.py")
    os.chmod(path, 0o644)
    error = refused(path)
    assert error.message.startswith(f"{path}:")
    assert error.hint.splitlines()[0] == f"if it is a program that prints an inventory: chmod +x '{path}'"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("#!/no/such/python3 -u\n", "correct its first line, or install what it names"),
        ("#! /no/such/python3\n", "correct its first line, or install what it names"),
        ("#!/no/such/python3\r\n", "its lines end as on Windows: save it with \\n alone at their ends"),
    ],
)
def test_a_program_whose_interpreter_is_missing_names_that(tmp_path: Path, line: str, hint: str) -> None:
    path = tmp_path / "cloud"
    path.write_bytes(f"{line}print()\n".encode())
    path.chmod(0o755)
    error = refused(str(path))
    what = "there is no /no/such/python3, which its first line names"
    assert (error.message, error.hint) == (f"the program {path} cannot be run: {what}", hint)


def test_a_stranger_s_program_in_a_folder_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    folder.mkdir()
    path = script(folder, f"touch {tmp_path}/ran")
    os.chmod(path, 0o722)  # noqa: S103  # what is tested: anybody may write it
    error = refused(str(folder))
    assert error.message == f"{path} can be written by others: it was not run"
    assert error.hint == f"if you trust it, name it: -i {path}"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("holds", ["", ">/dev/null 2>&1"], ids=["holding-its-output", "apart"])
def test_what_a_program_leaves_running_ends_with_it(tmp_path: Path, holds: str) -> None:
    pid = tmp_path / "pid"
    path = script(tmp_path, f"""sleep 600 {holds} & echo $! > {pid}; echo '{{"a": ["h1"]}}'""")
    if holds:
        program.run(read_file(path), patience=20)
    else:
        with pytest.raises(InventoryError):
            program.run(read_file(path), patience=0.5)
    assert ended(lambda: {number for number in [int(pid.read_text())] if _runs(number)})


def test_a_plugin_in_a_folder_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "aws_ec2.yml").write_text("plugin: aws_ec2\n")
    (tmp_path / "hosts").write_text("h1\n")
    found = load([str(tmp_path)])
    assert list(found.host_names) == ["h1"]
    assert found.reports[0].notes[0].loud
    assert "plugins, which are not run here; ansible-inventory -i" in found.reports[0].notes[0].text


def test_standard_input_may_hold_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hostshell.inventory import files

    for content, kind in ((b"h1\nh2\n", "list of hosts"), (b"[web]\nh1 ansible_port=1\n", "Ansible INI")):
        monkeypatch.setattr(files, "_standard_input", lambda content=content: content)
        found = loading.load(["-"])
        assert (found.reports[0].name, found.reports[0].kind) == ("standard input", kind)


def test_hosts_separated_by_commas_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(load(["h1,deploy@h2:22"]).host_names) == ["h1", "h2"]
    assert list(load(["h1,"]).host_names) == ["h1"]
