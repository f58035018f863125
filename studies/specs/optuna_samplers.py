"""Optuna's samplers, where those of Optuna do not suit a study of a fixed number of trials."""

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from ...datasets.errors import UsageError


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
    raise UsageError(
        f'search.sampler = "grid" needs the values of {name}: give {owner(name)} a list, '
        f"{name} = [...], or one value"
    )


def owner(name: str) -> str:
    """Name what a hyperparameter or field is set for."""
    return "it" if "." in name else "the method" if name != "learning_rate" else "training"


def grid_size(distributions: dict[str, BaseDistribution]) -> int:
    """Count the combinations."""
    size = 1
    for name, distribution in distributions.items():
        size *= len(_choices(name, distribution))
    return size


class SobolSearcher(optuna.samplers.QMCSampler):
    """Optuna's scrambled Sobol sequence, whose points are numbered by the trials."""

    def __init__(
        self, cell_seed: int, seed: int, qmc_type: str = "sobol", *, scramble: bool = True
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(
                qmc_type=qmc_type,
                scramble=scramble,
                seed=cell_seed % 2**32,
                independent_sampler=optuna.samplers.RandomSampler(seed=seed),
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


class ExhaustiveSearcher(optuna.samplers.BruteForceSampler):
    """Optuna's ``BruteForceSampler``, which cannot stop a study of a fixed size."""

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> object:
        """Give a value that leads to a combination that was not tried."""
        endless = isinstance(param_distribution, FloatDistribution) and (
            param_distribution.step is None and not param_distribution.single()
        )
        if endless:
            raise UsageError(
                f'search.sampler = "brute_force" needs a finite number of values of {param_name}: '
                f"give {owner(param_name)} a list, {param_name} = [...], or a range with a step"
            )
        return super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, *_: object) -> None:
        """Do nothing: the number of trials is that of the study."""
