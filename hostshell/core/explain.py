"""What lies behind a command that failed at once because the account runs no commands: a hint for a person.

Pure: exit code and the beginning of the output in, a sentence out. Must not know hosts.
"""

from __future__ import annotations

HEAD = 512  # bytes of the beginning of a command's output that are looked at

_EXPIRED = "the account's password has expired: log in there once with ssh and change it"

# what the programs say that stand where a shell should be, and what it means
_SAYINGS: tuple[tuple[bytes, str], ...] = (
    # nologin(8) of util-linux and of shadow
    (
        b"This account is currently not available",
        "the account runs no commands: its login shell is nologin, or a ForceCommand of sshd is; set another `user`",
    ),
    # session.c of OpenSSH, ForceCommand internal-sftp
    (b"This service allows sftp connections only", "this account may only copy files (ForceCommand internal-sftp)"),
    # the authorized_keys of cloud images
    (b"Please login as the user", "the image refuses this user: set `user` to the one that it names"),
    # PAM, and session.c of OpenSSH
    (b"Password change required but no TTY available", _EXPIRED),
    (b"Your password has expired", _EXPIRED),
    (b"You are required to change your password", _EXPIRED),
)
_NOLOGIN_CODE = 254  # session.c of OpenSSH, do_nologin


def why_it_failed(exit_code: int | None, head: bytes) -> str:
    """A hint where the output begins as it does when no command may run there, else the empty string.

    ``head`` is the beginning of what the command printed, both streams, `HEAD` bytes at most.
    """
    if not exit_code:
        return ""
    for saying, hint in _SAYINGS:
        if saying in head:
            return hint
    if exit_code == _NOLOGIN_CODE:
        return "sshd answers with 254 while /etc/nologin is there: logins are shut off for now"
    return ""
