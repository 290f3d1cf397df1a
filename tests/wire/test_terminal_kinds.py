"""Terminals of every kind at a real prompt: narrow, resized meanwhile, dumb, without colour, without an encoding."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import pty
import re
import secrets
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from hostshell.core.commands import COMMANDS
from hostshell.core.events import Progress
from hostshell.shell.columns import columns, cut
from hostshell.shell.help import command_help, overview
from hostshell.shell.progress import ProgressLine
from hostshell.shell.screen import Screen
from hostshell.shell.tables import table
from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import ended
from tests.support.keys import Key
from tests.support.relay import CutRelay
from tests.support.running import host_section, write_inventory
from tests.support.six_hosts import SixHosts
from tests.support.sshd import Sshd
from tests.support.terminal import CTRL_C, CTRL_D, ENTER, ROWS, TAB, Files, Terminal

CTRL_R = "\x12"
XTERM = {"TERM": "xterm-256color"}
# é, 中文, a family of three joined by ZWJ, a combining accent, Hebrew, Arabic, a bidi override, bytes that are no text
MANY = (
    "caf\xe9 \u4e2d\u6587 \U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 "
    "\u05e9\u05dc\u05d5\u05dd \u0633\u0644\u0627\u0645"
)
FOREIGN_BYTES = MANY.encode() + b" \xe2\x80\xaerlo \xff\xed\xa0\x80 end"
OCTAL = "".join(f"\\{byte:03o}" for byte in FOREIGN_BYTES)
VISIBLE = " <U+202E>rlo \\xff\\xed\\xa0\\x80 end"


class Kind(Terminal):
    """A terminal that changes its size, and tells colours."""

    def type_bytes(self, raw: bytes) -> None:
        os.write(self._master, raw)

    def resize(self, width: int, *, rewraps: bool) -> None:
        """Make it ``width`` columns wide. One that ``rewraps`` breaks longer lines; the cursor keeps its character."""
        if rewraps:
            self._rewrap(width)
        else:
            self._screen.resize(ROWS, width)
        self._tell(width)

    def _rewrap(self, width: int) -> None:
        rows: list[str] = []
        at = self._screen.cursor
        line, column = 0, 0
        last = max((y for y, row in enumerate(self.drawn()) if row), default=0)
        for y, row in enumerate(self.drawn()[: max(last, at.y) + 1]):
            if y == at.y:
                line, column = len(rows) + at.x // width, at.x % width
            rows += [row[start : start + width] for start in range(0, len(row), width)] or [""]
        lost = max(0, len(rows) - ROWS)
        self._screen.resize(ROWS, width)
        self._stream.feed("\x1b[H\x1b[2J" + "\r\n".join(rows[lost:]) + f"\x1b[{line - lost + 1};{column + 1}H")

    def text(self) -> str:
        """What stands on the screen, its rows put together as a terminal has broken them."""
        return "".join(line.ljust(self._screen.columns) for line in self._screen.display)

    def colours(self) -> set[int]:
        """Every colour that was ever chosen, by its number in SGR."""
        chosen = {int(part) for found in re.findall(r"\x1b\[([\d;]*)m", self.raw) for part in found.split(";") if part}
        return {number for number in chosen if 30 <= number <= 49 or 90 <= number <= 107}


Open = Callable[..., Kind]


@pytest.fixture
def start(clean_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Start hostshell at a terminal; at the end nothing of it runs, and no traceback was seen."""
    mark = f"HS_KIND_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    opened: list[Kind] = []

    def run(*arguments: str, width: int = 80, files: Files = None, **environ: str | None) -> Kind:
        opened.append(Kind([sys.executable, "-m", "hostshell", *arguments], tmp_path, width, environ, files))
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()
        assert "Traceback" not in terminal.raw
        assert "itself failed" not in terminal.raw
    assert ended(lambda: processes.carrying(f"{mark}=1") - {os.getpid()})


