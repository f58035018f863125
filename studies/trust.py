"""Whose code may be executed: that of plug-in files which somebody gave to be run on this machine.

A study that is run executes the code that it carries: whoever runs it is asked to have looked. A
run directory is read by commands of which nobody expects that they execute anything, and it may
come from anywhere. The code in it is executed only if it was run here before.
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
"""Names the folder in which is kept what was run; the user's own unless given."""

_known: set[str] = set()


def trust(plugins: Iterable[PluginSource]) -> None:
    """Remember the code of plug-in files as such that may be executed."""
    new = {_digest(plugin) for plugin in plugins if isinstance(plugin, PluginFile)} - _known
    if not new:
        return
    _known.update(new)
    new -= _remembered()
    # Where nothing can be kept it holds for this process.
    with contextlib.suppress(OSError):
        if new:
            _file().parent.mkdir(parents=True, exist_ok=True)
            with _file().open("a", encoding="utf-8") as file:
                file.write("".join(f"{digest}\n" for digest in sorted(new)))


def require_trust(plugins: Iterable[PluginSource]) -> None:
    """Refuse code that was never run here.

    Raises:
        UsageError: There is some.
    """
    files = [plugin for plugin in plugins if isinstance(plugin, PluginFile)]
    strange = [p.file for p in files if _digest(p) not in _known]
    if strange and not {_digest(plugin) for plugin in files} <= _known | _remembered():
        raise UsageError(
            f"the study carries code that was never run on this machine ({', '.join(strange)}): "
            "read it in its study.toml, then let it run with `scorebench show .../study.toml`"
        )


def _digest(plugin: PluginFile) -> str:
    return hashlib.sha256(f"{plugin.file}\n{plugin.code}".encode()).hexdigest()


def _remembered() -> set[str]:
    try:
        return set(_file().read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return set()


def _file() -> Path:
    folder = os.environ.get(VARIABLE) or platformdirs.user_state_dir("scorebench", appauthor=False)
    return Path(folder) / "trusted"
