"""Checks of a plug-in; problems are sentences for its author."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import SkipTest

import torch

from ..datasets import datasets, get_dataset
from ..datasets.base import Dataset
from ..datasets.errors import UsageError, told, unknown
from ..methods import methods
from .metrics import metrics
from .plugins import activate, read_plugin, registered_by
from .spec import NetworkSpec, Plugin


class CheckResult(NamedTuple):
    """The result of one check, a property, of a plug-in such as ``method 'mine'``.

    ``problem`` names the problem and its fix; it is None if the check passed.
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
    from ..methods.testing.objectives import CHECKS

    objective = methods.get(name)
    yield from _results(f"method {name!r}", CHECKS, objective.__module__, objective, {})


def _dataset(name: str) -> Iterator[CheckResult]:
    from ..datasets.testing import CHECKS, Expected

    dataset = get_dataset(name)
    module = type(dataset).__module__
    yield from _results(f"dataset {name!r}", CHECKS, module, dataset, Expected())


def _network(name: str) -> Iterator[CheckResult]:
    from ..methods.testing.networks import CHECKS, output_has_the_right_shape
    from .own_networks import network_of

    path, _, attribute = name.rpartition(":")
    if path.endswith(".py"):
        plugin = read_plugin(Path(path))
        activate([plugin])
        name = f"{plugin.file}:{attribute}"
    specs = NetworkSpec(module=name, kind="energy"), NetworkSpec(module=name, kind="score")
    energy, score = (network_of(spec, 2, conditional=False) for spec in specs)
    fits = [_problem(output_has_the_right_shape, "", made) is None for made in (energy, score)]
    # An energy, unless the output only suits a score.
    network: Any = score if fits == [False, True] else energy
    module = type(network.module).__module__
    yield from _results(f"{network.kind} {name!r}", CHECKS, module, network)


def network_complaint(spec: NetworkSpec, dim: int, method: Plugin) -> str | None:
    """The problem that the first failed check of a user's own network found; None if all pass.

    ``method`` is what it is to be trained by, with hyperparameters decided.

    Raises:
        UsageError: The network cannot be found or made.
    """
    from ..methods.testing.networks import CHECKS, energies_are_smooth, uses_curvature
    from .own_networks import network_of

    objective = methods.get(method.name)
    network = network_of(spec, dim, conditional=objective.conditional)
    curved = spec.kind == "energy" and uses_curvature(objective, method.options)
    for check in CHECKS:
        if check is not energies_are_smooth or curved:
            problem = _problem(check, "", network)
            if problem is not None:
                return problem
    return None


def complaint(kind: str, plugin: Plugin, dataset: Dataset) -> str | None:
    """Try a plug-in as runs will use it: the first problem, or None.

    Args:
        kind: ``dataset``; ``metric``, which is made for the dataset; or ``method``, whose loss is
            evaluated with the options of the plug-in.
        plugin: What is tried.
        dataset: The dataset, itself what is tried if ``kind`` says so.
    """
    from ..datasets.testing import Expected, sampling
    from ..methods.testing import objectives

    checks: Sequence[Callable[..., object]]
    arguments: tuple[object, ...]
    if kind == "dataset":
        checks = sampling.samples_any_number, sampling.sampling_uses_its_generator_alone
        module, arguments = type(dataset).__module__, (dataset, Expected())
    elif kind == "metric":
        metric = metrics.get(plugin.name)
        truth = dataset.sample(100, torch.Generator().manual_seed(0))
        checks, module, arguments = [metric], metric.__module__, (dataset, truth)
    else:
        objective = methods.get(plugin.name)
        checks, module = objectives.USABLE, objective.__module__
        arguments = objective, plugin.options
    problems = (_problem(check, module, *arguments) for check in checks)
    return next((problem for problem in problems if problem is not None), None)


def _results(
    plugin: str, checks: Sequence[Callable[..., None]], module: str, *arguments: object
) -> Iterator[CheckResult]:
    """Run each check and yield its result."""
    from ..datasets.testing.conformance import property_of

    for check in checks:
        yield CheckResult(plugin, property_of(check), _problem(check, module, *arguments))


def _problem(check: Callable[..., object], module: str, *arguments: object) -> str | None:
    """What a check finds wrong, or None; ``module`` is the plug-in's."""
    from ..datasets.testing.conformance import CheckFailedError
    from .process import one_thread

    try:
        with one_thread():
            check(*arguments)
    except SkipTest:
        return None
    except CheckFailedError as error:
        return str(error)
    except (Exception, SystemExit) as error:
        return told(error, module)
    return None
