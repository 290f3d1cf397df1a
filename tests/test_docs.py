"""Help, Tab and the reference page say the same as the table of commands, all of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hostshell.core.commands import COMMANDS, SETTINGS, Command
from hostshell.core.errors import UsageError
from hostshell.core.grammar import parse_line
from hostshell.core.invocations import BatchRun, BatchScp, ShowHelp
from hostshell.shell.help import WIDTH, command_help, overview

DOCS = Path(__file__).parent.parent / "docs"

each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_page_is_what_the_table_gives(generator: ModuleType) -> None:
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert page == generator.reference(), "run: python docs/make_reference.py"


@each_command
def test_every_command_has_a_section_with_every_option(command: Command) -> None:
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    section = page.split(f"\n### {command.name}\n")[1].split("\n##")[0]
    assert command.form in section
    for name in command.option_names():
        assert f"`{name}`" in section


@each_command
def test_every_command_has_help_with_its_form_options_and_examples(command: Command) -> None:
    text = command_help(command.name, width=1000)
    assert command.form in text
    for option in command.options:
        assert ", ".join(option.names) in text
        assert option.help in text
    for example in command.examples:
        assert example in text


@each_command
def test_every_example_means_something(command: Command) -> None:
    assert command.examples
    for example in command.examples:
        assert parse_line(example) is not None


def test_no_example_leaves_files_where_another_makes_directories() -> None:
    """They are tried one after the other: --outdir writes DIR/HOST, and a get makes LOCAL/HOST/."""
    parsed = [parse_line(example) for command in COMMANDS for example in command.examples]
    files = {folder for run in parsed if isinstance(run, BatchRun) for folder in (run.outdir, run.errdir) if folder}
    directories = {copy.local for copy in parsed if isinstance(copy, BatchScp)}
    assert files
    assert directories
    assert not files & directories


@each_command
@pytest.mark.parametrize("width", [80, 60])
def test_help_fits_its_width(command: Command, width: int) -> None:
    examples = {f"  {example}" for example in command.examples} if width < WIDTH else set()
    for line in (*command_help(command.name, width).splitlines(), *overview(width).splitlines()):
        assert len(line) <= width or line in examples


@each_command
def test_every_command_explains_itself(command: Command) -> None:
    assert parse_line(f"help {command.name}") == ShowHelp(command.name)
    if command.name != "!":
        assert parse_line(f"{command.name} -h") == ShowHelp(command.name)
        assert parse_line(f"{command.name} --help") == ShowHelp(command.name)


def test_the_overview_names_every_command() -> None:
    text = overview()
    for command in COMMANDS:
        assert f"  {command.name}" in text
        assert command.summary in text
    assert "quit" not in text


def test_help_on_set_names_every_setting() -> None:
    text = command_help("set")
    for setting in SETTINGS:
        assert f"  {setting.name} " in text


def test_help_on_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="batch_run"):
        command_help("batchrun")
