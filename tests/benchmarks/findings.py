"""Where our time goes in the works in which somebody is quicker: measured once, beside the figures of each run."""

from __future__ import annotations

COLD = (
    "Where our time goes: the start is about 0.2 s of CPU for one host (Python, the inventory, paramiko, a helper and "
    "two workers; parallel-ssh's is 0.11 s), 2 ms of each host's share here and the less of it the more hosts "
    "there are. A login with its command takes 2.9 ms even alone in one thread, as much as asyncssh takes on its one "
    "loop; parallel-ssh's C library takes 2.2 to 2.6. On top of that come some 70 context switches a host, between "
    "paramiko's thread of a connection, the thread of its turn, and those who wait for Python's lock. "
    "Tried, and kept, with the CPU of the whole command on 100 hosts: a helper that is a fork of the program, and no "
    "resource tracker (684 to 546 ms); a look for garbage after 50,000 objects in place of 700 (546 to 532); records "
    "whose methods are compiled when the first is made (180 to 110 ms of the first process); paramiko without "
    "importlib.metadata (113 to 91 ms of its import); before that reads that block in place of polling, one thread for "
    "all deadlines, a login's messages in one segment, no logging, one look into known_hosts, paramiko without invoke. "
    "Tried, and not kept: no thread for a connection, whoever waits reads what comes (40 switches a host fewer, 8% "
    "less CPU, measured in turns): a server that ignores its window is then held back by TCP alone and not cut off, "
    "and whatever blocks on a channel of paramiko's would have to be told. Tried, without a clear effect: fewer key "
    "exchange algorithms, a longer interval between switches of Python's threads (0.05 and 0.5 s)."
)

WARM = (
    "Where our time goes: of 0.9 ms a host the two workers take 0.33 ms each, of which a command on an open connection "
    "is 0.42 ms of CPU in ssh/ (measured alone, one thread), and the prompt 0.2 ms (the scheduler, the events, the "
    "screen). 15 context switches a host; without a thread for each connection it would be 10, and 3% less CPU. "
    "Tried, and kept: a session opened ahead, a command and its end of input in one segment, reports that travel "
    "together, threads that are taken anew, and rarer looks for garbage, which took a third of the second command on "
    "1,000 hosts and are why a host cost more there than among 100. The servers' own work, a fork and a shell for each "
    "command on the same two cores, is most of everybody's wall time."
)

MANY_FILES = (
    "Where our time goes: at a prompt, with the host's folder on a memory file system, 2,000 files take 0.35 s, of "
    "which the client's CPU is 0.21 s; start and login of the whole command come on top of that. On ext4 the server's "
    "making of a file is most of the rest, for everybody: 25 to 500 µs a file, and where files were deleted shortly "
    "before, 80% of it is the kernel's search past their inodes (perf). Tried with the server's program alone, over "
    "pipes, without a clear effect there: no FSETSTAT, no temporary name and rename, neither. Both stay: a file is "
    "whole or not there. Again, nothing changed: 0.11 to 0.25 s on a memory file system as well (on a machine that "
    "others loaded), of which the client's CPU is 0.054 s and the host's sha256sum 0.04 s. Of the wall time 17 ms are "
    "the host's listing, 12 ms our comparing it, 56 to 100 ms the host's sha256sum in a session of its own. These "
    "were taken one at a time, with tests at work on the machine, and are less than the whole in the table: the rest "
    "is not measured. A tenth of the first time would be 39 ms; cat of the same 2,000 files took some 36 ms of CPU, "
    "to which listing and comparing come. Not tried: to remember what was put, so that nothing need be read. Tried, "
    "and kept: local files whose identity and times are known are not opened again, and attributes are read in one go "
    "(0.086 to 0.054 s of CPU)."
)
