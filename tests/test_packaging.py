"""What a stranger downloads: dependencies said once and the same everywhere, and the files that belong to it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import hostshell

# pytest brings tomli where Python has no parser of its own (3.10).
tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings


@pytest.fixture(scope="module")
def requirement_lines() -> list[str]:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


def as_written(lines: list[str]) -> dict[str, SpecifierSet]:
    requirements = [Requirement(line) for line in lines]
    return {requirement.name.lower(): requirement.specifier for requirement in requirements}


def test_requirements_txt_and_pyproject_name_the_same_packages_and_versions(
    pyproject: dict[str, Any], requirement_lines: list[str]
) -> None:
    listed = [line for line in requirement_lines if line.strip() and not line.startswith("#")]
    assert as_written(listed) == as_written(pyproject["project"]["dependencies"])
    assert len(listed) == len(pyproject["project"]["dependencies"])


def test_every_requirement_says_above_it_why_it_is_there(requirement_lines: list[str]) -> None:
    without_reason = [
        line
        for above, line in zip(["", *requirement_lines], requirement_lines, strict=False)
        if line.strip() and not line.startswith("#") and not above.startswith(f"# {Requirement(line).name}: ")
    ]
    assert without_reason == []


def test_paramiko_is_held_to_one_minor_release(pyproject: dict[str, Any]) -> None:
    allowed = as_written(pyproject["project"]["dependencies"])["paramiko"]
    assert "5.1.9" in allowed
    assert "5.2.0" not in allowed


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CHANGELOG.md", "hosts.ini", "requirements.txt", "run_shell.py"]
)
def test_the_files_that_a_newcomer_looks_for_are_there(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_the_licence_is_the_one_that_the_package_declares(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["license"] == {"text": "MIT"}
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_the_readme_is_the_one_that_the_package_shows(pyproject: dict[str, Any]) -> None:
    assert (ROOT / pyproject["project"]["readme"]).is_file()


def test_the_version_is_the_same_in_the_package_the_metadata_and_the_changelog(pyproject: dict[str, Any]) -> None:
    assert hostshell.__version__ == pyproject["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## .*{re.escape(hostshell.__version__)}", changelog, re.MULTILINE)


def test_the_sample_inventory_holds_no_secret() -> None:
    sample = (ROOT / "hosts.ini").read_text(encoding="utf-8")
    assert re.findall(r"^\s*password\s*=.*", sample, re.MULTILINE) == []


def test_the_scripts_can_be_run() -> None:
    for script in (".ci/run", "tests/support/get-sshd", "tests/support/get-sudo"):
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"
