"""`true` on a hundred hosts: cold (connections are made) and warm (they are kept), against all others."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.benchmarks import findings, tree
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.kept import Prompt, Script
from tests.benchmarks.machine import cores_spent
from tests.benchmarks.stage import Stage
from tests.benchmarks.work import Bar, Contestant, Sample, Work, without_absent
from tests.support import processes

HOSTS = 100
LOOK_EVERY = 0.1  # seconds between two looks at the memory
PERSIST = 300  # seconds that ssh keeps a connection for ansible; those left at the end are ended
LIBRARIES = ("parallel-ssh", "asyncssh", "Fabric")
PROGRAMS = ("pdsh", "clush", "pssh", "ansible")
SLOW = PROGRAMS[1:]  # for the full form only
OURS = ("hostshell", "-i", "hosts.ini", "--known-hosts", "known_hosts")


def node_set(addresses: tuple[str, ...]) -> str:
    """The addresses folded by their last number, as pdsh and clush read them."""
    nets = itertools.groupby(addresses, key=lambda address: address.rpartition(".")[0])
    folded = []
    for net, members in nets:
        last = [member.rpartition(".")[2] for member in members]
        folded.append(f"{net}.[{last[0]}-{last[-1]}]" if len(last) > 1 else f"{net}.{last[0]}")
    return ",".join(folded)


def words_of(stage: Stage, hosts: Fleet, peer: str, command: str, fanout: int, *more: str) -> list[str] | None:
    """What runs a command on all hosts with a peer, at its fastest settings; None where it is absent.

    ``more`` goes before the command, but to ssh for ansible.
    """
    if peer not in stage.peers:
        return None
    begin = list(stage.peers.words[peer])
    many, ssh, user = str(fanout), hosts.ssh_options(), hosts.account.name
    if peer == "pdsh":
        arguments = f"PDSH_SSH_ARGS_APPEND={shlex.join(ssh)}"
        return [
            "env",
            arguments,
            *begin,
            "-S",
            "-R",
            "ssh",
            "-l",
            user,
            "-f",
            many,
            "-w",
            node_set(hosts.addresses),
            command,
        ]
    if peer == "clush":
        return [*begin, "-S", "-q", "-f", many, "-o", shlex.join(ssh), "-w", node_set(hosts.addresses), *more, command]
    if peer == "pssh":
        return [*begin, "-p", many, "-t", "0", "-h", "hosts.txt", "-x", shlex.join(ssh), command]
    if peer == "ansible":
        settings = [f"ANSIBLE_SSH_ARGS={shlex.join([*ssh, *more])}", "ANSIBLE_SSH_CONTROL_PATH_DIR=cp"]
        return ["env", *settings, *begin, "all", "-i", "hosts.txt", "-f", many, "-m", "raw", "-a", command]
    return [*begin, "hosts.txt", str(hosts.port), user, "key", many, *more, command]


def of_a_peer(
    stage: Stage,
    hosts: Fleet,
    name: str,
    words: list[str] | None,
    once: Callable[[list[str]], Sample],
    rounds: int = 0,
) -> Contestant | None:
    """A contestant that is a peer, or None where it is absent."""
    if words is None:
        return None
    return Contestant(name, shlex.join(words), lambda: once(words), rounds, peer=True)


def _cores(spent: tuple[float, float], ours: float) -> Sample:
    """What the servers took, and the share of the cores that nobody took, where the client took ``ours`` seconds."""
    busy, idle = spent
    return {"servers": max(0.0, busy - ours), "idle": 100 * idle / (busy + idle) if busy + idle else 0.0}


# --- cold ---


@contextlib.contextmanager
def cold(stage: Stage) -> Iterator[Work]:
    """From the command line to the end of the command."""
    with stage.fleet(HOSTS) as hosts:
        memory: dict[str, float] = {}

        def run(name: str, words: list[str]) -> Sample:
            if stage.full and name not in memory:  # the warm-up, which is not timed
                memory[name] = stage.cost(words, look_every=LOOK_EVERY).pss / 1e6
            cost = stage.cost(words)
            sample = {"wall": cost.wall, "cpu": cost.cpu, "cpu a host": cost.cpu / HOSTS * 1000}
            sample |= _cores(cost.cores, cost.cpu)
            return sample | ({"memory": memory[name]} if name in memory else {})

        def peer(name: str) -> Contestant | None:
            if name in SLOW and not stage.full:
                return None
            more = ("-o", "ControlMaster=no") if name == "ansible" else ()
            words = words_of(stage, hosts, name, "true", HOSTS, *more)
            rounds = 1 if name in PROGRAMS else 0
            return of_a_peer(stage, hosts, name, words, lambda words: run(name, words), rounds)

        words = [*OURS, "batch_run", "-a", "-f", str(HOSTS), "-cmd", "true"]
        everybody = (*LIBRARIES, *PROGRAMS)
        yield Work(
            f"cold `true` on {HOSTS} hosts",
            without_absent(
                [Contestant("hostshell", shlex.join(words), lambda: run("hostshell", words)), *map(peer, everybody)]
            ),
            (
                Bar(f"cold `true` on {HOSTS} hosts, wall", "hostshell", "wall", 1.0, "s", everybody),
                Bar(
                    f"cold `true` on {HOSTS} hosts, client CPU a host",
                    "hostshell",
                    "cpu a host",
                    1.3,
                    "ms",
                    ("parallel-ssh",),
                ),
            ),
            {"wall": "s", "cpu": "s", "cpu a host": "ms", "servers": "s", "idle": "%", "memory": "MB"},
            rounds=stage.rounds(3, 5),
            warm_up=False,
            chart=("wall", "cpu a host"),
            absent=everybody,
            notes=(
                f"Whole commands with a fan-out of {HOSTS}, from the start of the program to its end; its start, and "
                "the end of every connection, count. cpu: user + system of the client's whole tree of processes, "
                "without the servers. cpu a host: that, divided by the hosts. servers: what all others took of the "
                "cores meanwhile, which is mostly the servers. idle: the share of the cores that nobody took.",
                "parallel-ssh's library and Fabric check no host key in these forms, which is their default.",
                *findings.COLD,
                "memory: the largest sum of proportional set sizes over the tree in a run that is not timed "
                f"({'looked at every ' + str(LOOK_EVERY) + ' s' if stage.full else 'full form only'}).",
                *stage.reduced("rounds; clush, pssh and ansible take part in the full form only"),
            ),
        )


# --- warm ---


class _Ansible:
    """ansible on connections that ssh keeps in the background, and what those cost."""

    def __init__(self, stage: Stage, hosts: Fleet) -> None:
        self._mark = f"HS_BENCH_{secrets.token_hex(8)}"
        kept = ["-o", "ControlMaster=auto", "-o", f"ControlPersist={PERSIST}s"]
        self.words = words_of(stage, hosts, "ansible", "true", HOSTS, *kept)
        self._stage = replace(stage, environment={**stage.environment, self._mark: "1"})
        self._is_warm = False

    def turn(self, words: list[str]) -> Sample:
        """Once with connections that are there; the first time they are made before."""
        if not self._is_warm:
            self._run(words)
            self._is_warm = True
        before = self._kept_cpu()
        wall, cpu = self._run(words)
        return {"wall": wall, "cpu a host": (cpu + self._kept_cpu() - before) / HOSTS * 1000}

    def close(self) -> None:
        """End the connections."""
        processes.end_all(lambda: processes.carrying(f"{self._mark}=1"))

    def _kept_cpu(self) -> float:
        return sum(tree.own_cpu_seconds(pid) for pid in processes.carrying(f"{self._mark}=1"))

    def _run(self, words: list[str]) -> tuple[float, float]:
        # not below a witness, which ends what goes into the background
        return tree.timed(words, cwd=self._stage.folder, environment=self._stage.environment)


@contextlib.contextmanager
def warm(stage: Stage) -> Iterator[Work]:
    """The second and every further command, in turn, while all keep their connections."""
    with stage.fleet(HOSTS) as hosts, contextlib.ExitStack() as stack:
        ours = list(OURS)
        line = f"batch_run -a -f {HOSTS} -cmd true"
        prompt = stack.enter_context(Prompt(stage, ours))
        prompt.turn(line, f"{HOSTS} ok")

        def sample(pid: int, turn: Callable[[], float]) -> Sample:
            ours, cores = tree.cpu_seconds(pid), cores_spent()
            wall = turn()
            busy, idle = (after - before for after, before in zip(cores_spent(), cores, strict=True))
            ours = tree.cpu_seconds(pid) - ours
            return {"wall": wall, "cpu a host": ours / HOSTS * 1000} | _cores((busy, idle), ours)

        def library(name: str) -> Contestant | None:
            words = words_of(stage, hosts, name, "true", HOSTS, "kept")
            opened: list[Script] = []

            def once(words: list[str]) -> Sample:
                if not opened:
                    opened.append(stack.enter_context(Script(stage, words)))
                    opened[0].turn(HOSTS)
                return sample(opened[0].pid, lambda: opened[0].turn(HOSTS))

            return of_a_peer(stage, hosts, name, words, once)

        libraries = LIBRARIES[:2]
        ansible = _Ansible(stage, hosts)
        stack.callback(ansible.close)
        yield Work(
            f"warm `true` on {HOSTS} hosts",
            without_absent(
                [
                    Contestant(
                        "hostshell",
                        f"{shlex.join(ours)}    # at a terminal, {line}",
                        lambda: sample(prompt.pid, lambda: prompt.turn(line, f"{HOSTS} ok")),
                    ),
                    *map(library, libraries),
                    of_a_peer(stage, hosts, "ansible, ControlPersist", ansible.words, ansible.turn, stage.rounds(1, 3))
                    if stage.full
                    else None,
                ]
            ),
            (
                Bar(
                    f"warm `true` on {HOSTS} hosts, wall, against the library",
                    "hostshell",
                    "wall",
                    1.0,
                    "s",
                    ("parallel-ssh",),
                ),
                Bar(
                    f"warm `true` on {HOSTS} hosts, wall, against ansible",
                    "hostshell",
                    "wall",
                    1 / 15,
                    "s",
                    ("ansible, ControlPersist",),
                ),
            ),
            {"wall": "s", "cpu a host": "ms", "servers": "s", "idle": "%"},
            rounds=stage.rounds(7, 15),
            chart=("wall", "cpu a host"),
            absent=(*libraries, "ansible, ControlPersist"),
            notes=(
                "From the keys of the line to the summary on the terminal, or from a line to a script to its answer; "
                "every contestant has run the command at least once before. ansible is a new process each time, and "
                "its connections are kept by ssh; their CPU counts. servers and idle are as above.",
                *findings.WARM,
                *stage.reduced("rounds; ansible takes part in the full form only"),
            ),
        )
