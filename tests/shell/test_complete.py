"""What Tab offers, held against prompt_toolkit's own documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from hostshell.core.commands import COMMANDS
from hostshell.core.names import expand
from hostshell.shell.complete import HostshellCompleter
from hostshell.shell.nameindex import MOST_OFFERED, NameIndex


@dataclass
class Names:
    host_names: list[str]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FLEET = Names(
    ["h1", "h2", "h3", "web01", "web02", "web03", "web07", "db01", "db02", "gate"],
    {"web_clusters": ("web01", "web02", "web03", "web07"), "db_servers": ("db01", "db02"), "lab": ("h1",)},
)


def offers(line: str, names: Names = FLEET, after: str = "") -> list[str]:
    """The whole lines that the completions of ``line`` make."""
    return [
        line[: len(line) + found.start_position] + found.text
        for found in HostshellCompleter(lambda: names).get_completions(
            Document(line + after, len(line)), CompleteEvent()
        )
    ]


def meanings(line: str) -> dict[str, str]:
    """What is shown for each completion: its text and its description."""
    found = HostshellCompleter(lambda: FLEET).get_completions(Document(line, len(line)), CompleteEvent())
    return {one.display_text: one.display_meta_text for one in found}


# --- commands and options ---


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("batch_", ["batch_run", "batch_scp"]),
        ("batch_r", ["batch_run "]),
        ("  batch_r", ["  batch_run "]),
        ("pi", ["ping "]),
        ("nothing", []),
        ("batch_run -c", ["batch_run -cmd "]),
        ("batch_run --c", ["batch_run --cmd", "batch_run --cwd", "batch_run --connect-timeout"]),
        ("batch_run --cm", ["batch_run --cmd "]),
        ("batch_run -h h1 -h", ["batch_run -h h1 -h "]),
        ("batch_run -cmd x -c", []),
        ("batch_run --cmd=x -c", []),
        ("batch_scp -ac", ["batch_scp -action "]),
        ("put x --par", ["put x --parents "]),
        ("get --pres", ["get --preserve "]),
        ("batch_scp -action ", ["batch_scp -action put", "batch_scp -action get"]),
        ("batch_scp -action p", ["batch_scp -action put"]),
        ("batch_scp --action=g", ["batch_scp --action=get"]),
        ("batch_run --rc ", ["batch_run --rc max"]),
        ("set fan", ["set fanout"]),
        ("set gather ", ["set gather on", "set gather off"]),
        ("set nonsense ", []),
        ("set -", ["set --json "]),
        ("help batch_s", ["help batch_scp"]),
        ("batch_run -f ", []),
        ("batch_run -cmd h", []),
        ("batch_run -cmd 'uptime -", []),
        ("run batch_", []),
        ("!ba", []),
        ("# ba", []),
        ("nothing -", []),
        ("batch_run -cmd a\\", []),
    ],
)
def test_commands_options_and_choices(line: str, lines: list[str]) -> None:
    assert offers(line) == lines


def test_all_options_are_offered_once_under_one_name() -> None:
    found = meanings("batch_run -")
    names = "-h -g -a -x -cmd --script --stdin --cwd --env --tty --sudo -u -l -p -i -k -f -t --connect-timeout"
    names += " -b -N -q --rc --outdir --errdir --json"
    assert list(found) == names.split()
    assert meanings("batch_run ") == found


def test_an_option_that_is_given_is_offered_again_only_if_it_may_be_repeated() -> None:
    found = meanings("batch_run -g web_clusters -cmd uptime -")
    assert "-g" in found
    assert "-cmd" not in found


@pytest.mark.parametrize(
    "line",
    ["", "batch_run -", "batch_scp -action ", "use -h ", "use -g ", "hosts ", "show ", "set ", "help ", "set color "],
)
def test_everything_that_is_offered_is_described(line: str) -> None:
    found = meanings(line)
    assert found
    assert all(found.values())


def test_every_command_and_every_option_is_completed() -> None:
    assert [text.strip() for text in offers("")] == [command.name for command in COMMANDS]
    for command in COMMANDS:
        for name in command.option_names():
            assert any(text.strip() == f"{command.name} {name}" for text in offers(f"{command.name} {name}"))


# --- hosts and groups ---


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("batch_run -h ga", ["batch_run -h gate"]),
        ("batch_run -h h1,ga", ["batch_run -h h1,gate"]),
        ("batch_run -h 'h1, ga", ["batch_run -h 'h1, gate"]),
        ('batch_run -h "h1,ga', ['batch_run -h "h1,gate']),
        ("batch_run --hosts=h1,ga", ["batch_run --hosts=h1,gate"]),
        ("batch_run --hosts='h1,ga", ["batch_run --hosts='h1,gate"]),
        ("batch_run -h web*!ga", ["batch_run -h web*!gate"]),
        ("batch_run -h web[01-03,07],ga", ["batch_run -h web[01-03,07],gate"]),
        ("batch_run -x ga", ["batch_run -x gate"]),
        ("batch_run -h h1 -x h2 -h ga", ["batch_run -h h1 -x h2 -h gate"]),
        ("batch_run -g w", ["batch_run -g web_clusters"]),
        ("batch_run -g web_clusters,d", ["batch_run -g web_clusters,db_servers"]),
        ("batch_run -g 'web_clusters, l", ["batch_run -g 'web_clusters, lab"]),
        ("batch_run -h @d", ["batch_run -h @db_servers"]),
        ("batch_run -h web*&@w", ["batch_run -h web*&@web_clusters"]),
        ("batch_run -g a", ["batch_run -g all"]),
        ("hosts ga", ["hosts gate"]),
        ("hosts h1 @d", ["hosts h1 @db_servers"]),
        ("show web_", ["show web_clusters"]),
        ("use -g l", ["use -g lab"]),
        ("ping -h h1,nothing", []),
    ],
)
def test_names_of_hosts_and_groups_without_a_blank(line: str, lines: list[str]) -> None:
    assert offers(line) == lines


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("batch_run -h web", "batch_run -h web[01-03,07]"),
        ("batch_run -h db01,we", "batch_run -h db01,web[01-03,07]"),
        ("batch_run -h web[", "batch_run -h web[01-03,07]"),
        ("batch_run -h web[01", "batch_run -h web[01-03,07]"),
        ("batch_run -h h", "batch_run -h h[1-3]"),
    ],
)
def test_ranges_are_offered_folded_and_first(line: str, first: str) -> None:
    assert offers(line)[0] == first


def test_a_range_holds_only_names_that_begin_as_typed() -> None:
    names = Names([f"n{number:03}" for number in range(30)])
    assert offers("hosts n01", names)[0] == "hosts n[010-019]"


def test_names_are_described_by_their_groups_and_groups_by_their_size() -> None:
    found = meanings("batch_run -h ")
    assert found["web01"] == "web_clusters"
    assert found["gate"] == "in no group"
    assert found["@db_servers"] == "2 hosts"
    assert found["@lab"] == "1 host"
    assert found["web[01-03,07]"] == "4 hosts"


def test_what_is_in_the_list_already_is_not_offered() -> None:
    assert "batch_run -h h1,h1" not in offers("batch_run -h h1,h")
    assert "batch_run -g lab,lab" not in offers("batch_run -g lab,")


LAST = {"ok": 3, "failed": 1}


def after_a_command(line: str) -> dict[str, str]:
    """What is offered once a command has run: the whole line and its description."""
    completer = HostshellCompleter(lambda: FLEET, lambda: LAST)
    found = completer.get_completions(Document(line, len(line)), CompleteEvent())
    return {line[: len(line) + one.start_position] + one.text: one.display_meta_text for one in found}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("batch_run -h @f", {"batch_run -h @failed": "1 host of the last command"}),
        ("batch_run -h web01,@o", {"batch_run -h web01,@ok": "3 hosts of the last command"}),
        ("batch_run -h '@web_clusters!@fa", {"batch_run -h '@web_clusters!@failed": "1 host of the last command"}),
        ("use -g f", {"use -g failed": "1 host of the last command"}),
        ("use -x @o", {"use -x @ok": "3 hosts of the last command"}),
        ("hosts @failed,@f", {}),
        ("hosts @unr", {}),
    ],
)
def test_hosts_of_the_last_command_are_offered_by_how_they_ended(line: str, found: dict[str, str]) -> None:
    assert after_a_command(line) == found


def test_hosts_of_the_last_command_are_offered_beside_groups_and_only_once_there_are_some() -> None:
    assert list(after_a_command("hosts @")) == [
        *("hosts @all", "hosts @db_servers", "hosts @lab", "hosts @web_clusters", "hosts @ok", "hosts @failed")
    ]
    assert [line.removeprefix("use -g ") for line in after_a_command("use -g ")][-3:] == [
        "web_clusters",
        "ok",
        "failed",
    ]
    assert after_a_command("hosts ")["hosts @failed"] == "1 host of the last command"
    assert not any("failed" in line for line in offers("hosts @"))


def test_another_catalog_is_seen_at_once() -> None:
    current = [FLEET]
    completer = HostshellCompleter(lambda: current[0])

    def texts() -> list[str]:
        return [one.text for one in completer.get_completions(Document("hosts ne"), CompleteEvent())]

    assert texts() == []
    current[0] = Names(["new1"])
    assert texts() == ["new1"]


def test_among_many_hosts_ranges_come_first_and_the_number_is_bounded() -> None:
    names = Names([f"rack{rack:03}node{node:02}" for rack in range(200) for node in range(50)])
    found = [text for text, _ in NameIndex(names).hosts("rack")]
    assert len(found) == MOST_OFFERED
    assert found[0] == "rack000node[00-49]"
    one = Names([f"web{number:05}" for number in range(10_000)])
    assert next(NameIndex(one).hosts("we")) == ("web[00000-09999]", "10,000 hosts")


@pytest.mark.parametrize(
    "names",
    [
        ["a1", "a02", "a3"],
        ["a08", "a9", "a10"],
        ["a1b", "a2b", "a3c"],
        ["1", "2"],
        ["x[1]2", "x3"],
        ["a" + "9" * 30, "a1"],
    ],
)
def test_a_range_stands_for_names_that_are_there(names: list[str]) -> None:
    for text, _ in NameIndex(Names(names)).hosts(""):
        if text not in names:
            assert set(expand(text)) <= set(names)


# --- local paths ---


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "test.py").write_text("x = 1\n")
    (tmp_path / "two words.txt").write_text("")
    (tmp_path / "it's").write_text("")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "escape\x1b[2J").write_text("")
    (tmp_path / "my dir").mkdir()
    (tmp_path / "my dir" / "inner file").write_text("")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("te", ["test.py"]),
        ("./te", ["./test.py"]),
        ("pl", ["plain/"]),
        ("plain/", ["plain/a.txt"]),
        ("tw", ['"two words.txt"']),
        ("'tw", ["'two words.txt'"]),
        ('"tw', ['"two words.txt"']),
        ("two\\ w", ['"two words.txt"']),
        ("it", ['"it\'s"']),
        ("'it", ['"it\'s"']),
        ("my", ['"my dir/']),
        ('"my dir/', ['"my dir/inner file"']),
        (".h", [".hidden"]),
        ("esc", []),
        ("~", ["~/"]),
        ("~/te", ["~/test.py"]),
        ("nowhere/", []),
        ("test.py/", []),
    ],
)
def test_local_paths_are_quoted_where_they_must_be(folder: Path, typed: str, completed: list[str]) -> None:
    for option in ("-local ", "--local="):
        line = f"batch_scp -action put {option}"
        assert offers(line + typed) == [line + path for path in completed]


def test_hidden_files_are_not_offered_unless_asked_for(folder: Path) -> None:
    assert not any("hidden" in text for text in offers("batch_scp -local "))


def test_a_quote_that_stands_behind_the_cursor_is_not_doubled(folder: Path) -> None:
    assert offers('batch_scp -local "tw', after='" -remote x') == ['batch_scp -local "two words.txt']


def test_directories_and_files_are_described(folder: Path) -> None:
    found = meanings("batch_scp -local ")
    assert found["plain/"] == "directory"
    assert found["test.py"] == "6 B"


def test_paths_of_the_hosts_are_not_guessed(folder: Path) -> None:
    assert offers("batch_scp -remote te") == []


# --- put and get ---


def test_put_completes_a_local_path_first_and_get_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert offers("put rep") == ["put report.txt"]
    assert offers("put -g lab rep") == ["put -g lab report.txt"]
    assert offers("get /etc/hosts rep") == ["get /etc/hosts report.txt"]
    assert offers("get rep") == []


def test_put_and_get_offer_their_options_once_both_paths_are_there() -> None:
    assert "put a b --parents" in offers("put a b ")
    assert "put a --parents" not in offers("put a ")


def test_leaving_out_hosts_and_leaving_out_files_are_told_apart() -> None:
    found = after_a_command("put a b --excl")
    assert "hosts to leave out" in found["put a b --exclude"]
    assert "leave out of trees" in found["put a b --exclude-files"]


def test_connect_takes_one_host_and_then_a_command_of_its_own() -> None:
    assert offers("connect web0")
    assert all("[" not in name for name in offers("connect "))
    assert offers("connect web01 ") == []
    assert "connect --user" in offers("connect --")
    assert offers("connect web01 --") == []


def test_show_takes_one_host_or_group_and_is_offered_no_ranges() -> None:
    assert offers("show h") == ["show h1", "show h2", "show h3"]
    assert offers("show web") == ["show web_clusters", "show web01", "show web02", "show web03", "show web07"]
    assert not any("[" in name for name in offers("show "))
    assert "show all" in offers("show ")
    assert offers("connect h") == ["connect h1", "connect h2", "connect h3"]
