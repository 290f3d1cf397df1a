"""The table of keywords: what each takes, and what of it we use. The rest is known by name, so that a slip is told.

Must not know lines or files: a check gets a keyword's text, and raises ValueError with the reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from hostshell.inventory.sshconfig.hops import Hop, port_number, read_hops
from hostshell.inventory.sshconfig.lexer import BLANKS, lower, words

Value: TypeAlias = str | int | bool | tuple[str, ...] | tuple[Hop, ...] | None
Reader: TypeAlias = Callable[[str, Mapping[str, str]], Value]

_LARGEST = 2**31 - 1
_NUMBER = re.compile(r"[ \t]*\+?([0-9]{1,18})")
_TIME = re.compile(r"[ \t]*\+?([0-9]{1,18})([smhdwSMHDW]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")


def _one(text: str) -> str:
    found = words(text)
    if not found or not found[0]:
        raise ValueError("it has no value")
    if len(found) > 1:
        raise ValueError(f"it takes one value, and `{found[1]}` follows")
    return found[0]


def _string(text: str, _: Mapping[str, str]) -> str:
    return _one(text)


def _choice(**choices: str | bool) -> Reader:
    def read(text: str, _: Mapping[str, str]) -> Value:
        word = _one(text)
        found = choices.get(lower(word).replace("-", "_"))
        if found is None:
            names = ", ".join(name.replace("_", "-") for name in choices if name not in ("true", "false"))
            raise ValueError(f"`{word}` is none of {names}")
        return found

    return read


def _number(text: str, _: Mapping[str, str]) -> int:
    found = _NUMBER.fullmatch(_one(text))
    if found is None or int(found[1]) > _LARGEST:
        raise ValueError(f"`{_one(text)}` is no number")
    return int(found[1])


def _time(text: str, _: Mapping[str, str]) -> int | None:
    word = _one(text)
    if word == "none":
        return None
    total = at = 0
    while at < len(word):
        found = _TIME.match(word, at)
        if found is None:
            raise ValueError(f"`{word}` is no time, such as 30 or 1m30s")
        total += int(found[1]) * _UNITS[found[2].lower()]
        at = found.end()
    if total > _LARGEST:
        raise ValueError(f"`{word}` is too long a time")
    return total


def _port(text: str, _: Mapping[str, str]) -> int:
    word = _one(text)
    try:
        return port_number(word)
    except ValueError as error:
        raise ValueError(f"`{word}` is no port: {error}") from None


def _files(text: str, _: Mapping[str, str]) -> tuple[str, ...]:
    found = words(text)
    if "" in found:
        raise ValueError("it has an empty value")
    if len(found) > 1 and any(lower(word) == "none" for word in found):
        raise ValueError("`none` stands alone")
    return tuple(found)


def _command(text: str, _: Mapping[str, str]) -> str:
    words(text)  # OpenSSH takes the text as it stands, but wants its quotes closed
    return text.lstrip(BLANKS + "=")


def _jump(text: str, _: Mapping[str, str]) -> tuple[Hop, ...]:
    return read_hops(_command(text, _))


def _agent(text: str, environ: Mapping[str, str]) -> str:
    word = _one(text)
    for found in _VARIABLE.finditer(word):
        if not found[2]:
            raise ValueError("`${` without `}`")
        if found[1] not in environ:
            raise ValueError(f"the environment has no variable {found[1]}" if found[1] else "`${}` names no variable")
    if word.startswith("$") and not word.startswith("${") and not re.fullmatch(r"[A-Za-z0-9_]+", word[1:]):
        raise ValueError(f"`{word}` is no name of a variable")
    return word


def _send(text: str, _: Mapping[str, str]) -> tuple[str, ...]:
    found = words(text)
    for word in found:
        if not word or "=" in word:
            raise ValueError(f"`{word}` is no name of a variable")
    return tuple(found)


def _assign(text: str, _: Mapping[str, str]) -> tuple[str, ...]:
    found = words(text)
    for word in found:
        if "=" not in word:
            raise ValueError("a word of it is no NAME=VALUE")  # it may be part of a secret
    return tuple(found)


def _anything(text: str, _: Mapping[str, str]) -> None:
    words(text)


_flag = _choice(**_YES_NO)

USED: dict[str, Reader] = {
    "addressfamily": _choice(any="any", inet="inet", inet6="inet6"),
    "bindaddress": _string,
    "canonicaldomains": _files,
    "canonicalizehostname": _choice(**_YES_NO, always=True),
    "certificatefile": _string,
    "compression": _choice(yes=True, no=False),
    "connecttimeout": _time,
    "globalknownhostsfile": _files,
    "hostkeyalias": _string,
    "hostname": _string,
    "identitiesonly": _flag,
    "identityagent": _agent,
    "identityfile": _string,
    "ignoreunknown": _string,
    "kbdinteractiveauthentication": _flag,
    "passwordauthentication": _flag,
    "port": _port,
    "preferredauthentications": _string,
    "proxycommand": _command,
    "proxyjump": _jump,
    "pubkeyauthentication": _choice(**_YES_NO, unbound=True, host_bound=True),
    "sendenv": _send,
    "serveralivecountmax": _number,
    "serveraliveinterval": _time,
    "setenv": _assign,
    "stricthostkeychecking": _choice(
        yes="yes", true="yes", no="no", false="no", off="no", ask="ask", accept_new="accept-new"
    ),
    "tag": _string,  # OpenSSH 9.4
    "user": _string,
    "userknownhostsfile": _files,
    # not obeyed, and said to be so where they are set: they decide whom we talk to, and how
    "bindinterface": _string,
    "knownhostscommand": _command,
    "pkcs11provider": _string,
    "proxyusefdpass": _flag,
    "revokedhostkeys": _string,
}
NOT_OBEYED = {
    "bindinterface": "BindInterface",
    "knownhostscommand": "KnownHostsCommand",
    "pkcs11provider": "PKCS11Provider",
    "proxyusefdpass": "ProxyUseFdpass",
    "revokedhostkeys": "RevokedHostKeys",
}
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "identityfile2": "identityfile",
    "skeyauthentication": "kbdinteractiveauthentication",
    "smartcarddevice": "pkcs11provider",
    "tisauthentication": "kbdinteractiveauthentication",
}
_FLAGS = """
    batchmode canonicalizefallbacklocal checkhostip clearallforwardings enableescapecommandline enablesshkeysign
    exitonforwardfailure forkafterauthentication forwardx11 forwardx11trusted gatewayports gssapiauthentication
    gssapidelegatecredentials hashknownhosts hostbasedauthentication keepalive nohostauthenticationforlocalhost
    permitlocalcommand stdinnull streamlocalbindunlink tcpkeepalive visualhostkey
