"""One demo fleet for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.demo.fleet import LOG, DemoFleet


@pytest.fixture(scope="module")
def fleet() -> Iterator[DemoFleet]:
    """A running fleet. Its server must have had nothing to complain of."""
    with DemoFleet() as running:
        yield running
        assert Path(running.root, LOG).read_text() == ""
