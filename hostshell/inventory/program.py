"""A program that prints an inventory: run with ``--list``, for as long and as much as is bearable.

Must not know what it prints. It runs because a person has named it, in their own environment, without standard input.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.inventory.files import MOST_BYTES, Content, decode

PATIENCE = 60.0  # seconds: a cloud may have to be asked for every host of it
_MOST_ERRORS = 64 * 1024  # bytes of standard error that are kept
_MOST_LINES = 5  # of them that are shown


def run(content: Content, patience: float = PATIENCE) -> tuple[str, str]:
    """What the program printed, and the last lines of its standard error. Raises `InventoryError` with both causes."""
    shown = content.shown
    try:
        process = subprocess.Popen(
            [os.path.abspath(content.path), "--list"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that what it starts ends with it
        )
    except OSError as error:
        interpreter = _interpreter(content.path) if isinstance(error, FileNotFoundError) else ""
        if interpreter:  # the system says of both that there is no such file
            hint = "correct its first line, or install what it names"
            if interpreter.endswith("\r"):
                hint = "its lines end as on Windows: save it with \\n alone at their ends"
            what = f"there is no {clean(interpreter.rstrip())}, which its first line names"
            raise InventoryError(f"the program {shown} cannot be run: {what}", hint) from None
        raise InventoryError(f"the program {shown} cannot be run: {(error.strerror or str(error)).lower()}") from None
    try:
        out, err, why = _read(process, time.monotonic() + patience)
        if not why:
            process.wait(max(0.1, patience))
    except subprocess.TimeoutExpired:
        out, err, why = b"", b"", f"did not end within {patience:g} s"
    finally:
        _end(process)
    said = _last_lines(err)
    if why:
        raise InventoryError(f"the program {shown} {why}", said)
    if process.returncode:
        how = f"exit code {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        raise InventoryError(f"{shown} --list ended with {how}", said or "it said nothing on standard error")
    if not out.strip():
        raise InventoryError(f"{shown} --list printed nothing", said)
    return decode(out, f"output of {shown}"), said


def _interpreter(path: str) -> str:
    """What runs the program, from its first line; "" where it names none, or is not there itself."""
    try:
        with open(path, "rb") as stream:
            first = stream.readline(4096)
    except OSError:
        return ""
    match = re.match(rb"#![ \t]*([^ \t\n]*)", first)
    return match[1].decode("utf-8", "replace") if match else ""


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes, str]:
    """Standard output, the end of standard error, and why it was given up ("" where it was not)."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, into in ((process.stdout, out), (process.stderr, err)):
            selector.register(stream, selectors.EVENT_READ, into)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return bytes(out), bytes(err), "did not end in time"
            for key, _ in selector.select(left):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                key.data.extend(data)
            if len(out) > MOST_BYTES:
                return b"", bytes(err), f"printed more than {MOST_BYTES // 1024 // 1024} MiB"
            del err[:-_MOST_ERRORS]
    return bytes(out), bytes(err), ""


def _end(process: subprocess.Popen[bytes]) -> None:
    # also where it has ended itself: what it has started has its group, whose number nobody else gets while it lives
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _last_lines(err: bytes) -> str:
    lines = [clean(line)[:200] for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    return "\n".join(lines[-_MOST_LINES:])
