"""The only room that imports paramiko."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _installed(package: str) -> str | None:
    """The version of ``package``, from the name of the folder that pip makes beside it; None where there is none."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    beside = Path(found.origin).parents[1]
    names = (name for name in os.listdir(beside) if name.startswith(f"{package}-") and name.endswith(".dist-info"))
    versions = [name.removesuffix(".dist-info").partition("-")[2] for name in names]
    return versions[0] if len(versions) == 1 else None


@contextmanager
def _lighter() -> Iterator[None]:
    """paramiko imports two things for one use each that together are a third of the time that its import takes.

    invoke is for `Match exec` of its own SSHConfig, which we do not use; it does without where that is missing.
    importlib.metadata, with a parser of mails and of archives, is to tell its own version.
    """
    stands_in: dict[str, types.ModuleType | None] = {"invoke": None}  # None: an import of it fails
    version = _installed("paramiko")
    if version is not None:
        told = types.ModuleType("importlib.metadata")
        told.version = lambda _: version  # type: ignore[attr-defined]  # what paramiko asks
        stands_in["importlib.metadata"] = told
    stands_in = {name: module for name, module in stands_in.items() if name not in sys.modules}
    sys.modules.update(stands_in)  # type: ignore[arg-type]  # None is allowed there
    if "importlib.metadata" in stands_in:
        importlib.metadata = stands_in["importlib.metadata"]  # type: ignore[assignment]  # `from importlib import` looks here
    try:
        yield
    finally:
        for name in stands_in:
            del sys.modules[name]
        if "importlib.metadata" in stands_in:
            del importlib.metadata


with _lighter():
    import paramiko  # noqa: F401  # for the others: later it would find what is left out here
