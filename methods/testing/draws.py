"""Seeded draws for checks: streams of members, points, hyperparameters."""

from collections.abc import Iterable
from random import getstate

import numpy as np
import torch

from ...datasets import get_density
from ...datasets.base import Density
from ...datasets.testing.conformance import seeded
from ..estimators.base import Estimator
from ..objectives.base import Options, ScoreMatching, Suggested
from ..random import MemberRandom


def plain_dataset(dim: int = 2) -> Density:
    """Make a dataset that every plug-in should be able to handle."""
    return get_density("8gaussians") if dim == 2 else get_density("gaussian_ring", dim=dim)


def streams(
    members: int | Iterable[int], seed: int = 0, dtype: torch.dtype = torch.float32
) -> MemberRandom:
    """Make streams of so many members, or of these; each is seeded with its number plus a seed."""
    numbers = range(members) if isinstance(members, int) else members
    return MemberRandom([seeded(seed + k) for k in numbers], "cpu", dtype)


def draw_options(objective: type[ScoreMatching | Estimator], seed: int) -> Suggested:
    """Draw one configuration from a method's search space."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return dict(objective().space(study.ask()))


def given(objective: type[ScoreMatching], spread: float = 1.0) -> Suggested:
    """Make what a loss takes beside hyperparameters, for points of N(0, spread² I)."""
    return {"clean_score": lambda x: -x / spread**2} if objective.needs_score else {}


def other_generators() -> tuple[object, ...]:
    """Return the states of NumPy's and of Python's global generator."""
    _, words, *rest = np.random.get_state()  # noqa: NPY002
    return np.asarray(words).tolist(), tuple(rest), getstate()


def as_tensors(options: Options, members: int) -> Suggested:
    """Give options the form that ``loss`` takes: fractions as tensors (members, 1, 1)."""
    return {
        name: torch.full((members, 1, 1), value) if isinstance(value, float) else value
        for name, value in options.items()
    }
