"""Hosts, groups and settings are what `ansible-inventory --list` says of the same files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.inventory.load import load
from hostshell.inventory.model import BUILT_IN, Inventory
from tests.inventory.ansible.oracle import Answer, Oracle

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    oracle = Oracle(tmp_path_factory.mktemp("ansible"))
    yield oracle
    oracle.close()


def check(ours: Inventory, theirs: Answer) -> None:
    assert set(ours.host_names) == theirs.hosts
    assert {name: set(hosts) for name, hosts in ours.groups.items() if hosts} == theirs.groups
    for name in ours.host_names:
        host = ours.host(name)
        user = next(setting for setting in ours.settings(name) if setting.key == "user")
        key = theirs.key(name)
        said = (
            host.address,
            host.port,
            None if user.source == BUILT_IN else host.user,
            host.key,
        )
        expected = (theirs.address(name), theirs.port(name), theirs.user(name), key and os.path.expanduser(key))
        assert said == expected, name


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_a_sample_is_read_as_ansible_reads_it(name: str, ansible: Oracle) -> None:
    source = SAMPLES / name
    if name == "beside":
        source = source / "hosts"
    theirs = ansible.ask(source)
    assert theirs is not None
    check(load([str(source)]), theirs)


def test_several_sources_are_one_inventory_as_they_are_for_ansible(ansible: Oracle) -> None:
    sources = [SAMPLES / "beside" / "hosts", SAMPLES / "nested.ini", SAMPLES / "nested.yml", SAMPLES / "keys.yml"]
    theirs = ansible.ask(*sources)
    assert theirs is not None
    check(load([str(source) for source in sources]), theirs)


def test_the_order_of_sources_counts_as_it_does_for_ansible(ansible: Oracle) -> None:
    sources = [SAMPLES / "keys.yml", SAMPLES / "nested.ini", SAMPLES / "beside" / "hosts"]
    theirs = ansible.ask(*sources)
    assert theirs is not None
    check(load([str(source) for source in sources]), theirs)


def test_a_program_is_run_as_ansible_runs_it(tmp_path: Path, ansible: Oracle) -> None:
    program = tmp_path / "cloud"
    shutil.copy(SAMPLES.parent / "listing.json", tmp_path / "answer.json")
    program.write_text('#!/bin/sh\n[ "$1" = --list ] && cat "$(dirname "$0")/answer.json"\n')
    program.chmod(0o755)
    theirs = ansible.ask(program)
    assert theirs is not None
    check(load([str(program)]), theirs)


def test_what_ansible_refuses_has_no_answer(tmp_path: Path, ansible: Oracle) -> None:
    (tmp_path / "none.yml").write_text("- no\n- inventory\n")
    assert ansible.ask(tmp_path / "none.yml") is None
    assert ansible.ask(SAMPLES / "nested.ini") is not None  # and it goes on
