"""Where our time goes in the works in which somebody is quicker: measured once, beside the figures of each run.

What is said in milliseconds was taken by hand, alone, on the machine of docs/benchmarks.md; it explains the tables and
need not add up to them to the digit.
"""

from __future__ import annotations

COLD = (
    "Where the wall time goes: into CPU. Servers and client share these cores, and hardly any time is idle, so wall is "
    "what both take, divided by the cores; the servers take more than three quarters of it, the same for everybody. "
    "asyncssh takes 1 ms of CPU a host less than we do, and leaves more of the cores idle at its start: the two come "
    "out within some hundredths of each other, now one ahead and now the other (the column rounds of the summary). "
    "parallel-ssh takes the least CPU and the most wall time of the three, for it leaves much of the cores idle.",
    "Where our CPU goes: the start is about 0.2 s for one host (Python, the inventory, paramiko, a helper and "
    "two workers; parallel-ssh's is 0.11 s), 2 ms of each host's share here and the less of it the more hosts "
    "there are. A login with its command takes 2.9 ms even alone in one thread, as much as asyncssh takes on its one "
    "loop; parallel-ssh's C library takes 2.2 to 2.6. On top of that come some 70 context switches a host, between "
    "paramiko's thread of a connection, the thread of its turn, and those who wait for Python's lock. "
    "Tried, and kept, each with the CPU of the whole command on 100 hosts before and after it, on the day on which it "
    "was made: a helper that is a fork of the program, and no "
    "resource tracker (684 to 546 ms); a look for garbage after 50,000 objects in place of 700 (546 to 532); records "
    "whose methods are compiled when the first is made (180 to 110 ms of the first process); paramiko without "
    "importlib.metadata (113 to 91 ms of its import); before that reads that block in place of polling, one thread for "
    "all deadlines, a login's messages in one segment, no logging, one look into known_hosts, paramiko without invoke. "
    "Tried, and not kept: no thread for a connection, whoever waits reads what comes (40 switches a host fewer, 8% "
    "less CPU, measured in turns): a server that ignores its window is then held back by TCP alone and not cut off, "
    "and whatever blocks on a channel of paramiko's would have to be told. Tried, without a clear effect: fewer key "
    "exchange algorithms, a longer interval between switches of Python's threads (0.05 and 0.5 s).",
)

WARM = (
    "Where the wall time goes: into CPU, as above. The servers' own work, a fork and a shell for each command on the "
    "same cores, is the larger part, and the same for everybody; what we take more than parallel-ssh's C library, "
    "divided by the cores, is what we are slower. To be level with it on these cores a command would have to "
    "cost us 0.4 ms of CPU in all.",
    "Where our CPU goes: of about 0.9 ms a host the two workers take 0.33 ms each (a command on an open connection "
    "is 0.42 ms of CPU in ssh/, measured alone in one thread), and the prompt 0.2 ms (the scheduler, the events, the "
    "screen). 15 context switches a host; without a thread for each connection it would be 10, and 3% less CPU. "
    "Tried, and kept: a session opened ahead, a command and its end of input in one segment, reports that travel "
    "together, threads that are taken anew, and rarer looks for garbage, which took a third of the second command on "
    "1,000 hosts and are why a host cost more there than among 100.",
)

PUT_LARGE = (
    "Where our time goes with 200 MB: 0.15 s of wall time and 0.19 s of CPU are the start (`true` on the same host "
    "takes as much), the rest is the data. scp asks for no sync; a file over 8 MiB of ours is on the disk before it "
    "has its name. That sync took 0.11 s at the end; now it is asked for while the data comes, in a session beside "
    "the copy's, and the whole is within 0.04 s of what it takes without any. Tried, and not kept: to ask for it in "
    "the copy's own session, where the server then does nothing else (hardly quicker than at the end).",
    "Where our CPU goes, by hand on a machine of half the speed: paramiko takes 44 µs for a packet of 32 KiB, 14 of "
    "them AES, and 0.28 s for all 6,250 of them; the rest is the kernel's, and the start. Tried there, and kept: the "
    "packets of a write in one segment, writes of 255 KiB in place of 128, and buffers that the process keeps instead "
    "of mapping them anew (1.73 to 1.33 s of CPU, 2.18 to 1.70 s of wall time). Not tried: an encryption of our own in "
    "paramiko's place.",
)

GET_LARGE = (
    "Where our time goes with 200 MB: as with put, but that its data pass through two threads that wait for Python's "
    "lock in turn. scp asks for no sync; a file over 8 MiB of ours is on the disk before it has its name. That sync "
    "took 0.33 s at the end on a machine of half the speed; now a thread does it while the data comes, and 0.03 s is "
    "left. Tried, and kept: what has come waits as the messages that came, and is joined 256 KiB at a time, in place "
    "of one array of megabytes that the kernel maps and clears for each read (0.37 to 0.19 s of CPU without the "
    "start). Tried, without a clear effect: to ask the kernel for 64, 256 or 512 KiB at once in place of 128.",
)

MANY_FILES = (
    "Where our time goes: at a prompt, with the host's folder on a memory file system, 2,000 files take 0.35 s, of "
    "which the client's CPU is 0.21 s; start and login of the whole command come on top of that. On ext4 the server's "
    "making of a file is most of the rest, for everybody: 25 to 500 µs a file, and where thousands of files were "
    "deleted within the last minutes, as another run of this leaves it, 80% of it is the kernel's search past their "
    "inodes (perf): the first time then took up to 1.8 s, scp 2.9 s, and again 0.12 s as ever. Tried with the server's "
    "program alone, over pipes, without a clear effect there: no FSETSTAT, no temporary name and rename, neither. Both "
    "stay: a file is whole or not there.",
    "Again, nothing changed: 0.12 s, of which 10 ms go into the local names, 16 ms into the host's listing, 14 ms into "
    "comparing, 47 ms into the host's sha256sum in a session of its own, 14 ms into its answers, and the rest into the "
    "prompt, the workers and the start of SFTP. A tenth of the first time would be 31 to 39 ms: less than what "
    "sha256sum alone takes for these files (40 ms), and no more than cat of them does (32 to 41 ms). So while every "
    "file is read on each put, a tenth is out of reach here, where the first time costs next to nothing; the farther "
    "the host, the less of it is left (50 ms away: below). Tried, and kept: local files whose identity and times "
    "are known are not opened again, attributes are read in one go (0.086 to 0.054 s of CPU), the directories are "
    "opened and the host's tool is started before it is known that they will be needed (three round trips fewer). "
    "Tried, and not kept: two tools side by side, and other tools (openssl, b2sum: 5 to 10 ms less). Not tried: to "
    "remember inode and change time of what was put, so that nothing need be read: listing these takes the host's find "
    "7 ms, and together with the rest of the above that would still be more than a tenth.",
)

SPARSE = (
    "On the machine of docs/benchmarks.md the rate falls after some 3 GB, with the file on a memory file system too, "
    "and scp's does the same (by hand, every 2 s: ours from 450 to 220 MB/s, scp's from 450 to 290): it is the "
    "machine's memory that comes more slowly."
)

ONE_SHOT = (
    "We take three times the CPU of ssh: Python and its libraries are loaded, and two workers besides, on more than "
    "one core at once. Where the cores are busy with something else, that shows in the wall time too."
)
