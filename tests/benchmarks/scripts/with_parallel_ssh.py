"""A command on many hosts with parallel-ssh's library (libssh2), as its manual does it: no agent, one key.

Runs in the environment of the peers: ``with_parallel_ssh.py HOSTS_FILE PORT USER KEY FANOUT [kept] COMMAND``. With
``kept`` it waits for a line on standard input before each run, on the same connections, and answers each run with a
line: how many hosts are ok.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pssh.clients import ParallelSSHClient


def main() -> None:
    file, port, user, key, fanout, *kept, command = sys.argv[1:]
    hosts = Path(file).read_text().split()
    client = ParallelSSHClient(
        hosts,
        user=user,
        port=int(port),
        pkey=key,
        allow_agent=False,
        identity_auth=False,
        pool_size=int(fanout),
    )

    def once() -> int:
        output = client.run_command(command)
        client.join(output)
        return sum(host.exit_code == 0 for host in output)

    print("ready", flush=True)
    for _ in sys.stdin if kept else [""]:
        print(once(), flush=True)


if __name__ == "__main__":
    main()
