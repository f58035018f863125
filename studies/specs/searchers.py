"""Who proposes configurations: Optuna's samplers, and a grid.

Each is made anew for every batch from seeds that follow from the cell and the number of finished
trials, and keeps nothing between batches, so that a search that was interrupted goes on as if it
had not been. That rules Optuna's CMA-ES out, whose state lives in its storage.
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


def sampler_for(search: Search, cell_seed: int, batch_seed: int) -> BaseSampler:
    """The sampler of the next batch.

    Args:
        search: What the study says of the search.
        cell_seed: The same for all batches of a cell.
        batch_seed: Another one for each.
    """
    match search.sampler:
        case "random":
            return optuna.samplers.RandomSampler(seed=batch_seed)
        case "grid":
            return Grid()
        case "qmc":
            return Sobol(cell_seed % 2**32, batch_seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=batch_seed, n_startup_trials=search.startup)
        case _:
            return optuna.samplers.TPESampler(seed=batch_seed, n_startup_trials=search.startup)


class Grid(BaseSampler):
    """Every combination of the choices, trial by trial: the first name varies fastest."""

    def __init__(self) -> None:
        self._strides: dict[int, int] = {}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """None: each name is decided when it is suggested."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see above."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The digit of the trial's number that belongs to this name."""
        choices = _choices(param_name, param_distribution)
        stride = self._strides.get(trial.number, 1)
        self._strides[trial.number] = stride * len(choices)
        return choices[trial.number // stride % len(choices)]


def _choices(name: str, distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if distribution.single():
        return [getattr(distribution, "low", None)]
    whose = "it" if "." in name else "the method" if name != "learning_rate" else "training"
    raise UsageError(
        f'search.sampler = "grid" needs the values of {name}: give {whose} a list, '
        f"{name} = [...], or one value"
    )


def grid_size(distributions: dict[str, BaseDistribution]) -> int:
    """Number of combinations."""
    size = 1
    for name, distribution in distributions.items():
        size *= len(_choices(name, distribution))
    return size


class Sobol(optuna.samplers.QMCSampler):
    """Optuna's scrambled Sobol sequence, its place in it being the number of the trial."""

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
    ) -> dict[str, Any]:
        """The point of the sequence with the trial's number."""
        self._number = trial.number
        return super().sample_relative(study, trial, search_space)

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, Any]) -> int:
        # Optuna counts in its storage, which is lost when it is rebuilt from the rows.
        return self._number
