"""The names in one directory of a host, over SFTP: many answers under way at once, and bounds to what a server sends.

Must not know whose directory it is, nor what becomes of the names.
"""

from __future__ import annotations

from collections import deque

from hostshell.ssh.exchange import Exchange
from hostshell.ssh.sftpwire import END_OF_FILE, FAILURE, Entry, Kind, SftpError, pack_string

MAX_ENTRIES = 300_000  # names in one directory: they are kept in memory while it is copied
MAX_NAMES = 64 * 1024 * 1024  # bytes of those names together
NAMES_IN_AN_ANSWER = 100  # at the most, with OpenSSH's server
LISTED_AHEAD = 24  # answers of one listing that are under way


async def entries_of(exchange: Exchange, handle: bytes, expected: int) -> list[Entry]:
    """What the open directory ``handle`` holds, without ``.`` and ``..``; about ``expected`` names, if that is known.

    Raises `SftpError`, also where there are too many.
    """
    entries: list[Entry] = []
    count = size = 0
    ahead: deque[int] = deque()  # a long listing has ever more under way: an answer holds a hundred names at most
    # the two that are no entries come first, and the answer that says that this was all comes last
    most = max(2, min(-(-(expected + 2) // NAMES_IN_AN_ANSWER) + 1, LISTED_AHEAD))
    try:
        while True:
            while len(ahead) < most:
                ahead.append(exchange.send(Kind.READDIR, pack_string(handle)))
            most = min(most + 2, LISTED_AHEAD)
            try:
                answer = (await exchange.answer(ahead.popleft())).expect(Kind.NAME)
            except SftpError as error:
                if error.code == END_OF_FILE:
                    return entries
                raise
            names = answer.number()
            count += max(names, 1)  # answers without a name count too, or a server could send them for ever
            if count > MAX_ENTRIES:
                raise SftpError(FAILURE, f"more than {MAX_ENTRIES} names in one directory")
            for _ in range(names):
                name = answer.string()
                size += len(name)
                if size > MAX_NAMES:
                    raise SftpError(FAILURE, f"names of more than {MAX_NAMES >> 20} MiB in one directory")
                answer.skip()  # the long form, as `ls -l` would print it
                attributes = answer.attributes()
                if name not in (b".", b".."):
                    entries.append(Entry(name, attributes))
    finally:
        exchange.forget(ahead)