@pytest.fixture
def prompt(start: Open, six_hosts: SixHosts) -> Open:
    """Start hostshell on the six hosts."""

    def run(width: int = 80, files: Files = None, **environ: str | None) -> Kind:
        place = ("-i", str(six_hosts.hosts_ini), "--known-hosts", str(six_hosts.known_hosts))
        return start(*place, width=width, files=files, **environ)

    return run


@pytest.fixture
def gate() -> Iterator[Path]:
    """A file that is not there, and that every user could see: hosts wait for it."""
    path = Path(f"/tmp/hostshell-test-gate-{secrets.token_hex(8)}")
    yield path
    path.unlink(missing_ok=True)


def waits_for(gate: Path) -> str:
    return f"while ! test -e {gate}; do sleep 0.05; done"


def works(terminal: Kind) -> None:
    """The prompt is usable: a line that is typed is carried out, and answered."""
    terminal.run("batch_run -h h1 -q -cmd 'echo usable'")
    terminal.wait_for("h1: usable")


# --- narrow ---


def test_at_20_columns_tables_are_one_block_a_row(prompt: Open, six_hosts: SixHosts) -> None:
    terminal = prompt(20)
    terminal.run("hosts -h h1,web01")
    rows = terminal.drawn()
    for name, groups in (("h1", ""), ("web01", "web_clusters")):
        at = rows.index(f"host: {name}")
        block = " ".join(row.strip() for row in rows[at : rows.index("", at)])
        host = six_hosts[name]
        assert f"address: {host.server.address} port: {host.server.port} user: {host.account.name}" in block
        assert block.endswith(f"groups: {groups}") == bool(groups)
    terminal.run("groups")
    assert "group: db_servers" in terminal.drawn()
    assert "hosts: db01" in terminal.drawn()


def test_at_80_columns_they_are_tables(prompt: Open) -> None:
    assert re.search(r"^host +address +port +user +groups$", prompt(80).run("hosts -a"), re.MULTILINE)


def test_at_20_columns_the_summary_breaks_between_words(prompt: Open) -> None:
    terminal = prompt(20)
    terminal.run("batch_run -h h1,h2,web01 -cmd 'exit 3'")
    rows = terminal.drawn()
    at = next(number for number, row in enumerate(rows) if row.startswith("3 failed in"))
    assert "    exit code 3" in rows[at:]
    said = terminal.run("batch_run -g web_clsuters -cmd 'exit 3'")
    assert "did you mean" in said
    assert not any(row.strip() == "usters?" for row in terminal.drawn())
    works(terminal)


def test_a_line_that_is_longer_than_a_narrow_terminal_can_be_typed_and_edited(prompt: Open) -> None:
    terminal = prompt(20)
    terminal.wait_for_prompt()
    words = " ".join(f"word{number}" for number in range(30))
    terminal.type(f"batch_run -h h1 -q -cmd 'echo {words}'")
    terminal.wait(lambda: f"'echo {words}'" in terminal.text(), "the long line")
    terminal.type("\x01" + "#" + ENTER)  # to its beginning: a comment, nothing runs
    terminal.wait_for_prompt()
    terminal.type(f"batch_run -h h1 -q -cmd 'echo {words}'" + ENTER)
    terminal.wait(lambda: f"h1: {words}" in terminal.text(), "its answer")
    works(terminal)


def test_what_ctrl_r_finds_is_seen_on_a_narrow_terminal(prompt: Open) -> None:
    terminal = prompt(20)
    terminal.run("batch_run -h h1 -q -cmd 'echo needle'")
    terminal.run("set fanout 9")
    terminal.type(CTRL_R + "needle")
    terminal.wait(lambda: terminal.text().count("-cmd 'echo needle'") == 2, "the line that was found")
    terminal.type(ENTER + ENTER)
    terminal.wait(lambda: terminal.text().count("h1: needle") == 2, "its second answer")
    works(terminal)


