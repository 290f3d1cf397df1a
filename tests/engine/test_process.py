"""Worker processes: started clean, whatever the caller's folder and main module hold; gone at the end."""

from __future__ import annotations

import contextlib
import inspect
import multiprocessing.util
import os
import subprocess
import sys
import textwrap
import threading
import venv
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import pytest

from hostshell.core.errors import EngineError
from hostshell.core.events import Summary
from hostshell.core.model import Host, Job, Ping
from hostshell.engine import process
from hostshell.engine.pool import Pool
from tests.support import processes

CHECKOUT = Path(__file__).parents[2]
NOWHERE = Host("a", "127.0.0.1", port=1, user="nobody", host_keys="strict", known_hosts="/dev/null")


_PING = """
from hostshell.session import Session
with Session(known_hosts="/dev/null") as session:
    print([event.error.kind for event in session.ping(hosts="u@127.0.0.1:1") if hasattr(event, "error")])
"""


def test_the_private_name_that_isolates_helpers_is_there() -> None:
    assert isinstance(multiprocessing.util._args_from_interpreter_flags(), list)


def test_a_module_in_the_current_folder_is_not_run(tmp_path: Path) -> None:
    for name in ("socket", "signal", "selectors", "paramiko", "hostshell"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'a').write(__name__)\nraise SystemExit\n")
    code = "import sys; sys.path[:] = [p for p in sys.path if p]; from hostshell.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, "batch_run", "-h", "u@127.0.0.1:1", "-cmd", "true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not (tmp_path / "ran").exists()
    assert done.returncode == 4, done.stderr
    assert "connection refused" in done.stderr


