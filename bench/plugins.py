"""Plug-ins that a study brings along: files of the user's own, and modules of other packages.

A study carries the text of its plug-in files, not their paths. So a run directory, a winning
configuration and a worker on another machine have all they need, and a file that is edited while
a study runs changes nothing until the study is started again.
"""

import importlib
import linecache
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from ..datasets import datasets
from ..datasets.errors import UsageError
from ..methods import methods, references, samplers
from .metrics import metrics
from .spec import Frozen
from .syntax import module_digest

_FILE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.py")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_HOME = "scorebench_plugins"

# Module of the code that was executed last, by file name.
_active: dict[str, str] = {}


class PluginFile(Frozen):
    """A Python file that registers plug-ins.

    Attributes:
        file: Its name, without folders.
        code: Its text.
    """

    file: str
    code: str

    @field_validator("file")
    @classmethod
    def _name(cls, file: str) -> str:
        return _file_name(file)


def _file_name(file: str) -> str:
    if not _FILE.fullmatch(file):
        raise UsageError(
            f"the plug-in file {file!r} becomes a module: its name has to be letters, digits "
            "and _ that do not start with a digit, and .py"
        )
    return file


def _source(value: Any) -> Any:
    if isinstance(value, str) and not _MODULE.fullmatch(value):
        raise UsageError(
            f"{value!r} is not the name of a module; the name of a file ends with .py, "
            'for example "mine.py"'
        )
    return value


PluginSource = Annotated[PluginFile | str, BeforeValidator(_source)]
"""A file with its text, or the name of a module that can be imported."""


def read_plugin(path: Path) -> PluginFile:
    """Read a plug-in file.

    Raises:
        UsageError: It cannot be read, or has no name that a module can have.
    """
    try:
        code = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the plug-in file {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise UsageError(f"the plug-in file {str(path)!r} is not text in UTF-8") from error
    return PluginFile(file=_file_name(path.name), code=code)


def activate(plugins: Iterable[PluginSource]) -> None:
    """Make the names known that these plug-ins register; done again, it does nothing.

    Raises:
        UsageError: A module cannot be imported, or a file fails; with the line where it does.
    """
    for plugin in plugins:
        if isinstance(plugin, PluginFile):
            _execute(plugin)
        else:
            try:
                importlib.import_module(plugin)
            except ImportError as error:
                raise UsageError(
                    f"the plug-in module {plugin!r} cannot be imported: {error}; "
                    "install its package, or name its file"
                ) from error


def _execute(plugin: PluginFile) -> None:
    stem = plugin.file.removesuffix(".py")
    shown = f"<{plugin.file}>"
    try:
        digest = module_digest(plugin.code)
        code = compile(plugin.code, shown, "exec")
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"{plugin.file}{line}: {error.args[0]}") from error
    # The digest in the name tells the runs' keys of every change that is not a comment.
    name = f"{_HOME}.{stem}_{digest}"
    if _active.get(stem) == name:
        return
    module = ModuleType(name)
    module.__file__ = shown
    module.__dict__["__source__"] = plugin.code
    lines = plugin.code.splitlines(keepends=True)
    linecache.cache[shown] = (len(plugin.code), None, lines, shown)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 (what a plug-in is for)
    except UsageError as error:
        raise UsageError(f"{plugin.file}: {error}") from error
    except Exception as error:
        raise UsageError(f"{plugin.file}{_line(error, shown)}: {_told(error)}") from error
    _active[stem] = name


def module_of(name: str) -> ModuleType:
    """The module of a plug-in file that is active (``mine.py``), or one that can be imported.

    Raises:
        UsageError: There is none.
    """
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"the module {name!r} cannot be imported: {error}") from error
    active = _active.get(name.removesuffix(".py"))
    if active is None:
        raise UsageError(f"{name} is not among the plug-ins of this study")
    return sys.modules[active]


def registered_by(plugin: PluginFile) -> list[tuple[str, str]]:
    """Kind and name of all that an active plug-in file registered."""
    module = _active.get(plugin.file.removesuffix(".py"))
    return [
        (registry.kind, name)
        for registry in (methods, datasets, samplers, metrics, references)
        for name in registry.names()
        if name not in registry.builtin and registry.get(name).__module__ == module
    ]


def _line(error: Exception, shown: str) -> str:
    found = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == shown]
    return f" line {found[-1]}" if found else ""


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0]
