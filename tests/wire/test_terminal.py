"""The prompt at a real terminal, on real OpenSSH servers: what a person types, and what then stands on the screen."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import ended, ended_or_named, with_command
from tests.support.keys import Key, make_key
from tests.support.running import host_section, write_inventory
from tests.support.six_hosts import SixHosts
from tests.support.sshd import Sshd
from tests.support.terminal import CTRL_C, CTRL_D, CTRL_Z, ENTER, TAB, Terminal

SIX = ("h1", "h2", "h3", "web01", "web02", "db01")
RUN_LINE = 'batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "df -h"'
SCP_LINE = "batch_scp -h h1,h2,h3 -g web_clusters,db_servers -action put -local test.py -remote /tmp/"


Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal(clean_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Start hostshell at a terminal in ``tmp_path``; at the end nothing of it runs."""
    mark = f"HS_TERMINAL_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    opened: list[Terminal] = []

    def start(*arguments: str, columns: int = 80) -> Terminal:
        opened.append(Terminal([sys.executable, "-m", "hostshell", *arguments], tmp_path, columns))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()
        assert "Traceback" not in terminal.raw
    assert ended(lambda: processes.carrying(f"{mark}=1") - {os.getpid()})


@pytest.fixture
def prompt(open_terminal: Open, six_hosts: SixHosts) -> Open:
    """Start hostshell on the six hosts."""

    def start(columns: int = 80, *more: str) -> Terminal:
        place = ("-i", str(six_hosts.hosts_ini), "--known-hosts", str(six_hosts.known_hosts))
        return open_terminal(*place, *more, columns=columns)

    return start


# --- the two lines ---


@pytest.mark.parametrize("columns", [80, 200])
def test_the_two_lines_as_they_are_typed(prompt: Open, tmp_path: Path, columns: int) -> None:
    (tmp_path / "test.py").write_text("print('hello')\n")
    written = Path("/tmp/test.py")
    assert not written.exists(), "this test writes /tmp/test.py and removes it; somebody else's is there"
    terminal = prompt(columns)
    said = terminal.run(RUN_LINE)
    for host in SIX:
        assert re.search(rf"^{host}: Filesystem", said, re.MULTILINE), host
    assert "6 ok in " in said
    try:
        said = terminal.run(SCP_LINE)
        # the six share one /tmp, where nobody may replace another user's file: who came first has written it, and
        # what the others could not do is said for each
        failed = re.search(r"(\d) failed", said)
        ok = re.search(r"(\d) ok", said)
        assert ok is not None
        assert int(ok[1]) >= 1
        assert int(ok[1]) + (int(failed[1]) if failed else 0) == 6
        assert re.search(r"^(h[123]|web0[12]|db01): sent", said, re.MULTILINE)
        if failed:
            assert "no permission to replace /tmp/test.py" in said
        assert written.read_text() == "print('hello')\n"
    finally:
        written.unlink(missing_ok=True)
    terminal.run("use -g web_clusters")
    assert terminal.line() == "hostshell web_clusters (2)>"
    terminal.type(CTRL_D)
    assert terminal.wait_for_end() == 0


def test_batch_scp_to_six_homes_and_back(prompt: Open, tmp_path: Path, six_hosts: SixHosts) -> None:
    (tmp_path / "test.py").write_text("print('hello')\n")
    terminal = prompt(200)
    put = SCP_LINE.replace("/tmp/", "~/")
    said = terminal.run(put)
    assert "6 ok in " in said
    for host in SIX:
        assert re.search(rf"^{host}: sent", said, re.MULTILINE), host
        assert (six_hosts[host].account.home / "test.py").read_text() == "print('hello')\n"
    said = terminal.run("batch_scp -h h1,h2,h3 -g web_clusters,db_servers -action get -remote test.py -local out/")
    assert "6 ok in " in said
    assert sorted(path.parent.name for path in (tmp_path / "out").glob("*/test.py")) == sorted(SIX)
    for host in SIX:
        (six_hosts[host].account.home / "test.py").unlink()


