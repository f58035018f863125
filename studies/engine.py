"""All that studies ask of the rooms to the left, in one place, imported when first needed.

Studies only plan, dispatch and keep runs. What a run is made of stays behind this class, so the
command line starts without torch and the harness can be tested with runs that cost nothing.
"""

import inspect
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..bench.plugins import PluginSource, activate
from ..bench.spec import Device, NetworkSpec, Option, Plugin, RunSpec
from ..datasets.errors import UsageError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from ..bench.artifacts import Outcome


class Engine:
    """The real methods, datasets, samplers and metrics. Can be pickled.

    Attributes:
        plugins: What a study brings along; they travel with the engine to its workers.
    """

    plugins: tuple[PluginSource, ...] = ()

    def equip(self, plugins: Sequence[PluginSource]) -> None:
        """Make the plug-ins of a study known, here and wherever this engine goes.

        Raises:
            UsageError: One of them cannot be imported, or was never run on this machine.
        """
        from .trust import require_trust

        require_trust(plugins)
        self.plugins = tuple(plugins)
        activate(self.plugins)

    def names(self, kind: str) -> Sequence[str]:
        """Registered names of a kind: ``method``, ``reference``, ``dataset``, ..."""
        from ..bench.metrics import metrics
        from ..datasets import datasets
        from ..methods import methods, references, samplers

        known = (methods, references, datasets, samplers, metrics)
        registries = {registry.kind: registry for registry in known}
        return registries[kind].names()

    def space(self, method: str, trial: "BaseTrial") -> dict[str, Option]:
        """The method's hyperparameters as it suggests them to ``trial``."""
        from ..methods import methods

        return methods.get(method)().space(trial)

    def options(self, kind: str, name: str) -> Mapping[str, inspect.Parameter]:
        """Options that a dataset, sampler or reference takes, with their defaults."""
        from ..datasets import datasets
        from ..methods import references, samplers

        if kind == "dataset":
            return inspect.signature(datasets.get(name)).parameters
        if kind == "reference":
            return inspect.signature(references.get(name)).parameters
        return inspect.signature(samplers.get(name)).parameters

    def make(self, kind: str, plugin: Plugin) -> Any:
        """Make a dataset, sampler or reference.

        Raises:
            UsageError: An option has an impossible value.
        """
        from ..datasets import get_dataset
        from ..datasets.registry import options_of
        from ..methods import references, samplers

        try:
            if kind == "dataset":
                return get_dataset(plugin.name, **plugin.options)
            if kind == "reference":
                return options_of(references.get(plugin.name), kind, plugin.name, plugin.options)
            return options_of(samplers.get(plugin.name), kind, plugin.name, plugin.options)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"{kind} {plugin.name!r}: {error}") from error

    def unfit(
        self, kind: str, name: str, dataset: Plugin, method: Plugin, network: NetworkSpec
    ) -> str | None:
        """Why a method, sampler or metric has no place in a study; None if it has.

        Args:
            kind: ``method``, ``sampler`` or ``metric``.
            name: Name in its registry.
            dataset: What it would be used on.
            method: What models are made by, with hyperparameters of which only those that the
                study fixes count.
            network: What they are made of.
        """
        from ..bench.metrics import metrics
        from ..methods import methods, samplers
        from ..methods.setting import Setting

        learner = methods.get(method.name)
        setting = Setting(
            dataset=self.make("dataset", dataset),
            energy=network.kind == "energy",
            levels=learner.conditional,
            target=learner().target(method.options),
        )
        registries = {"method": methods, "sampler": samplers, "metric": metrics}
        return registries[kind].get(name).unfit(setting)  # type: ignore[attr-defined, no-any-return]

    def network_complaint(
        self, network: NetworkSpec, dataset: Plugin, method: Plugin
    ) -> str | None:
        """What is wrong with a user's own network for a method on a dataset; None if nothing is.

        Raises:
            UsageError: It cannot be found or made.
        """
        if network.module is None:
            return None
        from ..bench.plugin_check import network_complaint

        return network_complaint(network, self.make("dataset", dataset).dim, method)

    def missing_device(self, device: Device) -> str | None:
        """Why this machine cannot compute on a device; None if it can."""
        if device == "cpu":
            return None
        import torch

        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None:
            return f"torch {torch.__version__} is built for the CPU only"
        return f"torch {torch.__version__} for CUDA {torch.version.cuda} finds no GPU here"

    def extent(self, dataset: Plugin) -> float:
        """Half the side of the box that pictures of a dataset show."""
        return float(self.make("dataset", dataset).extent)

    def key(self, spec: RunSpec) -> str:
        """Identity of a run: same key, same numbers."""
        from ..bench.fingerprint import run_key

        return run_key(spec)

    def parts(self, spec: RunSpec) -> dict[str, str]:
        """Fingerprints of the parts of the code that a run executes, by their names."""
        from ..bench.fingerprint import parts_of

        return parts_of(spec)

    def shape(self, spec: RunSpec) -> Hashable:
        """Runs of equal shape can travel as one task."""
        from ..bench.run import shape

        return shape(spec)

    def execute(self, specs: Sequence[RunSpec], keep: bool) -> "Sequence[Outcome]":
        """Carry out runs of equal shape.

        Args:
            specs: What to run.
            keep: Return samples, fields and parameters too.
        """
        activate(self.plugins)
        from ..bench.run import execute

        return execute(specs, keep)

    def prepare(self) -> None:
        """Import what runs need, so that no run's time goes into it."""
        from ..bench import run  # noqa: F401

    def environment(self) -> tuple[str, dict[str, Any]]:
        """Identity and description of the machine and software of this process."""
        return _environment()


@cache
def _environment() -> tuple[str, dict[str, Any]]:
    from ..bench.environment import environment, environment_id

    found = environment()
    return environment_id(found), found
