"""What this machine has for a login, as `doctor` looks at it before the connect: key files, certificates and the agent.

Must not know connections. It looks where `credentials` will, and opens no key.
"""

from __future__ import annotations

import os
import shlex
import stat
import threading
import time

from hostshell.core.events import Failure
from hostshell.core.keyformat import DEFAULT_KEYS, describe, public_of
from hostshell.core.model import Host
from hostshell.ssh.agent import Agents
from hostshell.ssh.credentials import read_file, why_unusable
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.trace import Taking, Trace
from hostshell.ssh.usercertificates import remark

AGENT_FRESH = 5.0  # seconds for which what was found about an agent counts for other hosts


def look_around(host: Host, trace: Trace) -> None:
    """What this machine has for the host: settings, key files, agent.

    Raises `ConnectFailed` where the host lacks a secret: nothing would be run on it either.
    """
    with trace.step("settings") as step:
        step.say(address=host.address, port=host.port, user=host.user)
        if host.jump:
            step.say(jump=tuple(hop.name for hop in host.jump))
        agent, held = _agent(host.identity_agent)
        if host.key is not None:
            step.say(key=host.key)
            _look_at_key(host.key, host, step, held)
        if host.identity_files and host.pubkey_authentication:
            step.say(identity_files=host.identity_files)
            for path in host.identity_files:
                _look_at_key(path, host, step, held)
        if host.pubkey_authentication:
            _look_at_certificates(host, step, held)
        step.say(password="withheld" if host.password_withheld else "set" if host.password is not None else "none")
        step.say(agent=agent)
        if agent.startswith(_SILENT) and host.key is None and host.pubkey_authentication:
            hint = (
                f"each login waits for it: `SSH_AUTH_SOCK={shlex.quote(_socket(host.identity_agent))} ssh-add -l` hangs"
            )
            step.warn(f"the agent gives {agent}", f"{hint} as well; start another one")
        if host.lacks is not None:
            raise ConnectFailed(Failure("auth", *host.lacks))


def _look_at_key(path: str, host: Host, step: Taking, held: frozenset[bytes]) -> None:
    """Say what stands in the way of a key. ``held``: the public halves of what the agent has."""
    own = path == host.key
    look = describe(read_file(path) or b"")
    public = look.public if look is not None and look.public else public_of(read_file(f"{path}.pub") or b"")
    full = os.path.expanduser(path)
    try:
        mode = stat.S_IMODE(os.stat(full).st_mode)
    except OSError:
        mode = 0
    if own and mode:
        step.say(key_mode=f"{mode:04o}")
    if public not in held:
        if look is None or not look.private:
            why = why_unusable(path, look)
            where = "check `key` in the inventory" if own else f"correct its IdentityFile: show {host.name} says where"
            _warn(step, f"the key {path}: {why}", where)
            step.add("unusable", f"{path}: {why}")
        elif look.encrypted and (host.passphrase if own else dict(host.passphrases).get(path)) is None:
            why = "it is encrypted, and neither is there a passphrase nor has the agent the key"
            if own:  # one of several others may stand in for
                _warn(step, f"the key {path}: {why}", "ssh-add it to the agent, or set `passphrase_from`")
            step.add("unusable", f"{path}: {why}")
    if look is not None and look.private and mode & 0o077:
        hint = f"chmod 600 {shlex.quote(full)}: ssh refuses such a key"
        _warn(step, f"others may read the key {path} (mode {mode:04o})", hint)


def _look_at_certificates(host: Host, step: Taking, held: frozenset[bytes]) -> None:
    """Say what has a server refuse them: those beside the keys, those of CertificateFile, and the agent's."""
    keys = host.identity_files if host.identity_files is not None else DEFAULT_KEYS
    beside = [f"{path}-cert.pub" for path in (*([host.key] if host.key is not None else ()), *keys)]
    found = [(path, public_of(read_file(path) or b"")) for path in dict.fromkeys((*host.certificate_files, *beside))]
    listed = () if host.identities_only else sorted(held)
    for name, blob in (*found, *(("of the agent", blob) for blob in listed)):
        said = remark(blob, host.user, time.time()) if blob is not None else None
        if said is not None:
            step.add("certificate", f"{name} {said.what}: {said.hint}")
            if said.sure and name != "of the agent":
                _warn(step, f"the certificate {name} {said.what}", said.hint)


def _warn(step: Taking, message: str, hint: str) -> None:
    if step.result != "ok":
        step.add("also", message)
    step.warn(message, hint)


# --- the agent ---

_SILENT = "no answer in time at "  # it hangs, and whoever wants a key of it waits

_agents: dict[str, tuple[float, Agents]] = {}  # socket: since when its list is good, and the list
_agents_lock = threading.Lock()


def _socket(identity_agent: str | None) -> str:
    if identity_agent in (None, "SSH_AUTH_SOCK"):
        return os.environ.get("SSH_AUTH_SOCK", "")
    return os.path.expanduser(identity_agent or "")


def _agent(identity_agent: str | None) -> tuple[str, frozenset[bytes]]:
    """How it is with the agent, in words, and the public halves of its keys. Raises `TurnStopped`, see `asked_by`."""
    if identity_agent == "none":
        return "none (IdentityAgent none)", frozenset()
    place = _socket(identity_agent)
    if not place:
        return "none (SSH_AUTH_SOCK is not set)", frozenset()
    with _agents_lock:
        since, agents = _agents.get(place, (0.0, None))
        if agents is None or time.monotonic() - since > AGENT_FRESH:
            agents = Agents()
            _agents[place] = time.monotonic(), agents
    agent, keys = agents.keys(place)  # whoever asks meanwhile waits for the same answer: one serves hundreds of hosts
    agent.close()
    if not agent.problem:
        said = f"answers at {place} and has {len(keys)} key{'' if len(keys) == 1 else 's'}"
    elif "in time" in agent.problem:
        said = f"{_SILENT}{place}"
    else:
        said = f"no answer at {place}: {agent.problem.removeprefix('the agent cannot be reached: ')}"
    return said, frozenset(key.blob for key in keys)