def test_put_and_get_work_on_the_default_targets_and_on_named_ones(
    prompt: Open, tmp_path: Path, six_hosts: SixHosts
) -> None:
    (tmp_path / "a file").write_text("hello\n")
    terminal = prompt(100)
    assert "no hosts are named" in terminal.run("put 'a file' ~/")
    terminal.run("use -h h1,h2")
    assert 'into the home directory there it is: put "a file" ~/' in terminal.run("put 'a file'")
    assert "2 ok in " in terminal.run("put 'a file' ~/")
    for host in ("h1", "h2"):
        assert (six_hosts[host].account.home / "a file").read_text() == "hello\n"
    said = terminal.run("get 'a file' out/ -h h1 -q")
    assert "ok in" not in said
    assert [path.read_text() for path in (tmp_path / "out").glob("*/a file")] == ["hello\n"]
    for host in ("h1", "h2"):
        (six_hosts[host].account.home / "a file").unlink()


def test_the_next_command_uses_the_connections_that_are_open(prompt: Open, six_hosts: SixHosts) -> None:
    log = six_hosts["h1"].server.log
    terminal = prompt()
    before = log.read_text(errors="replace").count("Accepted publickey")
    for word in ("one", "two", "three"):
        assert f"h1: {word}" in terminal.run(f"batch_run -h h1 -cmd 'echo {word}'")
    assert log.read_text(errors="replace").count("Accepted publickey") == before + 1


# --- Tab ---


def test_tab_completes_a_command_a_host_and_a_group_after_a_comma(prompt: Open) -> None:
    terminal = prompt()
    terminal.wait_for_prompt()
    terminal.type("batch_r" + TAB)
    terminal.wait_for_line("hostshell> batch_run")
    terminal.type("-h db" + TAB)  # the blank after batch_run came from Tab
    terminal.wait_for_line("hostshell> batch_run -h db01")
    terminal.type(" -g web_clusters,db_" + TAB)
    terminal.wait_for_line("hostshell> batch_run -h db01 -g web_clusters,db_servers")
    terminal.type(" -cm" + TAB)
    terminal.wait_for_line("hostshell> batch_run -h db01 -g web_clusters,db_servers -cmd")
    terminal.type("'echo {host}'" + ENTER)
    terminal.wait_for("3 ok in ")
    terminal.wait_for_prompt()
    for host in ("db01", "web01", "web02"):
        assert f"{host}: {host}\n" in terminal.plain


# --- Ctrl-C and Ctrl-D ---


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_remote_command_and_brings_the_prompt_back(prompt: Open, times: int) -> None:
    terminal = prompt()
    seconds = 6100 + times
    terminal.enter(f"batch_run -h h1,h2,h3 -cmd 'echo up-{{host}}; exec sleep {seconds}'")
    for host in ("h1", "h2", "h3"):
        terminal.wait_for(f"{host}: up-{host}")
    for _ in range(times):
        terminal.type(CTRL_C)
    terminal.wait_for("3 cancelled in ")
    terminal.wait_for_prompt()
    assert ended_or_named(lambda: with_command(f"sleep\x00{seconds}"), terminal.plain, waited=times == 1)
    assert "h1: again" in terminal.run("batch_run -h h1 -cmd 'echo again'")


def test_ctrl_c_pressed_again_and_again_brings_the_prompt_back_and_leaves_nothing_unnamed(prompt: Open) -> None:
    terminal = prompt()
    terminal.enter("batch_run -h h1,h2,h3 -cmd 'echo up-{host}; exec sleep 6109'")
    for host in ("h1", "h2", "h3"):
        terminal.wait_for(f"{host}: up-{host}")
    terminal.type(CTRL_C * 5)
    terminal.wait_for_prompt()
    assert ended_or_named(lambda: with_command("sleep\x006109"), terminal.plain, waited=False)
    assert "h1: again" in terminal.run("batch_run -h h1 -cmd 'echo again'")


