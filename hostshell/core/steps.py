"""One step on the way to a host, as `doctor` tells it: what was done, how it went, what was seen. Plain data.

Must not know who took the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from hostshell.core.records import dataclass

StepName: TypeAlias = Literal[
    "settings", "name", "port", "banner", "key exchange", "host key", "login", "session", "command", "sftp", "sudo",
]  # fmt: skip
Result: TypeAlias = Literal["ok", "failed", "warning", "skipped"]
Fact: TypeAlias = "str | int | tuple[str, ...]"

STEPS: tuple[StepName, ...] = (
    "settings", "name", "port", "banner", "key exchange", "host key", "login", "session", "command", "sftp", "sudo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``facts`` is what was seen, texts by name; some are a server's own, to be cleaned before shown.

    ``message`` and ``hint`` say what is wrong and what to do, where something is. ``via`` is the jump host that the
    step belongs to, "" for the host itself. Never holds a secret.
    """

    name: StepName
    result: Result = "ok"
    seconds: float = 0.0
    facts: Mapping[str, Fact] = field(default_factory=dict)
    message: str = ""
    hint: str = ""
    via: str = ""
