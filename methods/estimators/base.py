"""Methods that make their model themselves, in any framework, instead of having a network trained.

There are three doors, each a class of about six lines:

    class Drawn(Estimator):      # points of a finished model
        def points(self, n, seed): ...

    class Scored(Estimator):     # the score of a finished model
        def score(self, x, sigma): ...

    class Fitted(Estimator):     # a model that is fitted here; returns points, a score or a Model
        def fit(self, points, rng, *, bandwidth): ...
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import BaseTrial
from torch import Tensor

from ...datasets.base import Dataset, density_of
from ...datasets.errors import UsageError
from ...datasets.point_arrays import points_of
from ..model import Model
from ..setting import Setting

# Estimators import the types of their signatures from here.
__all__ = [
    "Any",
    "Array",
    "BaseTrial",
    "ClassVar",
    "Dataset",
    "Estimator",
    "Generator",
    "Model",
    "Tensor",
    "density_of",
]

Array = NDArray[np.float64]
Generator = np.random.Generator
Gives = Literal["points", "score", "energy"]

_HAVE = {
    "points": ("samples",),
    "score": ("samples", "score"),
    "energy": ("samples", "score", "energy"),
}
_A = {"points": "points", "score": "a score", "energy": "an energy"}

IDENTICAL = 0.0
_APART = 1e9
WITHIN = 1e-5
"""Relative difference of two runs of one model that rounding in another order explains."""


class Estimator:
    """A method whose model is made by its own code; nothing of it is trained by scorebench.

    A subclass defines ``fit``, or ``points``, or ``score`` (and ``energy`` if it has one).

    Attributes:
        gives: What the model has: ``points`` alone, a ``score``, or an ``energy`` too. A subclass
            that defines ``fit`` states it unless it is a score; otherwise it follows from the
            methods.
        conditional: Whether its score depends on the noise level.
        replayable: Whether the numbers can come back without the files of its author.
    """

    gives: ClassVar[Gives] = "score"
    conditional: ClassVar[bool] = False
    replayable: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        """Derive ``gives`` from the methods that a subclass defines."""
        if "gives" in vars(cls):
            return
        kinds: tuple[Gives, ...] = ("points", "score", "energy")
        for kind in kinds:
            if kind in vars(cls):
                cls.gives = kind

    def space(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest the hyperparameters to Optuna: what ``fit`` takes by name."""
        return {}

    def target(self, options: Mapping[str, Any]) -> float:
        """Return the noise level of the density whose score is estimated."""
        return 0.0

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        """Return the reason why the method cannot be used in this setting; None if it can."""
        return None

    @classmethod
    def lacks(cls, kind: str, judged: Any, setting: Setting) -> str | None:
        """Say what a sampler or metric needs that the model has not; None if nothing.

        Args:
            kind: ``sampler`` or ``metric``.
            judged: Its class.
            setting: Where it is used.
        """
        if kind == "metric" and judged.needs not in _HAVE[cls.gives]:
            return f"it needs {_A[judged.needs]}, and the method gives {_A[cls.gives]} alone"
        without = setting._replace(energy=False)
        if kind == "sampler" and cls.gives == "score" and judged.unfit(without):
            return "it needs an energy, and the method gives a score alone"
        return None

    @classmethod
    def fixed(cls, trial: Any) -> dict[str, Any]:
        """Return options of ``fit`` with a default, which a study may set and no search changes."""
        return {
            parameter.name: trial.fixed(parameter.name, parameter.default)
            for parameter in inspect.signature(cls.fit).parameters.values()
            if isinstance(parameter.default, (bool, int, float, str))
        }

    def complaint(self, dim: int, n: int, options: Mapping[str, Any]) -> str | None:
        """Return why no run of ``n`` points of dimension ``dim`` can succeed; None if it may."""
        return None

    def content(self, options: Mapping[str, Any]) -> bytes:
        """Return further input, beside code and options: the content of files, or its digest."""
        return b""

    def known(self, dataset: Dataset) -> Model | None:
        """Return the model of a dataset that needs no points; None if it is fitted to points."""
        return None

    def fit(self, points: Array, rng: Generator, *args: Any, **options: Any) -> object:
        """Fit a model to the training set, float64 of shape (N, d).

        Args:
            points: The training set.
            rng: Source of random numbers; ``int(rng.integers(2**31))`` seeds other generators.
            args: Empty; lets each method name its own options.
            options: The hyperparameters.

        Returns:
            As ``gives`` says, a function ``(n, seed)`` of points, a function ``(x, sigma)`` of
            scores, an object that has them as ``points`` or ``score`` (and ``energy``), or a
            ``Model``.
        """
        return self

    def model(
        self, points: Tensor, rng: Generator, options: Mapping[str, Any] | None = None
    ) -> Model:
        """Make the model: ``fit`` to points (N, d), and what it returns as one member.

        Raises:
            UsageError: ``fit`` returns something else.
        """
        options = options or {}
        found = self.fit(points.double().numpy(), rng, **options)
        if isinstance(found, Model):
            return found
        kind = "points" if self.gives == "points" else "score"
        function = getattr(found, kind, found if callable(found) else None)
        if not callable(function):
            raise UsageError(
                f"`fit` of {type(self).__name__} returned {type(found).__name__}: return a "
                f"function, or an object with a method `{kind}`"
            )
        if kind == "points":
            return OwnPoints(function, points.shape[1])
        energy = getattr(found, "energy", None) if self.gives == "energy" else None
        level = float(self.target(options))
        return OwnScore(function, energy, points.shape[1], level, self.conditional)


