"""Trees for the tests of copies: one with all that trees have, and a picture of one to compare."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def make_tree(root: Path) -> None:
    """A tree with what trees have: files, an empty folder, links, modes and times."""
    (root / "a" / "empty").mkdir(parents=True)
    (root / "a" / "one").write_text("1")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o750)
    (root / "zero").touch()
    (root / "link").symlink_to("a/one")
    (root / "dangling").symlink_to("/nowhere/at all")
    (root / "a" / "empty").chmod(0o711)
    (root / "a").chmod(0o710)
    for path in (root / "run", root / "a", root):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def picture(root: Path, *, folder_times: bool = True) -> dict[str, tuple[int, int, bytes]]:
    """Everything below ``root``: mode, time and content; times of links are nobody's business."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        if path.is_symlink():
            found[str(path.relative_to(root))] = (0, 0, os.fsencode(path.readlink()))
        else:
            content = path.read_bytes() if path.is_file() else b""
            counts = folder_times or not path.is_dir()
            found[str(path.relative_to(root))] = (info.st_mode, int(info.st_mtime) if counts else 0, content)
    return found


def everything(path: Path) -> list[str]:
    """All that is below a folder, as relative paths."""
    return sorted(str(entry.relative_to(path)) for entry in path.rglob("*"))


def general(path: str) -> str:
    """A partial's path as sentences say it: without its hash."""
    assert re.search(r"\.hostshell-[0-9a-f]{20}\.part$", path), path
    return f"{path[:-25]}*.part"
