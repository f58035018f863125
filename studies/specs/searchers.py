"""Searchers: search algorithms that propose configurations. Optuna calls them samplers.

A new searcher is made for every batch, from seeds that follow from the cell and the number of
finished trials. It has no state between batches, so that a resumed search makes the same proposals
as an uninterrupted one. This excludes Optuna's CMA-ES, whose state lives in its storage.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from ...datasets.errors import UsageError
from .spec import Search


def searcher_for(search: Search, cell_seed: int, batch_seed: int) -> BaseSampler:
    """Make the searcher of the next batch; ``cell_seed`` is the same for all batches of a cell."""
    match search.sampler:
        case "random":
            return optuna.samplers.RandomSampler(seed=batch_seed)
        case "grid":
            return GridSearcher()
        case "qmc":
            return SobolSearcher(cell_seed % 2**32, batch_seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=batch_seed, n_startup_trials=search.startup)
        case _:
            return optuna.samplers.TPESampler(seed=batch_seed, n_startup_trials=search.startup)


class GridSearcher(BaseSampler):
    """Every combination of the choices, trial by trial: the first name varies fastest."""

    def __init__(self) -> None:
        self._strides: dict[int, int] = {}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Give an empty space: each name is decided when it is suggested."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """Give nothing, since the space is empty."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> object:
        """Give the digit of the trial's number that belongs to this name."""
        choices = _choices(param_name, param_distribution)
        stride = self._strides.get(trial.number, 1)
        self._strides[trial.number] = stride * len(choices)
        return choices[trial.number // stride % len(choices)]


def _choices(name: str, distribution: BaseDistribution) -> Sequence[object]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if distribution.single():
        return [getattr(distribution, "low", None)]
    owner = "it" if "." in name else "the method" if name != "learning_rate" else "training"
    raise UsageError(
        f'search.sampler = "grid" needs the values of {name}: give {owner} a list, '
        f"{name} = [...], or one value"
    )


def grid_size(distributions: dict[str, BaseDistribution]) -> int:
    """Count the combinations."""
    size = 1
    for name, distribution in distributions.items():
        size *= len(_choices(name, distribution))
    return size


class SobolSearcher(optuna.samplers.QMCSampler):
    """Optuna's scrambled Sobol sequence, whose points are numbered by the trials."""

    def __init__(self, scramble_seed: int, batch_seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(
                scramble=True,
                seed=scramble_seed,
                independent_sampler=optuna.samplers.RandomSampler(seed=batch_seed),
                warn_asynchronous_seeding=False,
                warn_independent_sampling=False,
            )
        self._number = 0

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """Give the point of the sequence with the trial's number."""
        self._number = trial.number
        return super().sample_relative(study, trial, search_space)

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, Any]) -> int:
        # Optuna counts in its storage, and loses count when the storage is rebuilt.
        return self._number