def test_ctrl_c_while_the_workers_are_starting_shows_no_traceback_and_does_no_harm(prompt: Open) -> None:
    terminal = prompt()
    terminal.wait_for_prompt()
    # the terminal sends the signal to all processes of the group, those of the workers too
    for _ in range(5):
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.interrupt()
    # each round sent two interrupts; the last of them may come after the prompt, and clear the first line typed there
    assert any("h1: works" in terminal.run("batch_run -h h1 -cmd 'echo works'") for _ in range(2))
    assert "Traceback" not in terminal.plain


def test_ctrl_c_at_the_prompt_clears_the_line_and_ctrl_d_leaves_with_0(prompt: Open) -> None:
    terminal = prompt()
    terminal.wait_for_prompt()
    terminal.type("batch_run -a -cmd never")
    terminal.wait_for_line("hostshell> batch_run -a -cmd never")
    for _ in range(3):
        terminal.interrupt()
    assert "no such command: nonsense" in terminal.run("nonsense")
    terminal.type(CTRL_D)
    assert terminal.wait_for_end() == 0


def test_ctrl_c_during_a_local_command_ends_that_alone(prompt: Open) -> None:
    terminal = prompt()
    terminal.enter("!echo up; exec sleep 6200")
    terminal.wait(lambda: bool(with_command("sleep\x006200")), "the sleep")
    terminal.type(CTRL_C)
    terminal.wait_for("signal 2")
    terminal.wait_for_prompt()
    assert ended(lambda: with_command("sleep\x006200"))


def test_a_terminal_that_is_closed_leaves_no_process(prompt: Open) -> None:
    terminal = prompt()
    terminal.enter("batch_run -h h1 -cmd 'echo up; exec sleep 20'")
    terminal.wait_for("h1: up")
    os.killpg(terminal.process.pid, signal.SIGHUP)
    assert terminal.wait_for_end() == 128 + signal.SIGHUP


# --- what hosts send ---


def test_no_host_moves_the_cursor_sets_a_title_or_writes_under_anothers_name(prompt: Open) -> None:
    terminal = prompt()
    evil = r"\033]0;evil\007\033[2J\033[1Ax\rh2: forged\n\033[31mred\n\033]52;c;ZQ==\007\n"
    said = terminal.run(f"batch_run -h h1 -cmd 'printf \"{evil}\"'")
    lines = [line for line in said.splitlines() if line.startswith(("h1:", "h2:"))]
    assert all(line.startswith("h1: ") for line in lines)
    assert any("^[]0;evil^G" in line for line in lines)
    assert "\x1b]0;" not in terminal.raw
    assert "\x1b]52" not in terminal.raw
    assert "h1: red" in said
    assert "\x1b[31mred" in terminal.raw


# --- questions ---


def test_a_new_host_key_is_asked_about_once(
    open_terminal: Open, tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    inventory = write_inventory(tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in ("a", "b")))
    terminal = open_terminal("-i", inventory, columns=200)
    terminal.enter("batch_run -a -cmd 'echo {host} runs'")
    terminal.wait_for("Trust them? yes, no, or the hosts to trust:")
    public = sshd.host_keys["ed25519"].path.with_suffix(".pub")
    shown = subprocess.run(["ssh-keygen", "-lf", str(public)], capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] in terminal.plain
    terminal.type("yes" + ENTER)
    terminal.wait_for("2 ok in ")
    assert "a: a runs\n" in terminal.plain
    assert "b: b runs\n" in terminal.plain
    assert f"[{sshd.address}]:{sshd.port} " in (clean_home / ".ssh" / "known_hosts").read_text()
    terminal.run("reload")  # closes the connections
    assert "Trust" not in terminal.run("batch_run -a -cmd 'echo once more'")
    terminal.type(CTRL_D)
    assert terminal.wait_for_end() == 0
    again = open_terminal("-i", inventory)
    assert "Trust" not in again.run("batch_run -a -cmd 'echo known'")
    assert "a: known" in again.plain


