"""From the start to the prompt: alone, with large inventories, and what the first command then waits for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.benchmarks import fleet
from tests.benchmarks.kept import PROMPT, TYPING, Prompt
from tests.benchmarks.stage import Stage
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.work import Bar, Contestant, Sample, Work

_OWN_SECTIONS = "each host has a section of its own with address, port, user and key"


def _words(*more: str) -> list[str]:
    return ["hostshell", *more]


def _to_prompt(stage: Stage, name: str, *words: str) -> Contestant:
    def once() -> Sample:
        with Terminal(_words(*words), cwd=stage.folder, environment=stage.environment) as terminal:
            wall = terminal.moment_of(PROMPT) - terminal.begun
            terminal.leave("\x04")
        return {"wall": wall}

    return Contestant(name, " ".join(_words(*words)) + "    # at a terminal, until the prompt is drawn", once)


@contextlib.contextmanager
def launch(stage: Stage) -> Iterator[Work]:
    """The prompt against the import of the library that draws it."""
    (stage.folder / "few.ini").write_text(fleet.inventory_text(fleet.names_of(4), 22, stage.account.name))
    (stage.folder / "few.ini").chmod(0o600)
    yield Work(
        "launch to prompt",
        (
            _to_prompt(stage, "hostshell", "-i", "few.ini"),
            stage.command("prompt_toolkit", ["python", "-c", "import prompt_toolkit"]),
        ),
        (
            Bar(
                "launch to prompt, against the import alone",
                "hostshell",
                "wall",
                1.7,
                "s",
                ("prompt_toolkit",),
            ),
        ),
        {"wall": "s", "cpu": "s"},
        rounds=stage.rounds(7, 15),
        notes=("few.ini has four hosts. The prompt is drawn when its text can be read at the terminal's other end.",),
    )


@contextlib.contextmanager
def large(stage: Stage) -> Iterator[Work]:
    """The prompt with ten thousand and a hundred thousand hosts."""
    for hosts in (10_000, 100_000):
        path = stage.folder / f"{hosts}.ini"
        path.touch(mode=0o600)
        path.write_text(fleet.inventory_text(fleet.names_of(hosts, 6), 22, stage.account.name))
    many = _to_prompt(stage, "100,000 hosts", "-i", "100000.ini")
    yield Work(
        "launch to prompt with large inventories",
        (
            _to_prompt(stage, "10,000 hosts", "-i", "10000.ini"),
            Contestant(many.name, many.command, many.once, stage.rounds(1, 3)),
        ),
        (
            Bar("launch to prompt with 10,000 hosts", "10,000 hosts", "wall", 1.0, "s"),
            Bar("launch to prompt with 100,000 hosts", "100,000 hosts", "wall", 8.0, "s"),
        ),
        {"wall": "s"},
        rounds=stage.rounds(3, 5),
        warm_up=False,
        notes=(f"In both inventories {_OWN_SECTIONS}.",),
    )


@contextlib.contextmanager
def first_command(stage: Stage) -> Iterator[Work]:
    """What the first command waits for: the pool starts while the person types."""
    with stage.fleet(1) as hosts:
        words = _words("-i", "hosts.ini", "--known-hosts", "known_hosts")
        line = f"batch_run -h {hosts.names[0]} -cmd true"

        def contestant(name: str, pause: float) -> Contestant:
            def once() -> Sample:
                with Prompt(stage, words, pause) as prompt:
                    walls = [prompt.turn(line, "1 ok") for _ in range(2)]
                return {"first": walls[0], "second": walls[1]}

            how = f"typed {pause:g} s after the prompt" if pause else "typed at once"
            return Contestant(name, f"{' '.join(words)}    # {line}, {how}", once)

        yield Work(
            "the first command at the prompt",
            (contestant("typed at once", 0.0), contestant("typed a second later", TYPING)),
            (),
            {"first": "s", "second": "s"},
            rounds=stage.rounds(2, 7),
            warm_up=stage.full,
            notes=(
                "From the keys to the summary, for the first command and for the same again, whose connection is warm. "
                "No bar: the first two differ by the start of the pool, which goes on while a person types.",
            ),
        )