class OwnPoints(Model):
    """A model that gives points alone, by a function ``(n, seed)``."""

    members = 1

    def __init__(self, function: Callable[[int, int], object], dim: int) -> None:
        self.dim = dim
        self._function = function

    def draw(self, n: int, seed: int) -> Tensor:
        """Draw points, float64 of shape (n, d); equal seeds should give equal points.

        Raises:
            UsageError: The function returns something else.
        """
        what = "the points that `points` returned"
        points = points_of(self._function(n, seed), what, dim=self.dim, least=0, finite=False)
        if len(points) != n:
            raise UsageError(f"{what} are {len(points)} in number, where n = {n} were asked for")
        return points

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Raise ``UsageError``: there is none."""
        raise UsageError("the method gives points alone, so it has no score")


class OwnScore(Model):
    """A model whose score, and energy if it has one, are functions ``(x, sigma)`` of any framework.

    They take NumPy arrays (B, d) in the precision of the points, and return arrays of any library.
    """

    members = 1

    def __init__(
        self,
        score: Callable[[Any, float], object],
        energy: Callable[[Any, float], object] | None,
        dim: int,
        level: float,
        conditional: bool,
    ) -> None:
        self.dim, self.level = dim, level
        self._score, self._energy, self._conditional = score, energy, conditional

    def noise(self, sigma: float) -> float:
        """Return ``sigma``, but at least the lowest level, if the score depends on it."""
        return max(sigma, self.level) if self._conditional else self.level

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the score at x, (1, B, d)."""
        return self._called(self._score, "score", x, sigma, x.shape[1:])

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:
        """Compute the energy at x, (1, B); None without one."""
        if self._energy is None:
            return None
        return self._called(self._energy, "energy", x, sigma, x.shape[1:2])

    def _called(
        self,
        function: Callable[[Any, float], object],
        name: str,
        x: Tensor,
        sigma: float,
        shape: torch.Size,
    ) -> Tensor:
        self.evaluations += x.shape[1]
        # A copy: a function may write into its argument.
        values = function(x[0].detach().cpu().numpy().copy(), self.noise(sigma))
        what = f"what `{name}` returned"
        array = points_of(values, what, least=0, finite=False)
        if len(shape) == 1 and array.shape == (shape[0], 1):
            array = array[:, 0]
        if array.shape != shape:
            raise UsageError(
                f"{what} has shape {tuple(array.shape)} for points of shape {tuple(x.shape[1:])}, "
                f"where {tuple(shape)} is right"
            )
        return array.to(x.dtype).unsqueeze(0)


def difference(first: Tensor, second: Tensor) -> float:
    """Compare two runs of one model: the largest difference over the root mean square.

    0 if they are bitwise identical, 1e9 if only one of them is finite somewhere.
    """
    if torch.equal(first.nan_to_num(), second.nan_to_num()):
        return IDENTICAL
    if not torch.equal(first.isfinite(), second.isfinite()):
        return _APART
    a, b = first.double().nan_to_num(0, 0, 0), second.double().nan_to_num(0, 0, 0)
    scale = max(float(a.square().mean().sqrt()), float(b.square().mean().sqrt()))
    return float((a - b).abs().max()) / scale
