"""Copies of thousands of small files: near, far away, and once more when nothing has changed.

What a run has made is removed before the next one, untimed.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator

from tests.benchmarks import findings
from tests.benchmarks.copies import FAR, SMALL, THERE, copies, emptied, graves_of, many_files, place, scp_words
from tests.benchmarks.distance import Distance
from tests.benchmarks.kept import Prompt
from tests.benchmarks.rows_distance import ADDRESS, write_far
from tests.benchmarks.rows_hosts import OURS
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work


@contextlib.contextmanager
def put_many(stage: Stage) -> Iterator[Work]:
    """Thousands of small files to one host, and once more when nothing has changed."""
    count = 2000
    with stage.fleet(1) as hosts, place(stage) as there, graves_of(there) as empty, Prompt(stage, OURS) as prompt:
        many_files(stage.folder / "many", count)
        line = f"put many {THERE}/ -a"
        prompt.turn("ping -a", "1 ok")
        at_the_prompt = f"{shlex.join(OURS)}    # at a terminal, {line}"

        def first() -> Sample:
            empty()
            return {"wall": prompt.turn(line, "1 ok")}

        def again() -> Sample:
            if not any(there.iterdir()):
                first()
            return {"wall": prompt.turn(line, "1 ok")}

        scp = [*scp_words(hosts), "-r", "many", f"{hosts.account.name}@{hosts.addresses[0]}:{THERE}/"]
        what = f"put {count:,} files of {SMALL} bytes"
        yield Work(
            f"{what}, one host",
            (
                copies(stage, "scp -r", scp, empty),
                copies(stage, "hostshell", [*OURS, *shlex.split(line)], empty),
                Contestant("hostshell, at a prompt", at_the_prompt, first),
                Contestant("hostshell, again", f"{at_the_prompt}, again", again),
            ),
            (
                Bar(f"{what}, wall, against scp -r", "hostshell", "wall", 0.5, "s", ("scp -r",)),
                Bar(
                    f"{what} again, nothing changed, wall",
                    "hostshell, again",
                    "wall",
                    0.1,
                    "s",
                    ("hostshell, at a prompt",),
                ),
            ),
            {"wall": "s", "cpu": "s"},
            rounds=stage.rounds(2, 3),
            warm_up=False,
            chart=("wall",),
            notes=(
                "scp and the first hostshell are whole commands. The other two are lines at a prompt whose connection "
                "is open, so that what is compared is the copy; again: every file is held against the host's by its "
                "SHA-256.",
                *findings.MANY_FILES,
            ),
        )
        shutil.rmtree(stage.folder / "many")


@contextlib.contextmanager
def put_many_far(stage: Stage, round_trip: float = 0.05) -> Iterator[Work]:
    """Small files to a host that is far away."""
    count = 100 if stage.full else 30
    with (
        stage.fleet(1) as hosts,
        place(stage) as there,
        Distance((hosts.addresses[0], hosts.port), round_trip, ADDRESS) as relay,
    ):
        write_far(stage, hosts, relay)
        many_files(stage.folder / "many", count)
        ours = [*FAR, "put", "many", f"{THERE}/", "-h", "far"]
        scp = [*scp_words(hosts, port=relay.port), "-r", "many", f"{hosts.account.name}@{ADDRESS}:{THERE}/"]
        what = f"put {count} files of {SMALL} bytes, {round_trip * 1000:.0f} ms away"
        bar = Bar(f"{what}, wall, against scp -r", "hostshell", "wall", 0.1, "s", ("scp -r",))
        yield Work(
            what,
            (
                copies(stage, "hostshell", ours, lambda: emptied(there)),
                copies(stage, "scp -r", scp, lambda: emptied(there), rounds=1),
            ),
            (bar,) if stage.full else (),
            {"wall": "s", "cpu": "s"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            chart=("wall",),
            notes=(
                "Through a relay on loopback that holds every byte for half a round trip, each way.",
                *stage.reduced("30 files in place of 100, so start and login are most of ours, and no bar is held"),
            ),
        )
        shutil.rmtree(stage.folder / "many")


@contextlib.contextmanager
def put_again_far(stage: Stage, round_trip: float = 0.05) -> Iterator[Work]:
    """Thousands of small files to a host that is far away, and once more when nothing has changed."""
    count = 2000
    with (
        stage.fleet(1) as hosts,
        place(stage) as there,
        graves_of(there) as empty,
        Distance((hosts.addresses[0], hosts.port), round_trip, ADDRESS) as relay,
    ):
        write_far(stage, hosts, relay)
        many_files(stage.folder / "many", count)
        with Prompt(stage, FAR) as prompt:
            line = f"put many {THERE}/ -h far"
            prompt.turn("ping -h far", "1 ok")
            shown = f"{shlex.join(FAR)}    # at a terminal, {line}"

            def first() -> Sample:
                empty()
                return {"wall": prompt.turn(line, "1 ok")}

            what = f"put {count:,} files of {SMALL} bytes again, {round_trip * 1000:.0f} ms away"
            yield Work(
                what,
                (
                    Contestant("hostshell, at a prompt", shown, first),
                    Contestant("hostshell, again", f"{shown}, again", lambda: {"wall": prompt.turn(line, "1 ok")}),
                ),
                (Bar(f"{what}, wall", "hostshell, again", "wall", 0.1, "s", ("hostshell, at a prompt",)),),
                {"wall": "s"},
                rounds=stage.rounds(1, 3),
                warm_up=False,
                notes=(
                    "As without the distance: lines at a prompt whose connection is open, and again every file is held "
                    "against the host's by its SHA-256. Through the same relay.",
                ),
            )
        shutil.rmtree(stage.folder / "many")
