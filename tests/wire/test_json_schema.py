"""Every object that `--json` prints is as docs/events.schema.json says, on real servers; and the schema is no sieve."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import hostshell
from hostshell.core.commands import COMMANDS
from tests.support.six_hosts import SixHosts

DOCS = Path(hostshell.__file__).parent.parent / "docs"
NOBODY = "nobody@127.0.0.1:1"  # nothing listens there
MIXED = r"""case {host} in
h1) echo fine; printf "caf\351\nno end";;
h2) echo bad >&2; exit 3;;
h3) kill -KILL $$;;
web01) exec sleep 60;;
web02) yes | tr -d "\n" | head -c 200000;;
db01) true;;
esac"""
SETTLED = [
    "set fanout",
    "set timeout 5",
    "set timeout off",
    "set connect_timeout 2.5",
    "set idle_timeout 60",
    "set idle_timeout off",
    "set color off",
    "set color auto",
]
ANSWERS = [
    *("hosts", "hosts -g web_clusters", "hosts h1", f"hosts {NOBODY}", "groups"),
    "inventory",
    *("show h1", "show h3", "show web01", "show @db_servers", "show web_clusters", f"show {NOBODY}"),
    *("use", "use -h h1,h2 -x h2", "use", "use --clear"),
    *("connections", "connections -g web_clusters", "disconnect h1", "disconnect -a"),
    *(
        "set",
        *SETTLED,
        "set color auto",
        "set gather on",
        "history",
        "history 3",
        "help",
        "help batch_run",
        "hosts --help",
        "reload",
    ),
]

Object = dict[str, Any]


@pytest.fixture(scope="module")
def schema() -> Object:
    found: Object = json.loads((DOCS / "events.schema.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def validator(schema: Object) -> Any:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder to copy from and to."""
    tree = tmp_path / "json-tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "big").write_bytes(os.urandom(3_000_000))
    (tree / "deep" / "empty").touch()
    return tmp_path


@pytest.fixture
def clean_homes(six_hosts: SixHosts) -> Iterator[None]:
    yield
    for host in six_hosts.hosts.values():
        subprocess.run(["rm", "-rf", str(host.account.home / "json-tree")], check=True)


def call(six_hosts: SixHosts, validator: Any, folder: Path, *lines: str, code: int = 0) -> list[Object]:
    """The objects that hostshell prints for these lines, each held against the schema."""
    files = ["-i", str(six_hosts.hosts_ini), "--known-hosts", str(six_hosts.known_hosts)]
    typed = [word for line in lines for word in ("-c", line)]
    done = subprocess.run(
        [sys.executable, "-m", "hostshell", *files, "--json", *typed],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.isascii()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f"{error.message} in {one}" for one in found for error in validator.iter_errors(one)] == []
    return found


def of(found: list[Object], event: str) -> list[Object]:
    return [one for one in found if one["event"] == event]


def test_every_way_to_end_and_every_kind_of_output(
    six_hosts: SixHosts, validator: Any, clean_home: Path, tmp_path: Path
) -> None:
    line = f"batch_run -h h1,h2,h3,{NOBODY} -g web_clusters,db_servers -t 6 -cmd '{MIXED}'"
    found = call(six_hosts, validator, tmp_path, line, code=4)
    assert [found[0]["event"], found[-1]["event"]] == ["started", "summary"]
    assert found[0]["hosts"] == ["h1", "h2", "h3", NOBODY, "web01", "web02", "db01"]
    ended = {one["host"]: one for one in of(found, "finished")}
    assert {host: (one["status"], (one["error"] or {}).get("kind")) for host, one in ended.items()} == {
        "h1": ("ok", None),
        "h2": ("failed", "exit"),
        "h3": ("failed", "signal"),
        NOBODY: ("unreachable", "refused"),
        "web01": ("timeout", "timeout"),
        "web02": ("ok", None),
        "db01": ("ok", None),
    }
    assert (ended["h2"]["exit_code"], ended["h3"]["signal"]) == (3, "KILL")
    printed = of(found, "output")
    lines = [one for one in printed if one["host"] == "h1"]
    assert [one["data"] for one in lines] == ["fine", "caf\ufffd", "no end"]
    assert base64.b64decode(lines[1]["data_base64"]) == b"caf\xe9"
    assert ["eol" in one for one in lines] == [False, False, True]
    assert [one["data"] for one in printed if one["stream"] == "stderr"] == ["bad"]
    pieces = [one for one in printed if one["host"] == "web02"]
    assert len(pieces) > 1
    assert not any(one.get("eol", True) for one in pieces)
    assert "".join(one["data"] for one in pieces) == "y" * 200_000
    summary = found[-1]
    counts = {name: summary[name] for name in ("ok", "failed", "unreachable", "timeout", "lost", "cancelled")}
    assert counts == {"ok": 3, "failed": 2, "unreachable": 1, "timeout": 1, "lost": 0, "cancelled": 0}


