"""Hyperparameters that sliced objectives share."""

from .base import BaseTrial, Suggested

PUBLISHED: Suggested = {"n_slices": 1, "slice_kind": "rademacher"}
"""What Song et al. 2019 and their code use: one Rademacher projection."""


def suggest_slices(trial: BaseTrial) -> Suggested:
    """Suggest number and kind of the projection vectors (Song et al. 2019, section 3)."""
    return {
        "n_slices": trial.suggest_categorical("n_slices", [1, 2, 4]),
        "slice_kind": trial.suggest_categorical(
            "slice_kind", ["gaussian", "rademacher", "sphere", "orthogonal"]
        ),
    }
