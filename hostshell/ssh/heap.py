"""The C heap of a process through which much passes: what is freed is kept for the next packet.

Must not know what passes. glibc gives the end of its heap back to the kernel whenever 128 KiB of it are free, and takes
blocks of that size from the kernel one by one (mallopt(3)). A packet is copied half a dozen times on its way, in
buffers of 32 to 256 KiB that live for microseconds, so that each would be mapped, cleared and unmapped again.
"""

from __future__ import annotations

import functools
import sys

MUCH = 4 * 1024 * 1024  # bytes through one connection: from here on it pays
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT = 4 * 1024 * 1024  # bytes at the end of a heap that are kept, many times a write; glibc has up to 8 heaps a core
_LARGE = 2 * 1024 * 1024  # bytes of a block that is still taken from the kernel, and given back when it is freed


@functools.cache
def keep() -> bool:
    """Keep what is freed, from now on; whether this C library can. The first call in a process does it."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes  # costs some milliseconds, and most sessions never need it

        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_TRIM_THRESHOLD, _KEPT)) and bool(mallopt(_MMAP_THRESHOLD, _LARGE))
    except Exception:  # another C library, a Python without ctypes, a kernel that forbids it: a link must not end of it
        return False
