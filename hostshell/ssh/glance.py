"""Which names begin so in a directory of a host: asked with a small script over a connection that is open anyway.

For Tab, so it is short of patience and never a trouble: whatever goes wrong, the host has not said. Knows no turns.
The script goes to `sh` over standard input, so that no login shell ever reads a name.
"""

from __future__ import annotations

import contextlib
import shlex
import time

import paramiko

from hostshell.core.encodings import UTF_8, encode
from hostshell.core.errors import UsageError
from hostshell.core.paths import wire_path
from hostshell.ssh.transport import Transport, send_exec

PATIENCE = 1.2  # seconds for the whole of it
POLL = 0.1  # seconds between two looks at whether the link lives
MOST_NAMES = 500
MOST_BYTES = 64 * 1024  # of all names together


def names_in(
    transport: Transport, directory: str, begun: str, encoding: str = UTF_8
) -> tuple[tuple[tuple[str, bool], ...], bool] | None:
    """Names in ``directory`` that begin with ``begun``, whether each is a directory, and whether these are all.

    They are in ``encoding`` there; those that cannot be typed are left out. None where the host did not say. Never
    raises.
    """
    try:
        script = encode(_script(directory, begun), encoding)
        until = time.monotonic() + PATIENCE
        asked = transport.ask_session(MOST_BYTES)
        try:
            if not asked.answered.wait(PATIENCE) or not asked.opened:
                return None
            return _read(asked.channel, script, until, encoding)
        finally:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                asked.channel.close()
    except (UsageError, UnicodeEncodeError, paramiko.SSHException, OSError, EOFError):
        return None


def _script(directory: str, begun: str) -> str:
    path = wire_path(directory or ".").decode("utf-8", "surrogateescape")
    place = shlex.quote(path if path.startswith("/") else f"./{path}")
    start = shlex.quote(begun) if begun else ""
    return f"""unset CDPATH
cd {place} 2>/dev/null || {{ printf '\\0'; exit; }}
n=0
for f in {start}*; do
[ -e "$f" ] || [ -L "$f" ] || continue
if [ -d "$f" ]; then printf '%s/\\0' "$f"; else printf '%s\\0' "$f"; fi
n=$((n+1))
if [ $n -ge {MOST_NAMES} ]; then printf '/\\0'; exit; fi
done
printf '\\0'
"""


def _read(
    channel: paramiko.Channel, script: bytes, until: float, encoding: str
) -> tuple[tuple[tuple[str, bool], ...], bool] | None:
    channel.settimeout(POLL)
    send_exec(channel, b"sh")
    channel.sendall(script)
    channel.shutdown_write()
    answer = bytearray()
    while time.monotonic() < until and len(answer) <= MOST_BYTES:
        try:
            data = channel.recv(MOST_BYTES)
        except TimeoutError:
            if not channel.get_transport().is_active():
                return None
            continue
        if not data:
            break
        answer += data
    *records, rest = bytes(answer).split(b"\0")
    if not records:
        return None
    whole = not rest and not records[-1]  # the empty one ends it; "/" where there is more
    found = []
    for record in records:
        is_directory = record.endswith(b"/")
        name = record[:-1] if is_directory else record
        with contextlib.suppress(UnicodeDecodeError):
            text = name.decode(encoding)
            if text.isprintable() and text not in ("", ".", "..") and "/" not in text:
                found.append((text, is_directory))
    return tuple(found), whole