"""
_WORDS = """
    casignaturealgorithms ciphers controlpath controlpersist escapechar fingerprinthash hostbasedacceptedalgorithms
    hostbasedkeytypes hostkeyalgorithms kbdinteractivedevices kexalgorithms loglevel macs pubkeyacceptedalgorithms
    pubkeyacceptedkeytypes securitykeyprovider streamlocalbindmask syslogfacility tunneldevice xauthlocation
"""
_NUMBERS = "canonicalizemaxdots connectionattempts numberofpasswordprompts requiredrsasize"
# of no matter to us, retired, of distributions' own patches, or newer than 9.2: whatever stands behind them
_OTHERS = """
    addkeystoagent afstokenpassing canonicalizepermittedcnames channeltimeout cipher compressionlevel controlmaster
    dynamicforward fallbacktorsh forwardagent forwardx11timeout globalknownhostsfile2 gssapiclientidentity
    gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns ipqos
    kerberosauthentication kerberostgtpassing localcommand localforward logverbose obscurekeystroketiming
    permitremoteopen protocol refuseconnection rekeylimit remotecommand remoteforward requesttty rhostsauthentication
    rhostsrsaauthentication rsaauthentication sessiontype tunnel updatehostkeys useprivilegedport userknownhostsfile2
    useroaming usersh verifyhostkeydns versionaddendum warnweakcrypto
"""
READERS: dict[str, Reader] = {
    **dict.fromkeys(_OTHERS.split(), _anything),
    **dict.fromkeys(_WORDS.split(), _string),
    **dict.fromkeys(_NUMBERS.split(), _number),
    **dict.fromkeys(_FLAGS.split(), _flag),
    **USED,
}
