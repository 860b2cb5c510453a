"""What of a text may stand in a bug report: no home folder, no user name, no host name."""

from __future__ import annotations

import os
import pwd
import re
import socket
from contextlib import suppress
from pathlib import Path

__all__ = ["without_names"]


def without_names(text: str) -> str:
    """Write the home folder as ``~``, other folders with the user's name as ``USER``, the host as ``HOST``."""
    for home in _homes():
        text = re.sub(rf"(?<![^\s:'\"(=]){re.escape(home)}(?![^/\s:'\",;)])", "~", text)
    for name in _users():
        text = re.sub(rf"(?<=/){re.escape(name)}(?![^/\s:'\",;)])", "USER", text)
    for host in _hosts():
        text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "HOST", text)
    return text


def _homes() -> list[str]:
    """Give the home folder by every name it has, long ones first."""
    found = {os.environ.get("HOME", "")}
    with suppress(KeyError):  # a container's user without a name
        found.add(pwd.getpwuid(os.getuid()).pw_dir)
    found |= {os.path.realpath(home) for home in found if home}
    return sorted((home.rstrip("/") for home in found if len(Path(home).parts) > 1), key=len, reverse=True)


def _users() -> list[str]:
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return []
    return [] if name == "root" else [name]


def _hosts() -> list[str]:
    """Give the host's names, long ones first; not one that every machine has."""
    name = socket.gethostname()
    found = {name, name.partition(".")[0]} - {"", "localhost", "shortlist"}
    return sorted(found, key=len, reverse=True)
