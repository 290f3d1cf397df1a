"""The words of a line to what they mean, or to the fault that is in them. No guesses: those are for `core.suggest`.

Pure. Must not know how a line is cut into words, nor the inventory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hostshell.core.clean import clean
from hostshell.core.commands import SETTINGS, Command, command_named, setting_named
from hostshell.core.errors import did_you_mean
from hostshell.core.faults import Fault, no_such_command, no_such_option, no_value, shown
from hostshell.core.invocations import (
    BatchRun,
    BatchScp,
    ChangeSetting,
    ConnectHost,
    Disconnect,
    ExamineHosts,
    Exit,
    GetWords,
    Invocation,
    ListConnections,
    ListGroups,
    ListHosts,
    LocalCommand,
    PingHosts,
    PutWords,
    Reload,
    RunLine,
    SettingValue,
    ShowHelp,
    ShowHistory,
    ShowInventory,
    ShowName,
    UseTargets,
)
from hostshell.core.options import MOST_FANOUT, Option
from hostshell.core.records import dataclass
from hostshell.core.suggest import for_script
from hostshell.core.targets import Targets
from hostshell.core.values import SECONDS, count_of, fanout_of, seconds_of, value_of
from hostshell.core.words import BLANKS, quote

CLASSES: dict[str, Callable[..., Invocation]] = {
    "batch_run": BatchRun,
    "batch_scp": BatchScp,
    "put": PutWords,
    "get": GetWords,
    "ping": PingHosts,
    "connect": ConnectHost,
    "doctor": ExamineHosts,
    "use": UseTargets,
    "hosts": ListHosts,
    "groups": ListGroups,
    "show": ShowName,
    "connections": ListConnections,
    "disconnect": Disconnect,
    "set": ChangeSetting,
    "inventory": ShowInventory,
    "reload": Reload,
    "history": ShowHistory,
    "help": ShowHelp,
    "exit": Exit,
}
TARGET_FIELDS = ("hosts", "groups", "all", "exclude")

_ROOM = {
    "none": 0,
    "rest": 0,
    "arguments": 0,
    "name": 1,
    "count": 1,
    "command": 1,
    "setting": 2,
}  # words without an option
_HOST_AND_PATH = re.compile(r"([^/:]+):([/~].*)", re.DOTALL)  # as scp takes it


@dataclass(slots=True)
class _Found:
    """What stands in a line: values of options by field, words without an option, whether ``-a`` looks misplaced."""

    values: dict[str, Any]
    bare: list[str]
    odd_all: bool = False


def read(texts: list[str]) -> Invocation | Fault:
    """What the words mean; the first of them is the command's name."""
    command = command_named(texts[0])
    if command is None:
        return no_such_command(texts[0])
    if command.positional == "rest":
        return read_rest(command.name, " ".join(texts[1:]))
    ours = texts[: texts.index("--")] if "--" in texts else texts
    asks_help = "--help" in (texts[1:2] if command.positional == "session" else ours)
    if texts[1:] == ["-h"] or asks_help:
        return ShowHelp(command.name)
    found = _gather(command, texts)
    return found if isinstance(found, Fault) else _build(command, texts, found)


def read_rest(name: str, rest: str) -> Invocation | Fault:
    """``run`` and ``!``: all that follows belongs to a shell."""
    if name == "run" and rest in ("-h", "--help"):
        return ShowHelp("run")
    if not rest.strip():
        if name == "run":
            return Fault("run needs a command", "for example: run df -h | sort")
        return Fault("! needs a command for this machine", "for example: !ls -l")
    if "\0" in rest:
        return Fault(f"{name}: a command cannot hold a NUL character")
    if name == "run" and rest.startswith("-"):
        hint = "all of its line is the command; batch_run takes options: batch_run -b -cmd COMMAND"
        return Fault("run takes no options", hint)
    return RunLine(rest) if name == "run" else LocalCommand(rest)


# --- options ---


