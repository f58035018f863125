"""Registries of plug-ins: a plug-in is one small file, found by its folder.

The names and first docstring lines of the built-in plug-ins are read from the source without
importing it, so that listing them is quick and does not load torch. Other packages add their own
through entry points of the group ``scorebench_<kind>s`` (for example ``scorebench_datasets``).
"""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import catalogue

from .errors import UsageError, told, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class BuiltIn:
    """Where a built-in plug-in is defined, and its one-line summary."""

    module: str
    summary: str


class Registry(Generic[T]):
    """Plug-ins of one kind, by name; the built-in ones are registered by modules of packages.

    The kind is in the singular, as ``"dataset"``.
    """

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind = kind
        self.packages = packages
        self._catalogue = catalogue.create("scorebench", f"{kind}s", entry_points=True)
        # catalogue looks through the entry points of all packages each time: milliseconds.
        self._loaded: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function as ``name``.

        Raises:
            UsageError: The name belongs to a built-in plug-in.
        """

        def decorate(plugin: T) -> T:
            home = str(getattr(plugin, "__module__", ""))
            own = any(home.startswith(f"{package}.") for package in self.packages)
            if not own and name in self.builtin:
                raise UsageError(f"{self.kind} {name!r} is built in already: choose another name")
            self._catalogue.register(name, func=plugin)
            self._loaded.pop(name, None)
            return plugin

        return decorate

    @cached_property
    def builtin(self) -> dict[str, BuiltIn]:
        """The built-in plug-ins, read from the source of the packages."""
        plugins: dict[str, BuiltIn] = {}
        for package in self.packages:
            spec = importlib.util.find_spec(package)
            folders = spec.submodule_search_locations if spec is not None else None
            for folder in folders or ():
                for path in sorted(Path(folder).glob("*.py")):
                    if path.name != "__init__.py":
                        plugins.update(_scan(path, f"{package}.{path.stem}"))
        return plugins

    def names(self) -> tuple[str, ...]:
        """Return every name that ``get`` accepts, sorted."""
        others = {*self._catalogue.get_entry_points(), *(key[-1] for key in self._registered())}
        return tuple(sorted({*self.builtin, *others}))

    def __contains__(self, name: object) -> bool:
        """Tell whether ``get`` accepts a name."""
        return name in self._loaded or name in self.builtin or name in self.names()

    def summary(self, name: str) -> str:
        """Return the first docstring line of a plug-in (imports it only if it is not built in)."""
        if name in self.builtin:
            return self.builtin[name].summary
        return (self.get(name).__doc__ or "").strip().split("\n")[0]

    def get(self, name: str) -> T:
        """Return the plug-in called ``name``.

        Raises:
            UsageError: The name is unknown; the nearest valid name is suggested.
        """
        if name in self._loaded:
            return self._loaded[name]
        if name in self.builtin:
            importlib.import_module(self.builtin[name].module)
        elif name not in self:
            raise unknown(self.kind, name, self.names())
        plugin: T = self._catalogue.get(name)
        self._loaded[name] = plugin
        return plugin

    def _registered(self) -> list[tuple[str, ...]]:
        """Keys of the plug-ins that are registered by now."""
        # catalogue's public ``get_all`` would import every entry point to list their names.
        namespace = self._catalogue.namespace
        return [key for key in catalogue.REGISTRY if key[: len(namespace)] == namespace]


def _scan(path: Path, module: str) -> dict[str, BuiltIn]:
    """The plug-ins that one source file registers by ``@….register("name")``."""
    plugins: dict[str, BuiltIn] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            summary = (ast.get_docstring(node) or "").split("\n")[0]
            for decorator in node.decorator_list:
                name = _registered_name(decorator)
                if name is not None:
                    plugins[name] = BuiltIn(module, summary)
    return plugins


def _registered_name(decorator: ast.expr) -> str | None:
    match decorator:
        case ast.Call(func=ast.Attribute(attr="register"), args=[ast.Constant(value=str(name))]):
            return name
    return None


def options_of(plugin: Callable[..., Any], kind: str, name: str, options: dict[str, Any]) -> Any:
    """Call a plug-in's factory with options from a study file.

    Raises:
        UsageError: An option is unknown to the plug-in or has an impossible value.
        ValueError: A built-in plug-in refuses a value.
    """
    accepted = [
        key
        for key, parameter in inspect.signature(plugin).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    for option in options:
        if option not in accepted:
            if not accepted:
                raise UsageError(f"{kind} {name!r} has no options: remove {option!r}")
            raise unknown(f"option of the {kind} {name!r} called", option, accepted)
    module = getattr(plugin, "__module__", "")
    built_in = module.split(".")[0] == __name__.split(".")[0]
    try:
        return plugin(**options)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        if built_in and not isinstance(error, TypeError):
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "its defaults"
        why = error if built_in else told(error, module)
        raise UsageError(f"{kind} {name!r} cannot be made with {given}: {why}") from error
