"""What outlives a worker to end its ProxyCommands, on processes of our own."""

from __future__ import annotations

import subprocess

from hostshell.ssh.proxy import _WATCH


def test_what_is_left_ends_with_the_watchers_input_and_what_was_given_up_does_not() -> None:
    sleeps = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(5)]
    try:
        first, second, third, fourth, last = sleeps
        told = [f"+ {each.pid}" for each in (first, second, third)]
        told += [f"- {second.pid}", f"+ {fourth.pid}", f"- {first.pid}", f"+ {last.pid}", f"- {last.pid}"]
        subprocess.run(["/bin/sh", "-c", _WATCH], input="\n".join([*told, ""]), text=True, check=False, timeout=20)
        assert (third.wait(20), fourth.wait(20)) == (-9, -9)
        assert [each.poll() for each in (first, second, last)] == [None] * 3
    finally:
        for each in sleeps:
            each.kill()
            each.wait()