def _gather(command: Command, texts: list[str]) -> _Found | Fault:
    found = _Found({}, [])
    at = 0
    while (at := at + 1) < len(texts):
        word = texts[at]
        if word == "--" and command.positional == "arguments" and _has_script(texts[:at]):
            found.bare += texts[at + 1 :]
            break
        if _is_bare(command, word) and command.positional == "arguments" and _has_script(texts):
            found.bare.append(word)
            continue
        if _is_bare(command, word):
            if len(found.bare) == _ROOM.get(command.positional, len(texts)):
                message = f"{command.name}: the word {shown(word)} belongs to no option"
                if word.startswith("#"):
                    return Fault(message, "# begins a comment only as the first character of a line", firm=True)
                if command.name in ("use", "ping"):
                    return Fault(message, f"a host is named with -h {word}, a group with -g {word}", firm=True)
                return Fault(message, f"the form is: {command.form}", at=at)
            found.bare.append(word)
            if command.positional == "session":  # the rest belongs to the host's shell
                found.bare += texts[at + 1 :]
                return found
            continue
        option = _option_of(command, word)
        if option is None:
            fault = no_such_option(command, word)
            for_script = command.positional == "arguments" and "--" not in texts and _has_script(texts[:at])
            return _meant_for_script(command, texts, at, fault) if for_script else fault
        name, equals, value = word.partition("=")
        if option.field in found.values and not option.repeatable:
            *some, last = [one.names[0] for one in command.options if one.repeatable] or [""]
            hint = f"once is enough; only {', '.join(some)} and {last} may be repeated" if some else "once is enough"
            return Fault(f"{command.name}: {' / '.join(option.names)} is given twice", hint)
        if not option.takes_value:
            if equals:
                return Fault(f"{command.name}: {name} takes no value", f"write {name} alone", firm=True)
            found.odd_all |= _looks_swallowed(texts, at)
            found.values[option.field] = True
            continue
        if not equals:
            at += 1
            if at == len(texts) or _option_of(command, texts[at]) is not None:
                return no_value(command, option, name, texts[at] if at < len(texts) else "")
            value = texts[at]
        checked = value_of(f"{command.name}: {name}", option, value)
        if isinstance(checked, Fault):
            if option.field == "exclude" and command.option("--exclude-files") and value.strip():
                return Fault(checked.message, f"to leave out files: --exclude-files {shown(value)}", firm=True)
            return checked
        if option.repeatable:
            found.values.setdefault(option.field, []).append(checked)
        else:
            found.values[option.field] = checked
    return found


def _has_script(texts: list[str]) -> bool:
    """Whether words without an option are the arguments of a script."""
    return any(text == "--script" or text.startswith("--script=") for text in texts)


def _meant_for_script(command: Command, texts: list[str], at: int, fault: Fault) -> Fault:
    """The unknown option at ``at`` of a line with a script, which takes everything after ``--``."""
    message = f"{fault.message}; the script's own go after --"
    line = for_script(texts, at, command, lambda words: not isinstance(read(words), Fault))
    if line is None:
        return Fault(message, fault.hint if fault.firm else "", firm=True)
    return Fault(message, f"{fault.hint}\nor: {line}" if fault.firm else f"did you mean: {line}", firm=True)


def _is_bare(command: Command, word: str) -> bool:
    if command.positional == "setting" and SECONDS.fullmatch(word[1:]):
        return True  # `set timeout -5` is a wrong value, not an unknown option
    return not word.startswith("-") or word == "-"


def _option_of(command: Command, word: str) -> Option | None:
    """The option that ``word`` is, as ``-h`` or ``--hosts`` or ``--hosts=…``."""
    return command.option(word.partition("=")[0] if word.startswith("--") else word)


def _looks_swallowed(texts: list[str], at: int) -> bool:
    """Whether ``-a`` follows a command of one word: in ``-cmd uname -a`` it is hardly meant for every host."""
    return texts[at] == "-a" and texts[at - 2] in ("-cmd", "--cmd") and not set(BLANKS).intersection(texts[at - 1])


# --- commands ---


