"""Plain data stays plain: what crosses a process boundary survives pickling, and secrets show themselves to nobody."""

from __future__ import annotations

import collections.abc
import copy
import dataclasses
import importlib
import inspect
import io
import json
import logging
import pickle
import pkgutil
import sys
import traceback
import types
import typing
from typing import Any

import pytest

import hostshell
from hostshell.core import events, model
from hostshell.core.errors import HostshellError
from hostshell.core.events import Block, Event, Failure, Output
from hostshell.core.model import Get, Host, Job, Ping, Place, Put, Run, Secret, SecretSource

CANARY = "canary-7f3a;100%"


def load_everything() -> None:
    """Import all of hostshell, so that no subclass is unknown."""
    for module in pkgutil.walk_packages(hostshell.__path__, "hostshell."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def subclasses(base: type[Any]) -> list[type[Any]]:
    """All subclasses in hostshell, however deep, by name."""
    found: dict[str, type[Any]] = {}
    waiting: list[type[Any]] = [base]
    while waiting:
        for child in waiting.pop().__subclasses__():
            waiting.append(child)
            # @dataclass(slots=True) makes a second class and leaves the first one behind, which nobody can reach.
            reachable = getattr(sys.modules[child.__module__], child.__name__, child)
            if child.__module__.startswith("hostshell.") and reachable is child:
                found[child.__qualname__] = child
    return [found[name] for name in sorted(found)]


def name_of(kind: type[Any]) -> str:
    return kind.__qualname__


load_everything()
ERRORS: list[type[Any]] = [HostshellError, *subclasses(HostshellError)]
EVENTS = subclasses(Event)
DATA = [kind for kind in vars(model).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)]


