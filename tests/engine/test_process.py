"""Worker processes: started clean, whatever the caller's folder and main module hold; gone at the end."""

from __future__ import annotations

import multiprocessing.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hostshell.core.errors import EngineError
from hostshell.core.events import Summary
from hostshell.core.model import Host, Job, Ping
from hostshell.engine import pool as pool_module
from hostshell.engine.pool import Pool
from tests.support import processes

NOWHERE = Host("a", "127.0.0.1", port=1, user="nobody", host_keys="strict", known_hosts="/dev/null")


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


def test_no_process_is_left_after_close() -> None:
    pool = Pool(2)
    list(pool.run(Job((NOWHERE,), Ping(), number=1)))
    pids = [member.process.pid for member in pool._members.values()]
    assert all(pid is not None and processes.is_running(pid) for pid in pids)
    pool.close()
    assert not any(pid is not None and processes.is_running(pid) for pid in pids)
    pool.close()  # twice does no harm


def test_a_pool_that_cannot_start_says_so_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_number: int) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(pool_module.process, "start", refuse)
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
