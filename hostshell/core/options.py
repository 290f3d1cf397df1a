"""What an option is, and the options that several commands have in common.

Pure data. Must not know the commands, nor how a line is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from hostshell.core.records import dataclass

Kind: TypeAlias = Literal[
    "flag",
    "hosts",
    "groups",
    "text",
    "count",
    "seconds",
    "choice",
    "local",
    "remote",
    "user",
    "port",
    "pattern",
    "variable",
]

MOST_FANOUT = 10_000

# what a value of each kind is called in "-h needs a host list"
NEEDS: dict[Kind, str] = {
    "hosts": "a host list",
    "groups": "a group list",
    "text": "a command",
    "count": "a number",
    "seconds": "a number of seconds",
    "choice": "a value",
    "local": "a local path",
    "pattern": "a pattern of file names",
    "remote": "a remote path",
    "user": "a user's name",
    "port": "a port, 1 to 65535",
    "variable": "a variable and its value, as in LANG=C",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command. ``names`` has the short form first; a flag has no ``metavar``.

    ``instead``: the option that may take the place of a required one.
    """

    names: tuple[str, ...]
    kind: Kind
    help: str
    metavar: str = ""
    repeatable: bool = False
    required: bool = False
    instead: str = ""
    choices: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The name of its value in what a line is parsed to: ``connect_timeout`` for ``--connect-timeout``."""
        return self.names[-1].lstrip("-").replace("-", "_")

    @property
    def takes_value(self) -> bool:
        """Whether a value follows it."""
        return self.kind != "flag"

    @property
    def needs(self) -> str:
        """What its value is, with its article: "a host list"."""
        return " or ".join(self.choices) or NEEDS[self.kind]


HOSTS = Option(
    ("-h", "--hosts"),
    "hosts",
    "node set: h1,h2 web[01-20] web* @group, a!b (not in b), a&b (in both), a^b (in one); also user@host:port",
    "HOSTS",
    repeatable=True,
)
GROUPS = Option(("-g", "--groups"), "groups", "groups of the inventory, separated by commas", "GROUPS", repeatable=True)
ALL = Option(("-a", "--all"), "flag", "every host of the inventory")
EXCLUDE = Option(("-x", "--exclude"), "hosts", "hosts to leave out of those named", "HOSTS", repeatable=True)
TARGETS = (HOSTS, GROUPS, ALL, EXCLUDE)

FANOUT = Option(("-f", "--fanout"), "count", f"so many hosts at a time, 1 to {MOST_FANOUT} (256)", "N")
TIMEOUT = Option(
    ("-t", "--timeout"), "seconds", "limit for a host's whole turn, from its connect on; none unless set", "SECONDS"
)
CONNECT_TIMEOUT = Option(("--connect-timeout",), "seconds", "limit for connect and login (10)", "SECONDS")
JSON = Option(("--json",), "flag", "print JSON, one object a line")
QUIET = Option(("-q", "--quiet"), "flag", "print no summary; warnings, notes and the exit code stay")
SILENT = Option(
    ("-q", "--quiet"),
    "flag",
    "print no summary and no line for each host that is ok; warnings, notes and the exit code stay",
)
LIMITS = (FANOUT, TIMEOUT, CONNECT_TIMEOUT)

# how files are copied: the same for batch_scp, put and get
COPYING = (
    Option(("--parents",), "flag", "put: make missing directories on the hosts; get makes those here by itself"),
    Option(("-p", "--preserve"), "flag", "give files that exist the source's mode as well"),
    Option(("--follow",), "flag", "copy what symlinks point to, instead of the links"),
    Option(
        ("--exclude-files",),
        "pattern",
        "leave out of trees what is called so: '*.pyc' at any depth, 'a/*.o' from the top, 'tmp/' only directories",
        "PATTERN",
        repeatable=True,
    ),
    Option(("--force",), "flag", "send what is there with the same content already, too"),
    Option(("--backup",), "flag", "keep the old file beside the new one, with the time behind its name"),
    Option(("--sync",), "flag", "bring each file to the disk before it gets its name; over 8 MiB it always is"),
    Option(("--verify",), "flag", "compare SHA-256 on both sides after the copy; a difference is a failure"),
    Option(("--dry-run",), "flag", "change nothing, and say what would be sent, replaced and left as it is"),
)
USER = Option(("-l", "--user"), "user", "log in as USER; user@ before a host's name beats it", "USER")
PORT = Option(("-p", "--port"), "port", "connect to this port; :port after a host's name beats it", "PORT")
KEY = Option(("-i", "--key"), "local", "log in with this private key", "FILE")
ASK_PASSWORD = Option(("-k", "--ask-password"), "flag", "ask for the password to log in with: once, without echo")
LOGIN = (USER, PORT, KEY, ASK_PASSWORD)
# with copies -p means --preserve, as with scp and cp
COPY_LOGIN = (USER, replace(PORT, names=("--port",)), KEY, ASK_PASSWORD)
