"""Checks of a plug-in; problems are sentences for its author."""

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..datasets import datasets, get_dataset
from ..datasets.errors import UsageError, unknown
from ..methods import methods
from .plugins import activate, read_plugin, registered_by
from .spec import NetworkSpec, Plugin


class CheckResult(NamedTuple):
    """The result of one check of a plug-in.

    Attributes:
        plugin: The plug-in, for example ``method 'mine'``.
        check: The property that was checked.
        problem: The problem and its fix; None if the check passed.
    """

    plugin: str
    check: str
    problem: str | None


def check(name_or_path: str) -> Iterator[CheckResult]:
    """Run all checks of a method, dataset or network.

    Args:
        name_or_path: A name in the registry, the path of a plug-in file, or a network as in a
            study file: ``mine.py:MyNet``.

    Raises:
        UsageError: The plug-in is unknown or cannot be loaded.
    """
    if ":" in name_or_path:
        yield from _network(name_or_path)
        return
    if name_or_path.endswith(".py"):
        plugin = read_plugin(Path(name_or_path))
        activate([plugin])
        checked = [pair for pair in registered_by(plugin) if pair[0] in ("method", "dataset")]
        if not checked:
            raise UsageError(
                f"{name_or_path} registers no method and no dataset: put @methods.register("
                f'"{plugin.file.removesuffix(".py")}") before its class; to check a network, give '
                f'"{name_or_path}:MyNet"'
            )
    else:
        known = {"method": methods.names(), "dataset": datasets.names()}
        checked = [(kind, name_or_path) for kind, names in known.items() if name_or_path in names]
        if not checked:
            raise unknown("method or dataset", name_or_path, (*known["method"], *known["dataset"]))
    for kind, name in checked:
        yield from _method(name) if kind == "method" else _dataset(name)


def _method(name: str) -> Iterator[CheckResult]:
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
        yield CheckResult(f"method {name!r}", _sentence(promise), complaint)


def _network(name: str) -> Iterator[CheckResult]:
    from ..methods.network_promises import PROMISES, energies_are_smooth
    from .own_networks import network_of

    path, _, attribute = name.rpartition(":")
    if path.endswith(".py"):
        plugin = read_plugin(Path(path))
        activate([plugin])
        name = f"{plugin.file}:{attribute}"
    network = _of_either_kind(
        lambda kind: network_of(NetworkSpec(module=name, kind=kind), 2, conditional=False)
    )
    for promise in (*PROMISES, energies_are_smooth):
        yield CheckResult(f"{network.kind} {name!r}", _sentence(promise), _kept(promise, network))


def _of_either_kind(make: Callable[[Literal["energy", "score"]], Any]) -> Any:
    """An energy, unless what comes out only suits a score."""
    from ..methods.network_promises import output_has_the_right_shape

    energy, score = make("energy"), make("score")
    fits = [_kept(output_has_the_right_shape, network) is None for network in (energy, score)]
    return score if fits == [False, True] else energy


def network_complaint(spec: NetworkSpec, dim: int, method: Plugin) -> str | None:
    """The first promise that a user's own network breaks, in words; None if it keeps all.

    Args:
        spec: The network.
        dim: Dimension of the data.
        method: What it is to be trained by, hyperparameters decided.

    Raises:
        UsageError: The network cannot be found or made.
    """
    from ..methods import network_promises as promises
    from .own_networks import network_of

    objective = methods.get(method.name)
    network: Any = network_of(spec, dim, conditional=objective.conditional)
    asked = list(promises.PROMISES)
    if spec.kind == "energy" and promises.looks_at_curvature(objective, method.options):
        asked.append(promises.energies_are_smooth)
    return next((said for promise in asked if (said := _kept(promise, network))), None)


def _kept(promise: Callable[[Any], None], network: Any) -> str | None:
    """What is wrong, or None."""
    from ..methods.promises import BrokenPromiseError
    from .process import one_thread

    try:
        with one_thread():
            promise(network)
    except BrokenPromiseError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return None


def _sentence(promise: Callable[..., None]) -> str:
    return (promise.__doc__ or "").split("\n")[0].rstrip(".")


def _dataset(name: str) -> Iterator[CheckResult]:
    from ..datasets.promises import broken

    get_dataset(name)
    for promise, complaint in broken(name):
        yield CheckResult(f"dataset {name!r}", promise, complaint)


def _raised(error: Exception, module: str) -> str:
    """What an exception says, and the line of the plug-in that it came by."""
    file = getattr(sys.modules.get(module), "__file__", None)
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
