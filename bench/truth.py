"""The truth samples that runs are scored on: validation for the search, test for the rest."""

import functools
import math
from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from ..datasets.base import Dataset
from ..datasets.errors import in_one_line
from .from_spec import dataset_of, identity
from .metrics import metrics
from .metrics.base import Measure, Model, Subject
from .spec import RunSpec
from .streams import generator

Split = Literal["validation", "test"]


def split_of(spec: RunSpec) -> Split:
    """Return the truth sample of a run: search uses validation only, all other phases test."""
    return "validation" if spec.phase == "search" else "test"


class Judge:
    """Metrics of samples and models against one truth sample, shape (n, d).

    A metric that fails has the value NaN and leaves the others alone.

    Attributes:
        metrics: The metrics by name, but for those that cannot be made.
        broken: Why the others cannot be made, by name.
    """

    def __init__(self, dataset: Dataset, truth: Tensor, names: Iterable[str]) -> None:
        self.metrics: dict[str, Measure] = {}
        self.broken: dict[str, str] = {}
        for name in names:
            try:
                self.metrics[name] = metrics.get(name)(dataset, truth)
            except Exception as error:
                self.broken[name] = in_one_line(error)

    def score(
        self,
        samples: Tensor,
        model: Model | None = None,
        target: float = 0.0,
        problems: dict[str, str] | None = None,
    ) -> dict[str, float]:
        """Measure every metric of samples (n, d), and of their model (None for the truth itself).

        Args:
            samples: The points.
            model: What they were sampled from.
            target: Noise level of the density that the model should learn.
            problems: Receives why metrics have no value, by name.
        """
        problems = {} if problems is None else problems
        problems |= self.broken
        measured = self._measured(self.metrics, Subject(samples, model, target), problems)
        return {**measured, **dict.fromkeys(self.broken, math.nan)}

    def score_samples(
        self, samples: Tensor, problems: dict[str, str] | None = None
    ) -> dict[str, float]:
        """Measure the metrics that need samples alone, shape (n, d); see ``score``."""
        names = [name for name, metric in self.metrics.items() if metric.needs == "samples"]
        return self._measured(names, Subject(samples), {} if problems is None else problems)

    def _measured(
        self, names: Iterable[str], subject: Subject, problems: dict[str, str]
    ) -> dict[str, float]:
        values = {}
        for name in names:
            try:
                values[name] = self.metrics[name].measure(subject)
                if math.isnan(values[name]):
                    problems[name] = "not a number"
            except Exception as error:
                values[name] = math.nan
                problems[name] = in_one_line(error)
        return values


def judge_of(spec: RunSpec) -> Judge:
    """Return the judge of a run, the same for all runs of a study on one dataset and split."""
    return _judge(
        dataset_of(spec),
        identity(spec.dataset),
        spec.seed,
        split_of(spec),
        spec.evaluation.samples,
        spec.evaluation.metrics,
    )


@functools.lru_cache(maxsize=32)
def _judge(
    dataset: Dataset, plugin: str, seed: int, split: Split, n: int, names: tuple[str, ...]
) -> Judge:
    return Judge(dataset, dataset.sample(n, generator(seed, split, plugin, "truth")), names)
