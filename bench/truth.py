"""The truth samples that runs are scored on: validation for the search, test for the rest."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import cast

from torch import Tensor

from ..datasets.base import Dataset, Split
from ..datasets.errors import in_one_line
from .from_spec import dataset_of, identity, stream_of
from .metrics import metrics
from .metrics.base import Measure, Model, Subject
from .spec import Plugin, RunSpec
from .streams import generator

FLOOR = "truth"
"""Name of the reference method whose samples are points of the truth."""


def most_samples(dataset: Dataset) -> int | None:
    """Return the most points that can be compared with as many of the truth; None if any number.

    Of a finite number of points they are as many as one half of the test part, so that the other
    half can be scored like samples, and no more than either other part.
    """
    test, *others = (dataset.part(p).available for p in ("test", "validation", "training"))
    return None if test is None else min(test // 2, *(size for size in others if size is not None))


def words_on(dataset: Dataset, training: float, samples: int) -> list[str]:
    """Say what a reader should know of a finite number of points, one sentence each.

    ``training`` and ``samples`` are the points that a study asks for, to train on and to compare.
    """
    sentences = list(getattr(dataset, "notes", ()))
    most, train = most_samples(dataset), dataset.part("training").available
    if most is not None and train is not None:
        n = min(samples, most)
        use = "all" if training >= train else f"{training:,.0f}"
        sentences.append(
            f"runs train on {use} of the training points, and {n:,} samples are compared with {n:,}"
            " points: half of the test part at most, so that the other half can show the noise "
            "floor"
        )
    return sentences


def floor_of(spec: RunSpec) -> tuple[Tensor, Tensor | None]:
    """Draw points of the truth for a run of the reference ``truth``: two tensors (n, d).

    Returns:
        Points that stand for samples, and those that they are compared with: of a finite number of
        points a random half of the test part and the other one. Else None, for the same truth as
        of all runs.
    """
    dataset, n = dataset_of(spec).part("test"), spec.evaluation.samples
    if dataset.available is None:
        return dataset.sample(n, stream_of(spec, "sampler")), None
    both = dataset.sample(2 * n, stream_of(spec, "sampler"))
    return both[:n], both[n:]


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

    def __init__(
        self, dataset: Dataset, truth: Tensor, measured: Iterable[tuple[str, Plugin]]
    ) -> None:
        self.metrics: dict[str, Measure] = {}
        self.broken: dict[str, str] = {}
        for name, plugin in measured:
            try:
                make = cast("Callable[..., Measure]", metrics.get(plugin.name))
                self.metrics[name] = make(dataset, truth, **plugin.options)
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
    """Return the judge of a run, the same for all runs of a study on one dataset and split.

    Only floors of a finite number of points have one of their own.
    """
    if spec.method.name == FLOOR:
        _, truth = floor_of(spec)
        if truth is not None:
            return Judge(dataset_of(spec), truth, spec.evaluation.measured)
    return _judge(
        dataset_of(spec),
        identity(spec.dataset),
        spec.seed,
        split_of(spec),
        spec.evaluation.samples,
        spec.evaluation.measured,
    )


@functools.lru_cache(maxsize=32)
def _judge(
    dataset: Dataset,
    plugin: str,
    seed: int,
    split: Split,
    n: int,
    measured: tuple[tuple[str, Plugin], ...],
) -> Judge:
    truth = dataset.part(split).sample(n, generator(seed, split, plugin, "truth"))
    return Judge(dataset, truth, measured)
