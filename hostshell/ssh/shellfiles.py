"""The verbs of a copy without SFTP: by tools that a POSIX host has (sh, cat, mv, stat …), over the command channel.

Knows the differences between GNU's, BSD's and busybox's tools; must not know what is copied where. Each verb waits for
its own answer, so files go one after the other. Names reach the shell quoted, and never as an option.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Sequence
from typing import Any

from hostshell.ssh import digests
from hostshell.ssh.remotefiles import Digests, FileShrank, SftpGone, SftpStopped, Unsettled
from hostshell.ssh.remoteshell import OpensSessions, RemoteShell, Said, Stream
from hostshell.ssh.sftpwire import FAILURE, NO_SUCH_FILE, Attributes, Entry, FileSystem, SftpError
from hostshell.ssh.shellwords import from_ls, from_stat, names_of, quote, refused, stamp, there, word

SMALL = 32 * 1024  # bytes of a file that is read as a whole
PIECE = 256 * 1024  # bytes read from a local file at once

# what of the host's tools is which; answered as words in one line
_PROBE = rb"""
if stat -c %f / >/dev/null; then printf gnu
elif stat -f %p / >/dev/null; then printf bsd
else printf ls
fi
for o in T h; do
case $(mv -f -$o -- /nonexistent/a /nonexistent/b 2>&1) in *option*|*sage*) ;; *) printf ' -%s' $o; break;; esac
done
"""
_FORMATS = {"gnu": "stat -c '%f %s %u %g %X %Y ", "bsd": "stat -f '%p %z %u %g %a %m "}
# Not with >>: what an earlier try has sent may still be on its way to the disk, and comes to the same places then,
# instead of a second time behind what is sent now. Neither an exec nor <> cuts the file.
_WRITE = rb"""exec 2>&1 1<> %s
[ %d = 0 ] || dd bs=1 seek=%d count=0 conv=notrunc </dev/null 2>/dev/null || { echo x: dd cannot seek >&2; exit 1; }
exec cat
"""
_HASH = b"sha256sum < %s || shasum -a 256 < %s || openssl sha256 -r < %s"


class ShellFiles:
    """See `remotefiles.RemoteFiles`."""

    small = SMALL

    def __init__(self, connection: OpensSessions, stopped: Callable[[], bool]) -> None:
        """Raises `LinkLost` (not started), `SftpStopped`, and `SftpGone` where no POSIX shell answers."""
        self._connection = connection
        self.shell = RemoteShell(connection, stopped)
        kind, *flag = self.done(_PROBE.replace(b">/dev/null", b">/dev/null 2>&1")).decode("ascii", "replace").split()
        self._format = _FORMATS.get(kind, "")
        self._base = 8 if kind == "bsd" else 16
        self._exactly = flag[0] if flag else ""  # the option with which mv never moves into a directory

    # --- answers ---

    @property
    def stopping(self) -> bool:
        """Whether we have been told to stop."""
        return self.shell.stopping

    def heed(self) -> None:
        """As `remotefiles.Answers`."""
        self.shell.heed()

    def next_reply(self) -> tuple[int, Any]:
        """Never called: no verb waits beside others."""
        raise SftpGone("nothing was asked")

    def keep_reply(self, number: int, reply: Any) -> None:
        """Never called."""

    def close(self) -> None:
        """End it."""
        self.shell.close()

    def done(self, script: bytes) -> bytes:
        """The output of a script that went well. Raises `SftpError`."""
        said = self.shell.run(script)
        if said.status:
            raise refused(said)
        return said.output

    # --- looking ---

    async def stat(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """What stands at ``path``; None where there is nothing."""
        return self.look(path, follow=follow)

    def look(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """The same, at once."""
        try:
            if self._format:
                output = self.done(f"{self._format}' {'-L ' if follow else ''}-- ".encode() + word(path))
            else:
                output = self.done(b"ls -ldn" + (b"L" if follow else b"") + b" -- " + word(path))
        except SftpError as error:
            if error.missing:
                return None
            raise
        found = self._attributes(output.rstrip(b"\n") + b" ")
        if found is None:
            raise SftpError(FAILURE, "its stat answers in a way of its own")
        return found[0]

    def _attributes(self, output: bytes, at: int = 0) -> tuple[Attributes, int] | None:
        return from_stat(output, at, self._base) if self._format else from_ls(output, at)

    def foresee_list(self, path: bytes) -> None:
        """Nothing can be begun: each verb waits for its own answer."""

    def never_mind(self, path: bytes) -> None:
        """Nothing was begun."""

    def foresee_digests(self) -> None:
        """Nothing is begun: there is no other verb under way meanwhile."""

    async def list(self, path: bytes, expected: int = 0) -> list[Entry]:  # noqa: ARG002  # it all comes at once
        """The entries of a directory with their own attributes."""
        # names come alone first: in what stat prints a name may hold anything, so it must be known
        inside = b"cd -- " + word(path) + b" || exit 1\n[ -r . ] || { echo x: Permission denied; exit 1; }\n"
        names = b"printf '%s\\000' ./* ./.*\n"
        if not self._format:
            return [
                Entry(name, found)
                for name in names_of(self.done(inside + names))
                if (found := self.look(path.rstrip(b"/") + b"/" + name, follow=False)) is not None
            ]
        each = b"printf '%s\\000' ./* ./.* | xargs -0 " + f"{self._format}%".encode()
        output = self.done(
            inside + names + b"printf '\\000'\n" + each + (b"N" if self._base == 8 else b"n") + b"' -- 2>/dev/null\n:"
        )
        listed, _, told = output.partition(b"\0\0")
        entries: list[Entry] = []
        at = 0
        for name in names_of(listed, dots=True):
            line = self._attributes(told, at)
            if line is None or not told.startswith(b"./" + name + b"\n", line[1]):
                continue  # it is gone by now
            at = line[1] + len(name) + 3
            if name not in (b".", b".."):
                entries.append(Entry(name, line[0]))
        return entries

    async def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""
        return self.done(b"readlink -n -- " + word(path))

    async def canonical(self, path: bytes) -> bytes:
        """The path of what stands at ``path``, absolute and without a symlink in it."""
        # the x keeps the newlines at the end of a name from being cut off
        inside = b'cd -P -- %s && p=$(pwd -P && printf x) && printf %%s "${p%%??}"' % word(path)
        return self.done(b"if [ -d %s ]; then\n%s\nelse readlink -f -n -- %s; fi" % (word(path), inside, word(path)))

    async def file_system(self, path: bytes) -> FileSystem | None:  # noqa: ARG002  # a verb of all
        """Not known: what the tools say of a failure says it."""
        return None

    # --- content ---

    async def create(self, path: bytes) -> ShellUpload:
        """Make a new file for us alone: `set -C` is O_EXCL."""
        try:
            self.done(b"set -C; umask 077; : > " + word(path))
        except SftpStopped:
            raise Unsettled from None
        return ShellUpload(self, path)

    async def reopen(self, path: bytes) -> ShellUpload:
        """Go on with a file that is there, and that is none by way of a link."""
        target = word(path)
        wrong = b"{ echo x: No such file or directory; exit 1; }"
        self.done(b"[ -f %s ] && [ ! -L %s ] || %s\n: >> %s" % (target, target, wrong, target))
        return ShellUpload(self, path)

    async def open(self, path: bytes) -> ShellDownload:
        """Open a file for reading."""
        found = self.look(path)
        if found is None:
            raise SftpError(NO_SUCH_FILE)
        if not (found.is_directory or found.is_special):
            self.done(b": < " + word(path))
        return ShellDownload(self, path, found)

    # --- changing ---

    async def setstat(self, path: bytes, attributes: Attributes) -> None:
        """Set mode and times on a path."""
        self.dress(path, attributes)

    def dress(self, path: bytes, attributes: Attributes, first: bytes = b"") -> None:
        """Do ``first``, then set what ``attributes`` holds: one round trip for all."""
        target = word(path)
        script = b"set -e\n" + first
        if attributes.mode is not None:
            script += b"chmod -- %04o %s\n" % (stat.S_IMODE(attributes.mode), target)
        if attributes.mtime is not None:
            read, written = stamp(attributes.atime or attributes.mtime), stamp(attributes.mtime)
            # a touch that knows no -a and -m sets both: the time of the content is the one that counts
            script += b"export TZ=UTC0\ntouch -a -t %s -- %s 2>/dev/null || :\n" % (read, target)
            script += b"touch -m -t %s -- %s 2>/dev/null || touch -t %s -- %s\n" % (written, target, written, target)
        self.done(script)

    async def mkdir(self, path: bytes, mode: int | None = None) -> None:
        """Make a directory."""
        self.done(b"mkdir " + (b"" if mode is None else b"-m %04o " % mode) + b"-- " + word(path))

    async def make(self, path: bytes, mode: int) -> Attributes | None:
        """Make a directory, or see what stands there."""
        try:
            await self.mkdir(path, mode)
        except SftpError:
            found = self.look(path)
            if found is None:
                raise
            return found
        return None

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        self.done(b"rmdir -- " + word(path))

    async def remove(self, path: bytes) -> None:
        """Remove a file or a link."""
        self.done(there(path) + b" || { echo x: No such file or directory; exit 1; }\nrm -f -- " + word(path))

    async def symlink(self, text: bytes, path: bytes) -> None:
        """Make a link at ``path`` that says ``text``."""
        # the text stays as it is: a leading ./ would belong to it
        self.done(there(path) + b" && { echo x: File exists; exit 1; }\nln -s -- " + quote(text) + b" " + word(path))

    async def replace(self, source: bytes, target: bytes) -> None:
        """Rename over what may stand at ``target``, in one step; never into a directory."""
        old, new = word(source), word(target)
        script = b"if [ -d %s ] && [ ! -L %s ]; then echo x: Is a directory; exit 1; fi\n" % (new, new)
        if self._exactly:
            script += b"mv -f %s -- %s %s" % (self._exactly.encode(), old, new)
        else:
            # this mv would follow a link to a directory; such a link goes first, and that is not one step
            script += b"if [ -d %s ]; then rm -f -- %s || exit; fi\nmv -f -- %s %s" % (new, new, old, new)
        self.done(script)

    async def keep(self, path: bytes, backup: bytes) -> None:
        """Let the file be found at ``backup`` too, or move it there."""
        old, new = word(path), word(backup)
        script = there(backup) + b" && { echo x: File exists; exit 1; }\n"
        self.done(script + b"ln -- %s %s 2>/dev/null || mv -f -- %s %s" % (old, new, old, new))

    # --- digests ---

    async def digests(self, paths: Sequence[bytes], meanwhile: Callable[[], None] = lambda: None) -> Digests | None:
        """SHA-256 of many files, by a tool of the host."""
        return digests.of_files(self._connection, paths, self.heed, meanwhile)

    async def digest_of_start(
        self, path: bytes, size: int, meanwhile: Callable[[], None] = lambda: None
    ) -> bytes | None:
        """SHA-256 of the first ``size`` bytes of one file."""
        return digests.of_start(self._connection, path, size, self.heed, meanwhile)


class ShellUpload:
    """A file being written by `cat`, in a session of its own."""

    def __init__(self, files: ShellFiles, path: bytes) -> None:
        self._files = files
        self._path = path
        self._size = 0
        self._hash: Any = hashlib.sha256()

    async def fill(
        self,
        read: Callable[[int, int], bytes],
        start: int,
        size: int,
        moved: Callable[[int], None],
        before: hashlib._Hash | None = None,
    ) -> None:
        """Write what is from ``start`` on."""
        self._size = start
        if start:
            self._hash = None if before is None else before.copy()
        stream: Stream | None = None
        try:
            while not size or self._size < size:
                data = read(min(PIECE, size - self._size) if size else PIECE, self._size)
                if not data:
                    if size:
                        raise FileShrank
                    break
                if stream is None:
                    stream = self._files.shell.open(_WRITE % (word(self._path), start, start))
                stream.send(data)
                if self._hash is not None:
                    self._hash.update(data)
                self._size += len(data)
                moved(len(data))
            if stream is not None:
                _end(stream, self._files.shell.mark)
        except SftpGone:
            if stream is not None and not self._files.stopping:
                _end(stream, self._files.shell.mark)  # why it took no more
            raise
        finally:
            if stream is not None:
                stream.close()

    async def stat(self) -> Attributes:
        """The attributes of the file as the host made it."""
        found = self._files.look(self._path, follow=False)
        if found is None:
            raise SftpError(NO_SUCH_FILE)
        return found

    async def chown(self, uid: int, gid: int) -> None:
        """Give the file away."""
        self._files.done(b"chown -- %d:%d %s" % (uid, gid, word(self._path)))

    async def finish(self, attributes: Attributes, *, sync: bool) -> None:
        """Check what has arrived, then set mode and times."""
        target = word(self._path)
        found = await self.stat()
        if found.size is not None and found.size != self._size:
            raise SftpError(FAILURE, f"{found.size} bytes arrived of {self._size}")
        if self._hash is not None and self._size:
            hashed = self._files.shell.run(_HASH % ((target,) * 3))
            digest = re.search(rb"\b[0-9a-f]{64}\b", hashed.output)
            if digest is not None and not hashed.status and digest[0].decode() != self._hash.hexdigest():
                raise SftpError(FAILURE, "what arrived is not what was sent")
        self._files.dress(self._path, attributes, b"sync -- %s 2>/dev/null || sync\n" % target if sync else b"")

    def abandon(self) -> None:
        """Nothing is open between the verbs."""


class ShellDownload:
    """A file being read by `cat`, in a session of its own."""

    def __init__(self, files: ShellFiles, path: bytes, found: Attributes) -> None:
        self._files = files
        self._path = path
        self._found = found

    async def stat(self) -> Attributes:
        """The attributes of the file when it was opened."""
        return self._found

    async def fetch(
        self, write: Callable[[memoryview, int], object], start: int, size: int, moved: Callable[[int], None]
    ) -> int:
        """Read from ``start`` up to ``size``."""
        program = b"tail -c +%d" % (start + 1) if start else b"cat"
        mark = self._files.shell.mark
        stream = self._files.shell.open(b"exec %s < %s 2>/dev/null" % (program, word(self._path)))
        offset = start
        head: bytes | None = b""
        try:
            stream.end_input()
            while not size or offset < size:
                data = stream.receive()
                if not data:
                    break
                if head is not None:
                    head += data
                    _, begun, data = head.partition(mark)
                    if not begun:
                        head = head[-len(mark) :]
                        continue
                    head = None
                data = data[: size - offset] if size else data
                write(memoryview(data), offset)
                offset += len(data)
                moved(len(data))
            if offset < size or not size:
                status = stream.exit_status()
                if status:
                    raise SftpError(FAILURE, f"{program.split()[0].decode()} failed with exit code {status}")
                if offset < size:
                    raise FileShrank
        finally:
            stream.close()
        return offset

    def abandon(self) -> None:
        """Nothing is open between the verbs."""


def _end(stream: Stream, mark: bytes) -> None:
    """Wait for the program's end. Raises `SftpError` with what it said where that was not well."""
    stream.end_input()
    output = b""
    while data := stream.receive():
        output = (output + data)[-PIECE:]
    status = stream.exit_status()
    if status:
        raise refused(Said(status, output.partition(mark)[2]))
