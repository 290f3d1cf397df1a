"""What the steps to a host mean to a person: the cause of a failure and what to do, what a probe of the host says.

Pure: steps and texts in, sentences out. Texts of servers in it are bounded; whoever shows them cleans them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.core.names import is_ip
from hostshell.core.steps import Fact, Step, StepName

SLOW = 2.0  # seconds for one step, from which on a person should know of it
SKEW = 120.0  # seconds between the host's clock and ours
_TMP = "/tmp"  # noqa: S108  # of the host: nothing is written there
_SHOWN = 80  # characters of a host's text in a sentence

# what begins so comes from a server of another kind
_OTHERS = (
    ("HTTP/", "a web server"), ("<!DOCTYPE", "a web server"), ("<html", "a web server"),
    ("220", "a mail or FTP server"),
    ("* OK", "an IMAP server"), ("+OK", "a POP3 server"), ("RFB ", "a VNC server"), ("\x15\x03", "a TLS server"),
    ("-ERR", "a Redis or POP3 server"),
)  # fmt: skip

_SLOW_BECAUSE: dict[StepName, str] = {
    "name": "is a DNS server of /etc/resolv.conf dead, or a search domain wrong?",
    "port": "is the way long, or its first address unreachable?",
    "banner": "is the server overloaded, or does it look up our name first (UseDNS)?",
    "key exchange": "is the server overloaded?",
    "login": "is its DNS (UseDNS), PAM, LDAP or GSSAPI slow?",
    "session": "is its PAM or systemd-logind slow?",
    "command": "do start-up files of the login shell, or the home directory (NFS), take so long?",
}


# --- why a connect failed ---


def advise(failure: Failure, steps: Sequence[Step], host: Host) -> Failure:
    """``failure`` of a connect with the best that can be said about what to do, from the steps before it."""
    last = next((step for step in reversed(steps) if step.result == "failed"), None)
    if last is None or last.via:  # a jump host's failure names it already
        return failure
    local = next((step for step in steps if step.name == "settings"), None)
    hint = ""
    if failure.kind == "dns" and "AddressFamily" not in failure.message:  # that names the cause already
        hint = _about_name(host)
    elif last.name == "banner" and failure.kind == "refused":
        return _about_banner(failure, last)
    elif last.name == "login" and failure.kind == "auth":
        hint = _about_login(failure, last, local, host)
    return replace(failure, hint=hint) if hint else failure


def _about_name(host: Host) -> str:
    if host.address == host.name:
        hint = f"{host.name} has no `address`, so its name is looked up: set one"
        if "." not in host.name:
            hint += ", or is a search domain missing in /etc/resolv.conf?"
        return hint
    if "." not in host.address and not is_ip(host.address):
        return f"{host.address} has no dot: is a search domain missing in /etc/resolv.conf? try the full name"
    return ""


def _about_banner(failure: Failure, step: Step) -> Failure:
    text = str(step.facts.get("banner", ""))
    kind = next((kind for begin, kind in _OTHERS if text.startswith(begin)), None)
    if kind is None and "mysql" in text.lower():
        kind = "a MySQL server"
    if kind is None:
        return failure
    return Failure("refused", f"no SSH server answers there, but {kind}", "correct `port` (22 for most) or `address`")


def _about_login(failure: Failure, step: Step, local: Step | None, host: Host) -> str:
    offered = _items(step.facts.get("offered"))
    allowed = _items(step.facts.get("allowed"))
    facts = local.facts if local is not None else {}
    if failure.message.startswith("cannot use the key"):
        return failure.hint
    if "Too many authentication failures" in failure.message:
        return (
            f"the server hangs up after so many credentials (MaxAuthTries), and {len(offered)} were offered: set `key` "
            "so that the right one comes first, or IdentitiesOnly yes in your ssh_config"
        )
    takes_password = "password" in allowed and host.password is None and not host.password_withheld
    password = "-k asks for it" if host.moment else "password_from = ask, or -k"
    parts = _about_keys(_items(facts.get("unusable")), host)
    agent = str(facts.get("agent", ""))
    silent = agent.startswith("no answer") and host.key is None
    nothing = all("does not take" in text or text.startswith("nothing: ") for text in offered)
    if silent and nothing:  # the likeliest cause
        parts.append(f"the agent gives {agent}")
    wanted = [text.partition("and it wants ")[2].removesuffix(" as well") for text in offered if "it wants" in text]
    keys_refused = any(text.endswith(": refused") and not text.startswith("the password") for text in offered)
    if wanted:
        parts.append(f"it takes that and wants {wanted[-1]} as well: set what is missing")
    elif any(text.startswith("the password: refused") for text in offered):
        parts.append(f"the password or `user` is wrong: {host.password_advice or 'correct it, then `reload`'}")
    elif host.password_withheld:
        parts.append(host.password_advice or "correct it, then `reload`")
    elif keys_refused:
        certificates = _items(facts.get("certificate"))
        parts += [f"the certificate {text}" for text in certificates]
        place = shlex.quote(f"{host.user}@{host.address}")
        port = f" -p {host.port}" if host.port != 22 else ""
        key = f" -i {shlex.quote(host.key)}" if host.key else ""
        parts.append(
            f"no key of these is in authorized_keys of {host.user} there (ssh-copy-id{key}{port} {place}), `user` is "
            "wrong, or others may write that home (StrictModes)"
        )
        if not certificates and any(text.endswith("with its certificate: refused") for text in offered):
            parts.append("its sshd may not trust the certificate's authority (TrustedUserCAKeys)")
    elif nothing:
        key = "-i KEY names one" if host.moment else "set `key`"
        if takes_password and "publickey" in allowed:
            parts.append(f"it would take a key or a password, and there is neither: {key}, or {password}")
        elif takes_password:
            parts.append(f"it would take a password, and none is set: {password}")
        else:
            parts.append(f"it takes {', '.join(allowed) or 'something else'}, and there is nothing of that: {key}")
    if keys_refused and takes_password:
        parts.append(f"it would take a password too ({password})")
    if silent and not nothing:
        parts.append(f"the agent gives {agent}")
    return "; ".join(parts)


def _about_keys(unusable: tuple[str, ...], host: Host) -> list[str]:
    """What to do about keys that ssh_config names and that cannot be used."""
    parts = []
    if any("encrypted" in text for text in unusable):
        parts.append(
            "ssh-add the encrypted key to the agent, or call from a terminal, where its passphrase is asked for"
        )
    if any("encrypted" not in text for text in unusable):
        parts.append(f"correct the IdentityFile that cannot be used (show {host.name} says where it stands)")
    return parts


def _items(fact: Fact | None) -> tuple[str, ...]:
    return fact if isinstance(fact, tuple) else ()


# --- what takes long ---


def marked(step: Step) -> Step:
    """The step, with a warning where it went well and took long."""
    because = _SLOW_BECAUSE.get(step.name)
    if step.result != "ok" or step.seconds < SLOW or because is None:
        return step
    return replace(step, result="warning", message=f"{step.name}: it took {step.seconds:.1f} s", hint=because)


# --- what a command says about the host ---


def probe(mark: str) -> str:
    """A command line that says how it stands with the host, between two lines ``mark``; for any login shell."""
    script = (
        f"echo {mark}; echo user=`id -un`; echo system=`uname -sr`; echo clock=`date +%s`; echo home=$HOME; "
        'if test -d "$HOME"; then echo homethere=yes; fi; if test -w "$HOME"; then echo homewritable=yes; fi; '
        "if test -w /tmp; then echo tmpwritable=yes; fi; "
        'echo homespace=`df -Pk "$HOME" 2>/dev/null | tail -n 1`; echo tmpspace=`df -Pk /tmp 2>/dev/null | tail -n 1`; '
        f"echo {mark}"
    )
    assert "'" not in script
    return f"exec /bin/sh -c '{script}'"


@dataclass(slots=True)
class Probed:
    """What the probe said: ``answered`` with both its marks; warnings, the worst first, each with what to do."""

    answered: bool
    facts: dict[str, Fact] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)


def read_probe(text: str, mark: str, now: float) -> Probed:
    """What ``text``, the output of `probe`, says. ``now``: our clock, in seconds since 1970."""
    before, found, rest = text.partition(f"{mark}\n")
    inside, ended, after = rest.partition(f"{mark}\n")
    if not found or not ended:
        return Probed(False)
    values = dict(line.split("=", 1) for line in inside.splitlines() if "=" in line)
    probed = Probed(True, {"user": values.get("user", "")[:_SHOWN], "system": values.get("system", "")[:_SHOWN]})
    noise = (before + after).strip()
    if noise:
        first = noise.splitlines()[0][:_SHOWN]
        probed.warnings.append(
            (
                f'the login shell prints text of its own around a command: "{first}"',
                "a start-up file (.bashrc, .cshrc) prints it, and scp, rsync and SFTP stumble over it: print only in "
                "interactive shells",
            )
        )
    home = values.get("home", "")[:_SHOWN]
    if "homethere" not in values:
        probed.warnings.append((f"the home directory {home or '(none)'} is not there", "make it, or mount it"))
    for name, place in (("home", home), ("tmp", _TMP)):
        full = _full(values.get(f"{name}space", ""))
        if full:
            probed.warnings.append((f"no space is left in {place} ({full})", "make room there: copies fail"))
    if "homethere" in values and "homewritable" not in values:
        probed.warnings.append((f"{home} may not be written to", "is it mounted read-only, or somebody else's?"))
    if "tmpwritable" not in values:
        probed.warnings.append((f"{_TMP} may not be written to", "is it mounted read-only?"))
    clock = values.get("clock", "")
    if clock.isdecimal() and len(clock) < 15:
        skew = int(clock) - now
        probed.facts["clock"] = f"{skew:+.0f} s"
        if abs(skew) > SKEW:
            way = "ahead of" if skew > 0 else "behind"
            probed.warnings.append(
                (f"its clock is {abs(skew):.0f} s {way} ours", "certificates and one-time codes fail so: does NTP run?")
            )
    return probed


def _full(line: str) -> str:
    """``100% of 10 MB`` where a line of ``df -Pk`` says that nothing is available, else ""."""
    words = line.split()
    numbers = [at for at, word in enumerate(words) if word.endswith("%") and at >= 3]
    if not numbers:
        return ""
    at = numbers[-1]
    size, available = words[at - 3], words[at - 1]
    if not size.isdecimal() or not available.lstrip("-").isdecimal() or int(size) == 0 or int(available) > 0:
        return ""
    return f"{words[at]} of {int(size) // 1024} MiB"
