"""The command line on real OpenSSH servers: one-shot words, `-c`, scripts, exit codes, signals, what stays behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import hostshell
from tests.support import processes
from tests.support.endings import ended, ended_or_named, with_command
from tests.support.six_hosts import SixHosts

PATIENCE = 60.0  # seconds for a process to end; far more than it takes
ROOT = Path(hostshell.__file__).parent.parent
SIX = ["db01", "h1", "h2", "h3", "web01", "web02"]
TARGETS = ["-h", "h1,h2,h3", "-g", "web_clusters,db_servers"]
RUN_LINE = 'batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "df -h"'
SCP_LINE = "batch_scp -h h1,h2,h3 -g web_clusters,db_servers -action put -local test.py -remote "

Done = subprocess.CompletedProcess


@pytest.fixture
def mark(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark in the environment of every hostshell of a test; at the end nothing that carries it runs."""
    name = f"HS_CLI_{secrets.token_hex(8)}"
    monkeypatch.setenv(name, "1")
    yield f"{name}=1"
    assert ended(lambda: processes.carrying(f"{name}=1") - {os.getpid()})


@pytest.fixture
def base(six_hosts: SixHosts, mark: str) -> list[str]:
    """The beginning of a call on the six hosts."""
    return [
        *(sys.executable, "-m", "hostshell", "-i", str(six_hosts.hosts_ini)),
        *("--known-hosts", str(six_hosts.known_hosts)),
    ]


