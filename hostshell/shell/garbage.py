"""Keeps Python's search for garbage away from what lives as long as the prompt.

An inventory of 10,000 hosts is some 200,000 objects, none of them garbage. A search through them all comes when it
likes, also between a Tab and its answer, and then takes 50 to 150 ms of a person's time.
"""

from __future__ import annotations

import gc


def leave_alone() -> None:
    """Do not look through what is there now, from here on; what comes later is looked through as ever."""
    gc.freeze()


def leave_alone_anew() -> None:
    """The same when something large has been replaced: what it left behind is cleared away first."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
