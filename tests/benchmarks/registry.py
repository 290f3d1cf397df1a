"""The works, in the order in which they are done and shown.

A work is a function of the stage that gives a context manager round a `Work`: what it needs (a fleet, a peer, a relay)
lives inside. To compare with a peer, give the work another contestant and name it in a bar's ``against``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from tests.benchmarks.rows_distance import distance
from tests.benchmarks.rows_files import get_far, get_large, get_sparse, put_fan, put_large
from tests.benchmarks.rows_flood import flood
from tests.benchmarks.rows_hosts import cold, warm
from tests.benchmarks.rows_latency import latency
from tests.benchmarks.rows_launch import first_command, large, launch
from tests.benchmarks.rows_lines import gathered, prefixed
from tests.benchmarks.rows_names import completion, folding
from tests.benchmarks.rows_oneshot import one_shot
from tests.benchmarks.rows_scale import idle, scale
from tests.benchmarks.rows_small_files import put_again_far, put_many, put_many_far
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Work

MakeWork: TypeAlias = Callable[[Stage], AbstractContextManager[Work]]

WORKS: dict[str, MakeWork] = {
    "launch": launch,
    "large": large,
    "first": first_command,
    "one-shot": one_shot,
    "cold": cold,
    "warm": warm,
    "distance": distance,
    "scale": scale,
    "idle": idle,
    "lines": prefixed,
    "gathered": gathered,
    "latency": latency,
    "complete": completion,
    "fold": folding,
    "flood": flood,
    "put": put_large,
    "get": get_large,
    "put-fan": put_fan,
    "put-many": put_many,
    "put-far": put_many_far,
    "again-far": put_again_far,
    "get-far": get_far,
    "get-sparse": get_sparse,
}