def call(words: list[str], *more: str, stdin: str = "", cwd: Path | None = None) -> Done[str]:
    done = subprocess.run(
        [*words, *more],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        start_new_session=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def prefixes(text: str) -> list[str]:
    """The names under which lines stand, each once; every line must stand under one."""
    return sorted({line.partition(": ")[0] for line in text.splitlines()})


def test_a_current_directory_that_was_removed_is_no_obstacle(base: list[str], tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    away = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh"]
    done = call([*away, *base], "batch_run", "-h", "h1", "-cmd", "echo in", cwd=tmp_path / "gone")
    assert (done.returncode, done.stdout) == (0, "h1: in\n")
    assert "the current directory is no longer there" in done.stderr


def test_a_current_directory_that_goes_meanwhile_is_named_where_it_is_needed(base: list[str], tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    lines = ('!rmdir "$PWD"', "put file there -h h1", "batch_run -h h1 -cmd 'echo in'")
    done = call(base, *(word for line in lines for word in ("-c", line)), cwd=tmp_path / "gone")
    assert (done.returncode, done.stdout) == (2, "h1: in\n")
    assert "file is looked for in the current directory, which is no longer there" in done.stderr


# --- the two lines, in three ways ---


def ways(base: list[str], line: str, words: list[str], cwd: Path) -> Iterator[Done[str]]:
    yield call(base, *words, cwd=cwd)
    yield call(base, "-c", line, cwd=cwd)
    yield call(base, stdin=f"# a script\n\n{line}\n", cwd=cwd)


def test_batch_run_as_words_as_a_line_and_as_a_script(base: list[str], tmp_path: Path) -> None:
    for done in ways(base, RUN_LINE, ["batch_run", *TARGETS, "-cmd", "df -h"], tmp_path):
        assert done.returncode == 0, done.stderr
        assert prefixes(done.stdout) == SIX
        assert done.stdout.count("Filesystem") == 6
        assert re.match(r"6 ok in [0-9.]+ s\n", done.stderr)


def test_batch_scp_as_words_as_a_line_and_as_a_script(base: list[str], six_hosts: SixHosts, tmp_path: Path) -> None:
    (tmp_path / "test.py").write_text("print('hello from the fleet')\n")
    # the hosts share one /tmp, and a file of another user's there is not to be written: each writes into its home
    words = ["batch_scp", *TARGETS, "-action", "put", "-local", "test.py", "-remote", "~/"]
    for done in ways(base, f"{SCP_LINE}~/", words, tmp_path):
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert "6 ok in " in done.stderr
        for host in six_hosts.hosts.values():
            copy = host.account.home / "test.py"
            assert copy.read_text() == "print('hello from the fleet')\n"
            copy.unlink()


def test_get_and_put_back_give_one_folder_a_host(base: list[str], six_hosts: SixHosts, tmp_path: Path) -> None:
    call(base, "batch_run", *TARGETS, "-cmd", "echo {host} > name.txt", cwd=tmp_path)
    done = call(base, "batch_scp", *TARGETS, "-action", "get", "-remote", "name.txt", "-local", "./out/", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {path.parent.name: path.read_text() for path in (tmp_path / "out").glob("*/name.txt")}
    assert found == {name: f"{name}\n" for name in SIX}
    for host in six_hosts.hosts.values():
        (host.account.home / "name.txt").unlink()


def test_run_shell_py_is_the_same_program(base: list[str], tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "run_shell.py"), *base[3:]]
    done = call(script, "batch_run", "-h", "h1", "-cmd", "echo same", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "h1: same\n")
    assert call(script, "--version").stdout == call(base, "--version").stdout


# --- what goes where, and exit codes ---


def test_standard_output_carries_the_hosts_standard_output_and_nothing_else(base: list[str]) -> None:
    done = call(base, "-c", "batch_run -h h1 -cmd 'echo out; echo err >&2; printf end; exit 3'", "-c", "ping -h h1")
    assert done.stdout == "h1: out\nh1: end\n"
    assert "h1: err\n" in done.stderr
    assert "1 failed" in done.stderr
    assert "exit code 3" in done.stderr
    assert "logged in" in done.stderr


def test_answers_go_to_standard_output(base: list[str]) -> None:
    done = call(base, "hosts", "@db_servers")
    assert (done.returncode, done.stderr) == (0, "")
    assert "db01" in done.stdout
    assert "show h1" in call(base, "help", "show").stdout


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["batch_run -h h1 -cmd true"], 0),
        (["batch_run -h h1,h2 -cmd 'test {host} = h1'"], 1),
        (["batch_run -h h1 -cmd 'kill -9 $$'"], 1),
        (["batch_run -h h9 -cmd true"], 2),
        (["batch_run -h h1 -t 0.7 -cmd 'exec sleep 60'"], 3),
        (["batch_run -h h1,127.0.0.1:1 -cmd true"], 4),
        (["batch_run -h h1 -cmd true", "nonsense", "batch_run -h h1 -cmd false"], 2),
        (["batch_run -h 127.0.0.1:1 -cmd true", "batch_run -h h1 -cmd true"], 4),
        (["exit", "nonsense"], 0),
    ],
)
def test_the_exit_code_is_the_largest_over_hosts_and_lines(base: list[str], lines: list[str], code: int) -> None:
    one_shot = call(base, *(word for line in lines for word in ("-c", line)))
    script = call(base, stdin="".join(f"{line}\n" for line in lines))
    assert (one_shot.returncode, script.returncode) == (code, code)


def test_every_line_of_a_script_is_run_whatever_the_ones_before_did(base: list[str]) -> None:
    done = call(
        base, stdin="nonsense\nbatch_run -h h1 -cmd 'exit 1'\nbatch_run -h h1 -cmd 'echo one\necho two'\nhosts h1"
    )
    assert done.returncode == 2
    assert done.stdout.startswith("h1: one\nh1: two\nhost ")
    assert done.stdout.splitlines()[-1] == "1 host"


