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


class Oracle:
    """Ansible, loaded once and asked as often as one likes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        configuration = home / "empty.cfg"
        configuration.touch()
        self._said = (home / "stderr").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("answering.py"))],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "ANSIBLE_HOME": str(home / ".ansible"),
                "ANSIBLE_CONFIG": str(configuration),
                "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
                "LC_ALL": "C.UTF-8",
            },
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def ask(self, *sources: Path | str) -> Answer | None:
        """``ansible-inventory --list`` of the sources; None where it refuses them."""
        out = self._home / "answer.json"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"out": str(out), "sources": [str(source) for source in sources]}) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline().strip()
        if code != "0":
            self._said.seek(0)
            print(self._said.read())  # noqa: T201  # pytest shows it where a test wanted an answer
            assert code, "the process that asks Ansible has ended"
            return None
        answer = Answer(json.loads(out.read_text("utf-8")))
        out.unlink()  # the next answer is never taken for this one
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
