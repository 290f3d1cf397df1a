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
    "Where our CPU goes: with a login and a command on one host the whole takes 0.175 s of it (Python, the inventory, "
    "paramiko, a helper and two workers); asyncssh's script takes 0.172, parallel-ssh's 0.103. Each host more, among "
    "100 at once, takes 2.9 ms; asyncssh 2.2, parallel-ssh's C library 1.7. One after the other it is 4.5, 5.9 and "
    "5.1. Among many, ours has the context switches between paramiko's thread of a connection, the thread of its "
    "turn, and those who wait for Python's lock. "
    "Tried, and kept: a helper that is a fork of the program, and no resource tracker; a look for garbage after "
    "50,000 objects in place of 700; records whose methods are compiled when the first is made; paramiko without "
    "importlib.metadata and invoke; reads that block in place of polling, one thread for all deadlines, a login's "
    "messages in one segment, no logging, one look into known_hosts. "
    "Tried, and not kept: no thread for a connection, whoever waits reads what comes (some less CPU): a server that "
    "ignores its window is then held back by TCP alone and not cut off, and whatever blocks on a channel of paramiko's "
    "would have to be told. Tried, without a clear effect: fewer key exchange algorithms, a longer interval between "
    "switches of Python's threads (0.05 and 0.5 s).",
)

WARM = (
    "Where the wall time goes: into CPU, as above. The servers' own work, a fork and a shell for each command on the "
    "same cores, is the larger part, and the same for everybody; what we take more than parallel-ssh's C library, "
    "divided by the cores, is what we are slower. To be level with it on these cores a command would have to cost us "
    "what it costs the library, in which no Python runs.",
    "Where our CPU goes: by the API, without a line and a screen, the two workers take 0.65 ms for a host, and the "
    "main process 0.15 ms. "
    "Tried, and kept: a session opened ahead, a command and its end of input in one segment, reports that travel "
    "together, threads that are taken anew, and rarer looks for garbage.",
)

PUT_LARGE = (
    "Where our time goes with 200 MB: 0.14 s of wall time and 0.17 s of CPU are the start (`true` on the same host "
    "takes as much), the rest is the data. scp asks for no sync; a file over 8 MiB of ours is on the disk before it "
    "has its name. That is asked for while the data comes, in a session beside the copy's: the whole command takes "
    "0.57 s with it and 0.56 s without any sync. Tried, and not kept: to ask for it in the copy's own session, where "
    "the server then does nothing else.",
    "Where our CPU goes: beside the start into paramiko's packets of 32 KiB, each with its header, its encryption and "
    "its copies. Tried, and kept: buffers that the process keeps instead of mapping them anew (0.59 to 0.39 s of CPU, "
    "0.77 to 0.57 s of wall time), writes of 255 KiB in place of 128 (0.43 to 0.39 s of CPU). Tried, and not kept: the "
    "packets of a write in one segment (as much CPU, 3% less wall time). Not tried: an encryption of our own in "
    "paramiko's place.",
)

GET_LARGE = (
    "Where our time goes with 200 MB: as with put, but that its data pass through two threads that wait for Python's "
    "lock in turn. scp asks for no sync; a file over 8 MiB of ours is on the disk before it has its name: the whole "
    "command takes 0.44 s of wall time with that and 0.39 s without. Tried, and kept: what has come waits as the "
    "messages that came, and is joined 256 KiB at a time, in place of one array of megabytes that the kernel maps and "
    "clears for each read (0.62 to 0.43 s of CPU, 0.74 to 0.44 s of wall time). Tried, without a clear effect: to ask "
    "the kernel for 64, 256 or 512 KiB at once in place of 128.",
)

MANY_FILES = (
    "Where our time goes: start and login of the whole command come on top of what the line at the prompt takes. On "
    "ext4 the server's making of a file is most of the rest, for everybody; where thousands of files were deleted "
    "within the last minutes, as another run of this leaves it, most of that is the kernel's search past their inodes "
    "(perf), and all of the first times are longer. Tried with the server's program alone, over pipes, without a clear "
    "effect there: no FSETSTAT, no temporary name and rename, neither. Both stay: a file is whole or not there.",
    "Again, nothing changed: sha256sum alone takes 33 to 36 ms for as many such files on a memory file system, and cat "
    "of them no less (33 to 37 ms); a tenth of the first time is less than that. So while every file is read on each "
    "put, a tenth is out of reach here, where the first time costs next to nothing; the farther the host, the less of "
    "it is left (50 ms away: below). Tried, and kept: local files whose identity and times are known are not opened "
    "again, attributes are read in one go, the directories are opened and the host's tool is started before it is "
    "known that they will be needed (three round trips fewer). Tried, and not kept: two tools side by side, and other "
    "tools (openssl, b2sum). Not tried: to remember inode and change time of what was put, so that nothing need be "
    "read: listing these takes the host's find 6 ms.",
)

ONE_SHOT = (
    "We take nearly three times the CPU of ssh: Python and its libraries are loaded, and two workers besides, on more "
    "than one core at once. Where the cores are busy with something else, that shows in the wall time too."
)