@pytest.mark.parametrize("width", [20, 40])
def test_an_open_quote_and_a_paste_of_lines_on_a_narrow_terminal(prompt: Open, width: int) -> None:
    terminal = prompt(width)
    terminal.wait_for_prompt()
    terminal.type("batch_run -h h1 -cmd 'echo one" + ENTER)
    terminal.wait_for_line(">")
    terminal.type("echo two'" + ENTER)
    terminal.wait_for("h1: two")
    terminal.wait_for_prompt()
    pasted = "".join(f"batch_run -h h1 -q -cmd 'echo pasted-{number}'\r" for number in range(5))
    terminal.type(f"\x1b[200~{pasted}\x1b[201~")
    terminal.wait_for("h1: pasted-4")
    works(terminal)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
@pytest.mark.parametrize("width", [20, 40])
def test_help_fits_narrow_terminals(name: str, width: int) -> None:
    examples = command_help(name, width).split("\nExamples\n")
    for line in (*examples[0].splitlines(), *overview(width).splitlines()):
        assert len(line) <= width or " " not in line.strip(), line  # a longer word stays whole


def test_at_20_columns_no_word_of_help_settings_and_errors_is_broken(prompt: Open) -> None:
    terminal = prompt(20)
    terminal.run("help")
    assert "  help COMMAND" not in terminal.drawn()
    assert "    run the rest of" in terminal.drawn()
    terminal.run("set")
    assert "setting: timeout" in terminal.drawn()  # the first ones have scrolled away
    terminal.run("show h1")
    assert "setting: port" in terminal.drawn()
    terminal.run("batch_run -g web_clsuters -cmd 'exit 3'")
    assert "error: unknown group" in terminal.drawn()
    assert "web_clsuters" in terminal.drawn()
    works(terminal)


# --- made narrower meanwhile ---


@pytest.mark.parametrize("rewraps", [True, False])
def test_a_resize_while_a_job_runs_leaves_no_remains_of_its_status_line(
    prompt: Open, gate: Path, rewraps: bool
) -> None:
    terminal = prompt(80)
    terminal.enter(f"batch_run -h h1,h2 -b -cmd 'test {{host}} = h1 || {waits_for(gate)}; echo same'")
    terminal.wait_for("1 of 2 hosts have answered")
    terminal.resize(20, rewraps=rewraps)
    gate.touch()
    terminal.wait_for("2 ok in ")
    terminal.wait_for_prompt()
    assert "have" not in terminal.text()
    assert "1 of 2" not in terminal.text()
    assert "echo same" in terminal.text() or not rewraps  # what stood above is still there
    works(terminal)
    terminal.resize(80, rewraps=rewraps)
    works(terminal)


def test_lines_that_come_before_and_after_a_resize_are_all_there(prompt: Open, gate: Path) -> None:
    terminal = prompt(80)
    terminal.enter(f"batch_run -h h1,h2 -cmd 'echo before-{{host}}; {waits_for(gate)}; echo after-{{host}}'")
    terminal.wait_for("h1: before-h1")
    terminal.wait_for("h2: before-h2")
    terminal.resize(20, rewraps=True)
    gate.touch()
    terminal.wait_for("h1: after-h1")
    terminal.wait_for("h2: after-h2")
    terminal.wait_for("2 ok in ")
    assert "h1: before-h1" in terminal.drawn()
    works(terminal)


