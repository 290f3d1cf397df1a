"""The picture in the README: it shows a session, loads nothing, and tells nothing about the machine that made it."""

from __future__ import annotations

import re
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def picture() -> str:
    return (CHECKOUT / "docs" / "session.svg").read_text(encoding="utf-8")


def shown(picture: str) -> str:
    """The text that a reader sees, in the order of the rows."""
    texts = ElementTree.fromstring(picture).iter(f"{{{NAMESPACE}}}text")  # noqa: S314 - a file of ours
    return "\n".join(text.text or "" for text in texts).replace("\u00a0", " ")


def test_the_readme_shows_it() -> None:
    assert "(docs/session.svg)" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_it_loads_nothing(picture: str) -> None:
    rest = picture.replace(f'xmlns="{NAMESPACE}"', "")
    assert not re.search(r"https?:|file:|data:|@import|@font-face|<script|<image|href", rest)
    assert all(target.startswith("#session-") for target in re.findall(r"url\(([^)]*)\)", rest))


def test_it_holds_no_path_of_a_machine(picture: str) -> None:
    text = shown(picture)
    for path in (Path.home(), CHECKOUT, Path(tempfile.gettempdir())):
        assert len(str(path)) == 1 or str(path) not in text
    assert not re.search(r"/(home|root|tmp|Users|var|private|work)\b", text)


def test_it_shows_both_commands_and_what_the_hosts_said(picture: str) -> None:
    text = shown(picture)
    assert "batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd" in text
    assert "batch_scp -action put -local" in text
    for answer in ("web01:", "6 ok", "unreachable", "h3: connection refused", "db01,web[01-02] (3)", "sent"):
        assert answer in text
