"""Checks of a plug-in; problems are sentences for its author."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast
from unittest import SkipTest

import torch

from ..datasets import get_dataset
from ..datasets.base import Dataset
from ..datasets.errors import UsageError, told, unknown
from ..datasets.registry import options_of
from ..methods import methods
from ..methods.estimators.base import Estimator
from .metrics import metrics
from .plugins import activate, permit, read_plugin, registered_by, registries
from .spec import NetworkSpec, Plugin


class CheckResult(NamedTuple):
    """The result of one check, a property, of a plug-in such as ``method 'mine'``.

    ``problem`` names the problem and its fix; it is None if the check passed. ``name`` is what the
    check is skipped by.
    """

    plugin: str
    check: str
    problem: str | None
    name: str = ""


class _Checked(NamedTuple):
    """A plug-in and its checks, each called with the arguments."""

    title: str
    module: str
    checks: Sequence[Callable[..., object]]
    arguments: tuple[object, ...]


def check(
    name_or_path: str, dim: int | None = None, skip: Collection[str] = ()
) -> Iterator[CheckResult]:
    """Run all checks of a method, dataset, sampler, metric or network.

    Args:
        name_or_path: A name in the registry, the path of a plug-in file, or a network as in a
            study file: ``mine.py:MyNet``.
        dim: Dimension of the data (default: 2, and 3 too for losses).
        skip: Names of checks that are left out, because a plug-in fails them by design.

    Raises:
        UsageError: The plug-in is unknown or cannot be loaded, or no check has a name to skip.
    """
    plugins = [_of_network(name_or_path, dim)] if ":" in name_or_path else _found(name_or_path, dim)
    known = {check.__name__ for plugin in plugins for check in plugin.checks}
    for name in skip:
        if name not in known:
            raise unknown("check", name, known)
    for plugin in plugins:
        yield from _results(plugin, dim, skip)


_KINDS = ("method", "dataset", "sampler", "metric")
_NETWORK_KINDS: tuple[Literal["energy", "score"], ...] = ("energy", "score")


def _found(name_or_path: str, dim: int | None) -> list[_Checked]:
    """The plug-ins of a file, or those that have a name."""
    if name_or_path.endswith(".py"):
        file = read_plugin(Path(name_or_path))
        activate([file])
        found = [pair for pair in registered_by(file) if pair[0] in _KINDS]
        if not found:
            raise UsageError(
                f"{name_or_path} registers no method, dataset, sampler or metric: put "
                f'@methods.register("{file.file.removesuffix(".py")}") before its class; to check '
                f'a network, give "{name_or_path}:MyNet"'
            )
    else:
        names = {kind: registries()[kind].names() for kind in _KINDS}
        found = [(kind, name_or_path) for kind in _KINDS if name_or_path in names[kind]]
        if not found:
            every = {name for kind in _KINDS for name in names[kind]}
            raise unknown("method, dataset, sampler or metric", name_or_path, every)
    return [_of_kind(kind, name, dim) for kind, name in found]


def _of_kind(kind: str, name: str, dim: int | None) -> _Checked:
    from ..datasets import testing
    from ..methods.testing import estimators, objectives
    from ..methods.testing import samplers as sampling
    from . import metric_checks

    title, factory = f"{kind} {name!r}", registries()[kind].get(name)
    module = factory.__module__
    if kind == "method":
        own = issubclass(factory, Estimator)
        checks = estimators.CHECKS if own else objectives.CHECKS
        return _Checked(title, module, checks, (factory, {}))
    if kind == "metric":
        return _Checked(title, module, metric_checks.CHECKS, (factory, name))
    if kind == "sampler":
        sampler = options_of(factory, kind, name, {})
        return _Checked(title, module, sampling.CHECKS, (sampler,))
    dataset = get_dataset(name)
    if dim not in (None, dataset.dim):
        dataset = get_dataset(name, dim=dim)
    return _Checked(title, module, testing.checks_of(dataset), (dataset, testing.Expected()))


def _of_network(name: str, dim: int | None) -> _Checked:
    """A network in the first role that suits it: energy or score, without noise level or with."""
    from ..methods.testing.networks import CHECKS, output_has_the_right_shape
    from .own_networks import network_of

    path, _, attribute = name.rpartition(":")
    if path.endswith(".py"):
        file = read_plugin(Path(path))
        activate([file])
        name = f"{file.file}:{attribute}"
    else:
        permit([path])
    roles: list[Any] = []
    for conditional, kind in product((False, True), _NETWORK_KINDS):
        spec = NetworkSpec(module=name, kind=kind)
        try:
            roles.append(network_of(spec, dim or 2, conditional=conditional))
        except UsageError:
            # It may be made for one role only.
            if (conditional, kind) == (True, _NETWORK_KINDS[-1]) and not roles:
                raise
    suits = [_problem(output_has_the_right_shape, "", (role,)) is None for role in roles]
    network = roles[suits.index(True)] if any(suits) else roles[0]
    # The other checks would only repeat that it cannot be called.
    checks = CHECKS if any(suits) else CHECKS[: CHECKS.index(output_has_the_right_shape) + 1]
    level = " given the noise level" if network.conditional else ""
    title = f"{network.kind} {name!r}{level}"
    return _Checked(title, type(network.module).__module__, checks, (network,))


def network_complaint(spec: NetworkSpec, dim: int, method: Plugin) -> str | None:
    """The problem that the first failed check of a user's own network found; None if all pass.

    ``method`` is what it is to be trained by, with hyperparameters decided.

    Raises:
        UsageError: The network cannot be found or made.
    """
    from ..methods.testing.networks import CHECKS, energies_are_smooth, uses_curvature
    from .own_networks import network_of

    objective = methods.get(method.name)
    if issubclass(objective, Estimator):
        return None
    network = network_of(spec, dim, conditional=objective.conditional)
    curved = spec.kind == "energy" and uses_curvature(objective, method.options)
    for check in CHECKS:
        if check is not energies_are_smooth or curved:
            problem = _problem(check, "", (network,))
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
    from ..methods.testing import estimators, objectives

    checks: Sequence[Callable[..., object]]
    arguments: tuple[object, ...]
    if kind == "dataset":
        checks = sampling.USABLE
        module, arguments = type(dataset).__module__, (dataset, Expected())
    elif kind == "metric":
        metric = metrics.get(plugin.name)
        truth = dataset.upto(100, torch.Generator().manual_seed(0))
        made: Callable[..., object] = partial(cast("Callable[..., Any]", metric), **plugin.options)
        checks, module, arguments = [made], metric.__module__, (dataset, truth)
    else:
        objective = methods.get(plugin.name)
        own = issubclass(objective, Estimator)
        checks = estimators.USABLE if own else objectives.USABLE
        module, arguments = objective.__module__, (objective, plugin.options)
    problems = (_problem(check, module, arguments) for check in checks)
    return next((problem for problem in problems if problem is not None), None)


def _results(plugin: _Checked, dim: int | None, skip: Collection[str]) -> Iterator[CheckResult]:
    """Run each check and yield its result."""
    from ..datasets.testing.conformance import property_of

    for check in plugin.checks:
        if check.__name__ in skip:
            continue
        run = partial(check, dim=dim) if dim and "dim" in signature(check).parameters else check
        problem = _problem(run, plugin.module, plugin.arguments)
        yield CheckResult(plugin.title, property_of(check), problem, check.__name__)


def _problem(
    check: Callable[..., object], module: str, arguments: tuple[object, ...]
) -> str | None:
    """What a check finds wrong, or None; ``module`` is the plug-in's."""
    from ..datasets.testing.conformance import CheckFailedError
    from .process import one_thread

    try:
        with one_thread():
            check(*arguments)
    except SkipTest:
        return None
    except (CheckFailedError, UsageError) as error:
        return str(error)
    except (Exception, SystemExit) as error:
        return told(error, module)
    return None
