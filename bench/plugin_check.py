"""Does a plug-in keep what its kind promises? Answers are sentences, for its author."""

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..datasets import datasets, get_dataset
from ..datasets.errors import UsageError, unknown
from ..methods import methods
from .plugins import activate, read_plugin, registered_by


class Finding(NamedTuple):
    """A promise, and whether it is kept.

    Attributes:
        plugin: Whose it is, for example ``method 'mine'``.
        promise: What is promised.
        complaint: What is wrong and what would be right; None if nothing is.
    """

    plugin: str
    promise: str
    complaint: str | None


def check(name_or_path: str) -> Iterator[Finding]:
    """Try all that methods and datasets promise.

    Args:
        name_or_path: A name in the registry, or the path of a plug-in file.

    Raises:
        UsageError: There is no such thing, or it cannot even be loaded.
    """
    if name_or_path.endswith(".py"):
        plugin = read_plugin(Path(name_or_path))
        activate([plugin])
        found = [pair for pair in registered_by(plugin) if pair[0] in ("method", "dataset")]
        if not found:
            raise UsageError(
                f"{name_or_path} registers no method and no dataset: put @methods.register("
                f'"{plugin.file.removesuffix(".py")}") in front of its class'
            )
    else:
        known = {"method": methods.names(), "dataset": datasets.names()}
        found = [(kind, name_or_path) for kind, names in known.items() if name_or_path in names]
        if not found:
            raise unknown("method or dataset", name_or_path, (*known["method"], *known["dataset"]))
    for kind, name in found:
        yield from _method(name) if kind == "method" else _dataset(name)


def _method(name: str) -> Iterator[Finding]:
    from ..methods.promises import PROMISES, BrokenPromiseError
    from .process import one_thread

    objective = methods.get(name)
    for promise in PROMISES:
        complaint = None
        try:
            with one_thread():
                promise(objective)
        except BrokenPromiseError as error:
            complaint = str(error)
        except Exception as error:
            complaint = _raised(error, str(objective.__module__))
        yield Finding(f"method {name!r}", _sentence(promise), complaint)


def _sentence(promise: Callable[..., None]) -> str:
    return (promise.__doc__ or "").split("\n")[0].rstrip(".")


def _dataset(name: str) -> Iterator[Finding]:
    from ..datasets.promises import broken

    get_dataset(name)
    for promise, complaint in broken(name):
        yield Finding(f"dataset {name!r}", promise, complaint)


def _raised(error: Exception, module: str) -> str:
    """What an exception says, and the line of the plug-in that it came by."""
    file = getattr(sys.modules.get(module), "__file__", None)
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
