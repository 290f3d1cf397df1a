"""Verbs on an inventory, without any host: what is refused and how, what is answered, and in which form."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hostshell.core.errors import TargetError
from hostshell.core.model import Job
from hostshell.engine.pool import Pool
from hostshell.engine.questions import AskKeys
from hostshell.inventory.load import load
from hostshell.session import Session
from hostshell.shell.commands import Leave, Shell
from hostshell.shell.connect import one_host
from hostshell.shell.screen import Screen

PASSWORD = "any;thing#100%"
INVENTORY = f"""\
[defaults]
user = deploy
[host:h1]
address = 192.0.2.11
port = 2222
password = {PASSWORD}
[host:h2]
[host:h3]
user = root
[group:web_clusters]
hosts = web[01-12]
user = www
[group:db_servers]
hosts = db01
password_from = env:DB_PASSWORD
[group:prod]
groups = web_clusters, db_servers
"""


class NoPool(Pool):
    """Carries nothing out; remembers what it was to do."""

    def __init__(self) -> None:
        super().__init__(1)
        self.jobs: list[Job] = []

    def start(self) -> None:
        raise AssertionError("no worker is needed here")

    def run(self, job: Job, ask: AskKeys | None = None, **_: object) -> NoReturn:
        self.jobs.append(job)
        raise RuntimeError("a job got as far as the pool")


@dataclass
class Said:
    """What one line gave."""

    code: int
    out: str
    err: str


class Desk:
    """A shell on the inventory above, and what it says."""

    def __init__(self, inventory: Path, *, as_json: bool = False, pool: NoPool | None = None) -> None:
        self.pool = pool or NoPool()
        self.session = Session(str(inventory), pool=self.pool)
        self.typed = ["hosts", "run 'a\nb'", "groups"]
        self._out, self._err = io.StringIO(), io.StringIO()
        self.shell = Shell(
            self.session, Screen(self._out, self._err, environ={}), json=as_json, history=lambda: self.typed
        )

    def __call__(self, line: str) -> Said:
        return self._said(self.shell.line(line))

    def words(self, *words: str) -> Said:
        return self._said(self.shell.words(words))

    def script(self, *lines: str) -> Said:
        return self._said(self.shell.script(lines))

    def _said(self, code: int) -> Said:
        said = Said(code, self._out.getvalue(), self._err.getvalue())
        for stream in (self._out, self._err):
            stream.seek(0)
            stream.truncate()
        return said

    def data(self, line: str) -> Any:
        """What a line answers with --json."""
        said = self(line)
        assert (said.code, said.err) == (0, "")
        result = json.loads(said.out)
        assert result["event"] == "result"
        assert said.out.count("\n") == 1
        return result["data"]


@pytest.fixture
def inventory(tmp_path: Path, clean_home: Path) -> Path:
    path = tmp_path / "hosts.ini"
    path.touch(mode=0o600)
    path.write_text(INVENTORY, encoding="utf-8")
    return path


@pytest.fixture
def desk(inventory: Path) -> Iterator[Desk]:
    made = Desk(inventory)
    with contextlib.closing(made.session):
        yield made


# --- bad input: exit code 2, a sentence, nothing on standard output, nothing run ---

BAD = [
    # commands
    ("batch_rum -a -cmd x", "no such command: batch_rum", "did you mean batch_run?"),
    ("hlep", "no such command: hlep", "did you mean help?"),
    ("ls -l", "no such command: ls", "run LINE"),
    ("help batch_rum", "no such command: batch_rum", "did you mean batch_run?"),
    ("df\x1b[31m", "no such command:", "help"),
    # options
    ("batch_run -h h1 -comand x", "no such option: -comand", "did you mean -cmd?"),
    ("batch_run -h h1 --timout 3 -cmd x", "no such option: --timout", "did you mean --timeout?"),
    ("batch_run -h h1 --time 3 -cmd x", "no such option: --time", "did you mean --timeout?"),
    ("batch_run -h h1 -cmd=x", "with =", "write -cmd x, or --cmd=x"),
    ("batch_run -h h1 -cmd a -cmd b", "given twice", ""),
    ("batch_run -h h1 -f5 -cmd a", "-f5", "did you mean -f 5?"),
    # targets
    ("batch_run -cmd x", "no hosts are named", "-h"),
    ("ping", "no hosts are named", "use"),
    ("run uptime", "no hosts are named", "use"),
    ("batch_run -x h1 -cmd x", "no hosts are named", "use"),
    ("batch_run -h h1 -x h1 -cmd x", "no hosts left", ""),
    ("batch_run -h web1 -cmd x", "unknown host web1", "did you mean web01?"),
    ("batch_run -h h1,wbe01 -cmd x", "unknown host wbe01", "did you mean web01?"),
    ("batch_run -h web[01-13] -cmd x", "unknown host web13", "did you mean web1"),
    ("batch_run -h web[01- -cmd x", "web[01-", ""),
    ("batch_run -g web_cluster -cmd x", "unknown group web_cluster", "did you mean web_clusters?"),
    ("batch_run -h @web_cluster -cmd x", "unknown group web_cluster", "did you mean"),
    ("batch_run -g web_clusters,dbservers -cmd x", "unknown group dbservers", "did you mean db_servers?"),
    ("batch_run -h h1 -x web1 -cmd x", "unknown host web1", "did you mean web01?"),
    ("batch_run -h nope* -cmd x", "no host matches nope*", "hosts"),
    ("batch_run -h -oProxyCommand=x -cmd x", "-h needs a host list", ""),
    ("batch_run -h 'a;b' -cmd x", "a;b", ""),
    ("batch_run -h '$(id)' -cmd x", "$(id)", ""),
    ("hosts web1", "unknown host web1", "did you mean web01?"),
    ("show web1", "web1", "did you mean web"),
    ("show web_cluster", "web_cluster", "did you mean web_clusters?"),
    ("use -g web_cluster", "unknown group web_cluster", "did you mean web_clusters?"),
    ("use -x h1", "no default targets", "use -g NAME"),
    ("use --clear -g web_clusters", "--clear", "use --clear"),
    # values
    ("batch_run -a", "batch_run needs -cmd", "batch_run -a -cmd COMMAND"),
    ("batch_run -a -cmd", "-cmd needs a command", ""),
    ("batch_run -a -cmd ''", "-cmd needs a command", ""),
    ("batch_run -a -f 0 -cmd x", "-f needs a number from 1 to 10000, not 0", ""),
    ("batch_run -a -f many -cmd x", "-f needs a number from 1 to 10000, not many", ""),
    ("batch_run -a -t 0 -cmd x", "-t needs a number of seconds above 0", ""),
    ("batch_run -a --connect-timeout nan -cmd x", "--connect-timeout needs a number of seconds", ""),
    ("batch_scp -a -action putt -local /etc/hosts -remote x", "put or get, not putt", "did you mean put?"),
    (
        "batch_scp -a -local x -remote /tmp/",
        "batch_scp needs -action: put: from here to the hosts; get: from the hosts to here",
        "-action put|get",
    ),
    ("batch_scp -a -action put -remote /tmp/", "batch_scp needs -local", "-local PATH"),
    ("batch_scp -a -action put -local /etc/hosts", "batch_scp needs -remote", "-remote PATH"),
    ("batch_scp -a -action put -local /nowhere/x -remote /tmp/", "no such local file: /nowhere/x", "nothing was sent"),
    ("batch_scp -h h1 -action put -local '/nowhere/{host}' -remote /tmp/", "/nowhere/h1", "nothing was sent"),
    ("batch_scp -h h1 -action get -remote x -local /etc/hosts", "/etc/hosts is not a directory", "one folder a host"),
    ("batch_scp -h h1,h2 -action get -remote x -local /nowhere/x{host}/../x", "both write", "{host}"),
    ("put /etc/hosts /tmp/ -h h1 -x '*.log'", "no host matches *.log", "--exclude-files leaves out files"),
    ("get /etc/hosts out/ -h h1 --exclude .git", "unknown host .git", "--exclude-files leaves out files"),
    (
        "put /etc/hosts /tmp/ -h h1 -x 'a/* x'",
        "-x needs a host list, not",
        'to leave out files: --exclude-files "a/* x"',
    ),
    ("batch_run -h h1 -x a/b -cmd x", "-x needs a host list, not a/b", ""),
    ("set fanuot 3", "no such setting: fanuot", "did you mean fanout?"),
    ("set fanout 0", "a number from 1 to 10000, not 0", ""),
    ("set timeout -5", "a number of seconds above 0", ""),
    ("set gather maybe", "on or off, not maybe", ""),
    ("history x", "no number of lines", "history 20"),
    ("show", "show needs the name", "show h1"),
    ("run", "run needs a command", "for example"),
    ("!", "! needs a command", "for example"),
    # stray words: the line as it was probably meant
    ("batch_run -h h1 -cmd df -h", "in quotes: df -h", 'did you mean: batch_run -h h1 -cmd "df -h"'),
    ("batch_run -h h1 -cmd ls /tmp", "/tmp", 'did you mean: batch_run -h h1 -cmd "ls /tmp"'),
    ("batch_run -h h1, h2 -cmd x", "h2", "did you mean: batch_run -h h1,h2 -cmd x"),
    ("batch_run h1 -cmd x", "h1", "did you mean: batch_run -h h1 -cmd x"),
    ("batch_run web_clusters -cmd x", "web_clusters", "did you mean: batch_run -g web_clusters -cmd x"),
    ("batch_run -h h1 -cmd “df -h”", "from a document", 'did you mean: batch_run -h h1 -cmd "df -h"'),
    ("groups x", "x", "the form is: groups"),
    ("exit now", "now", "the form is: exit"),
    # secrets
    ("batch_run -g db_servers -cmd x", "DB_PASSWORD", "export DB_PASSWORD"),
]


@pytest.mark.parametrize(("line", "message", "hint"), BAD, ids=[line for line, _, _ in BAD])
def test_bad_input_is_exit_code_2_a_sentence_and_nothing_else(
    desk: Desk, line: str, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    said = desk(line)
    assert (said.code, said.out) == (2, "")
    first, *more = said.err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert hint in "\n".join(more)
    assert len(more) <= 2
    assert all(text.startswith("  ") for text in more)
    assert "\x1b" not in said.err
    assert PASSWORD not in said.err
    assert desk.pool.jobs == []


@pytest.mark.parametrize("line", ["put /etc/hosts /tmp/ -h nobody -x h1", "batch_run -h h1 -x '*.log' -cmd x"])
def test_patterns_of_files_are_mentioned_only_where_a_copys_exclude_is_wrong(desk: Desk, line: str) -> None:
    said = desk(line)
    assert said.code == 2
    assert "--exclude-files" not in said.err


@pytest.mark.parametrize("line", ["batch_run -h h9 -cmd x", "hosts h9", "show h9"])
def test_a_short_unknown_name_gets_a_way_on_too(desk: Desk, line: str) -> None:
    said = desk(line)
    assert said.code == 2
    assert "h9" in said.err
    assert len(said.err.splitlines()) == 2  # the nearest name, or how to see the names


@pytest.mark.parametrize("line", ["", "   ", "# batch_run -a -cmd x", "#"])
def test_a_blank_line_and_a_comment_do_nothing(desk: Desk, line: str) -> None:
    assert desk(line) == Said(0, "", "")


def test_a_put_of_an_unreadable_file_is_found_before_any_host_is_touched(desk: Desk, tmp_path: Path) -> None:
    said = desk(f"batch_scp -h h1 -action put -local {tmp_path}/hosts.ini/below -remote /tmp/")
    assert (said.code, said.out, desk.pool.jobs) == (2, "", [])
    assert "cannot read the local file" in said.err


def test_a_fault_of_ours_is_one_sentence_and_no_traceback(desk: Desk) -> None:
    said = desk("batch_run -h h2 -cmd x")
    assert said.code == 1
    assert said.err.startswith("error: hostshell itself failed: RuntimeError: a job got as far as the pool\n")
    assert "HOSTSHELL_DEBUG=1" in said.err
    assert "Traceback" not in said.err
    assert len(desk.pool.jobs) == 1


# --- hosts, groups, show ---


def test_hosts_lists_what_a_target_list_means(desk: Desk) -> None:
    said = desk("hosts web[01-02],h1 -x web02")
    assert (said.code, said.err) == (0, "")
    assert [line.split() for line in said.out.splitlines()] == [
        ["host", "address", "port", "user", "groups"],
        ["web01", "web01", "22", "www", "web_clusters,prod"],
        ["h1", "192.0.2.11", "2222", "deploy"],
        ["2", "hosts"],
    ]


def test_hosts_alone_lists_every_host_in_the_order_of_the_file(desk: Desk) -> None:
    names = [host["name"] for host in desk.data("hosts --json")]
    assert names == ["h1", "h2", "h3", *(f"web{number:02}" for number in range(1, 13)), "db01"]


def test_hosts_alone_lists_the_default_targets_when_there_are_some(desk: Desk) -> None:
    desk("use -h h1,h2 -x h2")
    assert [host["name"] for host in desk.data("hosts --json")] == ["h1"]


def test_hosts_knows_hosts_of_the_moment(desk: Desk) -> None:
    assert desk.data("hosts --json root@h1:22,[::1]:2200,10.0.0.5") == [
        {"name": "root@h1:22", "address": "192.0.2.11", "port": 22, "user": "root", "groups": []},
        {"name": "[::1]:2200", "address": "::1", "port": 2200, "user": "deploy", "groups": []},
        {"name": "10.0.0.5", "address": "10.0.0.5", "port": 22, "user": "deploy", "groups": []},
    ]


def test_hosts_says_what_of_a_host_is_not_known(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(
        "all:\n  hosts:\n    h1: {ansible_port: '{{ p }}', ansible_user: me}\n"
        "    h2: {ansible_host: '{{ a }}', ansible_user: '{{ u }}', ansible_port: 23}\n"
    )
    desk.session.inventory = load([str(path)])
    assert [line.split("  ") for line in re.sub("  +", "  ", desk("hosts").out).splitlines()[1:3]] == [
        ["h1", "h1", "not read: a template", "me", "ungrouped"],
        ["h2", "not read: a template", "23", "not read: a template", "ungrouped"],
    ]
    assert desk.data("hosts --json") == [
        {"name": "h1", "address": "h1", "port": None, "user": "me", "groups": ["ungrouped"]},
        {"name": "h2", "address": None, "port": 23, "user": None, "groups": ["ungrouped"]},
    ]


def test_groups_counts_and_folds(desk: Desk) -> None:
    rows = [line.split() for line in desk("groups").out.splitlines()]
    assert rows == [
        ["group", "count", "hosts"],
        ["web_clusters", "12", "web[01-12]"],
        ["db_servers", "1", "db01"],
        ["prod", "13", "db01,web[01-12]"],
    ] or rows[-1] == ["prod", "13", "web[01-12],db01"]
    assert desk.data("groups --json")[1] == {"name": "db_servers", "hosts": ["db01"]}


def test_show_says_where_each_value_comes_from(desk: Desk, inventory: Path) -> None:
    settings = desk.data("show h1 --json")["settings"]
    assert settings["address"] == {"value": "192.0.2.11", "from": f"{inventory}:4 [host:h1]"}
    assert settings["user"] == {"value": "deploy", "from": f"{inventory}:2 [defaults]"}
    assert settings["password"] == {"value": "***", "from": f"{inventory}:6 [host:h1]"}
    assert settings["keepalive"]["from"] == "built in"
    text = desk("show h1").out
    assert text.startswith("host h1\n")
    assert f"{inventory}:4 [host:h1]" in text
    assert "***" in text
    assert PASSWORD not in text


def test_show_names_the_source_of_a_secret_not_the_secret(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    assert desk.data("show db01 --json")["settings"]["password_from"]["value"] == "env:DB_PASSWORD"
    assert "host db01, in db_servers, prod\n" in desk("show db01").out


def test_show_of_a_host_of_the_moment_says_what_was_typed(desk: Desk) -> None:
    settings = desk.data("show root@h1:22 --json")["settings"]
    assert settings["user"] == {"value": "root", "from": "as typed"}
    assert settings["port"] == {"value": "22", "from": "as typed"}
    assert "password" not in settings  # it is deploy's


@pytest.mark.parametrize("name", ["web_clusters", "@web_clusters"])
def test_show_of_a_group_lists_its_hosts_and_what_it_is_part_of(desk: Desk, name: str) -> None:
    assert desk(f"show {name}").out == "group web_clusters: 12 hosts\n  hosts  web[01-12]\n  within prod\n"


# --- use ---


def test_use_sets_shows_narrows_and_drops_the_defaults(desk: Desk) -> None:
    assert desk("use").out == "no default targets; set some with: use -g GROUP\n"
    assert desk("use -g web_clusters -x web01").out == "-g web_clusters -x web01  (11 hosts: web[02-12])\n"
    assert desk("use -x web[02-10]").out.endswith("(2 hosts: web[11-12])\n")
    assert desk.data("use --json")["hosts"] == ["web11", "web12"]
    assert desk("use --clear").out.startswith("no default targets")
    assert desk("run uptime").code == 2


def test_a_use_that_fails_leaves_the_defaults_as_they_were(desk: Desk) -> None:
    desk("use -h h1")
    for line in ("use -h nope", "use -h h2 -x h2", "use -x h1"):
        assert desk(line).code == 2
    assert desk.data("use --json")["hosts"] == ["h1"]


def test_a_command_without_targets_takes_the_defaults_and_x_subtracts_from_them(desk: Desk) -> None:
    desk("use -g web_clusters -x web01")
    desk("run uptime")
    desk("batch_run -x web02 -cmd uptime")
    desk("batch_run -h h2 -cmd uptime")
    assert [tuple(host.name for host in job.hosts) for job in desk.pool.jobs] == [
        tuple(f"web{number:02}" for number in range(2, 13)),
        tuple(f"web{number:02}" for number in range(3, 13)),
        ("h2",),
    ]


# --- set ---


def test_set_changes_shows_one_and_shows_all(desk: Desk) -> None:
    assert desk("set fanout 3").out == "fanout is 3\n"
    assert desk("set timeout 2.5").out == "timeout is 2.5\n"
    assert desk("set connect_timeout 4").out == "connect_timeout is 4\n"
    assert desk("set timeout").out == "timeout is 2.5\n"
    assert [line.split()[:2] for line in desk("set").out.splitlines()] == [
        ["fanout", "3"],
        ["timeout", "2.5"],
        ["connect_timeout", "4"],
        ["idle_timeout", "600"],
        ["gather", "off"],
        ["color", "auto"],
    ]
    assert desk.data("set --json") == {
        "fanout": 3,
        "timeout": 2.5,
        "connect_timeout": 4.0,
        "idle_timeout": 600.0,
        "gather": False,
        "color": None,
    }
    desk("batch_run -h h2 -cmd x")
    job = desk.pool.jobs[0]
    assert (job.fanout, job.timeout, job.hosts[0].connect_timeout) == (3, 2.5, 4.0)


def test_what_a_command_says_itself_beats_what_is_set(desk: Desk) -> None:
    desk.script("set fanout 3", "set timeout 2.5", "batch_run -h h2 -f 7 -t 9 --connect-timeout 8 -cmd x")
    job = desk.pool.jobs[0]
    assert (job.fanout, job.timeout, job.hosts[0].connect_timeout) == (7, 9.0, 8.0)


def test_set_timeout_off_is_no_limit_again(desk: Desk) -> None:
    desk.script("set timeout 5", "set timeout off", "batch_run -h h2 -cmd x")
    assert desk.pool.jobs[0].timeout is None


def test_set_color_on_colours_what_follows(desk: Desk) -> None:
    desk("set color on")
    assert "\x1b[" in desk("nonsense").err
    desk("set color off")
    assert "\x1b[" not in desk("nonsense").err


# --- help, history, reload, exit ---


def test_help_lists_the_commands_and_explains_one(desk: Desk) -> None:
    overview = desk("help").out
    for word in ("batch_run", "batch_scp", "use", "!COMMAND", "Run and copy", "Targets", "Session"):
        assert word in overview
    about = desk("help batch_run").out
    assert 'batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "df -h"' in about
    assert desk("batch_run -h").out == desk("batch_run --help").out == about
    assert desk("help run").out == desk("run --help").out


def test_history_lists_lines_by_number_and_the_last_of_them(desk: Desk) -> None:
    assert desk("history").out == "    1  hosts\n    2  run 'a^Jb'\n    3  groups\n"
    assert desk("history 1").out == "    3  groups\n"
    assert desk.data("history 2 --json") == ["run 'a\nb'", "groups"]
    desk.typed = []
    assert desk("history").out == "nothing has been typed yet\n"


def test_reload_reads_the_inventory_again(desk: Desk, inventory: Path) -> None:
    inventory.write_text(inventory.read_text() + "[host:new]\n")
    assert desk("hosts new").code == 2
    said = f"{inventory}: 17 hosts, 3 groups; connections are closed\n"
    assert desk("reload").out == f"{said}hosts added: new\n"
    assert desk("reload").out == f"{said}nothing has changed\n"
    assert desk("hosts new").code == 0


def test_a_reload_of_a_broken_inventory_keeps_the_old_one(desk: Desk, inventory: Path) -> None:
    before = inventory.read_text()
    inventory.write_text(before.replace("port = 2222", "port = 70000"))
    said = desk("reload")
    assert (said.code, said.out) == (2, "")
    assert f"{inventory}:5: " in said.err
    assert desk.data("hosts h1 --json")[0]["port"] == 2222


@pytest.mark.parametrize("word", ["exit", "quit"])
def test_exit_leaves(desk: Desk, word: str) -> None:
    with pytest.raises(Leave):
        desk(word)


# --- ! ---


def test_a_local_command_runs_here_in_a_shell_and_gives_1_when_it_fails(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    assert desk("!echo $((6*7)) \"$(printf '%s' q)\" | cat") == Said(0, "", "")
    assert capfd.readouterr().out == "42 q\n"
    assert desk("!exit 3") == Said(1, "", "exit code 3\n")
    assert desk("!kill -9 $$") == Said(1, "", "signal 9\n")
    assert desk.words("!echo", "two words").code == 0
    assert capfd.readouterr().out == "two words\n"


def test_a_local_command_knows_no_secret_of_ours(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    list(desk.session.secrets())
    desk("!env; cat /proc/$PPID/cmdline 2>/dev/null || true")
    assert PASSWORD not in capfd.readouterr().out
    assert os.environ.get("DB_PASSWORD") is None


# --- scripts and words ---


def test_a_script_runs_every_line_and_gives_the_largest_code(desk: Desk) -> None:
    said = desk.script("hosts h1", "nonsense", "# a comment", "!exit 1", "groups")
    assert said.code == 2
    assert "192.0.2.11" in said.out
    assert "web[01-12]" in said.out


def test_a_scripts_open_quote_goes_on_in_the_next_line(desk: Desk) -> None:
    desk.script("batch_run -h h2 -cmd 'one", "two'", "batch_run -h h2 \\", "-cmd three")
    assert [getattr(job.task, "command", "") for job in desk.pool.jobs] == ["one\ntwo", "three"]


def test_a_script_that_ends_in_an_open_quote_is_told_so(desk: Desk) -> None:
    said = desk.script("batch_run -h h2 -cmd 'one", "groups")
    assert (said.code, said.out, desk.pool.jobs) == (2, "", [])
    assert "never closed" in said.err


def test_exit_ends_a_script_with_the_code_so_far(desk: Desk) -> None:
    said = desk.script("nonsense", "exit", "groups")
    assert (said.code, said.out) == (2, "")


def test_words_are_taken_as_a_shell_has_split_them(desk: Desk) -> None:
    desk.words("batch_run", "-h", "h2", "-cmd", "df -h | awk '{print $1}'")
    assert getattr(desk.pool.jobs[0].task, "command", "") == "df -h | awk '{print $1}'"
    assert desk.words("batch_run", "-h", "h1", "-cmd", "df", "-h").code == 2
    assert desk.words("batch_run -a -cmd x").err.splitlines()[1].strip().endswith('-c "batch_run -a -cmd x"')


# --- JSON everywhere ---


def test_json_for_all_verbs_gives_one_object_a_line(inventory: Path) -> None:
    desk = Desk(inventory, as_json=True)
    lines = ["hosts h1", "groups", "show h1", "use -g web_clusters", "use", "set", "history", "help", "reload"]
    lines += ["connections", "connections h1", "disconnect", "disconnect -a"]
    with contextlib.closing(desk.session):
        for line in lines:
            said = desk(line)
            result = json.loads(said.out)
            assert (said.code, said.err, said.out.count("\n")) == (0, "", 1)
            assert list(result) == ["event", "command", "data"]
            assert result["command"].startswith(line.split()[0])
            assert PASSWORD not in said.out
        said = desk("hosts nope")
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("error: ")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 60, 100])
def test_a_line_that_is_suggested_is_copied_whole(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    err = _Terminal()
    with Session(str(inventory), pool=NoPool()) as session:
        shell = Shell(session, Screen(io.StringIO(), err, environ={}))
        shell.line("batch_run -h h1,h2,h3 -g web_clusters -cmd systemctl restart nginx.service -x web01,web02")
    wanted = 'batch_run -h h1,h2,h3 -g web_clusters -cmd "systemctl restart nginx.service" -x web01,web02'
    assert err.getvalue().splitlines()[-2:] == ["  did you mean:", wanted]


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        (
            "web_clusters",
            "connect takes one host, and web_clusters is a group",
            "`hosts -g web_clusters` shows its hosts",
        ),
        (
            "web_cluster",
            "unknown host web_cluster",
            "did you mean one of the group web_clusters? `hosts -g web_clusters` shows its hosts",
        ),
        ("@db_servers,h1", "connect takes one host, and @db_servers,h1 is 2", "they are db01,h1"),
        ("h11", "unknown host h11", "did you mean h1?"),
    ],
)
def test_what_connect_says_of_a_word_that_is_not_one_host(desk: Desk, word: str, message: str, hint: str) -> None:
    with pytest.raises(TargetError) as caught:
        one_host(desk.session, word)
    assert (caught.value.message, caught.value.hint.partition("; no ssh_config")[0]) == (message, hint)


def test_show_knows_the_group_of_all_hosts(desk: Desk) -> None:
    assert desk("show all").out.startswith("group all: 16 hosts\n  hosts  ")
    assert desk.data("show @all --json")["group"] == "all"
