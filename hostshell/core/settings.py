"""The settings of one session: what `set` shows and changes.

Plain data. Must not know who heeds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hostshell.core.model import DEFAULT_FANOUT


@dataclass(slots=True)
class Settings:
    """What `set` changes. Seconds; None is no limit of our own. ``told`` is called when what is warm is concerned."""

    fanout: int = DEFAULT_FANOUT
    timeout: float | None = None
    connect_timeout: float | None = None
    idle_timeout: float | None = 600.0
    gather: bool = False
    color: bool | None = None
    told: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name == "idle_timeout" and getattr(self, "told", None) is not None:
            self.told()  # type: ignore[misc]  # just asked
