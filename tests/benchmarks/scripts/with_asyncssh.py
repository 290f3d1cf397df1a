"""A command on many hosts with asyncssh: gather() under a semaphore, one key, host keys checked, no agent.

Runs in the environment of the peers: ``with_asyncssh.py HOSTS_FILE PORT USER KEY FANOUT [kept] COMMAND``, with
known_hosts in the current folder. With ``kept`` it waits for a line on standard input before each run, on the same
connections, and answers each run with a line: how many hosts are ok.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh


async def main() -> None:
    file, port, user, key, fanout, *kept, command = sys.argv[1:]
    hosts = Path(file).read_text().split()
    turns = asyncio.Semaphore(int(fanout))
    known = asyncssh.read_known_hosts("known_hosts")
    keys = [asyncssh.read_private_key(key)]
    connections: dict[str, asyncssh.SSHClientConnection] = {}

    async def turn(host: str) -> bool:
        async with turns:
            if host not in connections:
                connections[host] = await asyncssh.connect(
                    host,
                    int(port),
                    username=user,
                    client_keys=keys,
                    known_hosts=known,
                    agent_path=None,
                    config=None,
                    gss_host=None,
                )
            done = await connections[host].run(command, encoding=None)
            if not kept:
                connections.pop(host).close()
            return done.exit_status == 0

    print("ready", flush=True)
    while not kept or await asyncio.to_thread(sys.stdin.readline):
        print(sum(await asyncio.gather(*map(turn, hosts))), flush=True)
        if not kept:
            break


if __name__ == "__main__":
    asyncio.run(main())