def _build(command: Command, texts: list[str], found: _Found) -> Invocation | Fault:
    name, values = command.name, found.values
    for option in command.options:
        if option.required and option.field not in values and option.instead.lstrip("-") not in values:
            line = clean(" ".join([*map(quote, texts), option.names[0], option.metavar]))
            about = option.help if option.choices else option.help.split(";")[0]
            return Fault(f"{name} needs {option.names[0]}: {about}", f"write it as: {line}")
    if "exclude_files" in values:
        values["exclude_files"] = tuple(values["exclude_files"])
    if name == "batch_scp":
        twice = _sources(values)
        if twice is not None:
            return twice
    if found.odd_all and (values.get("hosts") or values.get("groups")):
        return Fault(
            f"{name}: -a is every host, and others are named as well",
            "for every host leave out -h and -g; if -a belongs to the command, put the command in quotes",
        )
    if any(option.kind == "hosts" for option in command.options):
        named = found.bare if command.positional == "targets" else []
        for word in named:
            checked = value_of(name, command.options[0], word)
            if isinstance(checked, Fault):
                return checked
        hosts, groups, everything, exclude = (values.pop(field, ()) for field in TARGET_FIELDS)
        values["targets"] = Targets((*hosts, *named), tuple(groups), tuple(exclude), bool(everything))
    if name == "batch_run":
        fault = _check_run(values)
        if fault is not None:
            return fault
    more = _copied(command, texts, found) if command.positional in ("put", "get") else _own_values(command, found)
    return more if isinstance(more, Fault) else CLASSES[name](**values, **more)


def _check_run(values: dict[str, Any]) -> Fault | None:
    """Options of batch_run that do not go together."""
    if "cmd" in values and "script" in values:
        return Fault("batch_run: -cmd and --script exclude each other", "leave one of them out", firm=True)
    if "sudo_user" in values and "sudo" not in values:
        return Fault("batch_run: -u goes with --sudo", "whom to log in as is -l USER", firm=True)
    for field in ("stdin", "script"):
        if "tty" in values and field in values:
            what = f"batch_run: --tty and --{field} do not go together"
            return Fault(what, "a terminal would change the bytes that are sent", firm=True)
    return None


def _own_values(command: Command, found: _Found) -> Mapping[str, Any] | Fault:
    """What the words without an option mean to the commands that take some."""
    name, bare = command.name, found.bare
    if name == "batch_run":
        return {"arguments": tuple(bare), "env": tuple(found.values.pop("env", ()))}
    if name == "use" and found.values.get("clear") and found.values["targets"] != Targets():
        return Fault("use: --clear drops the default targets and takes none", "write `use --clear` alone", firm=True)
    if name == "connect":
        return _session(command, bare)
    if name == "show":
        return {"name": bare[0]} if bare else Fault("show needs the name of a host or a group", "for example: show h1")
    if name == "set":
        return _setting(bare)
    if name == "history" and bare:
        count = count_of(bare[0])
        if count is None:
            return Fault(f"history: {shown(bare[0])} is no number of lines", "for example: history 20", firm=True)
        return {"count": count}
    if name == "help" and bare:
        about = command_named(bare[0])
        return no_such_command(bare[0]) if about is None else {"command": about.name}
    return {}


def _session(verb: Command, words: list[str]) -> Mapping[str, Any] | Fault:
    """The host of ``connect``, and its command, joined with blanks as ssh does."""
    if not words or not words[0].strip():
        return Fault("connect needs the name of a host", "for example: connect h1")
    host, *command = words
    if command and command[0].startswith("-"):
        return _behind_host(verb, host, command)
    cmd = " ".join(command)
    if "\0" in host or "\0" in cmd:
        return Fault("connect: a command cannot hold a NUL character")
    return {"host": host, "cmd": cmd if cmd.strip() else None}