@pytest.mark.parametrize("rewraps", [True, False])
def test_a_resize_during_a_copy_leaves_no_remains_of_its_progress(
    start: Open, tmp_path: Path, sshd: Sshd, accounts: list[Account], client_key: Key, rewraps: bool
) -> None:
    name = "\u4e2d\u6587" * 20
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 300_000_000)
    with CutRelay((sshd.address, sshd.port)) as relay:
        section = host_section("h1", sshd, accounts[0], client_key)
        section = section.replace(sshd.address, relay.address).replace(str(sshd.port), str(relay.port))
        terminal = start("-i", write_inventory(tmp_path, section), "--host-keys", "accept-new")
        terminal.enter(f"batch_scp -h h1 -action put -local {name} -remote /dev/null/no")
        terminal.wait_for("1 failed in ")
        terminal.enter(f"batch_scp -h h1 -action put -local {name} -remote big-{rewraps}")
        try:
            bar = re.compile(r"h1 \[#*\.+\] +\d+%, .*MB")  # the first drawing may be of less than a megabyte

            def is_drawn() -> bool:
                rows = terminal.drawn()
                return any(map(bar.match, rows)) and any("0 of 1 hosts" in row for row in rows)

            terminal.wait(is_drawn, "a bar of some megabytes, and the sum")
            relay.freeze()
            assert [len(row) < 80 for row in terminal.drawn() if "0 of 1 hosts" in row] == [True]
            assert [len(row) < 80 for row in terminal.drawn() if bar.match(row)] == [True]
            terminal.resize(20, rewraps=rewraps)
            relay.thaw()

            def is_narrow() -> bool:
                shown = [row for row in terminal.drawn() if row and ("%" in row or "[" in row or "MB" in row)]
                return len(shown) == 1 and re.fullmatch(r"\d+%, 0 of 1 hosts", shown[0]) is not None

            terminal.wait(is_narrow, "progress in one row, and nothing of what was drawn before")
            terminal.wait_for("1 ok in ")
            terminal.wait_for_prompt()
            assert "%" not in terminal.text()
            assert "of 1 hosts" not in terminal.text()
            works(terminal)
        finally:
            (accounts[0].home / f"big-{rewraps}").unlink(missing_ok=True)


