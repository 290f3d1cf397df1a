"""Commands on a demo host: bytes, ends and signals as a real host gives them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import asyncssh
import pytest

from hostshell.demo.fleet import DemoFleet
from tests.demo.visitor import PATIENCE, RUNNING, alive, connection, eventually, first_number, on_host, run


def test_output_error_output_and_exit_code_come_as_they_are(fleet: DemoFleet) -> None:
    done = run(fleet, "printf 'a\\0\\377\\n'; echo problem >&2; exit 7")
    assert (done.stdout, done.stderr, done.exit_status) == (b"a\0\xff\n", b"problem\n", 7)


def test_large_output_arrives_whole_on_both_streams(fleet: DemoFleet) -> None:
    done = run(fleet, "head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2")
    assert (len(done.stdout), len(done.stderr), done.exit_status) == (5_000_000, 3_000_000, 0)


def test_standard_input_and_its_end_reach_the_command(fleet: DemoFleet) -> None:
    data = bytes(range(256)) * 20_000
    assert run(fleet, "cat", input=data).stdout == data


def test_input_that_the_command_does_not_want_does_no_harm(fleet: DemoFleet) -> None:
    done = run(fleet, "exec <&-; echo ready", input=b"x" * 3_000_000)
    assert (done.stdout, done.exit_status) == (b"ready\n", 0)


def test_a_pipe_is_what_the_command_has_for_standard_input(fleet: DemoFleet) -> None:
    assert run(fleet, "cat /dev/stdin", input=b"through").stdout == b"through"


def test_a_shell_without_a_terminal_reads_commands(fleet: DemoFleet) -> None:
    done = on_host(fleet, lambda conn: conn.run(None, encoding=None, input=b"hostname\nexit 4\n"), "db01")
    assert (done.stdout, done.exit_status) == (b"db01\n", 4)


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_a_command_killed_by_a_signal_says_which(fleet: DemoFleet, name: str) -> None:
    done = run(fleet, f"kill -{name} $$; sleep 100")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == name


@pytest.mark.parametrize("name", ["TERM", "KILL", "HUP"])
def test_a_signal_request_reaches_the_whole_process_group(fleet: DemoFleet, name: str) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> tuple[int, str]:
        process = await conn.create_process("sleep 100 & echo $!; sleep 100; echo no", encoding=None)
        child = await first_number(process)
        process.send_signal(name)
        done = await process.wait()
        assert done.exit_signal is not None
        assert b"no" not in done.stdout
        return child, done.exit_signal[0]

    child, told = on_host(fleet, act)
    assert told == name
    assert eventually(lambda: not alive(child))


def test_an_interrupt_request_reaches_the_command(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> asyncssh.SSHCompletedProcess:
        process = await conn.create_process("exec cat", encoding=None)
        process.stdin.write(b"1\n")
        await first_number(process)  # cat itself answers: a shell that just starts a child may lose an INT
        process.send_signal("INT")
        return await process.wait()

    done = on_host(fleet, act)
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "INT"


def test_a_command_may_catch_its_signal(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> asyncssh.SSHCompletedProcess:
        process = await conn.create_process("trap 'echo caught; exit 3' TERM; echo 1; sleep 1 & wait", encoding=None)
        await first_number(process)
        process.send_signal("TERM")
        return await process.wait()

    done = on_host(fleet, act)
    assert (done.stdout, done.exit_status) == (b"caught\n", 3)


def test_a_background_child_that_holds_the_output_does_not_hold_the_exit_code(fleet: DemoFleet) -> None:
    done = run(fleet, "sleep 100 & echo $!; exit 5")
    child = int(done.stdout)
    assert done.exit_status == 5
    assert alive(child)
    os.kill(child, signal.SIGKILL)


def test_a_command_ends_when_its_client_goes_away(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> int:
        process = await conn.create_process("trap '' HUP; echo $$; sleep 100; sleep 100", encoding=None)
        pid = await first_number(process)
        conn.abort()
        return pid

    pid = on_host(fleet, act)
    assert eventually(lambda: not alive(pid))


def resident(pid: int) -> int:
    """The memory of a process, in KiB."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout)


def test_endless_output_waits_for_a_client_that_does_not_read(fleet: DemoFleet) -> None:
    server = fleet.pid
    assert server is not None

    async def act(conn: asyncssh.SSHClientConnection) -> int:
        before = resident(server)
        process = await conn.create_process("echo $$; exec yes", encoding=None)
        pid = await first_number(process)
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert resident(server) - before < 64 * 1024
        wanted = 20_000_000
        while wanted > 0:
            wanted -= len(await process.stdout.read(1_000_000))
        assert resident(server) - before < 64 * 1024
        process.close()
        return pid

    pid = on_host(fleet, act)
    assert eventually(lambda: not alive(pid))


@pytest.mark.parametrize(("command", "reason"), [("x" * 200_000, b"too long"), ("echo a\0b", b"null byte")])
def test_a_command_that_no_shell_can_take_says_so(fleet: DemoFleet, command: str, reason: bytes) -> None:
    done = run(fleet, command)
    assert done.exit_status not in (0, None)
    assert reason in done.stderr


def test_commands_see_a_small_environment(fleet: DemoFleet) -> None:
    names = {line.split(b"=")[0].decode() for line in run(fleet, "env").stdout.splitlines()}
    expected = {"HOME", "HOSTNAME", "LOGNAME", "PATH", "PS1", "SHELL", "USER", "PWD", "OLDPWD", "SHLVL", "_"}
    assert names <= expected | {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TMPDIR", "TZ"}


def test_many_sessions_share_a_connection(fleet: DemoFleet) -> None:
    async def act(conn: asyncssh.SSHClientConnection) -> list[bytes]:
        done = await asyncio.gather(*(conn.run(f"echo {number}", encoding=None) for number in range(30)))
        return [one.stdout for one in done]

    assert on_host(fleet, act) == [b"%d\n" % number for number in range(30)]


def test_connections_come_and_go_without_one_that_stalls(fleet: DemoFleet) -> None:
    async def visit(number: int) -> bytes:
        async with connection(fleet, RUNNING[number % len(RUNNING)]) as conn:
            ran = await asyncio.gather(*(conn.run(f"echo {number}", input=b"", encoding=None) for _ in range(3)))
            return b"".join(one.stdout for one in ran)

    async def act() -> list[bytes]:
        return [await asyncio.wait_for(visit(number), PATIENCE) for number in range(30)]

    assert asyncio.run(act()) == [b"%d\n" % number * 3 for number in range(30)]


def test_files_to_look_at_differ_where_they_should(fleet: DemoFleet) -> None:
    logs = {run(fleet, "cat logs/app.log notes.txt", name).stdout for name in RUNNING}
    assert len(logs) == len(RUNNING)
    versions = [run(fleet, "grep version app.conf", name).stdout for name in RUNNING]
    assert len(set(versions)) == 2
    assert versions.count(versions[RUNNING.index("db02")]) == 1