def _behind_host(verb: Command, host: str, words: list[str]) -> Fault:
    """A word with a dash, which no program's name begins with, where the command of ``connect`` should."""
    word = words[0]
    message = f"connect: what follows the host is a command for it, and {shown(word)} is none"
    if word == "--":
        line = clean(" ".join(["connect", quote(host), *map(quote, words[1:] or ["COMMAND"])]))
        return Fault(message, f"it stands there without --: {line}", firm=True)
    before = "options stand before the host"
    option = _option_of(verb, word)
    if option is not None:
        value = " …" if option.takes_value and "=" not in word else ""
        return Fault(message, f"{before}: connect {shown(word)}{value} {shown(host)}", firm=True)
    fault = no_such_option(verb, word)
    hint = fault.hint
    if hint.startswith(("did you mean", "write ")):  # it names one that there is
        hint += f" {before}" if hint.endswith("?") else f"; {before}"
    return Fault(fault.message, hint, firm=True)


def _copied(command: Command, texts: list[str], found: _Found) -> Mapping[str, Any] | Fault:
    """The words of ``put`` and ``get``: sources, then the place that they go to."""
    name, words = command.name, found.bare
    for word in words:
        if not word.strip():
            return Fault(f"{name}: an empty path names nothing", "~/ is the home directory", firm=True)
        if "\0" in word:
            return Fault(f"{name}: a path cannot hold a NUL character", firm=True)
    scp = _HOST_AND_PATH.fullmatch(words[-1 if name == "put" else 0]) if words else None
    if scp is not None:
        host, path = scp.groups()
        line = " ".join(quote(path if text == scp[0] else text) for text in texts)
        hint = f"did you mean: {clean(line)} -h {shown(host)}"
        return Fault(f"{name}: hosts are named with -h, not in the path {shown(scp[0])}", hint, firm=True)
    if len(words) < 2:
        needs = "what to send, and the path on the hosts" if name == "put" else "the path on the hosts, and one here"
        if not words:
            return Fault(f"{name} needs two paths: {needs}", f"the form is: {command.form}", firm=True)
        home = "~/" if name == "put" else "./"
        place = "the home directory there" if name == "put" else "the current directory here"
        at = texts.index(words[0]) + 1
        line = clean(" ".join(map(quote, (*texts[:at], home, *texts[at:]))))
        return Fault(f"{name} needs two paths: {needs}", f"into {place} it is: {line}", firm=True)
    source, *also, place = words
    if name == "put":
        return {"action": name, "local": source, "remote": place, "also": tuple(also)}
    return {"action": name, "local": place, "remote": source, "also": tuple(also)}


def _sources(values: dict[str, Any]) -> Fault | None:
    """Of a put ``-local`` may be repeated, of a get ``-remote``: what follows the first is in ``also``."""
    source, place = ("local", "remote") if values["action"] == "put" else ("remote", "local")
    if len(values[place]) > 1:
        hint = f"once is enough; of a {values['action']} -{source} may be repeated"
        return Fault(f"batch_scp: -{place} / --{place} is given twice", hint)
    values["also"] = tuple(values[source][1:])
    values["local"], values["remote"] = values["local"][0], values["remote"][0]
    return None


def _setting(words: list[str]) -> Mapping[str, Any] | Fault:
    if not words:
        return {}
    setting = setting_named(words[0])
    if setting is None:
        names = [known.name for known in SETTINGS]
        hint = did_you_mean(words[0].replace("-", "_"), names) or f"there are {', '.join(names)}"
        return Fault(f"set: no such setting: {shown(words[0])}", hint, firm=True)
    if len(words) == 1:
        return {"name": setting.name}
    text = words[1]
    value: SettingValue = None
    if text in setting.choices:
        value = {"on": True, "off": False}.get(text) if setting.kind == "switch" else None
        return {"name": setting.name, "value": value, "change": True}
    if setting.kind == "count":
        value = fanout_of(text)
        takes = f"a number from 1 to {MOST_FANOUT}"
    elif setting.kind == "seconds":
        value = seconds_of(text)
        takes = "a number of seconds above 0, or off"
    else:
        takes = " or ".join(setting.choices)
    if value is None:
        message = f"set {setting.name}: it takes {takes}, not {shown(text)}"
        return Fault(message, did_you_mean(text, setting.choices), firm=True)
    return {"name": setting.name, "value": value, "change": True}
