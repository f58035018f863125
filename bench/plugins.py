"""Plug-ins of a study: the user's own files, and modules of other packages.

A study carries the text of its plug-in files, not their paths. So a run directory, a winning
configuration and a worker on another machine are complete, and editing a file while a study runs
changes nothing until the study is started again.
"""

import codecs
import importlib.util
import linecache
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from itertools import accumulate
from pathlib import Path
from types import CodeType, ModuleType
from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from ..datasets import datasets
from ..datasets.errors import UsageError, told
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

# Modules of packages that networks may be taken from; each is named by a study and trusted.
_permitted: set[str] = set()


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


def decoded(data: bytes) -> str:
    """Decode a text in UTF-8, or in UTF-16 as PowerShell writes it, without its byte order mark.

    Every line of it ends in a newline alone.

    Raises:
        UnicodeDecodeError: It is no such text.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if wide else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_plugin(path: Path) -> PluginFile:
    """Read a plug-in file.

    Raises:
        UsageError: The file cannot be read, or its name is no module name.
    """
    try:
        code = decoded(path.read_bytes())
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
        # Imported on first use: it loads torch, as a plug-in does.
        from ..datasets.steady import neutral

        with neutral():
            if isinstance(plugin, PluginFile):
                _execute(plugin)
            else:
                _import(plugin)


def permit(modules: Iterable[str]) -> None:
    """Allow ``module_of`` to import modules of packages."""
    _permitted.update(modules)


def _import(name: str) -> ModuleType:
    try:
        for part, spec in _specs(name):
            if part not in sys.modules:
                _load(part, spec)
        return sys.modules[name]
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        why = error if isinstance(error, ImportError) else told(error, name)
        raise _not_importable(name, why) from error


class _Source(SourceFileLoader):
    """Compiles the text that was trusted: bytecode in ``__pycache__`` may be of another text."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _load(name: str, spec: ModuleSpec) -> None:
    """Execute a module, whose package is imported."""
    if isinstance(spec.loader, SourceFileLoader):
        spec.loader = _Source(name, spec.loader.path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    package, _, last = name.rpartition(".")
    if package:
        setattr(sys.modules[package], last, module)


def _specs(name: str) -> Iterator[tuple[str, ModuleSpec]]:
    """Find a module and the packages that it is in, outermost first, without importing them.

    Raises:
        ModuleNotFoundError: There is no such module.
    """
    path: Sequence[str] | None = None
    for part in accumulate(name.split("."), "{}.{}".format):
        # ``importlib.util.find_spec`` would import the packages.
        specs = (finder.find_spec(part, path) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {part!r}")
        yield part, spec
        path = spec.submodule_search_locations or ()


def _not_importable(name: str, why: object) -> UsageError:
    return UsageError(
        f"the module {name!r} cannot be imported: {why}; install its package, or give its file"
    )


def executed_by_import(name: str) -> bytes:
    """Return the content of the files that importing a module executes, without importing it.

    These are its own file and those of the packages that it is in. Modules of Python itself without
    a file are told apart by the version of Python.

    Raises:
        UsageError: There is no such module, or a file cannot be read.
    """
    try:
        return b"\n".join(
            Path(spec.origin).read_bytes()
            if spec.has_location and spec.origin is not None
            else sys.version.encode()
            for _, spec in _specs(name)
        )
    except (ImportError, OSError) as error:
        raise _not_importable(name, error) from error


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
    except (Exception, SystemExit) as error:
        raise UsageError(told(error, name)) from error
    _active[stem] = name


def module_of(name: str) -> ModuleType:
    """Return the module of an active plug-in file (``mine.py``), or import a permitted module.

    Raises:
        UsageError: There is no such module, or it is not permitted.
    """
    if not name.endswith(".py"):
        if name not in _permitted:
            raise UsageError(
                f"the module {name!r} was not imported: it is not the network of this study, or "
                "not yet trusted on this machine (`scorebench trust`)"
            )
        return _import(name)
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