def test_copies_with_their_progress_and_their_failures(
    six_hosts: SixHosts, validator: Any, clean_home: Path, files: Path, clean_homes: None
) -> None:
    found = call(
        six_hosts,
        validator,
        files,
        "batch_scp -h h1,h3 -action put -local json-tree -remote ~/",
        "batch_scp -h h1,h3 -action get -remote ~/json-tree -local out/",
        "batch_scp -h h1 -action get -remote ~/json-missing -local out/",
        code=1,
    )
    moved = of(found, "progress")
    assert {(one["job"], one["host"]) for one in moved} == {(1, "h1"), (1, "h3"), (2, "h1"), (2, "h3")}
    assert {one["total"] for one in moved} == {3_000_000}
    assert all(one["bytes"] <= one["total"] for one in moved)
    assert [one["exit_code"] for one in of(found, "summary")] == [0, 0, 1]
    assert of(found, "finished")[-1]["error"]["kind"] == "transfer"


def test_verbs_that_log_in_or_take_the_rest_of_the_line(
    six_hosts: SixHosts, validator: Any, clean_home: Path, tmp_path: Path
) -> None:
    found = call(
        *(six_hosts, validator, tmp_path, "use -h h1,db01", "ping", "run echo {host} | cat"),
        *("connections", "disconnect h1", "disconnect -a"),
    )
    assert [one["hosts"] for one in of(found, "started")] == [["h1", "db01"]] * 2
    assert of(found, "started")[1]["command"] == "run echo {host} | cat"
    assert sorted(one["data"] for one in of(found, "output")) == ["db01", "h1"]
    assert [one["ok"] for one in of(found, "summary")] == [2, 2]
    listed, closed, the_rest = (one["data"] for one in of(found, "result")[1:])
    assert {(one["host"], one["busy"]) for one in listed} == {("h1", False), ("db01", False)}
    assert (closed, the_rest) == ({"closed": ["h1"], "busy": []}, {"closed": ["db01"], "busy": []})


def test_every_verb_that_answers_gives_one_result(
    six_hosts: SixHosts, validator: Any, clean_home: Path, tmp_path: Path
) -> None:
    found = call(six_hosts, validator, tmp_path, *ANSWERS)
    assert {one["event"] for one in found} == {"result"}
    assert len(found) == len(ANSWERS)
    text = json.dumps(found)
    passwords = {host.account.password for host in six_hosts.hosts.values()} - {""}
    assert not [password for password in passwords if password in text]


def test_no_verb_was_forgotten_here(schema: Object) -> None:
    answering = set(re.findall(r"[a-z_]+", schema["$defs"]["result"]["properties"]["command"]["pattern"]))
    run_on_hosts = {"batch_run", "batch_scp", "put", "get", "run", "ping", "doctor"}
    print_nothing_of_ours = {"!", "exit", "connect"}
    assert {command.name for command in COMMANDS} - print_nothing_of_ours == answering | run_on_hosts
    assert {line.split()[0] for line in ANSWERS} == answering


def examples() -> list[Object]:
    page = (DOCS / "json.md").read_text(encoding="utf-8")
    return [json.loads(line) for block in re.findall(r"```json\n(.*?)```", page, re.S) for line in block.splitlines()]


def test_the_examples_of_the_page_are_as_the_schema_says(validator: Any) -> None:
    assert len(examples()) > 8
    for one in examples():
        validator.validate(one)


