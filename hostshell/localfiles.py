"""The local side of a copy, looked at before any host is touched.

Must not know sessions or how files travel.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hostshell.core.clean import clean
from hostshell.core.errors import LocalFileError
from hostshell.core.model import HOST_FIELD, Get, Login, Put, Task
from hostshell.core.paths import expand_home, local_destination, local_layout, source_name
from hostshell.core.patterns import is_glob


def state_path() -> Path:
    """``$XDG_STATE_HOME/hostshell``, where what outlives a launch is kept. It need not be there.

    Raises `OSError` where nothing says what this user's home is, as in a container with a user of its own number.
    """
    base = os.environ.get("XDG_STATE_HOME") or ""
    if base.startswith("/"):
        return Path(base, "hostshell")
    home = os.path.expanduser("~")
    if not home.startswith("/"):
        raise FileNotFoundError(errno.ENOENT, "this user has no home directory")
    return Path(home, ".local/state/hostshell")


def partials_path() -> Path | None:
    """Where it is recorded what cut copies left on hosts; None where nothing can be kept."""
    try:
        return state_path() / "partials"
    except OSError:
        return None


def absolute(task: Task) -> Task:
    """``task`` with local paths that mean the same in every process, and what a put's globs match."""
    if isinstance(task, Get):
        return replace(task, local=absolute_path(local_layout(task.local)))
    if isinstance(task, Put):
        sources = [one for text in task.sources for one in _matches(absolute_path(text))]
        return replace(task, local=sources[0], also=tuple(dict.fromkeys(sources[1:])))
    return task


def absolute_path(path: str) -> str:
    """``path`` with a leading ``~/`` replaced, from the root on. Raises `LocalFileError`."""
    full = expand_home(path, os.path.expanduser("~"))
    try:
        return full if os.path.isabs(full) else os.path.join(os.getcwd(), full)
    except OSError:
        what = f"{clean(path)} is looked for in the current directory, which is no longer there"
        raise LocalFileError(what, "write the whole path, or start hostshell anew elsewhere") from None


def check_key(login: Login) -> Login:
    """``login`` with a key that is there, before any host is touched; what is in it the workers find out."""
    if login.key is None:
        return login
    try:
        with Path(path := absolute_path(login.key)).open("rb"):
            return replace(login, key=path)
    except OSError as error:
        reason = str(error.strerror or error).lower()
        raise LocalFileError(f"cannot read the key {login.key}: {reason}", "nothing was run") from None


def _matches(text: str) -> list[str]:
    """What a path of this machine means: itself, or what its glob matches where nothing has that very name.

    Never empty: what matches nothing stays as it is, and is then missing. With ``{host}`` it is never a glob.
    """
    if HOST_FIELD in text or os.path.lexists(text) or not is_glob(text):
        return [text]
    return sorted(glob.glob(text)) or [text]


def check_sources(task: Put, names: Sequence[str]) -> None:
    """Every local file that is to be sent is there, before any host is touched."""
    each = dict.fromkeys(task.for_host(name).sources for name in names)
    for local in dict.fromkeys(source for sources in each for source in sources):
        path = Path(local)
        try:
            if path.is_dir():
                os.scandir(path).close()
            else:
                with path.open("rb"):
                    pass
        except FileNotFoundError:
            what = "nothing here matches" if is_glob(local) else "no such local file:"
            raise LocalFileError(f"{what} {local}", "nothing was sent") from None
        except OSError as error:
            reason = str(error.strerror or error).lower()
            raise LocalFileError(f"cannot read the local file {local}: {reason}", "nothing was sent") from None
    for sources in each:
        _check_names(sources)


def _check_names(sources: Sequence[str]) -> None:
    """No two sources of a put may become the same path."""
    taken: dict[str, str] = {}
    for local in sources if len(sources) > 1 else ():
        name = source_name(local, os.path.realpath(local))
        other = taken.setdefault(name, local)
        if other != local:
            raise LocalFileError(f"{other} and {local} would both become {name}", "copy them one after the other")


def check_destinations(task: Get, names: Sequence[str]) -> None:
    """What is fetched has a place of its own for each host, before any host is touched."""
    top = task.local.partition(HOST_FIELD)[0].rpartition("/")[0] or "/"
    while not os.path.lexists(top) and top != os.path.dirname(top):
        top = os.path.dirname(top)
    if not os.path.isdir(top):
        raise LocalFileError(f"{top} is not a directory", "-local names the directory that gets one folder a host")
    taken: dict[str, str] = {}
    for name in names:
        path = os.path.normpath(os.path.join(*local_destination(task.local, name, task.remote)))
        other = taken.setdefault(path, name)
        if other != name:
            raise LocalFileError(f"{other} and {name} would both write {path}", "let {host} name a folder of its own")
