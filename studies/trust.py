"""Decide which plug-in code may be executed: code that a user has run on this machine.

Running a study executes the code that it contains, and users are asked to read it first. Other
commands only read a run directory, which may come from anywhere; users do not expect them to
execute its code. They do so only if that code was run on this machine before.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..bench.plugins import PluginFile, PluginSource
from ..datasets.errors import UsageError
from ..datasets.home import user_folder

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
        if new and (path := _file()) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{digest}\n" for digest in sorted(new)))


def require_trust(plugins: Iterable[PluginSource]) -> None:
    """Raise ``UsageError`` if a plug-in file was never run on this machine."""
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
    path = _file()
    try:
        return set() if path is None else set(path.read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return set()


def _file() -> Path | None:
    folder = user_folder("state", VARIABLE)
    return None if folder is None else folder / "trusted"
