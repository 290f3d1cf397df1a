"""sudo for tests: rights in the real one for users of ours, and a stand-in that speaks its protocol.

Must not know hostshell.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.accounts import Account, can_make_users

FOLDER = Path("/etc/sudoers.d")


def real_sudo() -> bool:
    """Whether Debian's own sudo can be tried here: it takes root, users of ours, and sudo."""
    return can_make_users() and all(shutil.which(tool, path="/usr/bin:/usr/sbin:/sbin") for tool in ("sudo", "visudo"))


@contextlib.contextmanager
def sudoers(account: Account, *rules: str) -> Iterator[None]:
    """``rules`` (``{user}`` is the account's name) hold while the block runs; they are only ever about that account."""
    text = "".join(f"{rule.format(user=account.name)}\n" for rule in rules)
    assert all(account.name in rule.format(user=account.name) for rule in rules), "a rule must be about its user alone"
    path = FOLDER / f"hostshell-tests-{account.name}"
    waiting = path.with_name(f"{path.name}.new")  # sudo reads no file with a dot in its name
    try:
        waiting.write_text(text)
        waiting.chmod(0o440)
        checked = subprocess.run(["visudo", "-cf", str(waiting)], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        waiting.rename(path)
        yield
    finally:
        waiting.unlink(missing_ok=True)
        path.unlink(missing_ok=True)


STAND_IN = r"""#!/bin/sh
# Speaks as sudo(8) does with -S -p: prompts on standard error, reads byte by byte, three tries. It gives no rights.
[ "$1 $2 $4 $6" = "-S -p -u --" ] || { echo "sudo: usage: $*" >&2; exit 1; }
prompt=$3 STAND_IN_FOR=$5 manner=" @MANNER@ " me=$(id -un)
export STAND_IN_FOR
shift 6
case $manner in *" requiretty "*)
    (: </dev/tty) 2>/dev/null || { echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1; };;
esac
case $manner in *" stranger "*) echo "$me is not in the sudoers file." >&2; exit 1;; esac
case $manner in *" warning "*) echo "sudo: unable to resolve host here: Name or service not known" >&2;; esac
case $manner in *" free "*) ;; *" lecture "*)
    printf '\nWe trust you have received the usual lecture from the local System\nAdministrator.\n\n' >&2;;
esac
case $manner in *" code "*) printf 'Verification code: ' >&2; IFS= read -r code || exit 1;; esac
case $manner in *" expired "*)
    printf 'sudo: Account or password is expired, reset your password and try again\nCurrent password: ' >&2
    IFS= read -r old || exit 1;;
esac
whose=$me
case $manner in *" rootpw "*) whose=root;; esac
case $manner in *" alice "*) whose=alice;; esac
case $manner in *" escapes "*) whose=$(printf 'root\033[2J\nh9: forged');; esac
case $manner in *" mute "*) echo "stty: standard input: not a tty" >&2; exec "$@" 2>/dev/null;; esac
case $manner in *" free "*) exec "$@";; esac
for attempt in 1 2 3; do
    printf %s "${prompt%%%p*}$whose${prompt#*%p}" >&2
    IFS= read -r password || { printf '\nsudo: no password was provided\nsudo: a password is required\n' >&2; exit 1; }
    [ "$password" != @PASSWORD@ ] || { echo >&2; exec "$@"; }
    printf '\nSorry, try again.\n' >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
"""


def stand_in(folder: Path, password: str | None, *manner: str) -> Path:
    """A folder for the beginning of PATH with a ``sudo`` in it; without a ``password`` it asks for none."""
    folder.mkdir(exist_ok=True)
    program = folder / "sudo"
    words = [*manner, *(["free"] if password is None else [])]
    program.write_text(STAND_IN.replace("@MANNER@", " ".join(words)).replace("@PASSWORD@", shlex.quote(password or "")))
    program.chmod(0o755)
    return folder
