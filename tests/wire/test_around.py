"""What a command has around it: input, script, environment, directory, terminal. On real OpenSSH, in real shells."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.errors import LocalFileError, UsageError
from hostshell.core.events import Block
from hostshell.core.remote import remote_line
from hostshell.core.targets import Targets
from hostshell.session import Session
from tests.support import processes
from tests.support.accounts import Account, public_folder
from tests.support.endings import ended, with_command
from tests.support.keys import Key
from tests.support.running import Outcome, collect, session_on
from tests.support.sshd import Sshd

FIVE = [f"h{number}" for number in range(5)]


@pytest.fixture
def five(
    tmp_path: Path, clean_home: Path, signalled_sshd: Sshd, accounts: list[Account], client_key: Key
) -> Iterator[Session]:
    with session_on(tmp_path, signalled_sshd, accounts[0], client_key, FIVE) as session:
        yield session


def run(
    session: Session, command: str | None = None, hosts: str = "h0", timeout: float = 20, **around: object
) -> Outcome:
    task = session.inputs.command(command, **around)  # type: ignore[arg-type]
    names = session.targets(Targets(hosts=(hosts,)))
    return collect(session.stream(session.job(task, names, label="around", timeout=timeout)))


# --- input ---


@pytest.mark.parametrize("size", [0, 1, 70_000, 12_000_000])
def test_every_host_gets_the_same_bytes(five: Session, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "in").write_bytes(content)
    found = run(five, "sha256sum", "h0,h1,h2,h3,h4", stdin=str(tmp_path / "in"))
    assert {line for lines in found.out.values() for line in lines} == {hashlib.sha256(content).hexdigest() + "  -"}
    assert len(found.out) == 5


def test_bytes_come_back_as_they_went(five: Session) -> None:
    content = bytes(range(256)) * 300 + b"\r\n\n"
    assert run(five, "base64 -w0", stdin=content).raw["h0"].decode().strip() == base64.b64encode(content).decode()


def test_a_command_that_does_not_read_and_one_that_stops_reading_end_as_they_would(
    five: Session, tmp_path: Path
) -> None:
    with (tmp_path / "in").open("wb") as file:
        file.truncate(50_000_000)
    reading = "h1) head -c 5 >/dev/null; exit 4;; h2) exec <&-; sleep 0.2; exit 5;; *) wc -c;;"
    command = f"case {{host}} in h0) exit 3;; {reading} esac"
    found = run(five, command, "h0,h1,h2,h3", stdin=str(tmp_path / "in"))
    assert [found.finished[name].exit_code for name in ("h0", "h1", "h2", "h3")] == [3, 4, 5, 0]
    assert found.out["h3"] == ["50000000"]


def test_a_host_that_does_not_read_holds_up_no_other_and_can_be_stopped(five: Session, tmp_path: Path) -> None:
    with (tmp_path / "in").open("wb") as file:
        file.truncate(20_000_000)
    found = run(
        five, "case {host} in h0) exec sleep 6411;; *) wc -c;; esac", "h0,h1", timeout=8, stdin=str(tmp_path / "in")
    )
    assert found.status() == {"h0": "timeout", "h1": "ok"}
    assert found.out["h1"] == ["20000000"]
    assert ended(lambda: with_command("sleep\x006411"))


def test_input_and_output_of_many_megabytes_flow_at_once(five: Session, tmp_path: Path) -> None:
    content = os.urandom(9_000_000)
    (tmp_path / "in").write_bytes(content)
    digest = hashlib.sha256()
    job = five.job(five.inputs.command("cat", stdin=str(tmp_path / "in")), ["h0"], label="cat")
    for _ in five.stream(job, lambda _host, _stream, data: digest.update(data)):
        pass
    assert digest.digest() == hashlib.sha256(content).digest()


def test_memory_does_not_grow_with_the_input(five: Session, tmp_path: Path) -> None:
    with (tmp_path / "in").open("wb") as file:
        file.truncate(400_000_000)
    assert run(five, "cat >/dev/null", stdin=str(tmp_path / "in"), timeout=60).status() == {"h0": "ok"}
    for member in five._pool._members.values():
        status = Path(f"/proc/{member.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        assert peak < 250_000


def test_a_pipe_is_read_once_and_its_copy_is_gone_afterwards(
    five: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe\n")
    os.close(writing)
    found = run(five, "cat", "h0,h1", stdin=f"/dev/fd/{reading}")
    os.close(reading)
    assert found.out == {"h0": ["from a pipe"], "h1": ["from a pipe"]}
    assert not list(tmp_path.glob("hostshell-input-*"))


@pytest.mark.parametrize("path", ["/nowhere/file", "/tmp"])
def test_input_that_is_not_there_is_said_before_any_host_is_touched(five: Session, path: str) -> None:
    with pytest.raises(LocalFileError, match="nothing was run"):
        five.inputs.command("cat", stdin=path)


def test_a_file_that_changes_before_it_is_sent_fails_and_nothing_runs(five: Session, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("old")
    job = five.job(five.inputs.command("touch ran-anyway; cat", stdin=str(tmp_path / "in")), ["h0"], label="cat")
    (tmp_path / "in").write_text("newer")
    found = collect(five.stream(job))
    assert (found.status(), found.kind("h0")) == ({"h0": "failed"}, "transfer")
    assert run(five, "test -e ran-anyway").finished["h0"].exit_code == 1


# --- scripts ---


def write_script(folder: Path, text: str) -> str:
    path = folder / "it's a script"
    path.write_text(text)
    return str(path)


HARD = ("a b", "it's!", "back\\slash", "$HOME `id`", "", "-x", "two\nlines", "é")


def test_a_script_runs_by_its_own_interpreter_with_its_arguments_and_leaves_nothing(
    five: Session, tmp_path: Path
) -> None:
    script = write_script(
        tmp_path,
        "#!/usr/bin/env python3\nimport os, sys\nprint(ascii(sys.argv[1:]))\nprint(repr(sys.stdin.read()))\n"
        "print(os.readlink('/proc/self/fd/9').endswith(' (deleted)'), oct(os.fstat(9).st_mode & 0o777))\nsys.exit(6)\n",
    )
    found = run(five, script=script, arguments=HARD)
    assert found.out["h0"] == [ascii(list(HARD)), "''", "True 0o600"]
    assert found.finished["h0"].exit_code == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo without a first line $1", "without a first line one"),
        ("#!/bin/bash\necho {1..3} $1\n", "1 2 3 one"),
        ("#!/bin/sh -e\nfalse\necho never\n", None),
        ('#!/usr/bin/perl -w\nprint "perl $ARGV[0]\\n";\n', "perl one"),
    ],
)
def test_scripts_of_many_kinds(five: Session, tmp_path: Path, text: str, says: str | None) -> None:
    assert run(five, script=write_script(tmp_path, text), arguments=["one"]).out.get("h0") == (says and [says])


def test_a_large_script_is_whole_and_reads_what_it_is_given(five: Session, tmp_path: Path) -> None:
    script = write_script(tmp_path, "#!/bin/sh\n" + "# a line of the script\n" * 20_000 + "wc -c\n")
    found = run(five, script=script, stdin=b"x" * 1000)
    assert found.out["h0"] == ["1000"]
    assert run(five, script=script).out["h0"] == ["0"]


def test_a_script_for_an_interpreter_that_is_not_there_fails_in_the_shells_words(five: Session, tmp_path: Path) -> None:
    found = run(five, script=write_script(tmp_path, "#!/opt/no/such\n"))
    assert found.finished["h0"].exit_code in (126, 127)
    assert "/opt/no/such" in " ".join(found.err["h0"])


def test_a_script_that_is_stopped_is_gone_as_well(five: Session, tmp_path: Path) -> None:
    def cancel_at_output(event: object) -> None:
        if isinstance(event, Block):
            five.cancel()

    script = write_script(tmp_path, "#!/bin/sh\necho up\nsleep 6412\n")
    job = five.job(five.inputs.command(script=script), ["h0"], label="script")
    found = collect(five.stream(job), cancel_at_output)
    assert found.finished["h0"].status == "cancelled"
    assert ended(lambda: with_command("/dev/fd/9"))
    processes.end_all(lambda: with_command("sleep\x006412"))


def test_a_script_that_is_stopped_while_it_arrives_leaves_no_file(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    programs, temporary = public_folder("programs"), public_folder("temporary")
    temporary.chmod(0o777)
    (programs / "rm").write_text(f'#!/bin/sh\n: >{temporary}/begun\nsleep 0.05\nexec /bin/rm "$@"\n')
    (programs / "rm").chmod(0o755)
    options = {"SetEnv": f"PATH={programs}:/usr/bin:/bin TMPDIR={temporary}"}
    with Sshd(tmp_path / "sshd", options=options) as server:
        server.authorize(accounts[0], client_key.public, "no-agent-forwarding")
        with session_on(tmp_path, server, accounts[0], client_key, ["h0"]) as session:
            assert run(session, "true").status() == {"h0": "ok"}
            task = session.inputs.command(script=write_script(tmp_path, "#!/bin/sh\nsleep 6419\n"))
            job = session.job(task, ["h0"], label="script")

            def stop() -> None:
                while not (temporary / "begun").exists():
                    time.sleep(0.002)
                session.cancel()

            stopper = threading.Thread(target=stop)
            stopper.start()
            found = collect(session.stream(job))
            stopper.join()
            assert found.finished["h0"].status == "cancelled"
            assert ended(lambda: with_command(str(temporary)) | with_command("sleep\x006419"))
    assert os.listdir(temporary) == ["begun"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\x7fELF\0\0", "a program"), (b"#!/bin/sh\r\necho\r\n", "Windows line ends"), (b"#!\n", "names no program")],
)
def test_what_is_no_script_is_said_before_any_host_is_touched(
    five: Session, tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LocalFileError, match=why):
        five.inputs.command(script=str(tmp_path / "x"))


# --- environment and directory ---


def test_environment_and_directory_hold_for_the_command(five: Session) -> None:
    value = 'it\'s "hard" \\ $HOME `id` ! é\nnext\n'
    found = run(five, 'printf "%s|%s|" "$HARD" "$PLAIN"; pwd', env={"HARD": value, "PLAIN": "1"}, cwd="/")
    assert found.raw["h0"].decode() == f"{value}|1|/\n"
    assert run(five, "mkdir -p 'a dir'; cd 'a dir'; pwd; rmdir ../'a dir'").out["h0"][0].endswith("/a dir")
    home = run(five, "pwd").out["h0"]
    assert run(five, "pwd", cwd="~").out["h0"] == home
    assert run(five, "pwd", cwd="~/.").out["h0"] == home


def test_a_directory_that_is_missing_fails_and_nothing_runs(five: Session) -> None:
    found = run(five, "echo ran", cwd="/no/such dir")
    assert (found.kind("h0"), found.out) == ("exit", {})
    assert "/no/such dir" in " ".join(found.err["h0"])


def test_braces_are_replaced_in_the_command_alone(five: Session) -> None:
    assert run(five, 'echo {host} "$X"', env={"X": "{host}"}).out["h0"] == ["h0 {host}"]


@pytest.mark.parametrize("env", [{"1A": "x"}, {"A B": "x"}, {"A": "x\0"}, {"": "x"}])
def test_variables_that_cannot_be_are_refused(five: Session, env: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        five.inputs.command("true", env=env)


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "csh"])
def test_the_users_own_shell_gets_the_command_as_it_is(five: Session, shell: str, tmp_path: Path) -> None:
    """A login shell of any kind: what it is given is one line, which it has to read as we meant it."""
    where = shutil.which(shell)
    if where is None:
        pytest.skip(f"{shell} is not installed here: its way of reading the line was not looked at")
    command = "printf '%s|' \"it's\" 'a\\b' '!x' \"two\nlines\" '$HOME' é"
    if shell in ("csh", "fish"):
        command = "echo $SHELL"  # quoting of its own; that it is this shell which gets it is what counts
    task = five.inputs.command(command, env={"K": "it's \\ !\n"}, cwd="/")
    said = subprocess.run(
        [where, "-c", remote_line(task, "utf-8")],
        capture_output=True,
        env={"PATH": os.environ["PATH"], "SHELL": where, "HOME": "/"},
    )
    assert said.stderr == b""
    assert said.stdout.decode() == (f"{where}\n" if shell in ("csh", "fish") else "it's|a\\b|!x|two\nlines|$HOME|é|")


# --- a terminal ---


def test_a_terminal_is_there_and_what_it_shows_stays_clean(five: Session) -> None:
    found = run(
        five, "test -t 0 && test -t 1 && test -t 2 && echo yes; stty size; echo $TERM; cat; echo end >&2", tty=True
    )
    assert found.out["h0"] == ["yes", "24 80", "dumb", "end"]
    assert b"\r" not in found.raw["h0"]


def test_a_server_that_gives_no_terminal_says_so(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:
    with Sshd(tmp_path / "sshd", options={"PermitTTY": "no"}) as server:
        server.authorize(accounts[0], client_key.public)
        with session_on(tmp_path, server, accounts[0], client_key, ["a"]) as session:
            found = run(session, "echo ran", "a", tty=True)
            assert (found.kind("a"), found.out) == ("exit", {})
            assert "no terminal" in found.finished["a"].error.message
            assert run(session, "echo ran", "a").out == {"a": ["ran"]}


def test_a_command_with_a_terminal_can_be_stopped(five: Session) -> None:
    def cancel_at_output(event: object) -> None:
        if isinstance(event, Block):
            five.cancel()

    job = five.job(five.inputs.command("echo up; exec sleep 6413", tty=True), ["h0"], label="tty")
    assert collect(five.stream(job), cancel_at_output).finished["h0"].status == "cancelled"
    assert ended(lambda: with_command("sleep\x006413"))
