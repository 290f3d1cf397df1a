"""The lines that are kept between launches, and those that are not."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from prompt_toolkit.history import FileHistory

from hostshell.localfiles import partials_path
from hostshell.shell.history import keeps, open_history

CANARY = "s3cret;#100%"


def no_secrets() -> list[str]:
    return []


def again() -> list[str]:
    """What the next launch finds, oldest first."""
    return list(open_history(no_secrets).load_history_strings())[::-1]


@pytest.fixture
def state(clean_home: Path) -> Path:
    return clean_home / ".local" / "state" / "hostshell"


def test_lines_are_kept_between_launches_in_their_order(state: Path) -> None:
    first = open_history(no_secrets)
    for line in ("hosts", "batch_run -a -cmd 'one\ntwo'", "run echo ñ 東 🔑"):
        first.append_string(line)
    second = open_history(no_secrets)
    second.append_string("groups")
    assert again() == ["hosts", "batch_run -a -cmd 'one\ntwo'", "run echo ñ 東 🔑", "groups"]


def test_the_file_is_ours_alone_whatever_the_umask(state: Path) -> None:
    before = os.umask(0)
    try:
        open_history(no_secrets).append_string("hosts")
    finally:
        os.umask(before)
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "history").stat().st_mode & 0o777 == 0o600


def test_a_folder_or_file_that_others_could_read_is_closed_to_them(state: Path) -> None:
    state.mkdir(parents=True)
    state.chmod(0o755)
    (state / "history").touch()
    (state / "history").chmod(0o644)
    open_history(no_secrets).append_string("hosts")
    assert state.stat().st_mode & 0o077 == 0
    assert (state / "history").stat().st_mode & 0o077 == 0


def test_the_state_folder_is_where_xdg_says(tmp_path: Path, clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    open_history(no_secrets).append_string("hosts")
    assert (tmp_path / "elsewhere" / "hostshell" / "history").exists()


@pytest.mark.parametrize("value", ["", "relative/state"])
def test_a_relative_state_home_counts_as_unset(
    state: Path, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", value)
    monkeypatch.chdir(tmp_path)
    open_history(no_secrets).append_string("hosts")
    assert (state / "history").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line", [" hosts", "\thosts", "", "   ", f"run echo {CANARY}", f"batch_run -a -cmd 'mysql -p{CANARY}'"]
)
def test_a_line_with_a_leading_blank_or_a_secret_is_not_written(state: Path, line: str) -> None:
    history = open_history(lambda: [CANARY])
    history.append_string(line)
    history.append_string("hosts")
    assert again() == ["hosts"]
    assert CANARY not in (state / "history").read_text()


def test_a_secret_that_was_learned_later_counts(state: Path) -> None:
    known: list[str] = []
    history = open_history(lambda: known)
    known.append(CANARY)
    history.append_string(f"run echo {CANARY}")
    assert again() == []


def test_an_empty_secret_hides_nothing() -> None:
    assert keeps("hosts", ["", CANARY])
    assert not keeps(f"hosts {CANARY}", ["", CANARY])


def test_where_no_file_can_be_had_the_lines_of_this_session_are_kept_in_memory(
    clean_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = clean_home / "a-file"
    blocked.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    history = open_history(lambda: [CANARY])
    assert not isinstance(history, FileHistory)
    for line in ("hosts", " hidden", f"run {CANARY}"):
        history.append_string(line)
    assert history.get_strings() == ["hosts"]
    assert blocked.read_bytes() == b""


def test_a_user_without_a_home_has_a_history_in_memory_and_no_place_for_partials(
    clean_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a container's with a user number of its own, of which nothing says where its home is."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    monkeypatch.chdir(tmp_path)
    history = open_history(no_secrets)
    history.append_string("hosts")
    assert history.get_strings() == ["hosts"]
    assert partials_path() is None
    assert list(tmp_path.iterdir()) == []
