"""The interface of studies to methods, datasets and metrics, which are imported on first use.

Studies only plan, dispatch and store runs. All they know about a run goes through this class, so
the command line starts without torch, and studies can be tested with runs that cost nothing.
"""

import inspect
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ..bench.artifacts import Outcome
from ..bench.data_files import DATASET, DataFile, provide
from ..bench.plugins import PluginSource, activate, permit, registries
from ..bench.spec import Device, NetworkSpec, Option, Plugin, RunSpec, Scalar
from ..datasets import forget
from ..datasets.errors import UsageError, told
from ..datasets.registry import options_of
from .lookup import LOOKED_UP, Lookup
from .trust import require_trust, untrusted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from optuna.trial import BaseTrial

    from ..methods.estimators.base import Estimator
    from .specs.spec import StudySpec


class Engine:
    """The registered methods, datasets, samplers and metrics. Can be pickled.

    Attributes:
        plugins: Plug-ins of the study, which are pickled with the engine for its workers.
        modules: Modules of packages that its network may be taken from.
        data: Data files of the study, which are pickled too.
        lookup: Recorded runs that answer in place of runs; None if runs are executed.
        compiles: Kinds of its networks, if they are compiled for its ``methods``.
    """

    plugins: tuple[PluginSource, ...] = ()
    modules: tuple[str, ...] = ()
    data: tuple[DataFile, ...] = ()
    lookup: Lookup | None = None
    compiles: tuple[NetworkSpec, ...] = ()
    methods: tuple[str, ...] = ()

    def equip(self, study: "StudySpec") -> None:
        """Register what a study brings, in this process and in workers: plug-ins and data files.

        Its recorded runs, if it names a table, answer in place of runs. The module of its network
        can be imported later only if it is trusted. Datasets of plug-ins are made anew.

        Raises:
            UsageError: A plug-in cannot be imported, or is not trusted on this machine; or there is
                no such table.
        """
        require_trust(study.plugins)
        module = study.network.package
        self.plugins = study.plugins
        self.modules = () if module is None or untrusted([module]) else (module,)
        self.data = study.data
        self._activate()
        self.lookup = None if study.recorded is None else Lookup(study.recorded, study.data)
        if (study.recorded, study.network.module, study.device) == (None, None, "cpu"):
            self.compiles = study.network.kinds
            self.methods = tuple(method.name for method in study.methods)
        forget()

    def _activate(self) -> None:
        activate(self.plugins)
        permit(self.modules)
        provide(self.data)

    def names(self, kind: str) -> Sequence[str]:
        """List the registered names of a kind: ``method``, ``reference``, ``dataset``, ..."""
        return registries()[kind].names()

    def space(self, method: str, trial: "BaseTrial") -> dict[str, Option]:
        """Return the method's hyperparameters as it suggests them to ``trial``.

        Raises:
            UsageError: The method fails; the message names its file and line.
        """
        from ..methods import methods

        learner: Any = methods.get(method)
        fixed = {} if self.estimator(method) is None else learner.fixed(trial)
        with _blaming(learner):
            suggested: object = learner().space(trial)
        if not isinstance(suggested, dict):
            kind = type(suggested).__name__
            raise UsageError(
                f"`space` returned {kind}: return the suggestions by name, "
                'as {"sigma": trial.suggest_float("sigma", 0.1, 1)}'
            )
        return {**fixed, **suggested}

    def estimator(self, method: str) -> "type[Estimator] | None":
        """Return the class of a method that makes its model itself; None if it trains a network."""
        from ..methods import estimator

        return estimator(method)

    def published(self, method: str) -> Mapping[str, Scalar]:
        """Return the setting that a method's class names as ``published``; empty if none."""
        from ..methods import methods

        setting: Mapping[str, Scalar] = getattr(methods.get(method), "published", {})
        return setting

    def options(self, kind: str, name: str) -> Mapping[str, inspect.Parameter]:
        """Return the options of a dataset, sampler, metric or reference, with their defaults."""
        parameters = inspect.signature(registries()[kind].get(name)).parameters
        # A metric is made of a dataset and points of it first.
        return dict(list(parameters.items())[2:]) if kind == "metric" else parameters

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
        """Say why a method, sampler, metric or reference cannot be used in a study; None if it can.

        ``method`` trains the models, and has the hyperparameters that the study fixes.
        """
        from ..methods import methods
        from ..methods.setting import Setting, why_unfit

        learner = methods.get(method.name)
        estimator = self.estimator(method.name)
        if estimator is not None and estimator.gives == "points" and kind == "sampler":
            return None  # there is nothing to sample
        with _blaming(learner):
            setting = Setting(
                dataset=self.make("dataset", dataset),
                energy=network.kind == "energy" if estimator is None else True,
                levels=learner.conditional,
                target=learner().target(method.options),
            )
        judged = registries()[kind].get(name)
        with _blaming(judged):
            reason = why_unfit(judged, setting)
            if reason is None and estimator is not None:
                reason = estimator.lacks(kind, judged, setting)
        return reason

    def finite(self, name: str) -> bool:
        """Whether a dataset may consist of finitely many points."""
        known = registries()["dataset"]
        # Results of a plug-in that is missing can still be read.
        return name == DATASET or (name in known and name not in known.builtin)

    def available(self, dataset: Plugin) -> tuple[int, int] | None:
        """Return how many points a finite dataset has to train on, and to compare samples with.

        None for a distribution.
        """
        from ..bench.truth import most_samples
        from ..datasets.base import Dataset

        made = self.make("dataset", dataset)
        if not isinstance(made, Dataset):
            return None
        training, compared = made.part("training").available, most_samples(made)
        return None if training is None or compared is None else (training, compared)

    def words_on(self, dataset: Plugin, training: float, samples: int) -> list[str]:
        """Say what a reader should know of a finite dataset; see ``bench.truth.words_on``."""
        from ..bench.truth import words_on

        return words_on(self.make("dataset", dataset), training, samples)

    def unusable(self, method: Plugin, dataset: Plugin, n: int) -> str | None:
        """Say why a run of ``n`` points of a method that makes its model itself cannot succeed."""
        estimator = self.estimator(method.name)
        if estimator is None:
            return None
        with _blaming(estimator):
            return estimator().complaint(self.make("dataset", dataset).dim, n, method.options)

    def diagnostic(self, metric: str) -> bool:
        """Whether a metric misses an important kind of error, so that it should not rank."""
        known = registries()["metric"]
        return metric in known and bool(getattr(known.get(metric), "diagnostic", False))

    def complaint(self, kind: str, plugin: Plugin, dataset: Plugin) -> str | None:
        """Try a plug-in that a study uses on a dataset: say what is wrong with it; None if nothing.

        Args:
            kind: ``dataset`` or ``metric``, where built-in ones are not tried (but for metrics with
                options), or ``method``.
            plugin: What is tried, with its options.
            dataset: The dataset.
        """
        trusted = kind == "dataset" or (kind == "metric" and not plugin.options)
        if trusted and plugin.name in registries()[kind].builtin:
            return None
        from ..bench.plugin_check import complaint

        return complaint(kind, plugin, self.make("dataset", dataset))

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
        from ..bench.process import why_no_gpu

        return why_no_gpu()

    def view(self, dataset: Plugin) -> dict[str, list[float] | float]:
        """Describe the box that figures of a dataset show: ``extent``, and ``centre`` if not 0."""
        from ..datasets.base import Dataset
        from ..datasets.box import box_of

        made = self.make("dataset", dataset)
        # A plug-in need not derive from Dataset.
        centre = box_of(made).centre.tolist() if isinstance(made, Dataset) else []
        return {"extent": float(made.extent)} | ({"centre": centre} if any(centre) else {})

    def scaled(self, length: Option, dataset: Plugin) -> Option:
        """Adapt a length that suits the default box to a box that follows the data."""
        from ..datasets.box import box_of

        box = box_of(self.make("dataset", dataset))
        return length * box.scale if box.follows and isinstance(length, float) else length

    def same(self, _planned: RunSpec, _run: RunSpec, /) -> RunSpec | None:
        """Return a run whose settings differ from the planned ones; None if that is wrong."""
        return None

    def key(self, spec: RunSpec) -> str:
        """Return the identity of a run: equal keys mean equal results."""
        if self.lookup is not None:
            return spec.key(self.lookup.digest)
        from ..bench.fingerprint import run_key

        return run_key(spec)

    def parts(self, spec: RunSpec) -> dict[str, str]:
        """Return fingerprints of the parts of the code that a run executes, by their names."""
        if self.lookup is not None:
            return {"recorded table": self.lookup.digest}
        from ..bench.fingerprint import parts_of

        return parts_of(spec)

    def shape(self, spec: RunSpec) -> Hashable:
        """Return a value that is equal for runs that can be executed as one task."""
        if self.lookup is not None:
            return None
        from ..bench.shapes import shape

        return shape(spec)

    def together(self, spec: RunSpec) -> int:
        """Return how many runs of a shape are worth putting into one task, at most."""
        if self.lookup is not None:
            return LOOKED_UP
        from ..bench.shapes import together

        return together(spec)

    def execute(self, specs: Sequence[RunSpec], keep: bool) -> Sequence[Outcome]:
        """Execute runs of equal shape; return their artifacts too if ``keep``."""
        if self.lookup is not None:
            return [Outcome(self.lookup.answer(spec)) for spec in specs]
        self._activate()
        from ..bench.run import execute

        return execute(specs, keep)

    def measure(
        self, spec: RunSpec, points: "NDArray[np.float32] | NDArray[np.float64]"
    ) -> dict[str, float]:
        """Score points of shape (n, d) as a run does, on the metrics that need no model."""
        self._activate()
        import torch

        from ..bench.process import one_thread
        from ..bench.truth import judge_of

        with one_thread():
            return judge_of(spec).score_samples(torch.from_numpy(points))

    def prepare(self) -> None:
        """Register the plug-ins, then import and compile what runs need, outside their time."""
        activate(self.plugins)
        from ..bench import run, warm_up  # noqa: F401

        for network in self.compiles:
            warm_up.warm_up(network, self.methods)

    def identity(self, description: Mapping[str, object]) -> str:
        """Return the identity of an environment that is described so."""
        from ..bench.environment import environment_id

        return environment_id(dict(description))

    @staticmethod
    @cache
    def environment() -> tuple[str, dict[str, object]]:
        """Return the identity and description of the machine and software of this process."""
        from ..bench.environment import environment, environment_id

        description = environment()
        return environment_id(description), description


@contextmanager
def _blaming(plugin: object) -> Iterator[None]:
    """Turn an exception of a plug-in into a ``UsageError`` that names its file and line."""
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(told(error, getattr(plugin, "__module__", ""))) from error
