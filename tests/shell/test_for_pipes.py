"""What pipes and scripts ask for: lines without names, no summary, the hosts' own exit codes, a file for each host."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.core.errors import LocalFileError
from hostshell.core.events import Failure, Finished
from hostshell.core.turns import Note
from hostshell.engine.pool import Chunk
from hostshell.shell.outdir import MOST_OPEN, OutputFiles
from hostshell.shell.screen import OutputFailed
from tests.shell.playing import Play, Stage, failed

UNREACHABLE = Finished(0, "", "unreachable", error=Failure("refused", "connection refused (port 22)", "is sshd there?"))
TIMEOUT = Finished(0, "", "timeout", error=Failure("timeout", "no end in time"), may_still_run=True)
CANCELLED = Finished(0, "", "cancelled", error=Failure("cancelled", "cancelled"))


@pytest.fixture
def stage(tmp_path: Path, clean_home: Path) -> Iterator[Stage]:
    made = Stage(
        tmp_path,
        Play(
            [
                Chunk("web1", "stdout", b"same\nen"),
                Chunk("web2", "stdout", b"same\nend"),
                Chunk("web1", "stderr", b"warning\n"),
                Chunk("web1", "stdout", b"d"),
                Note("web1", "left something out"),
            ]
        ),
    )
    with contextlib.closing(made.session):
        yield made


# --- -N and -q ---


def test_without_prefix_lines_stand_as_the_hosts_printed_them(stage: Stage) -> None:
    code, out, err = stage("batch_run -g web -N -cmd x")
    assert (code, out) == (0, "same\nsame\nend\nend\n")
    assert err.startswith("warning\n3 ok in ")


def test_without_prefix_gathered_output_has_no_headings(stage: Stage) -> None:
    assert stage("batch_run -g web -b -N -cmd x")[1] == "same\nend\n"


def test_without_prefix_remote_text_is_cleaned_all_the_same(stage: Stage) -> None:
    stage.play.news = [Chunk("web1", "stdout", b"\x1b]0;title\x07\n")]
    assert stage("batch_run -g web -N -cmd x")[1] == "^[]0;title^G\n"


def test_quiet_leaves_out_the_summary_and_keeps_notes_and_standard_error(stage: Stage) -> None:
    stage.play.ends = {"web3": failed(3)}
    code, out, err = stage("batch_run -g web -q -cmd x")
    assert code == 1
    assert out == "web1: same\nweb2: same\nweb1: end\nweb2: end\n"
    assert err == "web1: warning\nnote: web1: left something out\n"


def test_quiet_says_what_may_still_run(stage: Stage) -> None:
    stage.play.news = []
    stage.play.ends = {"web3": TIMEOUT}
    assert stage("batch_run -g web -q -cmd x") == (3, "", "may still run on web3\n")


def test_a_quiet_ping_says_nothing_but_its_exit_code(stage: Stage) -> None:
    stage.play.news = []
    assert stage("ping -g web -q") == (0, "", "")
    stage.play.ends = {"web3": UNREACHABLE}
    assert stage("ping -g web -q") == (4, "", "")


def test_a_quiet_copy_says_nothing_but_its_exit_code(stage: Stage, tmp_path: Path) -> None:
    stage.play.news = []
    assert stage(f"batch_scp -g web -q -action put -local {tmp_path}/hosts.ini -remote x") == (0, "", "")


def test_json_is_the_same_with_and_without_them(stage: Stage) -> None:
    plain = stage("batch_run -g web --json -cmd x")[1].splitlines()
    quiet = stage("batch_run -g web -N -q --json -cmd x")[1].splitlines()
    assert [json.loads(line)["event"] for line in quiet] == [json.loads(line)["event"] for line in plain]


# --- --rc max ---


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ({}, 0),
        ({"web1": failed(5), "web2": failed(42)}, 42),
        ({"web1": failed(255)}, 255),
        ({"web1": failed(0xC0000005)}, 255),
        ({"web1": Finished(0, "", "failed", signal="KILL", error=Failure("signal", "killed"))}, 1),
        ({"web1": failed(1), "web2": TIMEOUT}, 3),
        ({"web1": failed(2), "web2": UNREACHABLE}, 4),
        ({"web1": failed(7), "web2": UNREACHABLE}, 7),
        ({"web1": failed(7), "web2": CANCELLED}, 130),
        ({"web1": failed(200), "web2": CANCELLED}, 200),
    ],
)
def test_rc_max_is_the_largest_of_the_hosts_own_codes_and_ours(
    stage: Stage, ends: dict[str, Finished], code: int
) -> None:
    stage.play.ends = ends
    assert stage("batch_run -g web --rc max -cmd x")[0] == code


def test_without_rc_max_any_failure_counts_as_1(stage: Stage) -> None:
    stage.play.ends = {"web1": failed(42)}
    assert stage("batch_run -g web -cmd x")[0] == 1


def test_a_remote_130_is_not_taken_for_ctrl_c(stage: Stage) -> None:
    stage.play.ends = {"web1": failed(130)}
    lines = ["batch_run -g web --rc max -cmd x", "batch_run -h db1 -cmd y"]
    assert stage.said(lambda shell: shell.script(lines))[0] == 130
    assert not stage.shell.interrupted
    assert stage.ran_on() == ["db1"]


def test_a_cancelled_job_ends_a_script_whatever_the_code(stage: Stage) -> None:
    stage.play.ends = {"web1": failed(200), "web2": CANCELLED}
    lines = ["batch_run -g web --rc max -cmd x", "batch_run -h db1 -cmd y"]
    assert stage.said(lambda shell: shell.script(lines))[0] == 200
    assert stage.shell.interrupted
    assert len(stage.pool.jobs) == 1


# --- --outdir and --errdir ---


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_host_gets_a_file_with_its_bytes_as_they_came_and_the_screen_shows_them_too(
    stage: Stage, tmp_path: Path
) -> None:
    stage.play.news = [
        Chunk("web1", "stdout", b"a\r\n\x1b[31m"),
        Chunk("web2", "stderr", b"\xff\0"),
        Chunk("web1", "stdout", b"\rlast"),
    ]
    code, out, _ = stage(f"batch_run -g web --outdir {tmp_path}/new/out --errdir {tmp_path}/err -cmd x")
    assert code == 0
    assert out.startswith("web1: a\n")
    assert contents(tmp_path / "new" / "out") == {"web1": b"a\r\n\x1b[31m\rlast", "web2": b"", "web3": b""}
    assert contents(tmp_path / "err") == {"web1": b"", "web2": b"\xff\0", "web3": b""}


def test_one_of_the_two_may_be_asked_for_alone(stage: Stage, tmp_path: Path) -> None:
    stage(f"batch_run -g web --json --errdir {tmp_path}/err -cmd x")
    assert contents(tmp_path / "err") == {"web1": b"warning\n", "web2": b"", "web3": b""}


def test_files_of_before_are_emptied_and_those_of_other_hosts_left(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "web3").write_text("of yesterday")
    (out / "other").write_text("mine")
    stage(f"batch_run -g web --outdir {out} -cmd x")
    assert contents(out) == {"web1": b"same\nend", "web2": b"same\nend", "web3": b"", "other": b"mine"}


def test_a_leading_tilde_and_a_relative_path_work(
    stage: Stage, tmp_path: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stage("batch_run -h web1 --outdir ~/o --errdir e/ -cmd x")
    assert contents(Path(os.environ["HOME"]) / "o") == {"web1": b"same\nend"}
    assert contents(tmp_path / "e") == {"web1": b"warning\n"}


def test_hosts_of_the_moment_have_files_under_the_name_that_was_typed(stage: Stage, tmp_path: Path) -> None:
    name = "root@[::1]:2222"
    stage.play.news = [Chunk(name, "stdout", b"x")]
    stage(f"batch_run -h {name} --outdir {tmp_path}/o -cmd x")
    assert contents(tmp_path / "o") == {name: b"x"}


def test_a_link_is_not_followed_and_nothing_runs(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (out / "web2").symlink_to(precious)
    code, shown, err = stage(f"batch_run -g web --outdir {out} -cmd x")
    assert (code, shown, stage.pool.jobs) == (2, "", [])
    assert f"{out}/web2 is a symbolic link" in err
    assert "nothing was run" in err
    assert precious.read_text() == "keep"


def test_a_directory_that_a_get_has_made_for_a_host_is_named_with_a_way_out(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "out" / "web1").mkdir(parents=True)
    code, _, err = stage(f"batch_run -g web --outdir {tmp_path}/out -cmd x")
    assert (code, stage.pool.jobs) == (2, [])
    assert f"{tmp_path}/out/web1 is a directory, where a file has to be" in err
    assert "name another directory; nothing was run" in err


def test_what_is_no_ordinary_file_is_refused_without_waiting_for_it(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / "web1")
    code, _, err = stage(f"batch_run -g web --outdir {out} -cmd x")
    assert (code, stage.pool.jobs) == (2, [])
    assert f"{out}/web1" in err
    reader = os.open(out / "web1", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert "is no ordinary file" in stage(f"batch_run -g web --outdir {out} -cmd x")[2]
    finally:
        os.close(reader)


@pytest.mark.parametrize("below", ["hosts.ini", "hosts.ini/below"])
def test_a_directory_that_cannot_be_made_is_one_error_and_nothing_runs(
    stage: Stage, tmp_path: Path, below: str
) -> None:
    code, out, err = stage(f"batch_run -g web --outdir {tmp_path}/{below} -cmd x")
    assert (code, out, stage.pool.jobs) == (2, "", [])
    assert "not a directory" in err
    assert err.count("\n") == 2


def test_both_in_one_directory_are_refused(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "o")
    code, _, err = stage(f"batch_run -g web --outdir {tmp_path}/o --errdir {tmp_path}/link -cmd x")
    assert (code, stage.pool.jobs) == (2, [])
    assert "name the same directory" in err


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_cannot_grow_is_one_error_and_stops_the_job(stage: Stage, tmp_path: Path) -> None:
    stage.play.news = [
        Chunk("web1", "stdout", b"x" * 3000),
        Chunk("web1", "stdout", b"y" * 3000),
        Chunk("web2", "stdout", b"never seen\n"),
    ]
    with files_of_at_most(4096):
        code, out, err = stage(f"batch_run -g web --outdir {tmp_path}/o -cmd x")
    assert code == 1
    assert "never seen" not in out
    assert err.splitlines()[-2:] == [
        f"error: --outdir: cannot write {tmp_path}/o/web1: file too large",
        "  what was running has been stopped",
    ]
    assert stage.pool.broken_off
    assert contents(tmp_path / "o") == {"web1": b"x" * 3000 + b"y" * 1096, "web2": b"", "web3": b""}
    assert stage.session.last.counts() == {"cancelled": 3}


def test_more_hosts_than_descriptors_are_no_trouble(tmp_path: Path) -> None:
    names = [f"h{number}" for number in range(MOST_OPEN * 2)]
    before = len(os.listdir("/proc/self/fd"))
    with OutputFiles(str(tmp_path / "o"), None, names) as files:
        for part in (b"one ", b"two"):
            for name in names:
                files.write(name, "stdout", part)
                files.write(name, "stderr", b"not kept")
        assert len(os.listdir("/proc/self/fd")) <= before + MOST_OPEN + 1
    assert len(os.listdir("/proc/self/fd")) == before
    assert contents(tmp_path / "o") == dict.fromkeys(names, b"one two")


def test_a_file_system_that_complains_at_the_end_is_heard(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OutputFailed, match=r"cannot write .*/o/h1"):  # noqa: SIM117  # what is inside closes first
        with OutputFiles(str(tmp_path / "o"), None, ["h1"]) as files:
            files.write("h1", "stdout", b"x")
            for fd in set(os.listdir("/proc/self/fd")) - before:
                if os.path.exists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}").endswith("/h1"):
                    os.close(int(fd))


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../a", "", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LocalFileError, match="cannot be a file's"):
        OutputFiles(str(tmp_path / "o"), None, [name])
    assert os.listdir(tmp_path / "o") == []
