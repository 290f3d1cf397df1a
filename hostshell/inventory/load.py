"""Sources to an inventory: which file it is when none is named, what kind each is, and what they make together.

Opens nothing itself (`files` does), and reads nothing itself: each kind has a reader of its own.
"""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from hostshell.core.clean import clean
from hostshell.core.errors import InventoryError
from hostshell.core.records import dataclass
from hostshell.inventory import hostlist
from hostshell.inventory.ansible import folders, ini
from hostshell.inventory.ansible.assemble import assemble
from hostshell.inventory.ansible.data import AnsibleInventory, PluginSetup
from hostshell.inventory.files import (
    STANDARD_INPUT,
    Content,
    guard_secret,
    read_file,
    read_standard_input,
    why_unsafe,
)
from hostshell.inventory.kinds import SSH_HOSTS, VAULT_MARK, WORDS, Kind, kind_of
from hostshell.inventory.model import Inventory
from hostshell.inventory.notes import Note, Source
from hostshell.inventory.sections import FileSections, HostSection, read
from hostshell.inventory.sshconfig.config import SshConfig

VARIABLE = "HOSTSHELL_INVENTORY"
NAME = "hosts.ini"
_DEEPEST = 20  # folders in folders: a link may lead round
_NOT_HOSTS = (folders.GROUP_VARS, folders.HOST_VARS, "vars_plugins")
# what Ansible leaves out of a folder
_IGNORED = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")


def load(paths: Sequence[str], ssh: SshConfig | None = None) -> Inventory:
    """The inventory that the sources make together, later ones over earlier ones.

    Each is a path (it may start with ``~``) of a file of any kind, of a program or of a folder of such; ``-`` for
    standard input; ``ssh`` for the hosts that ``ssh`` (None: the usual ssh_config) names; or hosts separated by commas,
    as in ``h1,h2`` or ``h1,``. Raises `InventoryError` for what cannot be read, is no inventory, holds a password that
    others can read, and for sources that name no host at all.
    """
    with _collector_paused():
        files, reports = _laid([part for path in paths for part in _parts(path, ssh)])
        inventory = Inventory(files, reports)
    if not inventory.host_names:
        ours = all(report.kind == WORDS["own"] for report in reports)  # that is an empty file as well
        hint = "give it a section such as [host:h1]; a plain list has one host a line" if ours else ""
        shown = ", ".join("standard input" if path == STANDARD_INPUT else path for path in paths)
        raise InventoryError(f"no hosts in {clean(shown)}", hint)
    return inventory


def find(environ: Mapping[str, str], cwd: str) -> str | None:
    """The inventory to take when no ``-i`` names one, or None when there is none.

    ``$HOSTSHELL_INVENTORY``, else ``hosts.ini`` in ``cwd``, else ``$XDG_CONFIG_HOME/hostshell/hosts.ini``. Raises
    `InventoryError` when the variable points to nothing, and for a ``hosts.ini`` that somebody else could have written.
    """
    home = environ.get("HOME", "")
    named = environ.get(VARIABLE, "")
    if named:
        if named == SSH_HOSTS:
            return named
        path = home + named[1:] if home and (named == "~" or named.startswith("~/")) else named
        if not Path(cwd, path).exists():
            raise InventoryError(f"${VARIABLE} names {clean(named)}, and there is no such file", f"unset {VARIABLE}")
        return path
    here = Path(cwd, NAME)
    if os.path.lexists(here):
        _distrust(here)
        return NAME if Path(cwd) == Path.cwd() else str(here)  # short in messages: hosts.ini:12
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the XDG specification: a relative one counts as unset
        if not home:
            return None
        base = f"{home}/.config"
    path = f"{base}/hostshell/{NAME}"
    return path if os.path.lexists(path) else None


def _distrust(path: Path) -> None:
    """Raise unless the file, and the link that may lead to it, are ours or root's and nobody else's to write."""
    try:
        statuses = [path.lstat(), path.stat()]
    except OSError:
        return  # a link to nothing: `load` says so
    for status in statuses:
        why = why_unsafe(status, os.geteuid())
        if why.startswith("belongs"):
            hint = f"it could run commands of theirs; if you trust it, name it: -i ./{NAME}"
            raise InventoryError(f"./{NAME} {why}, not to you: it was not used", hint)
        if why:
            raise InventoryError(f"./{NAME} {why}: it was not used", f"look at it, then: chmod go-w {NAME}")


# --- one source ---


@dataclass(frozen=True, slots=True)
class _Part:
    """One file that was read. ``base`` is the folder beside whose inventories group_vars are looked for."""

    content: Content
    kind: str
    found: FileSections | AnsibleInventory
    base: str = ""
    notes: tuple[Note, ...] = ()


def _parts(path: str, ssh: SshConfig | None) -> Iterator[_Part]:
    if path == STANDARD_INPUT:
        yield _part(read_standard_input(), "", beside=False)
        return
    if path == SSH_HOSTS:
        from hostshell.inventory.sshconfig import hosts

        ssh = ssh or SshConfig()
        if ssh.is_none:
            hint = "name one, as in -F ~/.ssh/config; the demo reads none unless one is named"
            raise InventoryError("-i ssh takes the hosts of an ssh_config, and none is read here", hint)
        found, notes = hosts.read(ssh.sections)
        yield _Part(Content("", path, "", 0), WORDS["ssh"], found, notes=notes)
        return
    try:
        opened = os.path.expanduser(path)
        is_folder = os.path.isdir(opened)
        is_list = "," in path and not os.path.lexists(opened)
    except ValueError:  # a NUL; read_file says so
        opened, is_folder, is_list = path, False, False
    if is_list:
        text = "\n".join(part for part in path.split(",") if part.strip())
        content = Content("", clean(path), path, 0)
        yield _Part(content, WORDS["list"], hostlist.read(text, content.shown))
    elif is_folder:
        yield from _in_folder(opened, path, opened, 0)
    else:
        yield _part(read_file(path), os.path.dirname(opened) or ".", beside=True)


