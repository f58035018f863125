"""Tools of several findings: random streams, training and scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...bench.from_spec import clean_score
from ...bench.metrics import metrics
from ...bench.metrics.base import Subject
from ...bench.spec import Schedule, TrainingSpec
from ...bench.streams import generator
from ...bench.trainer import Trainees
from ...bench.training import fit
from ...datasets.base import Dataset
from ...methods.model import Model
from ...methods.network_model import NetworkModel
from ...methods.networks import MLP, GaussianBase
from ...methods.objectives.base import ScoreMatching
from ...methods.random import MemberRandom
from ...methods.sampling.base import Sampler
from .base import TableRow, row

Names = str | int


class Crowd(MemberRandom):
    """Random numbers of many members from one stream: cheap if no member is needed alone."""

    def __init__(
        self, stream: torch.Generator, members: int, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__([stream], dtype=dtype)
        self._count = members

    @property
    def members(self) -> int:
        """Number of members."""
        return self._count

    def _draw(self, kind: str, shape: tuple[int, ...], high: int = 2) -> Tensor:
        return self._raw(kind, (self._count, *shape), high, self._generators[0])


class Fixed(MemberRandom):
    """A stream that always gives the same normal numbers, shape (K, B, d)."""

    def __init__(self, noise: Tensor) -> None:
        super().__init__([])
        self._noise = noise

    def normal_like(self, x: Tensor) -> Tensor:
        """Give the numbers."""
        return self._noise.expand_as(x)

    def slices(self, kind: str, count: int, x: Tensor) -> Tensor:  # noqa: ARG002
        """Give the numbers as directions, one per point."""
        return self._noise.unsqueeze(1)


class Scaled(Model):
    """A model whose energy and score are multiplied by a factor: a forgotten ½, or a wrong sign."""

    def __init__(self, model: Model, factor: float) -> None:
        self._model, self._factor = model, factor
        self.dim, self.members, self.level = model.dim, model.members, model.level

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the factor times the score."""
        return self._factor * self._model.score(x, sigma)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:
        """Compute the factor times the energy; None if the model has none."""
        energy = self._model.energy(x, sigma)
        return None if energy is None else self._factor * energy


def streams(seed: int, *names: Names, members: int = 1) -> MemberRandom:
    """Make an independent stream for each member."""
    return MemberRandom([generator(seed, *names, k) for k in range(members)])


