"""A command with its surroundings (directory, environment, script, sudo) as one line for whatever login shell is there.

Pure. The line is the same to sh, bash, zsh, fish and csh: ``exec sh -c 'PROGRAM' hostshell 'ARGUMENT' …``, in which no
character stands that one of them would read otherwise. Must not know how the line is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hostshell.core.encodings import encode
from hostshell.core.model import Run
from hostshell.core.sudo import Tokens

# single quotes keep what is left in every shell: neither ' nor \ (fish), ! or the newline (csh), and ASCII alone
_UNSAFE = re.compile(rb"[^ -~]|['\\!]")

# _hs_v becomes the next argument, decoded; the point keeps newlines at its end
_TAKE = '_hs_v=$(printf %b. "$1"); _hs_v=${_hs_v%.}; shift; '
_ENTER = (
    f'{_TAKE}case $_hs_v in "~") _hs_v=$HOME;; "~/"*) _hs_v=$HOME/${{_hs_v#"~/"}};; -) _hs_v=./-;; esac; '
    'CDPATH= cd -- "$_hs_v" || exit 1; '
)
# the file has lost its name before the first byte of the script is in it, and a Ctrl-C waits until it has: nothing is
# left behind, whatever happens
_RECEIVE = (
    "_hs_u=$(umask); umask 077; "
    'trap "" HUP INT TERM; '
    '_hs_f=$(mktemp) && exec 7<"$_hs_f" 8>"$_hs_f" 9<"$_hs_f" && rm -f "$_hs_f" || exit 126; '
    "trap - HUP INT TERM; "
    '%s >&8; exec 8>&-; if [ "$(wc -c <&7)" -ne %d ]; then '
    'echo "hostshell: the script did not arrive whole" >&2; exit 126; fi; '
    "exec 7<&-; if [ -e /dev/fd/9 ]; then :; else "
    'echo "hostshell: no script can be run here: there is no /dev/fd" >&2; exit 126; fi; umask "$_hs_u"; '
)
_DECODE_ALL = f'_hs_n=$#; while [ "$_hs_n" -gt 0 ]; do {_TAKE}set -- "$@" "$_hs_v"; _hs_n=$((_hs_n - 1)); done; '
# what sudo runs says first that it runs, and in which process group
_SUDO = (
    "_hs_p=$1 _hs_u=$2 _hs_i=$3 _hs_m=$4; shift 4; "
    'exec sudo -S -p "$_hs_p" -u "$_hs_u" -- sh -c "$_hs_i" hostshell "$_hs_m" "${SHELL:-/bin/sh}" "$$" "$@"'
)
_OPEN = 'printf "%s%s]" "$1" "$3" >&2; _hs_s=$2; shift 3; '
_SCRIPT = "/dev/fd/9"


def remote_line(run: Run, encoding: str, sudo: Tokens | None = None, *, over_terminal: bool = False) -> bytes:
    """The line that a host's login shell gets, for a run that is meant for this host.

    Without surroundings it is the command itself. The script and then the input come on its standard input. ``sudo``:
    whose rights it takes, and what its prompt and its beginning are known by. ``over_terminal``: standard input is a
    raw terminal, which has no end. Raises `UnicodeError` where ``encoding`` lacks a character.
    """
    if not (run.script or run.environment or run.directory is not None or sudo):
        return encode(run.command, encoding)
    parts: list[str] = []
    words: list[str] = []
    if sudo is None:
        parts.append("_hs_s=${SHELL:-/bin/sh}; ")
    else:
        parts.append(_OPEN)
    if run.directory is not None:
        parts.append(_ENTER)
        words.append(run.directory)
    if run.script is not None:
        # head may take more than it is asked for, which matters only where something follows
        size = run.script.file.size
        read = f"head -c {size}" if run.stdin is None else f"dd bs=1 count={size} 2>/dev/null"
        parts.append(_RECEIVE % (read, size))
    for name, value in run.environment:
        parts.append(f'{_TAKE}export {name}="$_hs_v"; ')
        words.append(value)
    before = after = ""
    if run.stdin is None:
        after = " </dev/null" if run.script is not None or over_terminal else ""
    elif over_terminal:
        before = f"head -c {run.stdin.size} | "
    start = before or "exec "
    if run.script is not None:
        parts.append(f'{_DECODE_ALL}{start}"$@"{after}')
        words += [*run.script.interpreter, _SCRIPT, *run.script.arguments]
    else:
        parts.append(f'{_TAKE}{start}"$_hs_s" -c "$_hs_v"{after}')
        words.append(run.command)
    arguments = [_argument(encode(word, encoding)) for word in words]
    if sudo is None:
        return _line("".join(parts), arguments)
    gate = [_argument(text.encode()) for text in (sudo.prompt, sudo.user)]
    return _line(_SUDO, [*gate, f"'{''.join(parts)}'".encode(), _argument(sudo.mark.encode()), *arguments])


def kill_line(sudo: Tokens, group: int) -> bytes:
    """The line that ends the process group of a command under sudo, with the same rights."""
    end = (
        f"{_OPEN}kill -TERM -{group}; for _hs_n in 1 2; do sleep 0.1; kill -0 -{group} 2>/dev/null || exit 0; done; "
        f"kill -KILL -{group}"
    )
    gate = [_argument(text.encode()) for text in (sudo.prompt, sudo.user)]
    return _line(_SUDO, [*gate, f"'{end}'".encode(), _argument(sudo.mark.encode())])


def _line(program: str, arguments: Iterable[bytes]) -> bytes:
    return b" ".join([b"exec sh -c", f"'{program}'".encode(), b"hostshell", *arguments])


def _argument(raw: bytes) -> bytes:
    """One argument in single quotes, for `_TAKE` to decode."""
    return b"'" + _UNSAFE.sub(lambda found: b"\\0%03o" % found[0][0], raw) + b"'"
