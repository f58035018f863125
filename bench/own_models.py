"""Runs of models made by a user's own code: their points, and whether these are reproducible."""

import math

import torch
from torch import Tensor

from ..methods.estimators.base import OwnPoints, difference
from ..methods.model import Model
from ..methods.sampling.base import Samples
from .from_spec import dataset_of, stream_of
from .sampling import rounded
from .spec import RunSpec

# Points at which two models are compared.
_COMPARED = 256


def own_samples(spec: RunSpec, model: OwnPoints) -> Samples:
    """Draw the points of a run from a model that gives points alone."""
    points = model.draw(spec.evaluation.samples, _seed(spec))
    points = rounded(dataset_of(spec), points).unsqueeze(0)
    return Samples(points, torch.zeros(1, dtype=torch.long), torch.full((1,), -1))


def repeat_error(spec: RunSpec, model: Model, again: Model | None, points: Tensor) -> float:
    """Compare two models that were made for one run, the first of which gave points (n, d).

    Returns:
        Their ``difference``: of the points, or of the scores at some of them; 0 for equal bits.
    """
    if isinstance(model, OwnPoints) and isinstance(again, OwnPoints):
        return difference(points, own_samples(spec, again).points[0])
    x = points[points.isfinite().all(-1)][:_COMPARED].float().unsqueeze(0)
    return math.nan if again is None else difference(model.score(x), again.score(x))


def _seed(spec: RunSpec) -> int:
    """The seed of the points of a run, which fits the generators of every library."""
    return int(torch.randint(2**31 - 1, (), generator=stream_of(spec, "sampler")))
