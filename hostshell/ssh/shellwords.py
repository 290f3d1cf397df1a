"""What is said to a POSIX host's shell and tools about files, and what they say: words, times, attributes, reasons.

Pure. Must not know how it is sent.
"""

from __future__ import annotations

import re
import shlex
import stat
import time

from hostshell.core.clean import clean, decode
from hostshell.ssh.remoteshell import Said
from hostshell.ssh.sftpwire import FAILURE, NO_SUCH_FILE, PERMISSION_DENIED, Attributes, SftpError

LATEST = 253402300799  # seconds: the end of the year 9999, which touch can say

_FIELDS = re.compile(rb"([0-9a-f]+) (\d+) (\d+) (\d+) (-?\d+) (-?\d+) ")
_LONG = re.compile(rb"([-dlbcps])([-rwxsStT]{9})\S* +\d+ +(\d+) +(\d+) +(?:(\d+)|\d+, *\d+) ")
_TYPES = {
    b"-": stat.S_IFREG, b"d": stat.S_IFDIR, b"l": stat.S_IFLNK, b"b": stat.S_IFBLK, b"c": stat.S_IFCHR,
    b"p": stat.S_IFIFO, b"s": stat.S_IFSOCK,
}  # fmt: skip


def from_stat(output: bytes, at: int, base: int) -> tuple[Attributes, int] | None:
    """The attributes that ``stat`` says from ``at`` on (the mode in that ``base``), and where their text ends."""
    match = _FIELDS.match(output, at)
    if match is None:
        return None
    size, uid, gid, atime, mtime = (int(number) for number in match.groups()[1:])
    return Attributes(size, uid, gid, int(match[1], base), atime, mtime), match.end()


def from_ls(output: bytes, at: int) -> tuple[Attributes, int] | None:
    """The same for ``ls -ln``, which tells no time that could be read."""
    match = _LONG.match(output, at)
    if match is None:
        return None
    mode = _TYPES[match[1]] | _bits(match[2])
    return Attributes(int(match[5] or 0), int(match[3]), int(match[4]), mode), match.end()


def word(path: bytes) -> bytes:
    """A path as one word for the shell, which no tool takes for an option."""
    return quote(path if path.startswith(b"/") else b"./" + path)


def quote(text: bytes) -> bytes:
    """Any text as one word for the shell."""
    return shlex.quote(text.decode("latin-1")).encode("latin-1")


def there(path: bytes) -> bytes:
    """The test whether anything stands at a path, a link that leads nowhere as well."""
    return b"{ [ -e %s ] || [ -L %s ]; }" % (word(path), word(path))


def stamp(seconds: int) -> bytes:
    """A time as ``touch -t`` takes it, in UTC."""
    return time.strftime("%Y%m%d%H%M.%S", time.gmtime(min(max(seconds, 0), LATEST))).encode()


def _bits(text: bytes) -> int:
    """The permission bits that ``ls -l`` shows."""
    mode = 0
    for place, char in enumerate(text.decode("ascii")):
        if char in "rwxst":
            mode |= 0o400 >> place
        if char in "sStT":
            mode |= 0o4000 >> place // 3
    return mode


def names_of(listed: bytes, *, dots: bool = False) -> list[bytes]:
    """Names of a list in which each follows ``./`` and is ended by NUL."""
    names = [name[2:] for name in listed.split(b"\0") if name.startswith(b"./")]
    return names if dots else [name for name in names if name not in (b".", b"..")]


def refused(said: Said) -> SftpError:
    """Why a tool failed, in the words of SFTP where there are such, else in its own."""
    lines = [line for line in said.output.split(b"\n") if line.strip()]
    last = lines[-1] if lines else b""
    for text in (b"No such file or directory", b"nonexistent directory", b"Directory nonexistent", b"Not a directory"):
        if text in last:
            return SftpError(NO_SUCH_FILE)
    for text in (b"Permission denied", b"Operation not permitted"):
        if text in last:
            return SftpError(PERMISSION_DENIED)
    reason = clean(decode(last[-200:])).rpartition(": ")[2]
    return SftpError(FAILURE, reason or f"exit code {said.status}")
