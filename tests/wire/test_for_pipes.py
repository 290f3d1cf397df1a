"""Options for pipes and scripts, and `@failed`, on real OpenSSH servers."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.six_hosts import SixHosts

PATIENCE = 60.0  # seconds for a process to end; far more than it takes


@pytest.fixture
def base(six_hosts: SixHosts, clean_home: Path) -> list[str]:
    """The beginning of a call on the six hosts."""
    return [
        *(sys.executable, "-m", "hostshell", "-i", str(six_hosts.hosts_ini)),
        *("--known-hosts", str(six_hosts.known_hosts)),
    ]


def call(
    words: list[str], *more: str, stdin: str = "", before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*words, *more], input=stdin, capture_output=True, text=True, timeout=PATIENCE, preexec_fn=before
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_without_names_and_summary_a_pipe_gets_the_hosts_lines_alone(base: list[str]) -> None:
    done = call(base, "batch_run", "-h", "h1,h2,h3", "-N", "-q", "-cmd", "echo {host}; echo warn >&2")
    assert (done.returncode, sorted(done.stdout.split()), done.stderr) == (0, ["h1", "h2", "h3"], "warn\n" * 3)


def test_rc_max_gives_the_largest_remote_exit_code(base: list[str]) -> None:
    line = "batch_run -h h1,h2,h3 --rc max -q -cmd 'n={host}; exit $((40 + ${n#h}))'"
    assert call(base, "-c", line).returncode == 43


def test_a_remote_130_does_not_end_a_script(base: list[str]) -> None:
    done = call(base, stdin="batch_run -h h1 --rc max -cmd 'exit 130'\nbatch_run -h h1 -cmd 'echo next'\n")
    assert (done.returncode, done.stdout) == (130, "h1: next\n")


def test_the_failed_ones_are_done_again(base: list[str]) -> None:
    done = call(
        base,
        *("-c", "batch_run -h h1,h2,h3,127.0.0.1:1 -q -cmd 'test {host} != h2'"),
        *("-c", "batch_run -h @failed -cmd 'echo again'"),
        *("-c", "batch_run -h @unreachable -cmd x"),
    )
    assert done.returncode == 4  # of the first line; the third names nobody
    assert done.stdout == "h2: again\n"
    assert "nobody of the last command is @unreachable; there is @ok (1 host)" in done.stderr


def test_files_hold_the_bytes_as_they_came_however_many(base: list[str], tmp_path: Path) -> None:
    command = "seq -f '{host} %g' 200000; printf 'no\\r\\n\\377\\0 end'; echo {host} >&2"
    done = call(
        base,
        *("batch_run", "-h", "h1,h2", "--outdir", f"{tmp_path}/out", "--errdir", f"{tmp_path}/err", "-cmd", command),
    )
    assert done.returncode == 0
    for host in ("h1", "h2"):
        wanted = subprocess.run(["sh", "-c", command.replace("{host}", host)], capture_output=True, timeout=PATIENCE)
        written = (tmp_path / "out" / host).read_bytes()
        assert hashlib.sha256(written).digest() == hashlib.sha256(wanted.stdout).digest()
        assert (tmp_path / "err" / host).read_text() == f"{host}\n"
    assert "h1: h1 7\n" in done.stdout


def test_a_file_that_cannot_grow_is_one_error_and_the_next_line_works(base: list[str], tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    done = call(
        base,
        *("-c", f"batch_run -h h1,h2 --outdir {tmp_path}/out -cmd 'yes | head -c 10000000; exec sleep 60'"),
        *("-c", "batch_run -h h1 -cmd 'echo still here'"),
        before=small_files,
    )
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "file too large\n  what was running has been stopped\n" in done.stderr
    assert done.stdout.endswith("h1: still here\n")
