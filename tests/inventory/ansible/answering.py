"""A process that has loaded Ansible once and answers `ansible-inventory --list`, each time in a fork of its own.

A line of JSON comes in, ``{"out": FILE, "sources": [...]}``; Ansible writes its answer into FILE, and what it gave as
exit code goes out. The fork keeps one inventory's caches from the next. Started by `oracle`, in the environment that
Ansible is to see.
"""

from __future__ import annotations

import json
import os
import sys

from ansible.cli.inventory import InventoryCLI  # type: ignore[import-untyped]  # it is typed, and says so nowhere


def answer(out: str, sources: list[str]) -> int:
    """Ask Ansible in a fork; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        options = [word for source in sources for word in ("-i", source)]
        InventoryCLI.cli_executor(["ansible-inventory", *options, "--list", "--output", out])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    asked = json.loads(line)
    print(answer(asked["out"], asked["sources"]), flush=True)  # noqa: T201  # to who asked