@pytest.mark.parametrize(
    ("answer", "status"), [("no" + ENTER, "unreachable"), (CTRL_C, "cancelled"), (CTRL_D, "unreachable")]
)
def test_a_new_host_key_that_is_not_trusted_runs_nothing(
    open_terminal: Open,
    tmp_path: Path,
    clean_home: Path,
    sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
    answer: str,
    status: str,
) -> None:
    inventory = write_inventory(tmp_path, host_section("a", sshd, accounts[0], client_key))
    terminal = open_terminal("-i", inventory)
    terminal.enter("batch_run -a -cmd 'echo never-{host}'")
    terminal.wait_for("Trust it? yes or no:")
    if answer == CTRL_C:
        terminal.decline(lambda: "1 cancelled in " in terminal.plain, "the end of the job")
    else:
        terminal.type(answer)
    terminal.wait_for(f"1 {status} in ")
    terminal.wait_for_prompt()
    assert "never-a" not in terminal.plain.replace("never-{host}", "")
    assert not (clean_home / ".ssh" / "known_hosts").exists()
    assert "fanout is 3" in terminal.run("set fanout 3")


def test_a_password_is_asked_for_once_without_echo(open_terminal: Open, tmp_path: Path, six_hosts: SixHosts) -> None:
    host = six_hosts["h3"]
    section = f"address = {host.server.address}\nport = {host.server.port}\nuser = {host.account.name}\n"
    inventory = write_inventory(tmp_path, f"[defaults]\n{section}[group:both]\nhosts = a, b\npassword_from = ask\n")
    terminal = open_terminal("-i", inventory, "--known-hosts", str(six_hosts.known_hosts), columns=200)
    terminal.enter("batch_run -g both -cmd 'echo {host} is-in'")
    terminal.wait_for(f"Password for group:both ({inventory}:7):")
    terminal.type(host.account.password + ENTER)
    terminal.wait_for("2 ok in ")
    assert "a: a is-in\n" in terminal.plain
    assert "b: b is-in\n" in terminal.plain
    assert "Password" not in terminal.run("batch_run -g both -cmd 'echo second'")
    assert terminal.plain.count("Password for") == 1
    assert host.account.password not in terminal.raw


def test_ctrl_c_at_a_password_runs_nothing_and_brings_the_prompt_back(
    open_terminal: Open, tmp_path: Path, clean_home: Path
) -> None:
    inventory = write_inventory(tmp_path, "[host:a]\naddress = 127.0.0.1\nport = 1\npassword_from = ask\n")
    terminal = open_terminal("-i", inventory)
    terminal.enter("ping -a")
    terminal.wait_for("Password for host:a")
    said = "no password was given for a; nothing was run"
    terminal.decline(lambda: said in terminal.plain.replace("\n", ""), said)
    terminal.wait_for_prompt()
    assert "fanout is 3" in terminal.run("set fanout 3")


@pytest.mark.parametrize("k", ["", " -k"])
def test_ctrl_c_at_a_secret_ends_a_script(open_terminal: Open, tmp_path: Path, clean_home: Path, k: str) -> None:
    locked = make_key(tmp_path / "locked", "ed25519", "a phrase")
    inventory = write_inventory(tmp_path, f"[host:a]\naddress = 127.0.0.1\nport = 1\nkey = {locked.path}\n")
    terminal = open_terminal("-i", inventory, "-c", f"ping -a{k}", "-c", "!echo went on")
    terminal.wait_for("Password:" if k else "Passphrase for the key")
    terminal.decline(lambda: "was given" in terminal.plain, "the end of the question")
    assert terminal.wait_for_end() == 130
    assert "went on" not in terminal.plain.replace("!echo went on", "")


# --- Ctrl-Z ---


