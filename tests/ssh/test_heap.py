"""What is freed stays with a process through which much passes. Each in a process of its own: there is no way back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

GLIBC = platform.libc_ver()[0] == "glibc"


def said_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not GLIBC, reason="the C library here is not glibc: there is nothing to set")
def test_buffers_of_packets_are_not_mapped_again_and_again() -> None:
    program = """
import resource, threading
from hostshell.ssh import heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(1000):
        pieces = [bytes(250_000) for _ in range(8)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def look():
    print(faults(), heap.keep(), heap.keep(), faults())

thread = threading.Thread(target=look)
thread.start()
thread.join()
"""
    before, first, second, after = said_by(program)
    assert (first, second) == ("True", "True")
    assert int(after) < 1000 < 10_000 < int(before)


def test_a_link_asks_for_it_once_much_has_passed_in_either_direction() -> None:
    program = """
import socket, sys, threading
from hostshell.ssh import heap
from hostshell.ssh.link import Link

ours, theirs = socket.socketpair()
link = Link(ours, budget=None)
piece = bytes(256 * 1024)
def other():
    if way == "out":
        for _ in range(heap.MUCH // len(piece) + 1):
            got = 0
            while got < len(piece):
                got += len(theirs.recv(len(piece) - got))
    else:
        for _ in range(heap.MUCH // len(piece) + 1):
            theirs.sendall(piece)
way = "WAY"
thread = threading.Thread(target=other)
thread.start()
def move():
    link.send(piece) if way == "out" else link.read_exactly(len(piece))

move()
print(heap.keep.cache_info().currsize, "ctypes" in sys.modules)
for _ in range(heap.MUCH // len(piece)):
    move()
print(heap.keep.cache_info().currsize)
thread.join()
"""
    for way in ("out", "in"):
        assert said_by(program.replace("WAY", way)) == ["0", "False", "1"]


@pytest.mark.parametrize("without", ["_ctypes", "ctypes"])
def test_a_python_without_ctypes_goes_on_as_it_is(without: str) -> None:
    program = f"""
import sys
sys.modules["{without}"] = None
from hostshell.ssh import heap
print(heap.keep(), heap.keep())
"""
    assert said_by(program) == ["False", "False"]
