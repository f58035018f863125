"""Plug-ins of a study: the user's own files, and modules of other packages.

A study carries the text of its plug-in files, not their paths. So a run directory, a winning
configuration and a worker on another machine are complete, and editing a file while a study runs
changes nothing until the study is started again.
"""

import codecs
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
from ..datasets.registry import Registry
from ..methods import methods, references, samplers
from .metrics import metrics
from .spec import Frozen
from .syntax import module_digest

_FILE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.py")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_HOME = "scorebench_plugins"

# Name of the module that was executed last, by file name without .py.
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
            f"the plug-in file {file!r} has no valid module name: use letters, digits and _, "
            "not starting with a digit, then .py"
        )
    return file


def _source(value: object) -> object:
    if isinstance(value, str) and not _MODULE.fullmatch(value):
        raise UsageError(
            f"{value!r} is not the name of a module: give a module, or a file that ends with "
            '.py, for example "mine.py"'
        )
    return value


PluginSource = Annotated[PluginFile | str, BeforeValidator(_source)]
"""A file with its text, or the name of a module that can be imported."""


def read_text(path: Path) -> str:
    """Read a text in UTF-8, or in UTF-16 as PowerShell writes it, without its byte order mark.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: It is no such text.
    """
    with path.open("rb") as file:
        wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return path.read_text(encoding="utf-16" if wide else "utf-8-sig")


def read_plugin(path: Path) -> PluginFile:
    """Read a plug-in file.

    Raises:
        UsageError: The file cannot be read, or its name is no module name.
    """
    try:
        code = read_text(path)
    except OSError as error:
        raise UsageError(
            f"the plug-in file {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise UsageError(f"the plug-in file {str(path)!r} is not UTF-8 text") from error
    return PluginFile(file=_file_name(path.name), code=code)


def activate(plugins: Iterable[PluginSource]) -> None:
    """Register the names of plug-ins; a second call does nothing.

    Raises:
        UsageError: A module cannot be imported, or a file fails; the message names the line.
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
                    "install its package, or give its file"
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
    # The digest in the name changes the runs' keys with every change that is not a comment.
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
        exec(code, module.__dict__)  # noqa: S102 (the user asks for this code)
    except UsageError as error:
        raise UsageError(f"{plugin.file}: {error}") from error
    except Exception as error:
        raise UsageError(f"{plugin.file}{_line(error, shown)}: {first_line(error)}") from error
    _active[stem] = name


def module_of(name: str) -> ModuleType:
    """Return the module of an active plug-in file (``mine.py``), or import a module by name.

    Raises:
        UsageError: There is no such module.
    """
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"the module {name!r} cannot be imported: {error}") from error
    active = _active.get(name.removesuffix(".py"))
    if active is None:
        raise UsageError(f"{name} is not a plug-in of this study: add it to plugins")
    return sys.modules[active]


def registries() -> dict[str, Registry[Any]]:
    """Registries of all kinds of plug-ins of a run, by kind: ``method``, ``dataset``, ..."""
    every: tuple[Registry[Any], ...] = (methods, datasets, samplers, metrics, references)
    return {registry.kind: registry for registry in every}


def registered_by(plugin: PluginFile) -> list[tuple[str, str]]:
    """List kind and name of everything that an active plug-in file registered."""
    module = _active.get(plugin.file.removesuffix(".py"))
    return [
        (kind, name)
        for kind, registry in registries().items()
        for name in registry.names()
        if name not in registry.builtin and registry.get(name).__module__ == module
    ]


def _line(error: Exception, shown: str) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == shown]
    return f" line {lines[-1]}" if lines else ""


def first_line(error: Exception) -> str:
    """Describe an exception by its type and the first line of its message."""
    return f"{type(error).__name__}: {error}".split("\n")[0]
