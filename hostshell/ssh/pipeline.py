"""The bytes of one file, many requests at a time: to an open handle, or from one. Every answer counts.

Must not know paths or names. Bounded: at most 64 requests and 4 MiB are under way, whatever the size of the file.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import BAD_MESSAGE, END_OF_FILE, Kind, SftpError, pack_string

MAX_REQUESTS = 64  # under way at once; OpenSSH's own client keeps to this too
MAX_BYTES = 4 * 1024 * 1024


class FileShrank(Exception):
    """The source became shorter while it was read: what came is neither its old nor its new content."""


def send_bytes(
    sftp: Sftp, handle: bytes, read: Callable[[int, int], bytes], size: int, moved: Callable[[int], None]
) -> int:
    """Write ``size`` bytes, got by ``read(length, offset)``, to ``handle``; how many were written.

    What a file gains while it is read is left out; a size of 0 means "to its end" (files of /proc say 0). Raises
    `FileShrank`, `SftpError` for the first write that the server refused, and what ``read`` raises.
    """
    under_way: dict[int, int] = {}
    head = pack_string(handle)
    offset = bytes_under_way = 0
    ended = False
    try:
        while True:
            while not ended and len(under_way) < MAX_REQUESTS and bytes_under_way < MAX_BYTES:
                data = read(min(sftp.write_chunk, size - offset) if size else sftp.write_chunk, offset)
                if not data:
                    if offset < size:
                        raise FileShrank
                    ended = True
                    break
                number = sftp.send(Kind.WRITE, head + struct.pack(">Q", offset), data)
                under_way[number] = len(data)
                bytes_under_way += len(data)
                offset += len(data)
                ended = offset == size
            if not under_way:
                return offset
            answer = sftp.next_answer()
            length = under_way.pop(answer.number, 0)
            bytes_under_way -= length
            answer.settled()
            moved(length)
    finally:
        sftp.forget(under_way)


def fetch_bytes(
    sftp: Sftp, handle: bytes, write: Callable[[memoryview, int], object], size: int, moved: Callable[[int], None]
) -> int:
    """Read ``size`` bytes from ``handle`` into ``write(data, offset)``, in any order; how many came.

    What the file gains meanwhile is left out; a size of 0 means "to its end", one request at a time. Raises
    `FileShrank`, `SftpError` for the first read that the server refused, and what ``write`` raises.
    """
    under_way: dict[int, tuple[int, int]] = {}
    again: deque[tuple[int, int]] = deque()  # what short answers left open
    head = pack_string(handle)
    offset = total = bytes_under_way = 0
    most = MAX_REQUESTS if size else 1
    ended = False
    try:
        while True:
            while len(under_way) < most and bytes_under_way < MAX_BYTES and (again or not ended):
                if again:
                    at, length = again.popleft()
                else:
                    at, length = offset, min(sftp.read_chunk, size - offset) if size else sftp.read_chunk
                    offset += length
                    ended = offset == size
                under_way[sftp.send(Kind.READ, head + struct.pack(">QI", at, length))] = (at, length)
                bytes_under_way += length
            if not under_way:
                return total
            answer = sftp.next_answer()
            at, length = under_way.pop(answer.number)
            bytes_under_way -= length
            try:
                data = answer.expect(Kind.DATA).data()
            except SftpError as error:
                if error.code != END_OF_FILE:
                    raise
                if size:
                    raise FileShrank from None
                ended = True
                continue
            came = len(data)
            if not 0 < came <= length:
                raise SftpError(BAD_MESSAGE, "the host broke the SFTP protocol: an answer of the wrong length")
            write(data, at)
            total += came
            moved(came)
            if came < length:
                if size:
                    again.append((at + came, length - came))
                else:
                    offset = at + came
    finally:
        sftp.forget(under_way)