@pytest.fixture
def in_bash(six_hosts: SixHosts, clean_home: Path, tmp_path: Path) -> Iterator[Terminal]:
    """The prompt, with a connection, started by hand in a shell with job control."""
    words = [sys.executable, "-m", "hostshell", "-i", str(six_hosts.hosts_ini)]
    words += ["--known-hosts", str(six_hosts.known_hosts)]
    terminal = Terminal(["bash", "--norc", "-i"], tmp_path, 200, {"PS1": "bash> ", "HISTFILE": None})
    try:
        terminal.wait_for_line("bash>")
        terminal.type(shlex.join(words) + ENTER)
        assert "1 ok" in terminal.run("ping -h h1")
        yield terminal
        terminal.wait_for_line("bash>")
        terminal.type("exit" + ENTER)
        terminal.wait_for_end()
    finally:
        terminal.close()


def test_ctrl_z_stops_hostshell_until_fg_and_the_line_goes_on(in_bash: Terminal) -> None:
    in_bash.type("batch_run -h h1 -cmd 'echo")
    in_bash.wait_for_line("hostshell> batch_run -h h1 -cmd 'echo")
    in_bash.type(CTRL_Z)
    in_bash.wait_for("Stopped")
    in_bash.type("stty -a | grep -o .icanon; echo $((20 + 3))" + ENTER)
    in_bash.wait_for_line("bash>")
    in_bash.wait_for("23")
    assert "-icanon" not in in_bash.plain  # the modes of before
    in_bash.type("fg" + ENTER)
    in_bash.wait_for_line("hostshell> batch_run -h h1 -cmd 'echo")
    in_bash.type(" two'" + ENTER)  # on the connection that is open
    in_bash.wait_for("h1: two")
    in_bash.wait_for_prompt()
    in_bash.type("exit" + ENTER)


def test_what_was_stopped_with_ctrl_z_can_be_ended_without_fg(in_bash: Terminal) -> None:
    in_bash.type(CTRL_Z)
    in_bash.wait_for("Stopped")
    in_bash.type("kill %1; wait -f %1; echo co''de $?" + ENTER)
    in_bash.wait_for("code 143")


def test_ctrl_z_leaves_the_line_alone_where_nobody_could_continue_it(prompt: Open) -> None:
    terminal = prompt()  # it leads its session: there is no shell with an `fg`, and the system stops nothing
    terminal.wait_for_prompt()
    terminal.type("set fan" + CTRL_Z)
    terminal.wait_for_line("hostshell> set fan")
    terminal.type("out 5" + ENTER)
    terminal.wait_for("fanout is 5")


# --- between launches, and without anything ---


def test_history_is_kept_between_launches(prompt: Open) -> None:
    first = prompt()
    first.run("batch_run -h h1 -cmd 'echo kept'")
    first.type(CTRL_D)
    first.wait_for_end()
    second = prompt()
    second.wait_for_prompt()
    second.type("\x1b[A")
    second.wait_for_line("hostshell> batch_run -h h1 -cmd 'echo kept'")
    second.interrupt()
    assert "batch_run -h h1 -cmd 'echo kept'" in second.run("history 2")


def test_a_paste_of_three_lines_is_three_commands(prompt: Open) -> None:
    terminal = prompt()
    terminal.wait_for_prompt()
    lines = ["batch_run -h h1 -cmd 'echo one'", "batch_run -h h2 -cmd 'echo two'", "batch_run -h h3 -cmd 'echo three'"]
    terminal.type("\x1b[200~" + "".join(f"{line}\r" for line in lines) + "set fan" + "\x1b[201~")
    terminal.wait_for("h3: three")
    terminal.wait_for_line("hostshell> set fan")
    assert terminal.plain.index("h1: one\n") < terminal.plain.index("h2: two\n") < terminal.plain.index("h3: three\n")


def test_without_an_inventory_the_prompt_opens_with_a_hint(open_terminal: Open) -> None:
    terminal = open_terminal()
    terminal.wait_for("no inventory: write a hosts.ini here")
    terminal.wait_for_prompt()
    terminal.type("exit" + ENTER)
    assert terminal.wait_for_end() == 0
