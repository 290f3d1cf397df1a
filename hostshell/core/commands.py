"""The table of commands: names, options, forms and examples. The parser, `help`, Tab and docs/reference.md read it.

Pure data. Must not know how a line is read, shown or carried out.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from hostshell.core.options import (
    CONNECT_TIMEOUT,
    COPY_LOGIN,
    COPYING,
    JSON,
    LIMITS,
    LOGIN,
    MOST_FANOUT,
    QUIET,
    SILENT,
    TARGETS,
    Option,
)
from hostshell.core.records import dataclass

Positional: TypeAlias = Literal[
    "none", "targets", "name", "setting", "count", "command", "put", "get", "session", "arguments", "rest"
]
Purpose: TypeAlias = Literal["Run and copy", "Targets", "Session"]

PURPOSES: tuple[Purpose, ...] = ("Run and copy", "Targets", "Session")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: ``summary`` is its line in an overview, ``form`` how it is written, ``notes`` what else to know.

    ``positional`` says what its words without an option are. ``aliases`` work and are not advertised. The examples run
    as they stand on the demo fleet.
    """

    name: str
    purpose: Purpose
    summary: str
    form: str
    options: tuple[Option, ...] = ()
    positional: Positional = "none"
    examples: tuple[str, ...] = ()
    notes: str = ""
    aliases: tuple[str, ...] = ()

    def option(self, name: str) -> Option | None:
        """The option that is called ``name``, dashes included; None if there is none."""
        return next((option for option in self.options if name in option.names), None)

    def option_names(self) -> tuple[str, ...]:
        """Every name of every option."""
        return tuple(name for option in self.options for name in option.names)


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that `set` changes. ``choices`` are the words it takes, beside a number where ``kind`` is one."""

    name: str
    kind: Literal["count", "seconds", "switch"]
    help: str
    choices: tuple[str, ...] = ()


SETTINGS: tuple[Setting, ...] = (
    Setting("fanout", "count", f"hosts at a time, 1 to {MOST_FANOUT}"),
    Setting("timeout", "seconds", "seconds for a host's whole turn; off: no limit", ("off",)),
    Setting("connect_timeout", "seconds", "seconds to connect and log in; off: as the inventory says", ("off",)),
    Setting("idle_timeout", "seconds", "seconds until a connection that nobody uses is closed; off: never", ("off",)),
    Setting("gather", "switch", "identical outputs once, under the folded names of their hosts", ("on", "off")),
    Setting("color", "switch", "colours; auto: on a terminal, unless NO_COLOR is set", ("auto", "on", "off")),
)

_COPIES = (
    "Of a put -local may be repeated, of a get -remote. Each may be a glob, in quotes: '*.conf' of this machine, or of "
    "each host; a name that is there means itself. --exclude leaves out hosts, --exclude-files files."
)
_DEFAULTS = "Without targets it works on those that `use` has set; -x alone is subtracted from them."
_ENDED = (
    "@ok, @failed, @unreachable, @timeout, @lost and @cancelled name the hosts of the session's last command that "
    "ended so."
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "batch_run",
        "Run and copy",
        "run a command on many hosts",
        "batch_run [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] -cmd COMMAND | --script FILE [ARGS] [options]",
        (
            *TARGETS,
            Option(
                ("-cmd", "--cmd"),
                "text",
                "the command, in quotes; {host} becomes the host's name, nothing else is rewritten",
                "COMMAND",
                required=True,
                instead="--script",
            ),
            Option(
                ("--script",),
                "local",
                "in place of -cmd: send this script, run it by what its #! says, leave nothing behind; ARGS after it, "
                "those that begin with a dash after --",
                "FILE",
            ),
            Option(
                ("--stdin",),
                "local",
                "what the command reads on every host; - is our own standard input, where that is no script",
                "FILE",
            ),
            Option(("--cwd",), "remote", "the directory to run it in; ~/ is the home there", "DIR"),
            Option(("--env",), "variable", "set an environment variable for it", "NAME=VALUE", repeatable=True),
            Option(("--tty",), "flag", "give it a terminal, for programs that insist; nothing can be typed there"),
            Option(("--sudo",), "flag", "run it with the rights of root; a password is asked for where sudo wants one"),
            Option(("-u", "--sudo-user"), "user", "with --sudo: the rights of USER", "USER"),
            *LOGIN,
            *LIMITS,
            Option(("-b", "--gather"), "flag", "print identical outputs once, under the folded names of their hosts"),
            Option(("-N", "--no-prefix"), "flag", "print lines without the host's name; with -b no headings"),
            QUIET,
            Option(
                ("--rc",),
                "choice",
                "max: the exit code is the largest that a host's command gave, at most 255",
                "max",
                choices=("max",),
            ),
            Option(
                ("--outdir",),
                "local",
                "write each host's standard output, as it came, to DIR/<host> too; DIR is made if missing",
                "DIR",
            ),
            Option(("--errdir",), "local", "the same for standard error", "DIR"),
            JSON,
        ),
        examples=(
            'batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "df -h"',
            "batch_run -g web_clusters -x web02 -cmd uptime",
            "batch_run -h h[1-3] -b -cmd 'echo \"{host} says hello\" | tr a-z A-Z'",
            'batch_run -a -f 2 -t 30 -cmd "uname -sr"',
            "batch_run -a -N -q --rc max -cmd 'uname -n'",
            "batch_run -a --outdir ./stdout/ --errdir ./stderr/ -cmd 'df -h'",
            "batch_run -g web_clusters --cwd /tmp --env LANG=C -cmd 'echo $LANG; pwd'",
        ),
        notes=f"{_DEFAULTS} {_ENDED}",
        positional="arguments",
    ),
    Command(
        "batch_scp",
        "Run and copy",
        "copy files and directories to or from many hosts",
        "batch_scp [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] -action put|get -local PATH -remote PATH [options]",
        (
            *TARGETS,
            Option(
                ("-action", "--action"),
                "choice",
                "put: from here to the hosts; get: from the hosts to here",
                "put|get",
                required=True,
                choices=("put", "get"),
            ),
            Option(
                ("-local", "--local"),
                "local",
                "the path on this machine; get writes PATH/<host>/NAME unless PATH holds {host}",
                "PATH",
                repeatable=True,
                required=True,
            ),
            Option(
                ("-remote", "--remote"),
                "remote",
                "the path on the hosts; DIR/ is into that directory, NAME is exactly that name",
                "PATH",
                repeatable=True,
                required=True,
            ),
            *COPYING,
            *COPY_LOGIN,
            *LIMITS,
            SILENT,
            JSON,
        ),
        examples=(
            "batch_scp -h h1,h2 -g web_clusters -action put -local /etc/hosts -remote copy",
            "batch_scp -g db_servers -action put -local /etc/hosts -remote new/ --parents",
            "batch_scp -g web_clusters -action get -remote /etc/hosts -local ./out/",
            "batch_scp -h h1,h2 -action get -remote /etc/hosts -local ./hosts.{host}",
        ),
        notes=f"{_COPIES} {_DEFAULTS} {_ENDED}",
    ),
    Command(
        "put",
        "Run and copy",
        "copy from here to hosts: batch_scp -action put, in short",
        "put LOCAL... REMOTE [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] [options]",
        (*TARGETS, *COPYING, *COPY_LOGIN, *LIMITS, SILENT, JSON),
        "put",
        examples=("put /etc/hosts copy -g web_clusters", "use -h h1,h2", "put /etc/hosts new/ --parents"),
        notes="The last word is the path on the hosts: DIR/ is into that directory, NAME is exactly that name. "
        f"{_DEFAULTS} {_ENDED}",
    ),
    Command(
        "get",
        "Run and copy",
        "copy from hosts to here: batch_scp -action get, in short",
        "get REMOTE... LOCAL [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] [options]",
        (*TARGETS, *COPYING, *COPY_LOGIN, *LIMITS, SILENT, JSON),
        "get",
        examples=("get /etc/hosts ./out/ -g web_clusters", "use -h h1,h2", "get /etc/hosts ./hosts.{host}"),
        notes="The last word is the path on this machine: LOCAL/<host>/NAME is written unless LOCAL holds {host}. "
        f"{_DEFAULTS} {_ENDED}",
    ),
    Command(
        "run",
        "Run and copy",
        "run the rest of the line on the default targets",
        "run COMMAND",
        positional="rest",
        examples=("use -g web_clusters", "run df -h | sort", "run echo $HOSTNAME {host}"),
        notes="All of the line belongs to the command: no options, no quotes needed. `use` sets the targets.",
    ),
    Command(
        "ping",
        "Run and copy",
        "log in to hosts and run nothing",
        "ping [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] [options]",
        (*TARGETS, *LOGIN, *LIMITS, SILENT, JSON),
        examples=("ping -a", "ping -h h1,h2 --connect-timeout 3"),
        notes=f"{_DEFAULTS} {_ENDED}",
    ),
    Command(
        "doctor",
        "Run and copy",
        "say what is wrong with hosts that do not work",
        "doctor [HOSTS ...] [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] [options]",
        (
            *TARGETS,
            *LOGIN,
            Option(("--sudo",), "flag", "try sudo on hosts without `sudo = yes` too; a host may log that"),
            *LIMITS,
            JSON,
        ),
        "targets",
        examples=("doctor -a", "doctor -g web_clusters --sudo", "doctor h1,h2 --connect-timeout 3"),
        notes="It logs in anew, step by step: settings, name, port, banner, key exchange, host key, login, session, "
        "command, SFTP, and sudo (without a password) where the inventory says `sudo = yes`. For each host that does "
        "not work it shows the steps with their times, the first that went wrong, and what to do; hosts that work are "
        f"one line. {_DEFAULTS}",
    ),
    Command(
        "connect",
        "Run and copy",
        "open a terminal on one host",
        "connect [options] HOST [COMMAND ...]",
        (*LOGIN, CONNECT_TIMEOUT),
        "session",
        examples=("connect h1", "connect -l root h1", "connect h1 top", "connect h1 'cd /tmp; exec bash'"),
        notes="Your own terminal on the host, over the connection that is open already if there is one. COMMAND runs "
        "in it in place of the login shell; all that follows HOST belongs to it. ~. at the beginning of a line leaves, "
        "~? lists such escapes, ~~ sends one ~. What the host sends reaches the terminal as it is, unlike everywhere "
        "else. `set timeout` does not count here.",
    ),
    Command(
        "use",
        "Targets",
        "set, show or clear the session's default targets",
        "use [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS] | use --clear",
        (*TARGETS, Option(("--clear",), "flag", "drop the default targets"), JSON),
        examples=("use -g web_clusters,db_servers -x db02", "use", "use --clear"),
        notes="A command that names targets of its own does not look at the defaults. "
        "@failed and its kin become the names of the hosts at once.",
    ),
    Command(
        "hosts",
        "Targets",
        "show what a target list means, before it is used",
        "hosts [HOSTS ...] [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS]",
        (*TARGETS, JSON),
        "targets",
        examples=("hosts", "hosts web*", "hosts @web_clusters,h[1-3] -x h2"),
        notes=f"Without targets it lists the default targets, or every host when there are none. {_ENDED}",
    ),
    Command(
        "groups",
        "Targets",
        "list the groups of the inventory",
        "groups",
        (JSON,),
        examples=("groups",),
    ),
    Command(
        "show",
        "Targets",
        "show a host or group: its settings, and where each comes from",
        "show NAME",
        (JSON,),
        "name",
        examples=("show h1", "show web_clusters"),
    ),
    Command(
        "connections",
        "Session",
        "list the connections that are open",
        "connections [HOSTS ...] [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS]",
        (*TARGETS, JSON),
        "targets",
        examples=("connections", "connections -g web_clusters"),
        notes="Without targets it lists all, also those of hosts that are in no inventory. A connection stays open for "
        "the next command until nobody has used it for `idle_timeout` seconds (see `set`), or until this machine needs "
        "its descriptor for another; it is opened again when it is needed.",
    ),
    Command(
        "disconnect",
        "Session",
        "close connections that are open",
        "disconnect [HOSTS ...] [-h HOSTS] [-g GROUPS] [-a] [-x HOSTS]",
        (*TARGETS, JSON),
        "targets",
        examples=("disconnect -g web_clusters -x web02", "disconnect -a"),
        notes="Without targets it closes those of the default targets that `use` has set; -a closes all, also those of "
        "hosts that are in no inventory. One on which a command is under way stays open.",
    ),
    Command(
        "set",
        "Session",
        "show or change settings of this session",
        "set [NAME [VALUE]]",
        (JSON,),
        "setting",
        examples=("set", "set fanout 128", "set timeout off", "set idle_timeout 3600", "set gather on"),
    ),
    Command(
        "inventory",
        "Targets",
        "show where hosts and groups come from, and what is not used of it",
        "inventory",
        (JSON,),
        examples=("inventory",),
    ),
    Command(
        "reload",
        "Session",
        "read the inventory again; say what changed",
        "reload",
        (JSON,),
        examples=("reload",),
        notes="It also closes open connections, and forgets passwords that were asked for or refused.",
    ),
    Command(
        "history",
        "Session",
        "list the lines typed before, the last N",
        "history [N]",
        (JSON,),
        "count",
        examples=("history", "history 5"),
    ),
    Command(
        "help",
        "Session",
        "list the commands, or explain one",
        "help [COMMAND]",
        (JSON,),
        "command",
        examples=("help", "help batch_run"),
    ),
    Command(
        "!",
        "Session",
        "run the rest of the line on this machine",
        "!LOCAL COMMAND",
        positional="rest",
        examples=("!ls -l", "!date"),
    ),
    Command("exit", "Session", "leave; so does Ctrl-D", "exit", (JSON,), examples=("exit",), aliases=("quit",)),
)

_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


def command_named(name: str) -> Command | None:
    """The command that is called ``name``, aliases included; None if there is none."""
    return _BY_NAME.get(name)


def setting_named(name: str) -> Setting | None:
    """The setting that is called ``name``; None if there is none."""
    return next((setting for setting in SETTINGS if setting.name == name), None)
