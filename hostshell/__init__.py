"""hostshell: an interactive management shell for fleets of hosts over SSH. Here: the public Python API (docs/api.md).

What it names is loaded at first use, so that `import hostshell` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hostshell.core.errors import (
        EngineError,
        HostshellError,
        InventoryError,
        LocalFileError,
        SecretError,
        TargetError,
        UsageError,
    )
    from hostshell.core.events import Event, Failure, Finished, Kind, Output, Progress, Started, Status, Stream, Summary
    from hostshell.core.model import Get, Host, HostKeyPolicy, Job, Login, Ping, Put, Run, Secret
    from hostshell.core.settings import Settings
    from hostshell.core.targets import Targets
    from hostshell.core.traffic import OpenConnection
    from hostshell.core.turns import NewKey
    from hostshell.session import Session

__version__ = "0.1.0"

__all__ = [
    "EngineError",
    "Event",
    "Failure",
    "Finished",
    "Get",
    "Host",
    "HostKeyPolicy",
    "HostshellError",
    "InventoryError",
    "Job",
    "Kind",
    "LocalFileError",
    "Login",
    "NewKey",
    "OpenConnection",
    "Output",
    "Ping",
    "Progress",
    "Put",
    "Run",
    "Secret",
    "SecretError",
    "Session",
    "Settings",
    "Started",
    "Status",
    "Stream",
    "Summary",
    "TargetError",
    "Targets",
    "UsageError",
    "__version__",
]

_ROOMS = {
    "hostshell.core.errors": (
        "EngineError HostshellError InventoryError LocalFileError SecretError TargetError UsageError"
    ),
    "hostshell.core.events": "Event Failure Finished Kind Output Progress Started Status Stream Summary",
    "hostshell.core.model": "Get Host HostKeyPolicy Job Login Ping Put Run Secret",
    "hostshell.core.settings": "Settings",
    "hostshell.core.targets": "Targets",
    "hostshell.core.traffic": "OpenConnection",
    "hostshell.core.turns": "NewKey",
    "hostshell.session": "Session",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}


if not TYPE_CHECKING:  # for a type checker it would make every misspelt name valid

    def __getattr__(name: str) -> Any:
        room = _HOMES.get(name)
        if room is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(room), name)
        globals()[name] = value  # the next use finds it at once
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
