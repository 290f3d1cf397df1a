"""--stdin -, --script and their kin as a person or a script of the shell calls them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd


@pytest.fixture
def place(tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> list[str]:
    inventory = write_inventory(tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in ("a", "b")))
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    return [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known]


def call(place: list[str], *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*place, *words], input=input, capture_output=True, timeout=60)


def test_a_one_shot_call_passes_its_own_input_on(place: list[str]) -> None:
    done = call(place, "batch_run", "-a", "-N", "-q", "--stdin", "-", "-cmd", "od -An -tx1", input=b"\x00\xff\n")
    assert (done.stdout, done.returncode) == (b" 00 ff 0a\n" * 2, 0)
    done = call(
        place,
        "-c",
        "batch_run -h a -N -q --stdin - -cmd cat",
        "-c",
        "batch_run -h b -N -q --stdin - -cmd cat",
        input=b"x\n",
    )
    assert done.stdout == b"x\nx\n"


def test_where_the_lines_come_from_standard_input_it_cannot_be_the_commands(place: list[str]) -> None:
    done = call(place, input=b"batch_run -a --stdin - -cmd cat\nbatch_run -h a -N -cmd 'cat; echo end'\n")
    assert b"--stdin -: standard input is where the lines come from" in done.stderr
    assert (done.stdout, done.returncode) == (b"end\n", 2)


def test_a_missing_file_runs_nothing(place: list[str]) -> None:
    for option in ("--stdin", "--script"):
        done = call(place, "batch_run", "-a", option, "/nowhere/x", *(["-cmd", "cat"] if option == "--stdin" else []))
        assert (done.stdout, done.returncode) == (b"", 2)
        assert b"cannot read /nowhere/x: no such file or directory" in done.stderr


def test_a_script_gets_the_words_after_the_dashes(place: list[str], tmp_path: Path) -> None:
    (tmp_path / "s").write_text("#!/bin/sh\nprintf '%s|' \"$@\"; cat\n")
    words = [
        "batch_run",
        "-h",
        "a",
        "-N",
        "-q",
        "--script",
        str(tmp_path / "s"),
        "one",
        "--",
        "--help",
        "-h",
        "two words",
    ]
    assert call(place, *words).stdout == b"one|--help|-h|two words|\n"


def test_json_says_the_line_as_it_can_be_typed_again(place: list[str], tmp_path: Path) -> None:
    (tmp_path / "s").write_text("true\n")
    done = call(place, "--json", "batch_run", "-h", "a", "--script", str(tmp_path / "s"), "--env", "A=b c", "--", "-x")
    assert f'"command": "batch_run -h a --script {tmp_path}/s --env \\"A=b c\\" -- -x"'.encode() in done.stdout


def test_a_host_that_speaks_another_encoding(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    sections = [
        host_section("a", sshd, accounts[0], client_key, encoding="gbk"),
        host_section("b", sshd, accounts[0], client_key),
    ]
    inventory = write_inventory(tmp_path, *sections)
    place = [
        sys.executable,
        "-m",
        "hostshell",
        "-i",
        inventory,
        "--known-hosts",
        write_known_hosts(tmp_path, sshd.known_hosts_line),
    ]
    command = "printf %s 磁盘; printf %s 磁盘 | od -An -tx1"
    done = call(place, "batch_run", "-a", "-q", "-cmd", command)
    assert sorted(done.stdout.decode().splitlines()) == ["a: 磁盘 b4 c5 c5 cc", "b: 磁盘 e7 a3 81 e7 9b 98"]
    done = call(place, "batch_run", "-a", "-b", "-q", "-cmd", "echo 磁盘")
    assert "a,b (2)" in done.stdout.decode() or "[a-b] (2)" in done.stdout.decode()  # the same text, other bytes
    done = call(place, "--json", "batch_run", "-h", "a", "-cmd", "printf '磁盘\\377\\n'")
    assert b'"data": "\\u78c1\\u76d8\\ufffd", "data_base64": "tMXFzP8="' in done.stdout
    done = call(place, "batch_run", "-h", "a", "-cmd", "echo 🔑; touch never")
    assert b"gbk, which this host speaks, has no" in done.stderr
    assert done.returncode == 1
    done = call(place, "batch_run", "-h", "a", "--outdir", str(tmp_path / "out"), "-cmd", "echo 磁盘")
    assert (tmp_path / "out" / "a").read_bytes() == "磁盘\n".encode("gbk")