def full(members: int, value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Give every member the same option of an objective, shape (members, 1, 1)."""
    return torch.full((members, 1, 1), value, dtype=dtype)


def mean_error(values: Tensor) -> tuple[float, float]:
    """Compute the mean of independent numbers and its standard error."""
    flat = values.double().flatten()
    return float(flat.mean()), float(flat.std() / len(flat) ** 0.5)


def variance_error(values: Tensor) -> tuple[float, float]:
    """Compute the variance of independent numbers and its standard error, for any distribution."""
    flat = values.double().flatten()
    squares = (flat - flat.mean()).square()
    return float(squares.mean()), float(squares.std() / len(flat) ** 0.5)


def sandwich(mass: Tensor, slope: Tensor, bend: Tensor) -> tuple[float, float]:
    """Compute the variance of N^½ times an estimate that minimises a mean loss, and a wrong one.

    It is E[ρ'²]/E[ρ'']² (Huber 1967); 1/E[ρ''] is wrong unless the loss is minus a log likelihood.

    Args:
        mass: Probability of each point, shape (m,).
        slope: Derivative ρ' of the loss of a point with respect to the parameter, at the truth.
        bend: Its derivative, or anything else of the same mean.
    """
    curvature = float((mass * bend).sum())
    return float((mass * slope.square()).sum()) / curvature**2, 1 / curvature


class Trained(NamedTuple):
    """Networks after training, each with its own seed.

    Attributes:
        models: Models of one member.
        curve: Training steps, and the mean losses of each member since the previous of those
            steps, shape (points, 1 + K).
        data: Training sets, shape (K, N, d).
    """

    models: list[NetworkModel]
    curve: Tensor
    data: Tensor


def train(
    objective: ScoreMatching,
    options: Mapping[str, object],
    dataset: Dataset,
    *,
    seed: int,
    seeds: int,
    steps: int,
    width: int = 128,
    points: int = 100_000,
    learning_rate: float = 1e-3,
    schedule: Schedule = "constant",
    base: Callable[[Tensor], GaussianBase] | None = None,
) -> Trained:
    """Train several networks on a dataset together, as a study does.

    Data, batches and initial weights depend neither on the objective nor on the base, which is
    fitted to the points of all training sets.
    """
    data = torch.stack([dataset.sample(points, generator(seed, k, "data")) for k in range(seeds)])
    mlp = MLP(
        dataset.dim, width=width, conditional=objective.conditional,
        base=base(data.flatten(0, 1)) if base else None,
    )  # fmt: skip
    theta = mlp.init([generator(seed, k, "init") for k in range(seeds)])
    given = {"clean_score": clean_score(dataset)} if objective.needs_score else {}
    trainees = Trainees(
        objective,
        mlp,
        theta,
        data.float(),
        {k: full(seeds, v) if isinstance(v, float) else v for k, v in options.items()} | given,
        TrainingSpec(steps=steps, batch_size=100, schedule=schedule),
        torch.full((seeds, 1), learning_rate),
        batches=MemberRandom([generator(seed, k, "batches") for k in range(seeds)]),
        noise=MemberRandom([generator(seed, k, "noise") for k in range(seeds)]),
    )
    done = fit(trainees)
    level = objective.target(options)
    models = [NetworkModel(mlp, done.theta[k : k + 1], level) for k in range(seeds)]
    curve = torch.from_numpy(np.vstack([done.curves[0, :, 0], done.curves[..., 1]]))
    return Trained(models, curve.T.contiguous(), data)


def draw(sampler: Sampler, model: Model, n: int, seed: int, *names: Names) -> Tensor:
    """Draw points from a model of one member, shape (n, d)."""
    return sampler.sample(model, n, streams(seed, *names, "sampler")).points[0]


def scores(
    names: Sequence[str],
    dataset: Dataset,
    seed: int,
    samples: Tensor,
    model: Model | None = None,
    target: float = 0.0,
) -> dict[str, float]:
    """Compute metrics by name, with a truth sample of the size of ``samples``."""
    truth = dataset.sample(len(samples), generator(seed, "truth"))
    subject = Subject(samples, model, target)
    return {name: metrics.get(name)(dataset, truth).measure(subject) for name in names}


def trained_scores(
    experiment: str, names: Sequence[str], objective: ScoreMatching, dataset: Dataset,
    sigma: float, /, *, seed: int, axes: TableRow, **settings: Any,
) -> list[TableRow]:  # fmt: skip
    """Train networks at a level of noise, and compute metrics of each as rows; see ``train``."""
    trained = train(
        objective, {"sigma": sigma}, dataset, seed=seed, schedule="cosine",
        **{"learning_rate": 3e-3, **settings},
    )  # fmt: skip
    rows = []
    for k, model in enumerate(trained.models):
        rows += scored(experiment, names, dataset, seed, trained.data[k, :2], model, sigma,
                       **axes, seed=k)  # fmt: skip
    return rows


def scored(
    experiment: str, names: Sequence[str], dataset: Dataset, seed: int, samples: Tensor,
    model: Model | None = None, target: float = 0.0, /, **axes: Any,
) -> list[TableRow]:  # fmt: skip
    """Compute metrics as rows of a finding's table; see ``scores`` and ``row``."""
    values = scores(names, dataset, seed, samples, model, target)
    return [row(experiment, name, value, **axes) for name, value in values.items()]
