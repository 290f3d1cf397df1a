"""Where our time goes in the works in which somebody is quicker: measured once, beside the figures of each run."""

from __future__ import annotations

COLD = (
    "Where our time goes: the start is about 0.6 s of CPU at the prompt (Python, the inventory, paramiko, three "
    "helper processes), which is 6 ms of each host's share here and hardly any at 1,000 hosts, as that work "
    "shows. A login itself takes 4.9 million instructions; parallel-ssh's C library takes 6.0 with its command "
    "(valgrind --tool=callgrind, 22 hosts less 2). What is dear is handing over between paramiko's thread of a "
    "connection, the thread of its turn and the pool: about 60 context switches a host. Tried, and kept: reads "
    "that block instead of polling, one thread for all deadlines, the messages of a login in one segment, no "
    "logging, one look into known_hosts, paramiko without invoke. Tried, without effect: fewer key exchange "
    "algorithms, no garbage collection. Not tried: an event loop in place of the threads, which is what is left."
)

WARM = (
    "Where our time goes: a command on an open connection takes 0.4 ms of CPU in ssh/ (measured alone, one host); "
    "the rest of a host's share is the pool, its pipes and the hand-overs between threads. Tried, and kept: a "
    "session opened ahead, a command and its end of input in one segment, reports that travel together, threads "
    "that are taken anew. The servers' own work, a fork and a shell for each command on the same two cores, is "
    "most of everybody's wall time."
)
