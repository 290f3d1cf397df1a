"""The Python API as a stranger uses it: the examples of docs/api.md as they stand, and what a caller may rely on."""

from __future__ import annotations

import ast
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hostshell
from hostshell import (
    Event,
    Finished,
    HostshellError,
    InventoryError,
    Job,
    LocalFileError,
    Output,
    Progress,
    Run,
    Session,
    Started,
    Summary,
    TargetError,
)
from hostshell.core.errors import EngineError
from tests.support import processes
from tests.support.accounts import can_make_users
from tests.support.endings import ended, with_command
from tests.support.six_hosts import SixHosts

ROOT = Path(hostshell.__file__).parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^## (.+?)$|```python\n(.*?)```\n+(?:prints\n+)?```text\n(.*?)```", re.S | re.M)


def examples() -> Iterator[tuple[str, str, str]]:
    """Each example of the page: the heading above it, the script, and what it prints."""
    heading = "The first"
    for title, script, printed in EXAMPLE.findall(PAGE):
        if title:
            heading = title
        else:
            yield heading, script, printed


EXAMPLES = list(examples())


@pytest.fixture
def folder(six_hosts: SixHosts, clean_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder with the hosts.ini and known_hosts of six hosts."""
    inventory = tmp_path / "hosts.ini"
    inventory.touch(mode=0o600)
    inventory.write_bytes(six_hosts.hosts_ini.read_bytes())
    (tmp_path / "known_hosts").write_bytes(six_hosts.known_hosts.read_bytes())
    yield tmp_path
    for host in six_hosts.hosts.values():
        (host.account.home / "motd.txt").unlink(missing_ok=True)


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    with Session(str(folder / "hosts.ini"), known_hosts=str(folder / "known_hosts")) as session:
        yield session


def python(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    (folder / "example.py").write_text(script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


@pytest.mark.parametrize(("heading", "script", "printed"), EXAMPLES, ids=[heading for heading, _, _ in EXAMPLES])
def test_an_example_runs_as_it_stands(folder: Path, heading: str, script: str, printed: str) -> None:
    done = python(folder, script)
    assert (done.returncode, done.stderr) == (0, "")
    if not can_make_users():  # OpenSSH sends no signal to the command that our servers force on each login then
        printed = printed.replace("has ended", "may still run")
    assert done.stdout == printed


def test_every_example_is_run_and_none_is_guarded() -> None:
    assert PAGE.count("```python") == len(EXAMPLES) >= 7
    assert not [script for _, script, _ in EXAMPLES if "__main__" in script]


def test_the_page_explains_every_event_error_and_method() -> None:
    for name in hostshell.__all__:
        assert f"`{name}`" in PAGE, name
    for method in (
        "run",
        "put",
        "get",
        "job",
        "submit",
        "targets",
        "start",
        "cancel",
        "reload",
        "close",
        "connections",
        "disconnect",
    ):
        assert re.search(rf"^\| .*`{method}\(", PAGE, re.M), method
    for kind in (Started, Output, Progress, Finished, Summary):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind.__name__}` |"))
        assert [name for name in kind.__dataclass_fields__ if f"`{name}`" not in row] == []


# --- the names ---


def test_importing_hostshell_loads_nothing_heavy() -> None:
    show = "import sys, hostshell; print(hostshell.__version__, *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, cwd=ROOT, check=True)
    version, *modules = done.stdout.split()
    assert version == hostshell.__version__
    heavy = ("paramiko", "prompt_toolkit", "rich", "asyncssh", "multiprocessing", "ClusterShell")
    assert [name for name in modules if name.startswith(("hostshell.", *heavy))] == []


def test_the_events_and_the_session_load_no_prompt_and_no_ssh() -> None:
    show = "import sys; from hostshell import Session, Output; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not {"paramiko", "prompt_toolkit", "rich", "asyncssh"} & set(done.stdout.split())


@pytest.mark.parametrize("name", hostshell.__all__)
def test_every_public_name_is_there_and_shown(name: str) -> None:
    assert getattr(hostshell, name) is not None
    assert name in dir(hostshell)


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    tree = ast.parse(Path(hostshell.__file__).read_text(encoding="utf-8"))
    typed = [
        (alias.name, statement.module)
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]
    assert sorted(name for name, _ in typed) == sorted(set(hostshell.__all__) - {"__version__"})
    assert dict(typed) == hostshell._HOMES


def test_an_unknown_name_is_an_attribute_error_and_rooms_can_still_be_imported() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        hostshell.Sesion  # noqa: B018  # the misspelling is the test
    with pytest.raises(ImportError):
        from hostshell import Sesion  # noqa: F401  # as above
    from hostshell import session

    assert session.Session is Session


def test_a_type_checker_knows_what_the_names_are_and_notices_a_misspelt_one(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(
        "from hostshell import Finished, Session\n"
        "with Session('hosts.ini') as session:\n"
        "    for event in session.run('true', hosts='h1'):\n"
        "        if isinstance(event, Finished):\n"
        "            reveal_type(event.status)\n"
        "from hostshell import Sesion\n"
    )
    check = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*check, str(tmp_path / "typed.py")], capture_output=True, text=True, cwd=ROOT)
    assert "Literal['ok']" in done.stdout
    assert 'Module "hostshell" has no attribute "Sesion"' in done.stdout


# --- errors ---


@pytest.mark.parametrize(
    ("call", "kind", "message", "hint"),
    [
        (lambda s: s.run("true", hosts="h11"), TargetError, "unknown host h11", "did you mean h1?"),
        (lambda s: s.run("true", groups="web"), TargetError, "unknown group web", ""),
        (lambda s: s.put("/no/such", "~/", hosts="h1"), LocalFileError, "no such local file: /no/such", "nothing was"),
        (lambda s: s.get("a", "/dev/null", hosts="h1"), LocalFileError, "/dev/null is not a directory", "-local names"),
        (lambda _: Session("/no/hosts.ini"), InventoryError, "/no/hosts.ini", ""),
    ],
    ids=["host", "group", "put", "get", "inventory"],
)
def test_what_cannot_be_done_is_raised_at_the_call(
    session: Session, call: Callable[[Session], object], kind: type[HostshellError], message: str, hint: str
) -> None:
    with pytest.raises(kind) as raised:
        call(session)
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert raised.value.exit_code == 2
    again = pickle.loads(pickle.dumps(raised.value))
    assert (again.message, again.hint) == (raised.value.message, raised.value.hint)


def test_a_second_job_while_one_is_under_way_is_an_error_and_the_first_goes_on(session: Session) -> None:
    first = session.run("echo one; sleep 1; echo two", hosts="h1")
    seen = [next(first)]
    with pytest.raises(EngineError) as raised:
        next(iter(session.run("true", hosts="h1")))
    assert raised.value.hint
    seen += first
    assert [event.data for event in seen if isinstance(event, Output)] == ["one", "two"]


def test_a_broken_inventory_leaves_the_session_as_it_was_on_reload(session: Session, folder: Path) -> None:
    (folder / "hosts.ini").write_text("[host:h1]\nport = ssh\n")
    with pytest.raises(InventoryError):
        session.reload()
    assert last(session.run("true", hosts="h1,db01")).ok == 2


# --- jobs ---


def last(events: Iterator[Event]) -> Summary:
    *_, summary = events
    assert isinstance(summary, Summary)
    return summary


def test_events_are_the_five_public_classes_in_their_order(session: Session, folder: Path) -> None:
    (folder / "motd.txt").write_bytes(b"x" * 1_000_000)
    seen = [*session.run("echo {host}; echo err >&2", groups=["web_clusters", "db_servers"])]
    seen += session.put(str(folder / "motd.txt"), "~/", hosts="h1")
    assert {type(event) for event in seen} == {Started, Output, Progress, Finished, Summary}
    assert isinstance(seen[0], Started)
    assert seen[0].hosts == ("web01", "web02", "db01")
    assert {event.job for event in seen} == {1, 2}


def test_ping_logs_in_and_prints_nothing(session: Session) -> None:
    seen = [*session.ping(hosts="h1,db01")]
    assert [type(event) for event in seen] == [Started, Finished, Finished, Summary]
    assert seen[-1].ok == 2


def test_every_verb_takes_a_limit_for_its_connect(folder: Path, tmp_path: Path) -> None:
    class Watched(Session):
        def submit(self, job: Job) -> Iterator[Event]:
            limits.append(job.hosts[0].connect_timeout)
            return iter(())

    limits: list[float] = []
    (tmp_path / "file").touch()
    with Watched(str(folder / "hosts.ini")) as session:
        session.run("true", hosts="h1", connect_timeout=0.3)
        session.ping(hosts="h1", connect_timeout=0.4)
        session.put(str(tmp_path / "file"), "~/", hosts="h1", connect_timeout=0.5)
        session.get("file", str(tmp_path), hosts="h1", connect_timeout=0.6)
    assert limits == [0.3, 0.4, 0.5, 0.6]


def test_nothing_runs_before_the_first_event_is_taken(session: Session, six_hosts: SixHosts) -> None:
    session.run("touch ~/motd.txt", hosts="h1")
    assert last(session.run("test ! -e ~/motd.txt", hosts="h1")).ok == 1


def gone(text: str) -> bool:
    if not can_make_users():  # as above; that it is told is the example's part
        processes.end_all(lambda: with_command(text))
    return ended(lambda: with_command(text))


def close_it(session: Session, command: str) -> None:
    with closing(session.run(command, hosts="h1,h2,db01")) as events:
        wait_for_output(events, 3)
        # a shell says "up" a moment before it becomes `sleep`
        assert ended(lambda: set() if len(with_command(f"sleep\0{command.split()[-1]}")) == 3 else {0})


def leave_the_loop(session: Session, command: str) -> None:
    for event in session.run(command, hosts="h1"):
        if isinstance(event, Output):
            break


def raise_in_the_loop(session: Session, command: str) -> None:
    with pytest.raises(ZeroDivisionError):
        _divide(session, command)


def _divide(session: Session, command: str) -> None:
    for event in session.run(command, hosts="h1"):
        if isinstance(event, Output):
            raise ZeroDivisionError


def submit_and_close(session: Session, command: str) -> None:
    events = session.submit(session.job(Run(command), ["h1", "web01"]))
    wait_for_output(events, 2)
    events.close()


def wait_for_output(events: Iterator[Event], count: int) -> None:
    while count:
        count -= isinstance(next(events), Output)


@pytest.mark.parametrize("stop", [close_it, leave_the_loop, raise_in_the_loop, submit_and_close])
def test_stopping_early_ends_the_remote_commands_and_the_session_goes_on(
    session: Session, stop: Callable[[Session, str], None]
) -> None:
    seconds = f"{700_000 + os.getpid() % 100_000}"
    stop(session, f"echo up; exec sleep {seconds}")
    assert gone(f"sleep\0{seconds}")
    assert last(session.run("true", hosts="h1,h2,web01,db01")).ok == 4


def test_closing_the_session_leaves_no_worker(folder: Path) -> None:
    session = Session(str(folder / "hosts.ini"), known_hosts=str(folder / "known_hosts"))
    events = session.run("echo up; exec sleep 30", hosts="h1")
    wait_for_output(events, 1)
    workers = [member.process.pid or 0 for member in session._pool._members.values()]
    assert workers
    assert all(processes.is_running(pid) for pid in workers)
    events.close()
    session.close()
    session.close()
    assert not [pid for pid in workers if processes.is_running(pid)]


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(folder: Path) -> None:
    script = (
        "open('runs', 'a').write('x')\n"
        "from hostshell import Session\n"
        "session = Session('hosts.ini', known_hosts='known_hosts')\n"
        "print([*session.run('true', hosts='@all')][-1].ok)\n"
        "session.close()\n"
    )
    done = python(folder, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n", "")
    assert (folder / "runs").read_text() == "x"
