"""A command on many hosts with Fabric's connections in a pool of threads: one key, no agent, nothing printed.

Runs in the environment of the peers: ``with_fabric.py HOSTS_FILE PORT USER KEY FANOUT [kept] COMMAND``. Its own
ThreadingGroup starts a thread for every host at once; the pool of threads holds it to the fan-out. With ``kept`` it
waits for a line on standard input before each run, on the same connections, and answers each run with a line: how many
hosts are ok.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabric import Config, Connection


def main() -> None:
    file, port, user, key, fanout, *kept, command = sys.argv[1:]
    config = Config(overrides={"load_ssh_configs": False, "run": {"hide": True, "in_stream": False}})
    how = {"key_filename": key, "look_for_keys": False, "allow_agent": False}
    connections = [
        Connection(host, user=user, port=int(port), config=config, connect_kwargs=how)
        for host in Path(file).read_text().split()
    ]

    def turn(connection: Connection) -> bool:
        done = connection.run(command)
        if not kept:
            connection.close()
        return bool(done.ok)

    print("ready", flush=True)
    with ThreadPoolExecutor(int(fanout)) as pool:
        for _ in sys.stdin if kept else [""]:
            print(sum(pool.map(turn, connections)), flush=True)


if __name__ == "__main__":
    main()
