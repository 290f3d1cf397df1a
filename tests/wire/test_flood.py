"""Many hosts that print at the same time as fast as they can: every line whole, in order, under its host's name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.accounts import Account
from tests.support.keys import Key
from tests.support.running import host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd

HOSTS, LINES = 40, 4000
PATIENCE = 300.0  # seconds; far more than it takes
# lines of all lengths, so that the pieces in which they travel are cut anywhere
FLOOD = (
    'awk \'BEGIN { x = sprintf("%0500d", 0); for (i = 1; i <= '
    + str(LINES)
    + '; i++) print "{host}", i, substr(x, 1, i % 480) "." }\''
)


def test_no_line_of_forty_hosts_is_cut_by_anothers_and_none_is_lost(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:
    names = [f"n{number:02}" for number in range(HOSTS)]
    inventory = write_inventory(tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in names))
    known = write_known_hosts(tmp_path, sshd.known_hosts_line)
    words = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known]
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [*words, "batch_run", "-a", "-cmd", FLOOD],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr
    seen = dict.fromkeys(names, 0)
    switches, before = 0, ""
    with (tmp_path / "out").open() as lines:
        for line in lines:
            found = re.fullmatch(r"(n\d\d): (n\d\d) (\d+) (0*)\.\n", line)
            assert found, line
            name, said, number, rest = found.groups()
            assert name == said
            assert int(number) == seen[name] + 1
            assert len(rest) == int(number) % 480
            seen[name] += 1
            switches += name != before
            before = name
    assert set(seen.values()) == {LINES}
    assert switches > HOSTS  # they did print at the same time
