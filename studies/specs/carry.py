"""Collect the files that a study names: their text becomes part of the study."""

import ast
from collections.abc import Iterator
from pathlib import Path

from ...bench.plugins import read_plugin
from ...datasets.errors import UsageError
from .entries import short

_HUB = "hub:"

_BUNDLE = '''\
"""{name}: a package of OptunaHub's registry, with all of its files."""

import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.util import spec_from_loader
from types import ModuleType

FILES = {{
{files}}}


class _Files(InspectLoader, MetaPathFinder):
    """Finds the modules of the package in its text."""

    def find_spec(self, fullname, path=None, target=None):
        known = fullname.startswith(__name__ + ".") and (
            self.is_package(fullname) or self._path(fullname) + ".py" in FILES
        )
        return spec_from_loader(fullname, self) if known else None

    def is_package(self, fullname):
        return any(name.startswith(self._path(fullname) + "/") for name in FILES)

    def get_source(self, fullname):
        end = "/__init__.py" if self.is_package(fullname) else ".py"
        return FILES.get(self._path(fullname) + end, "")

    def _path(self, fullname):
        return fullname[len(__name__) + 1 :].replace(".", "/")


__path__ = []
__package__ = __name__
# Python looks for the package that this module's name is in.
sys.modules.setdefault(__name__.rpartition(".")[0], ModuleType("above"))
sys.meta_path.append(_Files())
exec(compile(FILES["__init__.py"], "{name}/__init__.py", "exec"), globals())
'''


def carry(data: dict[str, object], folder: Path) -> dict[str, object]:
    """Return the tables of a study file with the text of its plug-ins, networks and searchers.

    Args:
        data: The tables.
        folder: Where paths start; those of overrides may start from the current folder.

    Raises:
        UsageError: A file cannot be read.
    """
    data = dict(data)
    plugins = data.get("plugins", [])
    if not isinstance(plugins, list):
        raise UsageError(f'plugins = {short(plugins)} is not a list, for example ["mine.py"]')
    plugins = list(plugins)
    network, search = data.get("network"), data.get("search")
    if isinstance(network, dict) and isinstance(network.get("module"), str):
        data["network"] = {**network, "module": _class(network["module"], plugins, folder)}
    if isinstance(search, dict) and "sampler" in search:
        given = search["sampler"]
        several = isinstance(given, list)
        named = [_searcher(one, plugins, folder) for one in (given if several else [given])]
        data["search"] = {**search, "sampler": named if several else named[0]}
    if plugins or "plugins" in data:
        data["plugins"] = [_text(plugin, folder) for plugin in plugins]
    return data


def _text(plugin: object, folder: Path) -> object:
    """Replace the path of a plug-in file by its text."""
    if isinstance(plugin, str) and plugin.endswith(".py"):
        return read_plugin(found(plugin, folder)).model_dump()
    return plugin


def found(path: str, folder: Path) -> Path:
    """Return a path in a folder, or from the current folder, whence overrides name files."""
    inside = folder / path
    return inside if inside.exists() else Path(path)


def _class(name: str, plugins: list[object], folder: Path) -> str:
    """Add the file of ``nets/mine.py:MyNet`` to the plug-ins; return ``mine.py:MyNet``."""
    path, colon, attribute = name.rpartition(":")
    if not path.endswith(".py"):
        return name
    file = Path(path).name
    if file not in _names(plugins):
        plugins.append(path)
    there = found(path, folder)
    for plugin in plugins if there.exists() else ():
        # Text that a run directory carries stands for the file; another file does not.
        other = isinstance(plugin, str) and found(plugin, folder).resolve() != there.resolve()
        if Path(_name(plugin)).name == file and (other or isinstance(plugin, _Bundle)):
            raise _taken(file)
    return f"{file}{colon}{attribute}"


class _Bundle(dict[str, str]):
    """Name and text of a plug-in file that was made of a folder."""


def _taken(file: str) -> UsageError:
    return UsageError(f"two files or folders of the study become {file!r}: rename one of them")


def _name(plugin: object) -> str:
    return str(plugin["file"] if isinstance(plugin, dict) else plugin)


def _names(plugins: list[object]) -> Iterator[str]:
    return (Path(_name(plugin)).name for plugin in plugins)


def _searcher(given: object, plugins: list[object], folder: Path) -> object:
    """Carry the file of a searcher, and return its entry without folders."""
    if isinstance(given, dict):
        if not isinstance(given.get("name"), str):
            return given
        return {**given, "name": _searcher(given["name"], plugins, folder)}
    if not isinstance(given, str):
        return given
    if given.endswith(".py"):
        raise UsageError(
            f"search.sampler = {given!r} does not name a class: write the class too, for example "
            f'"{given}:MySampler"'
        )
    if not given.startswith(_HUB):
        return _class(given, plugins, folder)
    path, _, attribute = given.removeprefix(_HUB).rpartition(":")
    if not path or not attribute.isidentifier():
        path, attribute = given.removeprefix(_HUB), ""
    package = found(path, folder)
    start = package / "__init__.py"
    code = read_plugin(start).code if start.is_file() else None
    if code is None:
        raise UsageError(
            f"search.sampler = {given!r} is not a folder with an __init__.py: give the folder of a "
            'package, for example "hub:optunahub-registry/package/samplers/auto_sampler"'
        )
    name = package.resolve().name
    bundle = _Bundle(file=f"{name}.py", code=_bundled(package, name))
    if f"{name}.py" not in _names(plugins):
        plugins.append(bundle)
    elif bundle not in plugins:
        raise _taken(f"{name}.py")
    return f"{name}.py:{attribute or _only_class(given, code)}"


def _bundled(package: Path, name: str) -> str:
    """Write the files of a package as one: those that its ``__init__.py`` may import."""
    files = {
        path.relative_to(package).as_posix(): read_plugin(path).code
        for path in sorted(package.rglob("*.py"))
        if path.stem.isidentifier()
        and path.name != "example.py"
        and "tests" not in path.relative_to(package).parts
    }
    if len(files) == 1:
        return files["__init__.py"]
    texts = "".join(f"    {file!r}: {_quoted(code)},\n" for file, code in files.items())
    return _BUNDLE.format(name=name, files=texts)


def _quoted(code: str) -> str:
    """Write a text as it is, between three quotes, where that is possible."""
    simple = "\\" not in code and '"""' not in code and not code.endswith('"')
    if simple:
        return f'"""{code}"""'
    simple = "'''" not in code and not code.endswith(("'", "\\"))
    return f"r'''{code}'''" if simple else repr(code)


def _only_class(given: str, code: str) -> str:
    """Name the class that a package's ``__all__`` consists of."""
    names: list[str] = []
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{given}: its __init__.py is not Python: {error.args[0]}") from error
    for node in statements:
        targets = [ast.unparse(target) for target in getattr(node, "targets", [])]
        if isinstance(node, ast.Assign) and targets == ["__all__"]:
            listed = getattr(node.value, "elts", [])
            names = [str(item.value) for item in listed if isinstance(item, ast.Constant)]
    if len(names) == 1:
        return names[0]
    found = f"has {', '.join(names)}" if names else "names nothing in __all__"
    raise UsageError(
        f"search.sampler = {given!r}: the package {found}: name one class after the folder, "
        f'"{given}:{names[0] if names else "MySampler"}"'
    )
