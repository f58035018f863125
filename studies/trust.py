"""Decide which plug-in code may be executed: code that a user has run on this machine.

Running a study executes the code that it contains, and users are asked to read it first. Other
commands only read a run directory, which may come from anywhere; users do not expect them to
execute its code. They do so only if that code was run on this machine before.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from ..bench.plugins import PluginFile, PluginSource
from ..datasets.errors import UsageError

VARIABLE = "SCOREBENCH_STATE"
"""Environment variable with the folder of the list of trusted code (default: the user's own)."""

# Digests of the code that this process trusts.
_trusted: set[str] = set()


def trust(plugins: Iterable[PluginSource]) -> None:
    """Allow the code of plug-in files to be executed, now and later."""
    new = {_digest(plugin) for plugin in plugins if isinstance(plugin, PluginFile)} - _trusted
    if not new:
        return
    _trusted.update(new)
    new -= _stored()
    # If the file cannot be written, the code is trusted in this process only.
    with contextlib.suppress(OSError):
        if new:
            _file().parent.mkdir(parents=True, exist_ok=True)
            with _file().open("a", encoding="utf-8") as file:
                file.write("".join(f"{digest}\n" for digest in sorted(new)))


def require_trust(plugins: Iterable[PluginSource]) -> None:
    """Refuse plug-in files that were never run on this machine.

    Raises:
        UsageError: A file is not trusted.
    """
    files = {_digest(plugin): plugin for plugin in plugins if isinstance(plugin, PluginFile)}
    untrusted = files.keys() - _trusted
    if untrusted and (untrusted := untrusted - _stored()):
        names = ", ".join(plugin.file for digest, plugin in files.items() if digest in untrusted)
        raise UsageError(
            f"the study contains code not yet trusted on this machine ({names}): read it in its "
            "study.toml, then allow it with `scorebench show .../study.toml`"
        )


def _digest(plugin: PluginFile) -> str:
    return hashlib.sha256(f"{plugin.file}\n{plugin.code}".encode()).hexdigest()


def _stored() -> set[str]:
    try:
        return set(_file().read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return set()


def _file() -> Path:
    folder = os.environ.get(VARIABLE) or platformdirs.user_state_dir("scorebench", appauthor=False)
    return Path(folder) / "trusted"