def test_the_page_names_every_event_field_status_and_kind(schema: Object) -> None:
    page = (DOCS / "json.md").read_text(encoding="utf-8")
    known = schema["$defs"]
    names = {*schema["properties"]["event"]["enum"], *known["status"]["enum"], *known["kind"]["enum"]}
    for event in schema["properties"]["event"]["enum"]:
        names |= set(known[event]["properties"])
    assert sorted(name for name in names if f"`{name}`" not in page and f'`"{name}": ' not in page) == []


STARTED = {"event": "started", "job": 1, "command": "run true", "hosts": ["h1"]}
OUTPUT = {"event": "output", "job": 1, "host": "h1", "stream": "stdout", "data": ""}
PROGRESS = {
    "event": "progress",
    "job": 1,
    "host": "h1",
    "path": "a",
    "bytes": 0,
    "total": 0,
    "saved": 0,
    "comparing": 0,
}
REASON = {"kind": "exit", "message": "exit code 1", "hint": ""}
FAILED = {
    "event": "finished",
    "job": 1,
    "host": "h1",
    "status": "failed",
    "exit_code": 1,
    "signal": None,
    "seconds": 0.1,
    "error": REASON,
}
OK = {**FAILED, "status": "ok", "exit_code": 0, "error": None}
SUMMARY = {
    "event": "summary",
    "job": 1,
    "ok": 1,
    "failed": 0,
    "unreachable": 0,
    "timeout": 0,
    "lost": 0,
    "cancelled": 0,
    "seconds": 0.1,
    "exit_code": 0,
}
RESULT = {"event": "result", "command": "groups", "data": [{"name": "web", "hosts": ["h1"]}]}
WHOLE = [STARTED, OUTPUT, PROGRESS, FAILED, OK, SUMMARY, RESULT]
each = pytest.mark.parametrize("whole", WHOLE, ids=lambda one: f"{one['event']}-{one.get('status', '')}")


@each
def test_a_whole_object_is_taken_and_one_with_a_field_less_or_more_is_not(validator: Any, whole: Object) -> None:
    validator.validate(whole)
    for field in whole:
        less = {name: value for name, value in whole.items() if name != field}
        assert not validator.is_valid(less), f"without {field}"
    assert not validator.is_valid({**whole, "more": 1})


@each
def test_a_field_of_another_type_is_refused(validator: Any, whole: Object) -> None:
    for field in whole:
        assert not validator.is_valid({**whole, field: [{}]}), field


@pytest.mark.parametrize(
    "broken",
    [
        {**STARTED, "hosts": []},
        {**STARTED, "hosts": ["h1", "h1"]},
        {**STARTED, "job": 0},
        {**STARTED, "event": "begun"},
        {**OUTPUT, "stream": "stdin"},
        {**OUTPUT, "eol": True},
        {**OUTPUT, "data_base64": "no base64"},
        {**OUTPUT, "data_base64": ""},
        {**PROGRESS, "bytes": -1},
        {**OK, "error": REASON},
        {**OK, "exit_code": 1},
        {**FAILED, "error": None},
        {**FAILED, "status": "broken"},
        {**FAILED, "status": "unreachable"},
        {**FAILED, "error": {**REASON, "kind": "other"}},
        {**FAILED, "error": {**REASON, "password": "x"}},
        {**FAILED, "error": {"kind": "exit", "message": "exit code 1"}},
        {**FAILED, "seconds": -1},
        {**SUMMARY, "exit_code": 256},
        {**SUMMARY, "ok": 0.5},
        {**RESULT, "command": "batch_run -a -cmd true"},
        {**RESULT, "command": "hosts"},
        {**RESULT, "command": "connections", "data": [{"host": "h1"}]},
        {**RESULT, "command": "disconnect -a", "data": {"closed": 3, "busy": 0}},
        {**RESULT, "command": "set idle_timeout", "data": {"idle_timeout": 0}},
        {**RESULT, "data": [{"name": "web", "hosts": "h1"}]},
        {**RESULT, "command": "set", "data": {}},
        {**RESULT, "command": "set fanout", "data": {"fanout": 0}},
        {**RESULT, "command": "show h1", "data": {"host": "h1", "group": "web", "hosts": []}},
        [STARTED],
        None,
    ],
    ids=str,
)
def test_a_broken_object_is_refused(validator: Any, broken: object) -> None:
    assert not validator.is_valid(broken)
