"""What hostshell costs in time, CPU and memory, on real OpenSSH servers: ``python -m tests.benchmarks``.

A *work* (`work.py`) is done by its contestants in turn, round after round, and held to bars; `registry.py` lists the
works, `report.py` writes them down. Linux only: what processes cost is read from /proc.
"""
