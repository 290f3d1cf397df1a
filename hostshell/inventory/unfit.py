"""Why a host cannot be used, or sudo not there: what would decide it is there and is not evaluated.

Must not know files, nor how a setting was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping

from hostshell.inventory.settings import CONNECTION, SSH, Converted, Unread, shown

WHO = ("address", "port", "user", "jump")  # whom we connect to: without one of these it would be somebody else


def why_unusable(chosen: Mapping[str, tuple[Converted, str]]) -> str | None:
    """Why nothing is run on a host, in words that are the same for all hosts of which it holds."""
    way = chosen.get(CONNECTION)
    if way is not None and not isinstance(way[0], Unread) and way[0] != SSH:
        return f"its connection is `{shown(str(way[0]))}`, and hostshell reaches hosts over SSH only"
    return next(filter(None, (_unknown(chosen, key) for key in (CONNECTION, *WHO))), None)


def why_no_sudo(chosen: Mapping[str, tuple[Converted, str]]) -> str | None:
    """Why sudo cannot be used unless somebody says whose rights are meant: root's would be more than was asked for."""
    why = _unknown(chosen, "sudo_user")
    return why and f"{why}; `--sudo -u USER` names one"


def _unknown(chosen: Mapping[str, tuple[Converted, str]], key: str) -> str | None:
    value = chosen[key][0] if key in chosen else None
    return f"its {key} is {value.why}, and not known here" if isinstance(value, Unread) else None
