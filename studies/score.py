"""Score points that come from elsewhere: against a distribution, or against other points."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..bench.spec import EvaluationSpec, NetworkSpec, Plugin, RunSpec, TrainingSpec
from ..bench.streams import generator
from ..datasets.errors import UsageError, unknown
from .engine import Engine
from .specs.entries import Entry
from .specs.resolve import resolve
from .specs.spec import IID, TRUTH
from .specs.tables import StudyEvaluation

if TYPE_CHECKING:
    import torch

    from ..datasets.base import Dataset

FLOORS = 99
LEVEL = 0.05
"""Largest p-value at which points differ from the truth."""

_MOST = 1_000_000

Verdict = Literal["yes", "no", "open"]


class Scored(NamedTuple):
    """One metric of points, beside samples of the truth of the same number of points.

    Attributes:
        metric: Name of the metric.
        value: Distance of the points from the truth.
        floor50: Median distance of samples of the truth, the noise floor.
        floor95: The distance that 95 % of them stay below.
        p: Share of the samples of the truth that are at least as far as the points, the points
            among them: (1 + #{floor >= value}) / (1 + #floors). Exact for any number of floors,
            which it cannot fall below 1 / (1 + #floors) with.
        differs: Whether the points can be told from the truth: ``yes`` if p <= 0.05, else ``no``;
            ``open`` if no sample of the truth is as far and the floors are too few for p <= 0.05.
    """

    metric: str
    value: float
    floor50: float
    floor95: float
    p: float
    differs: Verdict


def score(
    points: object,
    dataset: str | None = None,
    metrics: Sequence[str] = (),
    *,
    against: object = None,
    floors: int = FLOORS,
    seed: int = 0,
    engine: Engine | None = None,
) -> list[Scored]:
    """Score points by metrics that need no model.

    The floors are the reference rows of a study with this seed and this number of samples: fresh
    samples of the truth, scored against the same truth as the points. Against other points, they
    are splits of all points together into parts of the two sizes, as in a permutation test.

    Args:
        points: An array of any library, shape (n, d), or the path of a file.
        dataset: Name of the dataset.
        metrics: Names of metrics (default: those of a study).
        against: Points, or the path of a file, instead of the dataset; shape (m, d).
        floors: Number of samples of the truth; at least 19 to tell points from it.
        seed: Seed of the truth.
        engine: Where names are looked up (default: the real one).

    Raises:
        UsageError: The points or names are not usable; one line says why.
    """
    if (dataset is None) == (against is None):
        given = "neither was" if dataset is None else "both were"
        raise UsageError(f"the points are scored against a dataset or a file: {given} given")
    if not 1 <= floors <= 100_000:
        raise UsageError(f"floors = {floors}: must be from 1 to 100,000")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed = {seed}: must be from 0 to 2⁶³ - 1")
    engine = engine or Engine()
    names = tuple(metrics) or StudyEvaluation().metrics
    for name in names:
        if name not in engine.names("metric"):
            raise unknown("metric", name, engine.names("metric"))
    if dataset is None:
        found = _against(given_points(points), given_points(against), names, floors, seed)
    else:
        found = _against_dataset(engine, points, dataset, names, floors, seed)
    first, *rest = found
    return [_scored(name, first[name], [floor[name] for floor in rest]) for name in names]


def given_points(source: object, dim: int | None = None) -> "torch.Tensor":
    """Read points, shape (n, d), from an array or from the path of a file.

    Raises:
        UsageError: They are no points of dimension ``dim``.
    """
    from ..datasets.point_arrays import points_of
    from ..datasets.point_files import read_points

    if not isinstance(source, str | Path):
        points = points_of(source, dim=dim)
    else:
        points = points_of(read_points(source).points, f"the points of {str(source)!r}", dim=dim)
    if len(points) > _MOST:
        raise UsageError(f"there are {len(points):,} points: at most {_MOST:,} can be scored")
    return points


def _against_dataset(
    engine: Engine, source: object, name: str, names: tuple[str, ...], floors: int, seed: int
) -> Iterator[dict[str, float]]:
    """Yield the metrics of the points, then of each sample of the truth."""
    if name not in engine.names("dataset"):
        raise unknown("dataset", name, engine.names("dataset"))
    plugin = resolve("dataset", Entry.named(name), engine)
    made = engine.make("dataset", plugin)
    points = given_points(source, made.dim)
    _require_measures(names, made)
    spec = RunSpec(
        phase="reference",
        seed=seed,
        method=Plugin(name=TRUTH),
        dataset=plugin,
        sampler=Plugin(name=IID),
        network=NetworkSpec(),
        training=TrainingSpec(steps=0),
        evaluation=EvaluationSpec(samples=len(points), metrics=names),
    )
    from ..bench.sampling import rounded

    # As a run's points are.
    yield engine.measure(spec, rounded(made, points).numpy())
    for replicate in range(floors):
        (outcome,) = engine.execute([spec.model_copy(update={"replicate": replicate})], False)
        if outcome.result.failure is not None:
            raise UsageError(f"the floors have no value: {outcome.result.failure.reason}")
        yield outcome.result.metrics


def _against(
    points: "torch.Tensor",
    reference: "torch.Tensor",
    names: tuple[str, ...],
    floors: int,
    seed: int,
) -> Iterator[dict[str, float]]:
    """Yield the metrics of the points against others, then of each split of all of them."""
    import torch

    from ..bench.process import one_thread
    from ..bench.truth import Judge
    from ..datasets.points import Rows

    if points.shape[1] != reference.shape[1]:
        raise UsageError(
            f"the points have {points.shape[1]} coordinates, and those they are scored against "
            f"have {reference.shape[1]}"
        )
    dataset = Rows(reference, endless=True)
    _require_measures(names, dataset)
    pooled, n = torch.cat([points, reference]), len(points)
    with one_thread():
        for split in range(floors + 1):
            order = torch.arange(len(pooled))
            if split:
                rng = generator(seed, "score", "split", split)
                order = torch.randperm(len(pooled), generator=rng)
            judge = Judge(dataset, pooled[order[n:]], EvaluationSpec(metrics=names).measured)
            for name, why in judge.broken.items():
                raise UsageError(f"metric {name!r} cannot be used with points alone: {why}")
            problems: dict[str, str] = {}
            values = judge.score_samples(pooled[order[:n]], problems)
            for name, why in problems.items():
                raise UsageError(f"metric {name!r} has no value: {why}")
            yield values


def _require_measures(names: Sequence[str], dataset: "Dataset") -> None:
    """Raise ``UsageError`` for metrics that need a model, or have no value on the dataset."""
    from ..bench.metrics import metrics
    from ..methods.setting import Setting, why_unfit

    def why_not(name: str) -> str | None:
        metric = metrics.get(name)
        if metric.needs != "samples":
            return f"needs the {metric.needs} of a model, and points have none"
        reason = why_unfit(metric, Setting(dataset))
        return reason and f"has no value here: {reason}"

    for name in names:
        if (reason := why_not(name)) is not None:
            usable = [other for other in metrics.builtin if why_not(other) is None]
            raise UsageError(f"metric {name!r} {reason}: choose among {', '.join(usable)}")


def _scored(name: str, value: float, floors: Sequence[float]) -> Scored:
    far = sum(floor >= value for floor in floors)
    p = (1 + far) / (1 + len(floors))
    few = far == 0 and p > LEVEL
    verdict: Verdict = "open" if few else "yes" if p <= LEVEL else "no"
    middle, high = np.quantile(floors, [0.5, 0.95])
    return Scored(name, value, float(middle), float(high), p, verdict)
