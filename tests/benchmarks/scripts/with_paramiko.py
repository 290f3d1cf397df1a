"""One file from one host with paramiko's own SFTP client: a key, no agent, its `get` as it comes (with prefetch).

Runs with this project's own interpreter: ``with_paramiko.py ADDRESS PORT USER KEY REMOTE LOCAL``.
"""

from __future__ import annotations

import sys

import paramiko


def main() -> None:
    address, port, user, key, remote, local = sys.argv[1:]
    client = paramiko.SSHClient()
    client.load_host_keys("known_hosts")
    client.connect(address, int(port), user, key_filename=key, look_for_keys=False, allow_agent=False)
    with client.open_sftp() as sftp:
        sftp.get(remote, local)
    client.close()


if __name__ == "__main__":
    main()