def test_an_unknown_host_key_is_refused_without_a_terminal(six_hosts: SixHosts, mark: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hostshell", "-i", str(six_hosts.hosts_ini), "--known-hosts", str(tmp_path / "none")]
    done = call(words, "batch_run", "-h", "h1", "-cmd", "echo never")
    assert (done.returncode, done.stdout) == (4, "")
    assert "unreachable h1" in done.stderr
    assert "accept-new" in done.stderr or "ssh-keyscan" in done.stderr or "ask" in done.stderr
    done = call(words, "--host-keys", "accept-new", "batch_run", "-h", "h1", "-cmd", "echo learned")
    assert (done.returncode, done.stdout) == (0, "h1: learned\n")
    assert call(words, "batch_run", "-h", "h1", "-cmd", "echo known").stdout == "h1: known\n"


def test_output_is_flushed_as_it_arrives_into_a_pipe_too(base: list[str]) -> None:
    with subprocess.Popen(
        [*base, "batch_run", "-h", "h1", "-cmd", "echo first; read -r line < go; echo $line"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # `go` does not exist, so the command ends by itself; that the first line is there before is what counts
        assert process.stdout is not None
        assert process.stdout.readline() == "h1: first\n"
        process.communicate(timeout=PATIENCE)


def test_output_closed_early_ends_quietly_with_0(base: list[str]) -> None:
    command = "seq 1000000; echo end-of-it"
    line = f'set -o pipefail; "$@" batch_run -h h1,h2,h3 -cmd \'{command}\' | head -1; echo "${{PIPESTATUS[0]}}"'
    done = call(["bash", "-c", line, "bash", *base])
    first, code = done.stdout.splitlines()
    assert re.fullmatch(r"h[123]: 1", first)
    assert code == "0"
    assert done.stderr == ""


def test_answers_closed_early_end_quietly_with_0(base: list[str]) -> None:
    line = '"$@" -c "help batch_run" -c hosts -c "help batch_scp" | head -1; echo "${PIPESTATUS[0]}"'
    done = call(["bash", "-c", line, "bash", *base])
    assert done.stdout.splitlines()[1] == "0"
    assert done.stderr == ""


# --- JSON ---


def test_json_is_one_object_a_line_and_nothing_else(base: list[str]) -> None:
    line = (
        r"""batch_run -h h1,127.0.0.1:1 -cmd 'echo "a	ñ"; printf "\377\0 raw\n"; echo err >&2; printf end; exit 3'"""
    )
    done = call(base, "--json", "-c", line, "-c", "hosts h1")
    assert done.returncode == 4
    events = [json.loads(text) for text in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "started"
    assert kinds[-2:] == ["summary", "result"]
    assert events[0]["hosts"] == ["h1", "127.0.0.1:1"]
    assert events[0]["job"] == 1
    output = [event for event in events if event["event"] == "output"]
    assert [event["data"] for event in output if event["stream"] == "stderr"] == ["err"]
    out = [event for event in output if event["stream"] == "stdout"]
    assert out[0] == {"event": "output", "job": 1, "host": "h1", "stream": "stdout", "data": "a\tñ"}
    assert out[1]["data_base64"] == "/wAgcmF3"
    assert (out[2]["data"], out[2]["eol"]) == ("end", False)
    finished = {event["host"]: event for event in events if event["event"] == "finished"}
    assert (finished["h1"]["status"], finished["h1"]["exit_code"]) == ("failed", 3)
    assert finished["127.0.0.1:1"]["error"]["kind"] == "refused"
    summary = events[-2]
    assert (summary["failed"], summary["unreachable"], summary["exit_code"]) == (1, 1, 4)


def test_json_of_one_command_alone(base: list[str]) -> None:
    done = call(base, "ping", "-h", "h1", "--json")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["started", "finished", "summary"]
    assert done.stderr == ""


def test_usage_errors_are_text_on_standard_error_with_json_too(base: list[str]) -> None:
    done = call(base, "--json", "batch_run", "-h", "h9", "-cmd", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown host h9")


# --- launch ---


def test_version_and_help(mark: str) -> None:
    words = [sys.executable, "-m", "hostshell"]
    assert call(words, "--version").stdout == f"hostshell {hostshell.__version__}\n"
    shown = call(words, "--help")
    assert shown.returncode == 0
    for option in ("-i", "--known-hosts", "--host-keys", "--json", "--demo", "-c", "COMMAND", "exit codes"):
        assert option in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "--nonsense"),
        (["-c", "hosts", "hosts"], "-c"),
        (["--host-keys", "never", "hosts"], "never"),
        (["-i", "/nowhere/hosts.ini", "hosts"], "/nowhere/hosts.ini"),
        (["-i", "/tmp", "hosts"], "/tmp"),
        (["--jso", "hosts"], "--jso"),
    ],
)
def test_a_wrong_launch_is_2_with_a_sentence(mark: str, arguments: list[str], words: str) -> None:
    done = call([sys.executable, "-m", "hostshell"], *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_an_inventory_with_a_fault_runs_nothing(mark: str, tmp_path: Path) -> None:
    bad = tmp_path / "hosts.ini"
    bad.write_text("[host:h1]\nprot = 22\n")
    done = call([sys.executable, "-m", "hostshell"], "-c", "!echo ran", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hosts.ini:2: " in done.stderr
    assert "did you mean port?" in done.stderr


def test_without_an_inventory_hosts_of_the_moment_still_work(mark: str, tmp_path: Path) -> None:
    done = call([sys.executable, "-m", "hostshell"], "hosts", "root@127.0.0.1:2022", cwd=tmp_path)
    assert done.returncode == 0
    assert "127.0.0.1" in done.stdout


# --- stopping ---


def running(words: list[str], *more: str) -> subprocess.Popen[str]:
    """A call that has printed its first line."""
    process = subprocess.Popen(
        [*words, *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().endswith(": up\n")
    return process


def test_ctrl_c_ends_the_remote_commands_and_gives_130(base: list[str]) -> None:
    process = running(base, "batch_run", "-h", "h1,h2,h3", "-cmd", "echo up; exec sleep 6777")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "3 cancelled" in err
    assert ended_or_named(lambda: with_command("sleep\x006777"), err)


def test_ctrl_c_in_a_script_stops_the_line(base: list[str]) -> None:
    process = running(base, "-c", "batch_run -h h1 -cmd 'echo up; exec sleep 6781'")
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert ended_or_named(lambda: with_command("sleep\x006781"), err, waited=False)


@pytest.mark.parametrize("after", [0.08, 0.15, 0.25, 0.35])
def test_ctrl_c_while_all_is_still_starting_shows_no_traceback(base: list[str], after: float) -> None:
    # what comes before the first line of ours is Python's own, and ends with its traceback
    begin = "from hostshell.__main__ import main; print('begun', flush=True); main()"
    words = [sys.executable, "-c", begin, *base[3:], "batch_run", "-h", "h1,h2,h3", "-cmd", "exec sleep 6779"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(after)
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert "Traceback" not in err
    assert process.returncode in (130, -signal.SIGINT), err
    assert ended_or_named(lambda: with_command("sleep\x006779"), err)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_of_ours_is_left_however_it_ended(base: list[str], mark: str, how: signal.Signals) -> None:
    process = running(base, "batch_run", "-h", "h1,h2,h3", "-cmd", "echo up; exec sleep 20")
    assert len(processes.carrying(mark) - {os.getpid()}) > 1
    process.send_signal(how)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-how if how == signal.SIGKILL else 128 + how)
    assert "Traceback" not in err
    assert ended(lambda: processes.carrying(mark) - {os.getpid()})


def test_no_process_of_ours_is_left_after_a_normal_end(base: list[str], mark: str) -> None:
    call(base, "batch_run", *TARGETS, "-cmd", "true")
    assert processes.carrying(mark) - {os.getpid()} == set()


# --- Python ---


def test_a_script_without_a_main_guard_runs_once(six_hosts: SixHosts, mark: str, tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        f"""\
print("the script runs")
from hostshell.session import Session
with Session({str(six_hosts.hosts_ini)!r}, known_hosts={str(six_hosts.known_hosts)!r}) as session:
    for event in session.run("echo {{host}}", hosts="h1,h2", groups=["db_servers"]):
        print(type(event).__name__, getattr(event, "host", ""), getattr(event, "data", ""))
"""
    )
    done = call([sys.executable, str(script)], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines.count("the script runs") == 1
    assert (lines[1], lines[-1]) == ("Started  ", "Summary  ")
    assert sorted(line for line in lines if line.startswith("Output")) == [
        f"Output {name} {name}" for name in ("db01", "h1", "h2")
    ]