def sample(hint: Any, within: tuple[type, ...] = ()) -> Any:
    """Some value of the type ``hint``; never an empty one, so that a field that gets lost is noticed.

    Only what holds values of its own kind (a host the hosts that it is reached through) ends ``within`` its first one.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return sample(next(argument for argument in arguments if argument is not type(None)), within)
    if origin is typing.Literal:
        return arguments[-1]
    if origin in (tuple, list, set, frozenset):
        return origin([sample(arguments[0], within)] if within.count(arguments[0]) < 2 else [])
    if origin in (dict, collections.abc.Mapping):
        return {sample(arguments[0], within): sample(arguments[1], within)}
    simple = {str: "web01 é\n", int: 7, float: 2.5, bool: True, bytes: b"\x00\xff", Secret: Secret(CANARY)}
    if hint in simple:
        return simple[hint]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        names = [field.name for field in dataclasses.fields(hint) if field.init]
        return hint(**{name: sample(hints[name], (*within, hint)) for name in names})
    raise AssertionError(f"this test knows no value of the type {hint}: teach it one")


def sample_error(kind: type[HostshellError]) -> HostshellError:
    hints = typing.get_type_hints(kind.__init__)
    parameters = list(inspect.signature(kind).parameters.values())
    return kind(
        *(sample(hints[parameter.name]) for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY)
    )


@pytest.mark.parametrize("kind", ERRORS, ids=name_of)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_every_error_survives_pickling_with_all_it_knows(kind: type[HostshellError], protocol: int) -> None:
    error = sample_error(kind)
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert (str(again), vars(again), again.exit_code) == (str(error), vars(error), error.exit_code)


@pytest.mark.parametrize("kind", EVENTS, ids=name_of)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_every_event_survives_pickling_and_is_frozen_and_slotted(kind: type[Event], protocol: int) -> None:
    event = sample(kind)
    again = pickle.loads(pickle.dumps(event, protocol))
    assert type(again) is kind
    assert again == event
    assert not hasattr(event, "__dict__")
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        setattr(event, dataclasses.fields(event)[0].name, None)


@pytest.mark.parametrize("kind", [Failure, *DATA], ids=name_of)
def test_all_data_of_the_model_survives_pickling(kind: type) -> None:
    value = sample(kind)
    assert pickle.loads(pickle.dumps(value)) == value


def test_the_walk_finds_the_classes_that_everybody_knows() -> None:
    assert {kind.__name__ for kind in EVENTS} >= {"Started", "Output", "Block", "Progress", "Finished", "Summary"}
    assert {kind.__name__ for kind in ERRORS} >= {"UsageError", "TargetError", "InventoryError", "SecretError"}
    assert Host in DATA
    assert Job in DATA


def test_every_status_has_an_exit_code() -> None:
    assert set(events.EXIT_CODES) == set(typing.get_args(events.Status))


class TestSecret:
    @pytest.fixture
    def secret(self) -> Secret:
        return Secret(CANARY)

    @pytest.fixture
    def host(self, secret: Secret) -> Host:
        source = SecretSource("literal", Place("hosts.ini", 3, "host:h1"), literal=secret)
        return Host(
            "h1", "192.0.2.11", password=secret, password_from=source, passphrase=secret, passphrase_from=source
        )

    def test_it_shows_itself_only_when_asked(self, secret: Secret) -> None:
        shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s %r" % (secret, secret), "{}".format(secret)]  # noqa: UP031, UP032  # all ways
        assert not [text for text in shown if CANARY in text]
        assert str(secret) == "***"
        assert secret.reveal() == CANARY

    @pytest.mark.parametrize("spec", [">10", "s", "d", "x^30"])
    def test_no_format_gets_it_out(self, secret: Secret, spec: str) -> None:
        try:
            shown = format(secret, spec)
        except TypeError as refused:
            shown = str(refused)
        assert CANARY not in shown

    def test_data_that_holds_it_does_not_show_it(self, host: Host) -> None:
        job = Job((host,), Run("true"))
        shown = [repr(host), str(job), repr([host]), repr({"host": host}), repr(dataclasses.asdict(host))]
        shown.append(json.dumps(dataclasses.asdict(host), default=str))
        assert not [text for text in shown if CANARY in text]
        assert "***" in repr(host)

    def test_it_has_no_attribute_dictionary_and_is_no_text(self, secret: Secret) -> None:
        with pytest.raises(TypeError):
            vars(secret)
        with pytest.raises(TypeError):
            json.dumps(secret)
        with pytest.raises(TypeError):
            iter(secret)

    def test_a_log_line_and_a_traceback_with_locals_do_not_show_it(self, host: Host) -> None:
        log = io.StringIO()
        logger = logging.Logger("canary")
        logger.addHandler(logging.StreamHandler(log))
        logger.error("cannot log in to %s", host)

        def fail(host: Host) -> None:
            raise HostshellError(f"cannot log in to {host}")

        try:
            fail(host)
        except HostshellError as error:
            log.write("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
        assert "cannot log in to" in log.getvalue()
        assert CANARY not in log.getvalue()

    def test_copies_and_pickles_stay_equal_and_closed(self, secret: Secret) -> None:
        for again in (copy.copy(secret), copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):
            assert again == secret
            assert hash(again) == hash(secret)
            assert CANARY not in repr(again)

    def test_it_is_equal_to_no_plain_text(self, secret: Secret) -> None:
        assert secret != CANARY
        assert Secret("other") != secret


class TestOutput:
    def test_text_is_utf_8_and_what_is_not_is_replaced_with_the_bytes_kept(self) -> None:
        valid, broken = Output(1, "h1", "stdout", "é".encode()), Output(1, "h1", "stdout", b"a\xff\x00")
        assert (valid.data, valid.data_base64) == ("é", None)
        assert (broken.data, broken.data_base64) == ("a\ufffd\x00", "Yf8A")

    @pytest.mark.parametrize(
        ("raw", "eol", "lines"),
        [
            (b"a\nb\n", True, [(b"a", True), (b"b", True)]),
            (b"\n\n", True, [(b"", True), (b"", True)]),
            (b"a\nb", False, [(b"a", True), (b"b", False)]),
            (b"b", False, [(b"b", False)]),
        ],
    )
    def test_a_block_is_the_same_as_its_lines(self, raw: bytes, eol: bool, lines: list[tuple[bytes, bool]]) -> None:
        block = Block(1, "h1", "stderr", raw, eol)
        assert [(line.raw, line.eol) for line in block.lines()] == lines
        assert all((line.job, line.host, line.stream) == (1, "h1", "stderr") for line in block.lines())


def test_only_host_is_replaced_in_a_tasks_texts() -> None:
    text = "{host}: {hosts} %h $host {} {host}"
    done = "web01: {hosts} %h $host {} web01"
    assert Run(text).for_host("web01") == Run(done)
    assert Put(text, text).for_host("web01") == Put(done, done)
    assert Get(text, text).for_host("web01") == Get(done, done)
    assert Ping().for_host("web01") == Ping()
