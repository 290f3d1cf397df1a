"""``pipe.py ADDRESS PORT``: standard input and output as a TCP connection, as `nc` does; not every machine has that."""

from __future__ import annotations

import os
import socket
import sys
import threading


def main() -> None:
    link = socket.create_connection((sys.argv[1], int(sys.argv[2])))

    def out() -> None:
        while data := link.recv(65536):
            os.write(1, data)
        os._exit(0)

    threading.Thread(target=out, daemon=True).start()
    while data := os.read(0, 65536):
        link.sendall(data)
    os._exit(0)


main()