def _in_folder(path: str, shown: str, base: str, deep: int) -> Iterator[_Part]:
    """Every file of a folder, in the order of names, as Ansible reads one."""
    if deep > _DEEPEST:
        raise InventoryError(f"{clean(shown)}: folders nested more than {_DEEPEST} deep")
    try:
        entries = sorted(os.listdir(path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InventoryError(f"the folder {clean(shown)} cannot be read: {reason}") from None
    for entry in entries:
        if entry.startswith(".") or entry in _NOT_HOSTS or entry.endswith(_IGNORED):
            continue
        inner, inner_shown = os.path.join(path, entry), os.path.join(shown, entry)
        if os.path.isdir(inner):
            yield from _in_folder(inner, inner_shown, base, deep + 1)
            continue
        content = read_file(inner, clean(inner_shown))
        if content.program:
            # nobody has named this one
            why = why_unsafe(os.stat(inner), os.geteuid())
            if why:
                raise InventoryError(
                    f"{content.shown} {why}: it was not run", f"if you trust it, name it: -i {inner_shown}"
                )
        try:
            yield _part(content, base, beside=True)
        except PluginSetup as error:
            note = Note(f"{error.message}; {error.hint}", loud=True)
            yield _Part(content, "plugin", FileSections(content.shown), base, (note,))


def _part(content: Content, base: str, *, beside: bool) -> _Part:
    text = content.text
    notes: tuple[Note, ...] = ()
    program = content.program
    if program:
        from hostshell.inventory import program as programs

        text, said = programs.run(content)
        if said:
            notes = (Note(f"{content.shown}: it wrote to standard error: {said.splitlines()[-1]}", loud=True),)
    if text.startswith(VAULT_MARK):
        raise InventoryError(
            f"{content.shown} is encrypted with Ansible's vault", "ansible-vault decrypt gives a file that can be read"
        )
    kind: Kind = "json" if program else kind_of(text, content.path, folders=beside and folders.has_folders(base))
    shown = f"output of {content.shown}" if program else content.shown
    try:
        found = _read(kind, text, shown)
    except InventoryError as error:
        if text.startswith("#!") and content.path and not program:
            hint = f"if it is a program that prints an inventory: chmod +x {shlex.quote(content.path)}"
            error.hint = f"{hint}\n{error.hint}" if error.hint else hint
        raise
    return _Part(content, f"program ({WORDS[kind]})" if program else WORDS[kind], found, base, notes)


def _read(kind: Kind, text: str, shown: str) -> FileSections | AnsibleInventory:
    match kind:
        case "own":
            return read(text, shown)
        case "list":
            return hostlist.read(text, shown)
        case "ini":
            return ini.read(text.removeprefix("\ufeff"), shown)
        case "json":
            from hostshell.inventory.ansible import listing

            decoded = listing.decode(text.removeprefix("\ufeff"), shown)
            if listing.is_listing(decoded):
                return listing.read(decoded, shown)
    from hostshell.inventory.ansible import yaml

    return yaml.read(text.removeprefix("\ufeff"), shown)


# --- all of them ---


def _laid(parts: Sequence[_Part]) -> tuple[list[FileSections], list[Source]]:
    """Sections of every source in order, and what is to be said of each.

    Ansible's inventories that follow each other are one, as they are for Ansible: their group_vars come after all of
    them, and hold for the hosts of all.
    """
    files: list[FileSections] = []
    reports: list[Source] = []
    for ansible, run in groupby(parts, key=lambda part: isinstance(part.found, AnsibleInventory)):
        run_parts = list(run)
        inventories = [part.found for part in run_parts if isinstance(part.found, AnsibleInventory)]
        sections = assemble(inventories) if ansible else [part.found for part in run_parts]
        for part, made in zip(run_parts, sections, strict=True):
            assert isinstance(made, FileSections)
            guard_secret(made.literal, part.content)
            files.append(made)
            reports.append(_report(part, made))
        if ansible:
            groups = dict.fromkeys(name for found in inventories for name in found.groups)
            hosts = dict.fromkeys(name for found in inventories for name in found.hosts)
            for base in dict.fromkeys(part.base for part in run_parts if part.base):
                shown = "" if base == "." else base
                beside, sources = folders.read_folders(base, shown, groups, hosts)
                files += beside
                reports += sources
    return files, reports


def _report(part: _Part, made: FileSections) -> Source:
    hosts: set[str] = set()
    groups = set()
    for section in made.sections:
        if isinstance(section, HostSection):
            hosts.update(section.names)
        else:
            groups.add(section.name)
            hosts.update(section.hosts or ())
    notes = part.found.notes.lines() if isinstance(part.found, AnsibleInventory) else ()
    return Source(part.content.shown, part.kind, len(hosts), len(groups), (*part.notes, *notes))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """100,000 sections make a million objects, none of them garbage; looking for some takes longer than the rest."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
