"""Seeded draws for checks: streams of members, points, hyperparameters."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ...datasets.testing.conformance import seeded
from ..objectives.base import ScoreMatching
from ..random import MemberRandom


def streams(
    members: int | Iterable[int], seed: int = 0, dtype: torch.dtype = torch.float32
) -> MemberRandom:
    """Make streams of members, each seeded with its number plus ``seed``.

    Args:
        members: How many, or their numbers.
        seed: Seed of member 0.
        dtype: Of the numbers they draw.
    """
    numbers = range(members) if isinstance(members, int) else members
    return MemberRandom([seeded(seed + k) for k in numbers], "cpu", dtype)


def draw_options(objective: type[ScoreMatching], seed: int) -> dict[str, Any]:
    """Draw one configuration from an objective's search space."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return dict(objective().space(study.ask()))


def as_tensors(options: Mapping[str, Any], members: int) -> dict[str, Any]:
    """Give options the form that ``loss`` takes: fractions as tensors (members, 1, 1)."""
    return {
        name: torch.full((members, 1, 1), value) if isinstance(value, float) else value
        for name, value in options.items()
    }