def test_a_module_in_the_current_folder_is_not_run_by_the_forked_helper(tmp_path: Path) -> None:
    (tmp_path / "paramiko.py").write_text("open('ran', 'a')\nraise SystemExit\n")
    done = subprocess.run(  # with -m Python looks for modules in the current folder first
        [sys.executable, "-m", "hostshell", "batch_run", "-h", "u@127.0.0.1:1", "-cmd", "true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not (tmp_path / "ran").exists()
    assert done.returncode == 4, done.stderr


@pytest.mark.parametrize("how", ["-c", "script"])
def test_a_module_beside_the_callers_script_or_in_its_folder_is_not_run_by_workers(tmp_path: Path, how: str) -> None:
    (tmp_path / "paramiko.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a')\nraise SystemExit\n")
    (tmp_path / "script.py").write_text(_PING)
    words, folder = (["-c", _PING], tmp_path) if how == "-c" else ([str(tmp_path / "script.py")], Path("/"))
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("['refused']\n", "")
    assert not (tmp_path / "ran").exists()


def test_an_unguarded_script_is_run_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            from hostshell.session import Session
            print("main")
            with Session(known_hosts="/dev/null") as session:
                for event in session.run("true", hosts="u@127.0.0.1:1"):
                    print(type(event).__name__)
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["main", "Started", "Finished", "Summary"], done.stderr
    assert done.stderr == ""


def test_the_start_of_a_worker_leaves_our_environment_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads read it meanwhile: the inventory does for SendEnv, and a caller's may."""
    changed: list[str] = []
    monkeypatch.setattr(type(os.environ), "__setitem__", lambda _self, name, _value: changed.append(name))
    with contextlib.closing(Pool(1)) as pool:
        list(pool.run(Job((NOWHERE,), Ping(), number=1)))
    assert changed == []


def test_no_process_is_left_after_close() -> None:
    pool = Pool(2)
    list(pool.run(Job((NOWHERE,), Ping(), number=1)))
    pids = [member.process.pid for member in pool._members.values()]
    assert all(pid is not None and processes.is_running(pid) for pid in pids)
    pool.close()
    assert not any(pid is not None and processes.is_running(pid) for pid in pids)
    pool.close()  # twice does no harm


def test_a_pool_whose_start_was_interrupted_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    pool = Pool(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.start()
    pool.close()


def test_a_pool_that_cannot_start_says_so_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_number: int) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(process, "start", refuse)
    pool = Pool(1)
    for _ in range(2):
        with pytest.raises(EngineError, match="cannot start worker processes"):
            list(pool.run(Job((NOWHERE,), Ping(), number=1)))
    pool.close()


def test_a_second_run_while_one_is_open_is_an_error_and_leaves_the_first_alone() -> None:
    pool = Pool(1)
    try:
        first = pool.run(Job((NOWHERE,), Ping(), number=1))
        next(first)
        with pytest.raises(EngineError, match="under way"):
            next(pool.run(Job((NOWHERE,), Ping(), number=2)))
        assert isinstance(list(first)[-1], Summary)
    finally:
        pool.close()


def test_the_private_names_that_a_forked_helper_stands_on_are_there() -> None:
    assert "util.spawnv_passfds(exe, args, fds_to_pass)" in inspect.getsource(forkserver.ForkServer.ensure_running)
    assert "args += ['-c', cmd]" in inspect.getsource(forkserver.ForkServer.ensure_running)
    tracker = inspect.getsource(resource_tracker.ResourceTracker.ensure_running)
    assert "self._fd is not None" in tracker
    assert "self._check_alive()" in tracker


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the helper a fork: see engine/forked.py")
def test_the_command_line_forks_its_helper_which_keeps_nothing_of_what_is_open(tmp_path: Path) -> None:
    (tmp_path / "held").write_text("x")
    code = textwrap.dedent(
        """
        import os, signal, sys
        from hostshell.engine import process
        kept = open("held")
        signal.signal(signal.SIGTERM, lambda *_: None)
        process.prepare()
        from multiprocessing import forkserver
        helper = forkserver._forkserver._forkserver_pid
        worker, pipe = process.start(0)
        pipe.recv_bytes()  # it is ready
        for pid in (helper, worker.pid):
            folder = f"/proc/{pid}"
            held = [os.readlink(f"{folder}/fd/{name}") for name in os.listdir(f"{folder}/fd")]
            status = dict(line.split(":", 1) for line in open(f"{folder}/status"))
            caught = int(status["SigCgt"], 16) >> signal.SIGTERM - 1 & 1
            parent = os.getpid() if pid == helper else helper
            print(any(path.endswith("held") for path in held), caught, int(status["PPid"]) == parent)
        children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
        print(children == [str(helper)])
        pipe.close()
        worker.join(10)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["False 0 True", "False 0 True", "True"], done.stderr
    assert done.stderr == ""


def test_a_program_with_threads_is_not_forked(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import sys, threading
        from hostshell.engine import process
        import hostshell.engine.forked as forked
        forked.in_place_of_a_start = None  # an error if it is used
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        process.prepare()
        worker, pipe = process.start(0)
        pipe.recv_bytes()
        pipe.close()
        worker.join(10)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# --- another hostshell is installed ---


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in whose site-packages another hostshell lies, whose workers end at once, beside our libraries."""
    folder = tmp_path_factory.mktemp("crowded") / "venv"
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "ours.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    other = site / "hostshell"
    (other / "engine").mkdir(parents=True)
    for name in ("__init__", "engine/__init__", "engine/orphans", "engine/worker"):
        (other / f"{name}.py").write_text("")
    (other / "engine" / "process.py").write_text("def _run(*_):\n    pass\n")
    (other / "__main__.py").write_text("raise SystemExit('the other one')\n")
    return folder / "bin" / "python"


def test_workers_of_the_api_are_of_the_hostshell_that_was_imported(crowded: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_PING)
    for variables, command in (
        ({"PYTHONPATH": str(CHECKOUT)}, [str(crowded), str(script)]),
        ({}, [str(crowded), "-c", f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n{_PING}"]),
    ):
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == ("['refused']\n", "")


def test_a_module_beside_ours_shadows_none_of_pythons(crowded: Path, tmp_path: Path) -> None:
    """What is installed lies beside old copies of Python's own modules, now and then."""
    (tmp_path / "hostshell").symlink_to(CHECKOUT / "hostshell")
    for name in ("typing", "socket", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    code = "import sys\nsys.path[:] = [path for path in sys.path if not path.endswith('site-packages')]\n"
    code += f"sys.path += {[str(tmp_path), *libraries]!r}\n{_PING}"
    done = subprocess.run([str(crowded), "-c", code], cwd="/", capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("['refused']\n", "")


@pytest.mark.parametrize("how", ["script", "path"])
def test_a_checkout_and_its_demo_work_beside_another_hostshell(crowded: Path, tmp_path: Path, how: str) -> None:
    start = [str(CHECKOUT / "run_shell.py")] if how == "script" else ["-m", "hostshell"]
    for arguments, said in (
        (["--demo", "-c", "batch_run -h h1 -cmd 'echo up'"], "h1: up\n"),
        (["-c", "ping -h u@127.0.0.1:1"], ""),
    ):
        done = subprocess.run(
            [str(crowded), *start, *arguments],
            env={**os.environ, **({"PYTHONPATH": str(CHECKOUT)} if how == "path" else {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == said, done.stderr
        assert "worker process ended" not in done.stderr
