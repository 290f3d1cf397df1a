"""Digests of local files: remembered as long as the file is what it was, whatever its size and time say."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from hostshell.ssh import localdigests


def later() -> float:
    """The time when what was written just now has settled."""
    return time.time() + 60


def test_a_file_that_was_just_written_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert localdigests.of_path(os.fsencode(path), lambda: False) == hashlib.sha256(b"one").digest()
    assert localdigests.known(path.stat()) is None  # another change may come within the same tick of the clock


def test_a_digest_is_known_until_the_file_changes_even_where_size_and_time_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    info = path.stat()
    assert localdigests.known(info) is None
    assert localdigests.of_path(os.fsencode(path), lambda: False, clock=later) == hashlib.sha256(b"one").digest()
    assert localdigests.known(path.stat()) == hashlib.sha256(b"one").digest()
    while path.stat().st_ctime_ns == info.st_ctime_ns:  # the kernel's clock of files ticks every few milliseconds
        path.write_bytes(b"two")
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert localdigests.known(path.stat()) is None
    assert localdigests.of_path(os.fsencode(path), lambda: False) == hashlib.sha256(b"two").digest()
