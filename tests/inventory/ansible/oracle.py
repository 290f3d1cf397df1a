"""What Ansible itself says of an inventory, asked in a home of its own, without a configuration or a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Answer:
    """``groups``: group to its hosts, those of groups in it too; not `all`, none that is empty."""

    def __init__(self, listing: dict[str, Any]) -> None:
        self._listing = listing
        self.groups = {
            name: members for name in listing if name not in ("_meta", "all") and (members := self._members(name, ()))
        }
        self.hosts = self._members("all", ())
        self.variables: dict[str, dict[str, Any]] = {
            name: listing["_meta"]["hostvars"].get(name, {}) for name in self.hosts
        }

    def _members(self, name: str, above: tuple[str, ...]) -> set[str]:
        assert name not in above
        group = self._listing.get(name, {})
        found = set(group.get("hosts", ()))
        for child in group.get("children", ()):
            found |= self._members(child, (*above, name))
        return found

    def address(self, host: str) -> str:
        return str(self._last(host, "ansible_host", "ansible_ssh_host") or host)

    def port(self, host: str) -> int:
        return int(self._last(host, "ansible_port", "ansible_ssh_port") or 22)

    def user(self, host: str) -> str | None:
        return self._text(self._last(host, "ansible_user", "ansible_ssh_user"))

    def key(self, host: str) -> str | None:
        return self._text(self._last(host, "ansible_private_key_file", "ansible_ssh_private_key_file"))

    def _last(self, host: str, *names: str) -> Any:
        # as the ssh plugin does: of several names that are set, the last in its table
        values = [self.variables[host][name] for name in names if self.variables[host].get(name) is not None]
        return values[-1] if values else None

    @staticmethod
    def _text(value: Any) -> str | None:
        return None if value is None else str(value)


def ask(home: Path, *sources: Path | str) -> Answer | None:
    """``ansible-inventory --list`` of the sources; None where it refuses them."""
    options = [word for source in sources for word in ("-i", str(source))]
    configuration = home / "empty.cfg"
    configuration.touch()
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "inventory", *options, "--list"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANSIBLE_HOME": str(home / ".ansible"),
            "ANSIBLE_CONFIG": str(configuration),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
            "LC_ALL": "C.UTF-8",
        },
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        print(done.stderr)  # noqa: T201  # pytest shows it where a test wanted an answer
        return None
    return Answer(json.loads(done.stdout))
