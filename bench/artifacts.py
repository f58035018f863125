"""What a run returns: its result, and the artifacts of confirmed runs. Imports no torch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .spec import RunResult


class Learning(NamedTuple):
    """Curves of the training of one run.

    Attributes:
        curve: Shape (points, 3): training step, and the means of the loss and of the norm of its
            gradient (before clipping) over the steps since the row before.
        least: Expected loss of the exact score, which the loss goes below by chance only; NaN
            where it is unknown.
        names: Metrics at the checkpoints.
        checkpoints: Shape (c, 1 + len(names)): training step, then each metric of a small sample.
    """

    curve: NDArray[np.float64]
    least: float
    names: tuple[str, ...]
    checkpoints: NDArray[np.float64]


class Artifacts(NamedTuple):
    """Arrays of a run for figures and for reuse of its model.

    Attributes:
        samples: Shape (n, d), in double precision if the box of the data is not around 0.
        energy: On a square grid over the dataset's box, rows from bottom to top, shape (g, g);
            None without an energy or outside the plane.
        score_field: On a coarser grid over the same box, shape (q, q, 2); None outside the plane.
        paths: Positions of a few chains of the sampler, start and end included, shape
            (positions, chains, 2); None outside the plane or for samplers without chains.
        parameters: The network's tensors by name, with a leading member axis of length 1.
        learning: Curves of its training; None for an untrained model.
        spectrum: Noise levels σ and what the score's error there adds to the metric
            ``path_fisher`` per unit of log σ, shape (levels, 2); None if it is not measured.
    """

    samples: NDArray[np.float32] | NDArray[np.float64]
    energy: NDArray[np.float32] | None
    score_field: NDArray[np.float32] | None
    paths: NDArray[np.float32] | None
    parameters: dict[str, NDArray[np.float32]]
    learning: Learning | None
    spectrum: NDArray[np.float64] | None = None


class Outcome(NamedTuple):
    """A result, with its artifacts if they were asked for."""

    result: RunResult
    artifacts: Artifacts | None = None