def test_a_resize_and_bytes_that_are_no_text_at_the_question_about_a_host_key(
    start: Open, tmp_path: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    inventory = write_inventory(tmp_path, host_section("h1", sshd, accounts[0], client_key))
    terminal = start("-i", inventory, PYTHONIOENCODING="utf-8:strict")
    terminal.enter("batch_run -a -cmd 'echo it-ran'")
    terminal.wait_for("Trust it? yes or no:")
    terminal.resize(20, rewraps=True)
    terminal.type_bytes(b"caf\xe9\r")
    terminal.wait(lambda: terminal.raw.count("Trust it?") == 2, "the question again")
    terminal.type("yes" + ENTER)
    terminal.wait_for("h1: it-ran")
    works(terminal)


@pytest.mark.parametrize("rewraps", [True, False])
def test_a_resize_while_the_menu_of_tab_is_open(prompt: Open, rewraps: bool) -> None:
    terminal = prompt(80)
    terminal.wait_for_prompt()
    terminal.type("batch_run -h web" + TAB)
    terminal.wait_for("web02")
    for width in (40, 20, 80):
        before = len(terminal.raw)
        terminal.resize(width, rewraps=rewraps)
        terminal.wait(lambda start=before: "web02" in terminal.raw[start:], "the menu again")
    terminal.type(TAB)
    terminal.wait(lambda: terminal.line().startswith("hostshell> batch_run -h web"), "the line")
    terminal.interrupt()
    assert not any("web02" in row for row in terminal.drawn()[terminal.drawn().index(terminal.line()) :])
    works(terminal)


# --- without control sequences, without colours ---


@pytest.mark.parametrize("term", ["dumb", "unknown", "", None])
def test_a_dumb_terminal_gets_no_control_sequence_and_the_prompt_works(
    prompt: Open, clean_home: Path, tmp_path: Path, term: str | None
) -> None:
    terminal = prompt(80, TERM=term)
    asked = r"hostshell[^>\n]*>"

    def run(line: str, answer: str) -> None:
        terminal.wait(lambda: bool(re.fullmatch(asked, terminal.line())), "the prompt")
        terminal.type(line)
        terminal.wait(
            lambda: answer in terminal.text() and bool(re.fullmatch(asked, terminal.line())), f"{answer!r} and a prompt"
        )

    run("hosts -a" + ENTER, "6 hosts")
    run("batch_run -h h1 -cmd 'echo typo\x7fed; echo worse >&2'" + ENTER, "h1: typed")
    run("batch_run -a -b -cmd 'echo same'" + ENTER, "6 ok in")
    run("batch_run -h h1 -cmd 'echo one" + ENTER + "echo two'" + ENTER, "h1: two")
    (tmp_path / "f").write_text("x")
    run("batch_scp -h h1 -action put -local f -remote of-a-dumb-terminal" + ENTER, "1 ok in")
    run("batch_run -h h1 -q -cmd 'rm of-a-dumb-terminal; echo gone'" + ENTER, "h1: gone")
    run("use -g web_clusters" + ENTER, "2 hosts")
    run("no-such-thing\x03", "^C")
    terminal.type("batch_run -h h1 -cmd 'echo up; sleep 6133'" + ENTER)
    terminal.wait_for("h1: up")
    terminal.type(CTRL_C)
    terminal.wait_for("1 cancelled in")
    run("history 3" + ENTER, "sleep 6133")
    terminal.type("exit" + ENTER)
    assert terminal.wait_for_end() == 0
    assert "\x1b" not in terminal.raw
    assert "exit" in (clean_home / ".local/state/hostshell/history").read_text()


@pytest.mark.parametrize("term", ["vt100", "unknown-thing", "linux", "screen"])
def test_other_terminals_have_the_whole_prompt(prompt: Open, term: str) -> None:
    terminal = prompt(80, TERM=term)
    terminal.wait_for_prompt()
    terminal.type("batch_r" + TAB)
    terminal.wait_for_line("hostshell> batch_run")
    terminal.interrupt()
    works(terminal)


@pytest.mark.parametrize("value", ["1", ""])
def test_no_color_takes_every_colour_away_unless_it_is_empty(prompt: Open, value: str) -> None:
    terminal = prompt(80, NO_COLOR=value)
    terminal.run("batch_run -h h1,h2 -cmd 'echo a; exit 3'")
    terminal.run("hosts -a")
    terminal.run("no-such-command")
    terminal.type("batch_run -" + TAB)
    terminal.wait_for("--stdin")
    terminal.interrupt()
    works(terminal)
    assert bool(terminal.colours()) == (value == "")
    if value:  # a suggestion still differs from what has been typed
        assert "\x1b[0;2m" in terminal.raw


def test_set_color_off_holds_for_the_prompt_too(prompt: Open) -> None:
    terminal = prompt(80)
    terminal.run("set color off")
    terminal.wait_for_prompt()
    terminal.raw = terminal.raw[terminal.raw.rfind("\x1b[?2004h") :]
    terminal.type("batch_run -" + TAB)
    terminal.wait_for("--stdin")
    terminal.interrupt()
    assert terminal.colours() == set()


def test_a_terminal_that_does_not_say_its_size_has_80_columns(prompt: Open) -> None:
    terminal = prompt(0)
    assert re.search(r"^host +address +port", terminal.run("hosts -a"), re.MULTILINE)
    works(terminal)


def test_where_standard_output_is_a_file_it_has_what_hosts_print_and_the_terminal_has_the_prompt(
    prompt: Open, tmp_path: Path
) -> None:
    with open(tmp_path / "out", "wb") as out:
        terminal = prompt(80, files=(out, None))
        terminal.wait_for_prompt()
        terminal.type("batch_r" + TAB)
        terminal.wait_for_line("hostshell> batch_run")
        terminal.type("-h h1 -cmd 'echo one'" + ENTER)
        terminal.wait_for("1 ok in ")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
    assert (tmp_path / "out").read_bytes() == b"h1: one\n"


def test_where_both_are_files_the_lines_that_are_typed_are_carried_out(prompt: Open, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        terminal = prompt(80, files=(out, err))
        terminal.type("batch_run -h h1 -cmd 'echo one'" + ENTER + "exit" + ENTER)
        assert terminal.wait_for_end() == 0
    assert (tmp_path / "out").read_bytes() == b"h1: one\n"
    assert b"\x1b" not in (tmp_path / "err").read_bytes()


# --- characters ---


@pytest.mark.parametrize("width", [20, 80])
def test_wide_joined_and_right_to_left_text_is_printed_whole_and_direction_controls_are_seen(
    prompt: Open, width: int
) -> None:
    terminal = prompt(width)
    terminal.run(f"batch_run -h h1,h2 -cmd \"printf '{OCTAL}\\n'\"")
    for host in ("h1", "h2"):
        assert f"{host}:\x1b[0m {MANY}{VISIBLE}\r\n" in terminal.raw
    assert "\u202e" not in terminal.raw
    works(terminal)
    terminal.wait_for_prompt()
    terminal.type(
        "batch_run -h h1 -q -cmd 'echo \u4e2d\u6587 \u05e9\u05dc\u05d5\u05dd\u4e2d'\x1b[D\x1b[D\x1b[D\x1b[Cz" + ENTER
    )
    terminal.wait(lambda: "\u4e2d\u6587 \u05e9\u05dc\u05d5\u05dd" in terminal.raw.rpartition("h1:")[2], "the answer")
    works(terminal)


ENVIRONS: list[dict[str, str | None]] = [
    {"LANG": "C", "LC_ALL": None},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX"},
    {"LANG": "C.UTF-8", "LC_ALL": None},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
]


@pytest.mark.parametrize(
    "environ", ENVIRONS, ids=lambda found: ",".join(f"{key}={value}" for key, value in found.items())
)
def test_without_a_locale_all_is_understood_and_bytes_are_exact(
    prompt: Open, tmp_path: Path, environ: dict[str, str | None]
) -> None:
    terminal = prompt(200, **environ)
    ascii_only = "PYTHONCOERCECLOCALE" in environ or "PYTHONIOENCODING" in environ
    command = f"-cmd \"printf '{OCTAL}\\n'\""
    terminal.run(f"batch_run -h h1 {command}")
    shown = MANY.encode("ascii", "backslashreplace").decode() if ascii_only else MANY
    assert f"h1:\x1b[0m {shown}{VISIBLE}\r\n" in terminal.raw
    terminal.run(f"batch_run -h h1 --outdir out {command}")
    assert (tmp_path / "out/h1").read_bytes() == FOREIGN_BYTES + b"\n"
    said = terminal.run(f"batch_run -h h1 --json {command}")
    found = [json.loads(line) for line in said.splitlines() if line.startswith('{"event": "output"')]
    assert [base64.b64decode(item["data_base64"]) for item in found] == [FOREIGN_BYTES]
    terminal.run("hosts -a")
    terminal.run("help batch_run")
    terminal.run("use -h h1,h2,h3,web01,web02,db01")
    terminal.run("no-such-command")
    works(terminal)


def test_a_byte_that_is_no_text_can_be_typed_and_reaches_the_host(prompt: Open) -> None:
    terminal = prompt(80, LC_ALL="C")
    terminal.wait_for_prompt()
    terminal.type_bytes(b"batch_run -h h1 -cmd 'printf caf\xe9 | od -An -tx1'\r")
    terminal.wait_for("h1:  63 61 66 e9")
    works(terminal)
    assert "Error" not in terminal.raw


def test_a_script_with_bytes_that_are_no_text_runs_every_line(six_hosts: SixHosts, clean_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hostshell", "-i", six_hosts.hosts_ini, "--known-hosts", six_hosts.known_hosts],
        input=b"batch_run -h h1 -cmd 'printf caf\xe9 | od -An -tx1'\nbatch_run -h h1 -cmd 'echo next'\n",
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"h1:  63 61 66 e9\nh1: next\n"


# --- the same without a terminal ---


@pytest.mark.parametrize(
    ("text", "most", "left"),
    [
        ("plain", 3, "pla"),
        ("\u4e2d\u6587", 3, "\u4e2d"),
        ("e\u0301e\u0301e", 2, "e\u0301e\u0301"),
        ("\u2764\ufe0fx", 2, "\u2764\ufe0f"),
        ("\u05e9\u05dc", 1, "\u05e9"),
        ("", 0, ""),
    ],
)
def test_text_is_cut_by_the_columns_that_it_takes(text: str, most: int, left: str) -> None:
    assert cut(text, most) == left
    assert columns(f"\x1b[1;31m{left}\x1b[0m") <= most


def on_a_pty(encoding: str, width: int) -> tuple[Screen, int]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, width, 0, 0))
    stream = os.fdopen(slave, "w", encoding=encoding, errors="backslashreplace")
    return Screen(io.StringIO(), stream, environ=XTERM), master


def written_to(master: int) -> bytes:
    """All that has been written: it reaches this end in pieces, a moment later."""
    data = os.read(master, 65536)
    while select.select([master], [], [], 0.1)[0]:
        data += os.read(master, 65536)
    return data


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize(
    "text", ["\u4e2d\u6587" * 30, "x" * 90, "e\u0301" * 60, "\u05e9" * 50, "\U0001f468\u200d\U0001f469" * 20]
)
def test_a_status_line_takes_one_row_whatever_is_in_it(encoding: str, text: str) -> None:
    screen, master = on_a_pty(encoding, 20)
    screen.status(text)
    drawn = pyte.Screen(20, 5)
    written = written_to(master)
    if encoding == "utf-8":
        pyte.ByteStream(drawn).feed(written)
    else:
        pyte.Stream(drawn).feed(written.decode(encoding))
    rows = [row for row in drawn.display if row.strip()]
    assert len(rows) == 1
    assert (drawn.cursor.y, drawn.cursor.x) == (0, 0)
    os.close(master)


@pytest.mark.parametrize("above", [0, 3, 10])
def test_several_rows_of_status_leave_nothing_behind_wherever_on_the_screen_they_stood(above: int) -> None:
    screen, master = on_a_pty("utf-8", 20)
    screen.err("".join(f"line {number}\n" for number in range(above)))
    drawn = pyte.Screen(20, 5)
    stream = pyte.ByteStream(drawn)
    for rows in (("a" * 50, "b", "c"), ("d", "e"), ("f",), ("g", "h", "i")):
        screen.status(*rows)
        stream.feed(written_to(master))
        shown = [row.rstrip() for row in drawn.display if row.strip()]
        assert shown[-len(rows) :] == [row[:19] for row in rows]
        assert all(row.startswith("line ") for row in shown[: -len(rows)])
        assert (drawn.cursor.y, drawn.cursor.x) == (len(shown) - len(rows), 0)
    screen.err("line last\n")
    stream.feed(written_to(master))
    shown = [row.rstrip() for row in drawn.display if row.strip()]
    before = [f"line {number}" for number in range(above)]
    assert shown == [*before[max(0, above - len(shown) + 1) :], "line last"]
    os.close(master)


def test_the_width_is_that_of_the_terminal_when_standard_output_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # as it was when the shell began
    screen, master = on_a_pty("utf-8", 33)
    assert screen.width == 33
    os.close(master)


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (79, "20.0 MB of 100.0 MB, 20%, 10.0 MB/s, 8.00 s left, 0 of 2 hosts  big.bin"),
        (60, "20.0 MB of 100.0 MB, 20%, 8.00 s left, 0 of 2 hosts  big.bin"),
        (40, "20%, 8.00 s left, 0 of 2 hosts  big.bin"),
        (19, "20%, 0 of 2 hosts"),
    ],
)
def test_progress_says_the_most_needed_where_there_is_little_room(room: int, text: str) -> None:
    now = [0.0]
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a", "b"), clock=lambda: now[0])
    now[0] = 2.0
    line.moved(Progress(1, "a", "big.bin", 20_000_000, 50_000_000))
    assert line.text(room) == text


def test_a_block_keeps_long_values_whole_and_leaves_empty_ones_out() -> None:
    drawn = table(("name", "path", "note", "about"), [("a", "/a/very/long/path/that/stays", "", "some words here")], 20)
    assert drawn == "name: a\npath:\n  /a/very/long/path/that/stays\nabout: some words\n  here\n\n"
