"""What Tab offers of the hosts' paths: asked in the background, kept for a moment, put together from several hosts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from hostshell.core.targets import Targets
from hostshell.core.traffic import Glanced
from hostshell.shell.complete import HostshellCompleter
from hostshell.shell.remotepaths import FRESH, RemotePaths
from tests.shell.test_complete import FLEET

WEB = Targets(groups=("web",))


class Hosts:
    """Stands in for the hosts: answers when it is let, and remembers what it was asked."""

    def __init__(self, *said: Glanced) -> None:
        self.said = said
        self.asked: list[tuple[Targets, str, str]] = []
        self.now = 0.0
        self._there = threading.Event()
        self.paths = RemotePaths(self._ask, clock=lambda: self.now)
        self.paths.arrived = self._there.set

    def _ask(self, targets: Targets, directory: str, begun: str) -> Sequence[Glanced]:
        self.asked.append((targets, directory, begun))
        return self.said

    def names(self, directory: str, begun: str = "") -> list[tuple[str, bool, str]]:
        """What there is, once it has come."""
        self._there.clear()
        found = self.paths.names(WEB, directory, begun)
        if found is None:
            assert self._there.wait(20)
            found = self.paths.names(WEB, directory, begun)
        assert found is not None
        return [(one.name, one.is_directory, one.about) for one in found]

    def offers(self, line: str) -> dict[str, str]:
        """The lines that Tab makes of ``line``, with what it says of each."""
        completer = HostshellCompleter(lambda: FLEET, remote=self.paths)
        for _ in range(2):
            self._there.clear()
            found = list(completer.get_completions(Document(line, len(line)), CompleteEvent()))
            if completer.awaited is None:
                break
            assert not found
            assert completer.awaited == line
            assert self._there.wait(20)
        return {line[: len(line) + one.start_position] + one.text: one.display_meta_text for one in found}


def glanced(host: str, *names: str, whole: bool = True) -> Glanced:
    return Glanced(1, host, tuple((name.rstrip("/"), name.endswith("/")) for name in names), whole)


def test_names_say_on_how_many_hosts_they_are() -> None:
    hosts = Hosts(glanced("a", "etc/", "x"), glanced("b", "etc/"), glanced("c", "etc", "x"))
    assert hosts.names("/") == [("etc", True, "on 3 of 3 hosts"), ("x", False, "on 2 of 3 hosts")]


def test_of_one_host_its_name_is_said() -> None:
    assert Hosts(glanced("a", "x")).names("/") == [("x", False, "on a")]


def test_a_longer_beginning_is_answered_without_asking_again_for_some_seconds() -> None:
    hosts = Hosts(glanced("a", "passwd", "profile"))
    assert len(hosts.names("/etc/", "p")) == 2
    assert [name for name, *_ in hosts.names("/etc/", "pa")] == ["passwd"]
    assert len(hosts.asked) == 1
    hosts.now += FRESH
    hosts.names("/etc/", "pa")
    assert len(hosts.asked) == 2
    hosts.paths.forget()
    hosts.names("/etc/", "pa")
    assert len(hosts.asked) == 3


def test_hidden_names_and_more_than_were_told_are_asked_for() -> None:
    hosts = Hosts(glanced("a", "x"))
    hosts.names("/etc/")
    hosts.names("/etc/", ".")
    assert len(hosts.asked) == 2
    cut = Hosts(glanced("a", "x", whole=False))
    cut.names("/etc/")
    cut.names("/etc/", "x")
    assert len(cut.asked) == 2


def test_where_nobody_can_be_asked_nothing_is_offered() -> None:
    assert Hosts().names("/") == []


@pytest.mark.parametrize(
    ("line", "found", "asked"),
    [
        (
            "batch_scp -h h1 -action put -local x -remote /e",
            {"batch_scp -h h1 -action put -local x -remote /etc/": "on 1 of 2 hosts"},
            (Targets(("h1",)), "/", "e"),
        ),
        ("batch_scp --remote=~/e", {"batch_scp --remote=~/etc/": "on 1 of 2 hosts"}, (Targets(), "~/", "e")),
        (
            "get -g lab -x h2 /a",
            {'get -g lab -x h2 "/a b"': "on 2 of 2 hosts"},
            (Targets((), ("lab",), ("h2",)), "/", "a"),
        ),
        ("get '/a", {"get '/a b'": "on 2 of 2 hosts"}, (Targets(), "/", "a")),
        ("get $", {"get '$x'": "on 2 of 2 hosts"}, (Targets(), "", "$")),
        ("run cat /e", {"run cat /etc/": "on 1 of 2 hosts"}, (Targets(), "/", "e")),
        ("run cat x | sort /a", {'run cat x | sort "/a b"': "on 2 of 2 hosts"}, (Targets(), "/", "a")),
        ("run cat ~/a", {}, (Targets(), "~/", "a")),  # in quotes ~ would be no home
        ("put -a x {host}/e", {'put -a x "{host}/etc/': "on 1 of 2 hosts"}, (Targets(everything=True), "{host}/", "e")),
    ],
)
def test_the_words_that_stand_for_paths_on_the_hosts_are_completed(
    line: str, found: dict[str, str], asked: tuple[Targets, str, str]
) -> None:
    hosts = Hosts(glanced("a", "a b", "$x", "etc/"), glanced("b", "a b", "$x"))
    assert hosts.offers(line) == found
    assert hosts.asked == [asked]


def test_the_name_of_a_command_is_not_looked_for_among_files() -> None:
    hosts = Hosts(glanced("a", "etc/"))
    assert hosts.offers("run e") == {}
    assert hosts.offers("!ls e") == {}
    assert hosts.asked == []


def test_a_word_that_may_be_of_either_side_says_of_which_each_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("both", "ours"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    hosts = Hosts(glanced("a", "both/", "theirs"))
    assert hosts.offers("put x ") == {
        "put x both/": "on a, directory here",
        "put x theirs": "on a",
        "put x ours/": "directory here",
    }
    assert hosts.offers("put x b") == {"put x both/": "on a, directory here"}
    assert hosts.offers("put x o") == {"put x ours/": "directory here"}
    assert hosts.offers("put x t") == {"put x theirs": "on a"}


def test_names_of_a_host_in_the_middle_of_the_name_of_a_file_are_not_asked_for() -> None:
    hosts = Hosts(glanced("a", "x"))
    assert hosts.offers("get {host}x") == {}
    assert hosts.asked == []
