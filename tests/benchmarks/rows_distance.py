"""Round trips: one host that is 200 ms away, cold and warm."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator

from tests.benchmarks import fleet
from tests.benchmarks.distance import Distance
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.kept import Prompt, Script
from tests.benchmarks.rows_hosts import of_a_peer
from tests.benchmarks.stage import Stage
from tests.benchmarks.tree import timed
from tests.benchmarks.work import Bar, Contestant, Sample, Work, percentile, without_absent
from tests.support.sshd import known_hosts_name

ROUND_TRIP = 0.2  # seconds
ADDRESS = "127.2.0.1"  # at which the relay listens
LIBRARIES = ("parallel-ssh", "asyncssh")


@contextlib.contextmanager
def distance(stage: Stage, round_trip: float = ROUND_TRIP) -> Iterator[Work]:
    """A first command and those after it, through the relay; in round trips."""
    with stage.fleet(1) as hosts, Distance((hosts.addresses[0], hosts.port), round_trip, ADDRESS) as relay:
        write_far(stage, hosts, relay)
        turns = stage.rounds(3, 7)

        def sample(turn: Callable[[], float]) -> Sample:
            trips = [turn() / round_trip for _ in range(1 + turns)]
            return {"cold": trips[0], "warm": percentile(trips[1:], 0.5)}

        ours = ["hostshell", "-i", "far.ini", "--known-hosts", "known_hosts"]
        line = "batch_run -h far -cmd true"

        def at_the_prompt() -> Sample:
            with Prompt(stage, ours) as prompt:
                return sample(lambda: prompt.turn(line, "1 ok"))

        def library(name: str) -> Contestant | None:
            if name not in stage.peers:
                return None
            words = [
                *stage.peers.words[name],
                "far.txt",
                str(relay.port),
                hosts.account.name,
                "key",
                "1",
                "kept",
                "true",
            ]

            def once(words: list[str]) -> Sample:
                with Script(stage, words) as script:
                    return sample(lambda: script.turn(1))

            return of_a_peer(stage, hosts, name, words, once)

        persist = ("-o", "ControlMaster=auto", "-o", "ControlPath=far-%C", "-o", "ControlPersist=60s")
        ssh = ["ssh", *hosts.ssh_options(*persist, port=relay.port), ADDRESS]

        def openssh() -> Sample:
            def run(*words: str) -> float:
                return timed([*ssh, *words], cwd=stage.folder, environment=stage.environment)[0]

            try:
                return sample(lambda: run("true"))
            finally:
                with contextlib.suppress(RuntimeError):
                    timed([*ssh[:-1], "-O", "exit", ADDRESS], cwd=stage.folder, environment=stage.environment)

        yield Work(
            f"`true` on a host that is {round_trip * 1000:.0f} ms away, in round trips",
            without_absent(
                [
                    Contestant("hostshell", f"{shlex.join(ours)}    # at a terminal, {line}", at_the_prompt),
                    Contestant("ssh, ControlPersist", f"{shlex.join(ssh)} true", openssh),
                    *map(library, LIBRARIES),
                ]
            ),
            (
                Bar("round trips, cold", "hostshell", "cold", 5.7, "trips"),
                Bar("round trips, warm", "hostshell", "warm", 1.2, "trips"),
            ),
            {"cold": "trips", "warm": "trips"},
            rounds=stage.rounds(1, 3),
            warm_up=False,
            chart=("cold", "warm"),
            absent=LIBRARIES,
            notes=(
                f"Wall time divided by {round_trip:g} s. A relay on loopback holds every byte for half of that, each "
                "way, and the first ones for TCP's own handshake too, which is one of the round trips when cold. What "
                "client and server compute counts as well.",
                "cold: the first command of a program that has started (ssh: the whole of it). warm: the median of "
                f"{turns} commands after it, on the same connection.",
            ),
        )


def write_far(stage: Stage, hosts: Fleet, relay: Distance) -> None:
    """The inventory of the host ``far``, which is the first one through the relay, and its key."""
    inventory = stage.folder / "far.ini"
    inventory.touch(mode=0o600)
    inventory.write_text(
        f"[host:far]\naddress = {ADDRESS}\nport = {relay.port}\nuser = {hosts.account.name}\nkey = {fleet.KEY}\n"
    )
    (stage.folder / "far.txt").write_text(f"{ADDRESS}\n")
    key = next(iter(hosts.servers[0].host_keys.values()))
    with (stage.folder / fleet.KNOWN_HOSTS).open("a") as known:
        known.write(f"{known_hosts_name(ADDRESS, relay.port)} {key.public}\n")
