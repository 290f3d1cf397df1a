"""``connect`` at a real terminal, on a real OpenSSH server: keys, sizes, bytes, escapes, and its ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.accounts import Account
from tests.support.endings import ended, with_command
from tests.support.keys import Key
from tests.support.running import host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd
from tests.support.terminal import CTRL_C, CTRL_D, ENTER, Terminal

Open = Callable[..., Terminal]


@pytest.fixture
def own_sshd(
    tmp_path: Path, accounts: list[Account], client_key: Key, request: pytest.FixtureRequest
) -> Iterator[Sshd]:
    """A server of this test alone, whose sessions may be killed; a parameter gives its options."""
    with Sshd(tmp_path / "own-sshd", options=getattr(request, "param", None)) as server:
        # options of its own keep `authorize` from forcing a command, which would start no login shell
        server.authorize(accounts[0], client_key.public, "no-agent-forwarding")
        yield server


@pytest.fixture
def at(
    clean_home: Path,
    tmp_path: Path,
    own_sshd: Sshd,
    accounts: list[Account],
    client_key: Key,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Open]:
    """hostshell at a terminal, with h1 and h2 at `own_sshd`; at the end nothing of it runs."""
    mark = f"HS_CONNECT_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    inventory = write_inventory(
        tmp_path, *(host_section(name, own_sshd, accounts[0], client_key) for name in ("h1", "h2"))
    )
    known = write_known_hosts(tmp_path, own_sshd.known_hosts_line)
    opened: list[Terminal] = []

    def start(*words: str, columns: int = 80) -> Terminal:
        line = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known, *words]
        opened.append(Terminal(line, tmp_path, columns))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()
        assert "Traceback" not in terminal.raw
    assert ended(lambda: processes.carrying(f"{mark}=1") - {os.getpid()})


def shell(terminal: Terminal, line: str = "connect h1") -> None:
    """Open a session, with a prompt that cannot be mistaken."""
    terminal.enter(line)
    terminal.type("PS1='here''> '; cd /\n")
    terminal.wait(lambda: terminal.line().endswith("here>"), "the prompt of the host")


def end(terminal: Terminal) -> int:
    """Read all that is written until everybody has let go of the terminal; the exit code."""
    with contextlib.suppress(EOFError):
        terminal.wait(lambda: False, "the end")
    return terminal.process.wait()


def say(terminal: Terminal, line: str) -> None:
    terminal.type(line + ENTER)


def modes(terminal: Terminal) -> list[object]:
    return termios.tcgetattr(terminal._master)[:4]


def logins(server: Sshd) -> int:
    return server.log.read_text(errors="replace").count("Accepted publickey")


def test_what_is_typed_runs_there_over_the_connection_that_is_open_and_the_prompt_comes_back(
    at: Open, own_sshd: Sshd
) -> None:
    terminal = at()
    assert "h1: first" in terminal.run("batch_run -h h1 -cmd 'echo first'")
    shell(terminal)
    say(terminal, "tty >/dev/null && echo on a ter''minal")
    terminal.wait_for("on a terminal")
    say(terminal, "echo $TERM; exit 0")
    terminal.wait_for("xterm-256color")
    terminal.wait_for_prompt()
    assert "exit code" not in terminal.plain
    assert "h1: again" in terminal.run("batch_run -h h1 -cmd 'echo again'")
    assert logins(own_sshd) == 1


def test_what_is_typed_ahead_is_for_the_host(at: Open) -> None:
    terminal = at()
    terminal.wait_for_prompt()
    terminal.type(f"connect h1{ENTER}echo typed a''head{ENTER}exit{ENTER}")  # in one piece, as of a quick typist
    terminal.wait_for("typed ahead")
    terminal.wait_for_prompt()
    assert "no such command" not in terminal.plain


def test_the_exit_code_is_told_where_it_is_not_0(at: Open) -> None:
    terminal = at()
    assert "h1: exit code 3" in terminal.run("connect h1 exit 3")
    assert "exit code" not in terminal.run("connect h1 exit 0")
    assert "h1: killed by signal KILL" in terminal.run("connect h1 'kill -9 $$'")


def test_a_command_runs_in_place_of_the_shell_and_its_words_are_joined(at: Open) -> None:
    terminal = at()
    assert "[one two] on a terminal" in terminal.run("connect h1 echo '[one' 'two]' 'on a terminal; exit'")


def test_the_size_is_told_at_the_start_and_followed(at: Open) -> None:
    terminal = at(columns=97)
    shell(terminal)
    say(terminal, "stty size")
    terminal.wait_for("40 97")
    fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 133, 0, 0))
    say(terminal, "until [ \"$(stty size)\" = '31 133' ]; do sleep 0.02; done; echo it fol''lowed")
    terminal.wait_for("it followed")
    say(terminal, "exit")
    terminal.wait_for_prompt()


def test_ctrl_c_and_ctrl_d_belong_to_the_host(at: Open) -> None:
    terminal = at()
    shell(terminal)
    say(terminal, "trap 'echo inter''rupted' INT; echo rea''dy; sleep 6300")
    terminal.wait_for("ready")
    terminal.wait(lambda: bool(with_command("sleep\x006300")), "the sleep")
    terminal.type(CTRL_C)
    terminal.wait_for("interrupted")
    terminal.wait(lambda: terminal.line().endswith("here>"), "the prompt of the host")
    terminal.type(CTRL_D)
    terminal.wait_for_prompt()


def test_tilde_dot_leaves_and_the_connection_stays(at: Open, own_sshd: Sshd) -> None:
    terminal = at()
    token = secrets.token_hex(8)
    shell(terminal)
    say(terminal, f"sleep 600 {token}")
    terminal.wait_for(f"sleep 600 {token}")
    terminal.type("~.")
    terminal.wait_for_prompt()
    assert "left h1; its session was hung up" in terminal.plain
    assert ended(lambda: with_command(token))  # as when a window is closed
    assert "h1: again" in terminal.run("batch_run -h h1 -cmd 'echo again'")
    assert logins(own_sshd) == 1


def test_other_tildes(at: Open) -> None:
    terminal = at()
    shell(terminal)
    say(terminal, "echo '~.' is t''ext")  # not at the beginning of a line
    terminal.wait_for("~. is text")
    terminal.type("~?")
    terminal.wait_for("~.  leave: hang up and go back")
    terminal.type("~~")
    terminal.wait(lambda: terminal.line().endswith("~"), "one tilde")
    terminal.type("\x15")
    say(terminal, "exit")
    terminal.wait_for_prompt()


def test_a_full_screen_program_reaches_the_terminal_byte_by_byte(at: Open, tmp_path: Path) -> None:
    # what a `vi` does, and what is cleaned everywhere else: titles, screens, cursors, eight-bit text, C1, OSC 52
    screen = (
        "\x1b[?1049h\x1b[?1h\x1b=\x1b[2J\x1b[1;1H\x1b]0;a title\x07\x1b[7mgrüße 漢字\x1b[m"
        "\x1b[31;5Hcorner\x1b]52;c;aGVsbG8=\x07\x1bPq#0\x1b\\\x1b[?25l\x1b[?25h\x1b[?1l\x1b>\x1b[?1049l"
    )
    file = tmp_path / "screen"
    file.write_text(screen)
    file.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o755)
    terminal = at()
    before = len(terminal.raw)
    terminal.run(f"connect h1 'stty raw; cat {file}'")
    assert screen in terminal.raw[before:]


def test_every_byte_passes_in_both_directions(at: Open) -> None:
    terminal = at()
    terminal.enter("connect h1 'stty raw -echo; echo rea''dy; head -c 254 | od -An -v -tx1 | tr -d \" \\n\"'")
    terminal.wait_for("ready")
    # a tilde is at no beginning of a line here: CR and LF come after it
    sent = bytes(byte for byte in range(256) if byte not in b"\r\n~") + b"~"
    os.write(terminal._master, sent)
    terminal.wait(lambda: sent.hex() in re.sub(r"\s", "", terminal.plain), "all that was sent")
    terminal.wait_for_prompt()
    before = len(terminal.raw)
    terminal.run("connect h1 'stty raw; printf \"\\\\200\\\\377\\\\233\\\\0\\\\177.\"'")
    assert "\x7f." in terminal.raw[before:]
    assert "^?" not in terminal.raw[before:]


def test_a_large_paste_arrives_whole_although_the_host_reads_late(at: Open) -> None:
    terminal = at()
    size = 300_000  # more than may wait on the way
    terminal.enter(f"connect h1 'stty raw -echo; echo rea''dy; sleep 0.5; head -c {size} | cksum; exit'")
    terminal.wait_for("ready")
    line = b"0123456789abcdef" * 4 + b"\n"
    sent = (line * (size // len(line) + 1))[:size]
    view = memoryview(sent)
    os.set_blocking(terminal._master, False)
    while view:
        select.select([], [terminal._master], [])
        view = view[os.write(terminal._master, view[:4096]) :]
    os.set_blocking(terminal._master, True)
    wanted = subprocess.run(["cksum"], input=sent, capture_output=True, check=True).stdout.decode().strip()
    terminal.wait_for(wanted)
    terminal.wait_for_prompt()


@pytest.mark.parametrize(
    "own_sshd",
    [pytest.param({}, id="sessions ahead"), pytest.param({"MaxSessions": "1"}, id="one session")],
    indirect=True,
)
def test_ctrl_c_ends_a_flood(at: Open) -> None:
    terminal = at()
    terminal.wait_for_prompt()
    assert "1 ok" in terminal.run("batch_run -h h1 -cmd true")  # a session waits, with the window of a command
    shell(terminal)
    say(terminal, "yes a flood; echo over")
    terminal.wait(lambda: terminal.raw.count("a flood") > 5000, "a flood")
    shown = len(terminal.raw)
    terminal.type(CTRL_C)
    terminal.wait(lambda: terminal.line().endswith("here>"), "the prompt of the host")
    assert len(terminal.raw) - shown < 1024 * 1024  # the window of ssh's own client; a command's is twice as wide
    say(terminal, "exit 0")
    terminal.wait_for_prompt()


@pytest.mark.parametrize("what", ["link", "worker"])
def test_what_is_cut_in_the_middle_leaves_the_terminal_as_it_was(at: Open, own_sshd: Sshd, what: str) -> None:
    terminal = at()
    terminal.wait_for_prompt()
    terminal.run("batch_run -h h1,h2 -cmd true")
    terminal.enter("!stty -a")
    terminal.wait_for_prompt()
    before = modes(terminal)
    terminal.enter(
        'connect h1 \'printf "\\\\033[?1049h\\\\033[?25l\\\\033[?1000h\\\\033[31mred\\\\n"; '
        "echo it is u''p; sleep 600'"
    )
    terminal.wait_for("it is up")
    assert not modes(terminal)[3] & termios.ICANON  # type: ignore[operator]  # a number
    if what == "link":
        for pid in own_sshd.sessions():  # not what runs in them: it would end first, and be told
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                    os.kill(pid, signal.SIGKILL)
    else:
        for pid in workers(terminal):
            os.kill(pid, signal.SIGKILL)
    terminal.wait_for_prompt()
    said = terminal.plain
    assert ("the link ended" if what == "link" else "its worker process ended") in said
    for undone in ("\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[0m"):
        assert undone in terminal.raw
    assert modes(terminal)[3] == before[3]  # the prompt has the same as before
    assert "1 ok" in terminal.run("batch_run -h h1 -cmd 'echo still here'")


def workers(terminal: Terminal) -> set[int]:
    """The worker processes of a hostshell: its helper starts them."""
    running = processes.processes()
    helpers = {one.pid for one in running if one.parent == terminal.process.pid}
    return {one.pid for one in running if one.parent in helpers}


def test_sigterm_gives_the_terminal_back(at: Open) -> None:
    terminal = at("connect", "h1", "echo it is u''p; sleep 600")
    canonical = modes(terminal)[3]
    terminal.wait_for("it is up")
    assert modes(terminal)[3] != canonical
    terminal.process.send_signal(signal.SIGTERM)
    assert end(terminal) == 143
    assert modes(terminal)[3] == canonical


# --- one-shot, and without a terminal ---


def test_one_shot(at: Open) -> None:
    terminal = at("connect", "h1", "stty size; exit 7")
    assert end(terminal) == 1
    assert "40 80" in terminal.plain
    assert "h1: exit code 7" in terminal.plain


def test_a_host_that_cannot_be_reached_is_told_in_a_sentence(at: Open, own_sshd: Sshd) -> None:
    own_sshd.kill()
    terminal = at("connect", "h1")
    assert end(terminal) == 4
    assert "error: h1: connection refused" in terminal.plain


def test_a_new_host_key_is_asked_about_before(at: Open, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    terminal = at()
    terminal.enter("connect h1 'echo in there'")
    terminal.wait_for("Trust it? yes or no:")
    terminal.type("yes" + ENTER)
    terminal.wait_for("in there")
    terminal.wait_for_prompt()


def test_without_a_terminal_it_is_refused_with_what_to_do(at: Open, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hostshell", "-i", str(tmp_path / "hosts.ini"), "connect", "h1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "connect needs a terminal" in done.stderr
    assert "batch_run" in done.stderr


def test_several_hosts_are_refused(at: Open) -> None:
    terminal = at("connect", "h[1-2]")
    assert end(terminal) == 2
    assert "connect takes one host, and h[1-2] is 2" in terminal.plain


def test_a_second_host_is_not_run_as_a_command(at: Open) -> None:
    terminal = at("connect", "h1", "h2")
    assert end(terminal) == 2
    said = " ".join(terminal.plain.split())
    assert "connect takes one host, and h2 is another host and no command" in said
    assert "batch_run -h h1,h2 -cmd COMMAND" in said
    assert "connect h1 exec h2" in said


def test_a_command_that_is_called_like_a_host_runs_with_a_note(at: Open) -> None:
    terminal = at("connect", "h1", "h2", "-x")
    assert end(terminal) == 1
    assert "note: h2 names hosts too; here it is a command for h1" in terminal.plain
    terminal = at("connect", "h1", "exec", "h2")
    assert end(terminal) == 1
    assert "note:" not in terminal.plain


def test_a_server_that_gives_no_terminal_is_named(at: Open, tmp_path: Path, own_sshd: Sshd) -> None:
    own_sshd.options["PermitTTY"] = "no"
    own_sshd.restart()
    terminal = at("connect", "h1")
    assert end(terminal) == 1
    assert "the server gives no terminal" in terminal.plain
