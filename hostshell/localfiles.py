"""The local side of a copy, looked at before any host is touched.

Must not know sessions or how files travel.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hostshell.core.errors import LocalFileError
from hostshell.core.model import HOST_FIELD, Get, Login, Put, Task
from hostshell.core.paths import expand_home, local_destination, local_layout


def absolute(task: Task) -> Task:
    """``task`` with local paths that mean the same in every process."""
    if not isinstance(task, (Put, Get)):
        return task
    local = local_layout(task.local) if isinstance(task, Get) else task.local
    return replace(task, local=absolute_path(local))


def absolute_path(path: str) -> str:
    """``path`` with a leading ``~/`` replaced, from the root on."""
    return os.path.join(os.getcwd(), expand_home(path, os.path.expanduser("~")))


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


def check_sources(task: Put, names: Sequence[str]) -> None:
    """Every local file that is to be sent is there, before any host is touched."""
    for local in dict.fromkeys(task.for_host(name).local for name in names):
        path = Path(local)
        try:
            if path.is_dir():
                os.scandir(path).close()
            else:
                with path.open("rb"):
                    pass
        except FileNotFoundError:
            raise LocalFileError(f"no such local file: {local}", "nothing was sent") from None
        except OSError as error:
            reason = str(error.strerror or error).lower()
            raise LocalFileError(f"cannot read the local file {local}: {reason}", "nothing was sent") from None


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
