"""The truth that runs are scored on: one sample for tuning, another for the final word."""

import functools
import json
from typing import Literal

from torch import Tensor

from ..datasets import get_dataset
from ..datasets.base import Dataset
from .metrics import metrics
from .metrics.base import Metric
from .spec import Plugin, RunSpec
from .streams import generator

Split = Literal["validation", "test"]


def identity(plugin: Plugin) -> str:
    """Name and options of a plug-in in one string, equal for equal plug-ins."""
    return json.dumps([plugin.name, plugin.options], sort_keys=True)


def split_of(spec: RunSpec) -> Split:
    """Search sees the validation truth only; everything that is reported sees the test truth."""
    return "validation" if spec.phase == "search" else "test"


def dataset_of(spec: RunSpec) -> Dataset:
    """The dataset that a run is about."""
    return get_dataset(spec.dataset.name, **spec.dataset.options)


class Judge:
    """All metrics against one truth sample.

    Args:
        dataset: The distribution.
        truth: Sample of it, shape (n, d).
    """

    def __init__(self, dataset: Dataset, truth: Tensor) -> None:
        self.metrics: dict[str, Metric] = {
            name: metrics.get(name)(dataset, truth) for name in metrics.names()
        }

    def score(self, samples: Tensor) -> dict[str, float]:
        """Value of every metric for samples of shape (n, d)."""
        return {name: metric(samples) for name, metric in self.metrics.items()}


def judge_of(spec: RunSpec) -> Judge:
    """The judge of a run: equal for all runs of a study on the same dataset and split."""
    return _judge(
        spec.dataset.name,
        json.dumps(spec.dataset.options, sort_keys=True),
        spec.seed,
        split_of(spec),
        spec.evaluation.samples,
    )


@functools.lru_cache(maxsize=32)
def _judge(name: str, options: str, seed: int, split: Split, n: int) -> Judge:
    dataset = get_dataset(name, **json.loads(options))
    where = identity(Plugin(name=name, options=json.loads(options)))
    return Judge(dataset, dataset.sample(n, generator(seed, split, where, "truth")))
