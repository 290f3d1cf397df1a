"""Users for tests: real system users with passwords of their own where we may make them, else what comes nearest.

Must not know which server they log in to.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import processes

NAME_PREFIX = "hs-"
COMMENT = "hostshell tests of process"  # the pid follows, so that a later run can tell what a killed one left behind

# One for each account. They hold what breaks careless parsers: comment signs, interpolation, quotes, blanks, non-ASCII.
PASSWORDS = (
    "correct horse = battery : staple",
    "back\\slash $HOME `id` $(id)",
    "'single' and !bang & * ? ~",
    'any;thing#100% "q"',
    "pässwörd ñandú 東京 🔑",
    "plain-but-long-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
)
BY_KEY = len(PASSWORDS) // 2  # the first half can log in by key anywhere; the second half has passwords anywhere


@dataclass(frozen=True)
class Account:
    """Somebody who can log in. ``real`` says that the system knows this user with this password and home.

    Where it is not real, an account with a password is known to `tests.support.standin` only, and one without is the
    user who runs the tests, with ``home`` in place of the own one.
    """

    name: str
    password: str
    home: Path
    real: bool = True

    @property
    def uid(self) -> int:
        """The user id that its processes have on this machine."""
        return pwd.getpwnam(self.name).pw_uid if self.real else os.getuid()


def can_make_users() -> bool:
    """Whether system users can be made here: it takes root and the tools of shadow-utils."""
    return os.geteuid() == 0 and all(shutil.which(tool, path=_path()) for tool in ("useradd", "userdel", "chpasswd"))


@contextlib.contextmanager
def made_accounts() -> Iterator[list[Account]]:
    """Six accounts with distinct passwords, gone at the end with their homes and all that still runs as them.

    The first three can log in by key to an `Sshd`, the last three have a password everywhere (without root: at a
    `StandIn`). As root all six have both.
    """
    folder = public_folder("homes")
    accounts: list[Account] = []
    try:
        if can_make_users():
            _remove_leftovers()
            for password in PASSWORDS:
                _make_user(password, folder, accounts)
        else:
            for index, password in enumerate(PASSWORDS):
                accounts.append(_borrowed(index, password, folder))
        yield accounts
    finally:
        for account in accounts:
            if account.real:
                _remove_user(account.name)
        _remove_tree(folder)


def public_folder(purpose: str) -> Path:
    """A new folder that every user may pass through (pytest's own tmp_path may be entered by its owner only)."""
    parent = Path(tempfile.gettempdir()).resolve()
    if not all(folder.stat().st_mode & stat.S_IXOTH for folder in (parent, *parent.parents)):
        parent = Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=f"{NAME_PREFIX}{purpose}-", dir=parent))
    folder.chmod(0o711)
    return folder


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _tool(*command: str, input: str | None = None) -> None:
    """Run a tool of shadow-utils. Another run of the tests may hold the lock of /etc/passwd: then once more."""
    environment = {**os.environ, "PATH": _path(), "LC_ALL": "C"}
    for _ in range(10):
        done = subprocess.run(
            command, input=None if input is None else input.encode(), capture_output=True, env=environment
        )
        said = done.stderr.decode(errors="replace")
        if done.returncode == 0:
            return
        if "lock" not in said:
            break
        time.sleep(0.5)
    raise RuntimeError(f"{command[0]} failed with exit code {done.returncode}: {said.strip()}")


def _make_user(password: str, folder: Path, accounts: list[Account]) -> None:
    name = NAME_PREFIX + secrets.token_hex(4)
    account = Account(name, password, folder / name)
    account.home.mkdir(mode=0o700)
    _tool(
        *("useradd", "--no-create-home", "--home-dir", str(account.home), "--shell", "/bin/sh", "--user-group"),
        *("--comment", f"{COMMENT} {os.getpid()}", name),
    )
    accounts.append(account)  # from here on it has to be removed, whatever happens
    _tool("chpasswd", input=f"{name}:{password}\n")
    os.chown(account.home, account.uid, pwd.getpwnam(name).pw_gid)


def _borrowed(index: int, password: str, folder: Path) -> Account:
    name = NAME_PREFIX + secrets.token_hex(4)
    home = folder / name
    home.mkdir(mode=0o700)
    if index < BY_KEY:
        return Account(getpass.getuser(), "", home, real=False)
    # asyncssh knows the characters of Unicode 3.2 only (RFC 4013), so the key symbol is for OpenSSH alone
    return Account(name, password.replace(" 🔑", ""), home, real=False)


def _remove_user(name: str) -> None:
    assert name.startswith(NAME_PREFIX), name
    uid = pwd.getpwnam(name).pw_uid
    processes.end_all(lambda: processes.of_user(uid))
    _tool("userdel", "--force", name)


def _remove_leftovers() -> None:
    """Remove the users of a run that was killed before it could do so."""
    for user in pwd.getpwall():
        left_by = re.fullmatch(rf"{re.escape(COMMENT)} (\d+)", user.pw_gecos)
        if user.pw_name.startswith(NAME_PREFIX) and left_by and not processes.is_running(int(left_by[1])):
            with contextlib.suppress(KeyError, RuntimeError):  # another run may be at it as well
                _remove_user(user.pw_name)
            home = Path(user.pw_dir)
            if home.parent.name.startswith(f"{NAME_PREFIX}homes-"):
                _remove_tree(home)
                with contextlib.suppress(OSError):
                    home.parent.rmdir()


def _remove_tree(folder: Path) -> None:
    """Remove a folder in which tests may have taken away their own permissions."""
    for path, names, _ in os.walk(folder):
        for name in names:
            below = Path(path, name)
            if not below.is_symlink():
                with contextlib.suppress(OSError):
                    below.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
