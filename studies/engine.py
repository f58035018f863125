"""The interface of studies to methods, datasets and metrics, which are imported on first use.

Studies only plan, dispatch and store runs. All they know about a run goes through this class, so
the command line starts without torch, and studies can be tested with runs that cost nothing.
"""

import inspect
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..bench.plugins import PluginSource, activate, registries
from ..bench.spec import Device, NetworkSpec, Option, Plugin, RunSpec
from ..datasets.errors import UsageError
from ..datasets.registry import options_of
from .trust import require_trust

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from ..bench.artifacts import Outcome


class Engine:
    """The registered methods, datasets, samplers and metrics. Can be pickled.

    Attributes:
        plugins: Plug-ins of the study, which are pickled with the engine for its workers.
    """

    plugins: tuple[PluginSource, ...] = ()

    def equip(self, plugins: Sequence[PluginSource]) -> None:
        """Register the plug-ins of a study, in this process and in workers.

        Raises:
            UsageError: A plug-in cannot be imported, or was never run on this machine.
        """
        require_trust(plugins)
        self.plugins = tuple(plugins)
        activate(self.plugins)

    def names(self, kind: str) -> Sequence[str]:
        """List the registered names of a kind: ``method``, ``reference``, ``dataset``, ..."""
        return registries()[kind].names()

    def space(self, method: str, trial: "BaseTrial") -> dict[str, Option]:
        """Return the method's hyperparameters as it suggests them to ``trial``."""
        from ..methods import methods

        return methods.get(method)().space(trial)

    def options(self, kind: str, name: str) -> Mapping[str, inspect.Parameter]:
        """Return the options of a dataset, sampler or reference, with their defaults."""
        return inspect.signature(registries()[kind].get(name)).parameters

    def make(self, kind: str, plugin: Plugin) -> Any:
        """Create a dataset, sampler or reference.

        Raises:
            UsageError: An option has an invalid value.
        """
        from ..datasets import get_dataset

        try:
            if kind == "dataset":
                return get_dataset(plugin.name, **plugin.options)
            factory = registries()[kind].get(plugin.name)
            return options_of(factory, kind, plugin.name, plugin.options)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"{kind} {plugin.name!r}: {error}") from error

    def unfit(
        self, kind: str, name: str, dataset: Plugin, method: Plugin, network: NetworkSpec
    ) -> str | None:
        """Say why a method, sampler or metric cannot be used in a study; None if it can.

        ``method`` trains the models, and has the hyperparameters that the study fixes.
        """
        from ..methods import methods
        from ..methods.setting import Setting

        learner = methods.get(method.name)
        setting = Setting(
            dataset=self.make("dataset", dataset),
            energy=network.kind == "energy",
            levels=learner.conditional,
            target=learner().target(method.options),
        )
        reason: str | None = registries()[kind].get(name).unfit(setting)
        return reason

    def network_complaint(
        self, network: NetworkSpec, dataset: Plugin, method: Plugin
    ) -> str | None:
        """Say what is wrong with a user's network for a method on a dataset; None if nothing.

        Raises:
            UsageError: The network cannot be imported or created.
        """
        if network.module is None:
            return None
        from ..bench.plugin_check import network_complaint

        return network_complaint(network, self.make("dataset", dataset).dim, method)

    def missing_device(self, device: Device) -> str | None:
        """Say why this machine cannot compute on a device; None if it can."""
        if device == "cpu":
            return None
        import torch

        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None:
            return f"torch {torch.__version__} is built for the CPU only"
        return f"torch {torch.__version__} for CUDA {torch.version.cuda} finds no GPU here"

    def extent(self, dataset: Plugin) -> float:
        """Return half the side of the box that figures of a dataset show."""
        return float(self.make("dataset", dataset).extent)

    def key(self, spec: RunSpec) -> str:
        """Return the identity of a run: equal keys mean equal results."""
        from ..bench.fingerprint import run_key

        return run_key(spec)

    def parts(self, spec: RunSpec) -> dict[str, str]:
        """Return fingerprints of the parts of the code that a run executes, by their names."""
        from ..bench.fingerprint import parts_of

        return parts_of(spec)

    def shape(self, spec: RunSpec) -> Hashable:
        """Return a value that is equal for runs that can be executed as one task."""
        from ..bench.run import shape

        return shape(spec)

    def execute(self, specs: Sequence[RunSpec], keep: bool) -> "Sequence[Outcome]":
        """Execute runs of equal shape; return their artifacts too if ``keep``."""
        activate(self.plugins)
        from ..bench.run import execute

        return execute(specs, keep)

    def prepare(self) -> None:
        """Import what runs need, so that no run's time includes it, and register the plug-ins."""
        activate(self.plugins)
        from ..bench import run  # noqa: F401

    def environment(self) -> tuple[str, dict[str, object]]:
        """Return the identity and description of the machine and software of this process."""
        return _environment()


@cache
def _environment() -> tuple[str, dict[str, object]]:
    from ..bench.environment import environment, environment_id

    description = environment()
    return environment_id(description), description
