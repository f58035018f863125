"""Base classes of distributions: what can be drawn from, and what also has an exact density."""

import math
import operator
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, TypeGuard, cast

import torch
from torch import Tensor

from .box import Followed, box_of, outline_of, probe
from .cache import cached
from .errors import UsageError
from .quadrature import grid, midpoints, monte_carlo, require_mass

DensityAndScore = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps points (n, d) to log densities (n,) and scores (n, d)."""

Split = Literal["training", "validation", "test"]


class _Kinds(ABCMeta):
    """Makes every subclass that defines ``log_density`` a ``Density``, whatever it derives from."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> "_Kinds":
        # The classes of this file are what they say.
        own = "log_density" in namespace and namespace.get("__module__") != __name__
        if own and not any(issubclass(base, Density) for base in bases):
            bases = (*(base for base in bases if base is not Dataset), Density)
        return super().__new__(mcs, name, bases, namespace, **kwargs)


class Dataset(metaclass=_Kinds):
    """A distribution p on R^d that points can be drawn from.

    Users call ``sample``, which checks its arguments; a plug-in defines ``draw``. One that also
    defines ``log_density`` is a ``Density``. Points are in float64 on the CPU.

    Attributes:
        dim: Dimension d of the space.
        centre: Middle of the box that figures show and chains start in, shape (d,); a class may
            state d numbers, or one for all (``box_of`` has the tensor in any case).
        extent: Half the side of that box; it holds nearly all of the mass. Without either, the box
            is 4 around the origin if the data fit into it, and is found from their points if not;
            a stated ``extent`` without a ``centre`` is around the origin.
        noise: Standard deviation of the Gaussian noise in the data themselves, the length below
            which p is smooth; 0 for a density with edges.
        score_from: Smallest sigma at which the score exists (0 for smooth densities).
        reference_sigma: Noise level whose exact score stands for the truth where a sampler needs
            one: 0, or the smallest that Langevin steps of ordinary size can follow.
        available: Number of points that there are to draw; None for a distribution.
    """

    dim: int = 2
    centre: Tensor = cast("Tensor", Followed())
    extent: float = cast("float", Followed())
    noise: float = 0.0
    score_from: ClassVar[float] = 0.0
    reference_sigma: ClassVar[float] = 0.0
    available: int | None = None

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` >= 0 points, shape (n, d), from ``generator`` alone: independent ones.

        From a finite number of points they are drawn without replacement.

        Raises:
            UsageError: ``n`` is negative or not an integer, or ``generator`` is not a generator.
        """
        try:
            count = operator.index(n)
        except TypeError:
            raise UsageError(f"cannot sample {n!r} points: n must be an integer >= 0") from None
        if count < 0:
            raise UsageError(f"cannot sample {count} points: n must be >= 0")
        if not isinstance(generator, torch.Generator):
            raise UsageError(
                f"cannot sample from {generator!r}: generator must be a torch.Generator"
            )
        if count == 0:
            return torch.zeros(0, self.dim, dtype=torch.float64)
        return self.draw(count, generator)

    def upto(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` points, or all that there are if these are fewer."""
        return self.sample(n if self.available is None else min(n, self.available), generator)

    def part(self, split: Split) -> "Dataset":  # noqa: ARG002 (there are enough points for all)
        """Return what points for training, validation or test are drawn from.

        Points of different parts are independent. Of a finite number of points the parts are
        disjoint, and the dataset itself is the training part.
        """
        return self

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` >= 1 points, as ``sample`` does; ``n`` is checked already."""

    def outline(self) -> tuple[Tensor, Tensor]:
        """Find the ends of each coordinate, without far tails: two tensors of shape (d,)."""
        return outline_of(probe(self))

    def _points(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise UsageError(f"points must be a tensor of floats, not {kind}")
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise UsageError(f"points must have shape (n, {self.dim}), not {tuple(x.shape)}")
        # Sums over strided memory run in another order; the layout must not change any bit.
        return x.double().contiguous()


class Density(Dataset):
    """A distribution on R^d whose truth is known exactly.

    Users call ``sample``, ``log_prob`` and ``score``, which check their arguments; a plug-in
    defines ``draw`` and ``log_density`` (and ``gradient`` where autograd is too slow or fails),
    whose arguments are checked already.

    Everything is computed and returned in float64 on the CPU; points given in another floating
    precision are converted first. ``sigma`` is the standard deviation of added Gaussian noise:
    every density and score is that of p_sigma = p * N(0, sigma² I); ``sigma = 0`` is the data
    itself. Rows are independent: the value at a point is bitwise independent of the other points,
    and a row with NaN affects no other.
    """

    def log_prob(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the log density of p_sigma at ``x`` of shape (n, d): shape (n,), in nats.

        Raises:
            UsageError: ``x`` is not an (n, d) tensor of floats, or ``sigma`` is negative.
        """
        return self.log_density(self._points(x), _level(sigma))

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the gradient of ``log_prob(x, sigma)`` with respect to ``x``: shape (n, d).

        Raises:
            UsageError: As for ``log_prob``; or p_sigma has no score at this ``sigma``.
        """
        level = self._smooth_level(sigma)
        return self.gradient(self._points(x), level)

    def entropy(self, sigma: float = 0.0) -> float:
        """Compute -E log p_sigma(x) over x ~ p_sigma, in nats: the least loss of any density model.

        Accurate to 1e-6 in the plane, by quadrature. In other dimensions it is a seeded Monte
        Carlo mean with a standard error of at most 1e-3 (1 + |value|), unless the dataset
        overrides ``information``.

        Raises:
            UsageError: ``sigma`` is negative or not a number.
        """
        return _information(self, _level(sigma))[0]

    def fisher_information(self, sigma: float = 0.0) -> float:
        """Compute E|score(x, sigma)|² over x ~ p_sigma, as accurate as ``entropy``, relatively.

        Minus half of it is the least loss of implicit score matching (Hyvärinen 2005), and
        (d/sigma² - I)/2 that of denoising score matching (Vincent 2011).

        Raises:
            UsageError: As for ``score``.
        """
        return _information(self, self._smooth_level(sigma))[1]

    @abstractmethod
    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Compute ``log_prob`` at checked float64 points, differentiable in ``x``."""

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Compute ``score`` at checked points, by autograd unless overridden."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_density(x, sigma).sum(), x)
        return slope

    def density_and_score(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute ``log_prob`` and ``score`` at checked points; override it if both share work."""
        return self.log_density(x, sigma), self.gradient(x, sigma)

    def quick(self, sigma: float) -> DensityAndScore:
        """Return ``density_and_score`` at one noise level, or a faster version for samplers.

        Its score may have an error of 1e-6 of |score| + 1/tau, tau² = noise² + sigma².
        """
        return partial(self.density_and_score, sigma=sigma)

    def information(self, sigma: float) -> tuple[float, float]:
        """Compute entropy and Fisher information for a checked ``sigma``; the result is cached.

        The second number is ignored where there is no score.

        Raises:
            UsageError: The quadrature rule misses part of the mass.
        """
        if self.dim != 2:
            return monte_carlo(self, sigma)
        whole = grid(self, sigma)
        require_mass(self, sigma, whole.mass)
        return whole.entropy, whole.fisher if sigma >= self.score_from else math.nan

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Make a rule for integrals of p_sigma times a smooth function, d = 2.

        Returns:
            Points (m, 2), ``step`` standard deviations of the blur apart, and the area of each.

        Raises:
            UsageError: It has too many points.
        """
        box = box_of(self)
        axis, width = midpoints(box.reach, math.hypot(self.noise, sigma), step, unit=box.unit)
        points = torch.cartesian_prod(axis, axis) + box.centre
        return points, torch.full((len(points),), width**2, dtype=torch.float64)

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """True probability of each mode, shape (modes,)."""

    @abstractmethod
    def assign(self, x: Tensor) -> Tensor:
        """Index of the mode that each point belongs to, shape (n,), integers."""

    def _smooth_level(self, sigma: float) -> float:
        level = _level(sigma)
        if level < self.score_from:
            raise UsageError(
                f"{type(self).__name__} has no score at sigma = {level:g} (its density jumps): "
                f"use sigma >= {self.score_from:g}"
            )
        return level


def has_density(dataset: Dataset) -> TypeGuard[Density]:
    """Tell whether a dataset has a log density; a plug-in need not derive from ``Density``."""
    return hasattr(dataset, "log_prob")


def density_of(dataset: Dataset) -> Density:
    """Return a dataset as a density.

    Raises:
        UsageError: It can only be drawn from.
    """
    if not has_density(dataset):
        raise UsageError(f"{type(dataset).__name__} has no log density: it can only be drawn from")
    return dataset


@lru_cache(maxsize=1024)
def _information(dataset: Density, sigma: float) -> tuple[float, float]:
    def make() -> dict[str, Tensor]:
        return {"both": torch.tensor(dataset.information(sigma), dtype=torch.float64)}

    entropy, fisher = cached("information", dataset, sigma, make=make)["both"].tolist()
    return entropy, fisher


def _level(sigma: float) -> float:
    try:
        level = float(sigma)
    except (TypeError, ValueError):
        level = math.nan
    if not 0 <= level < math.inf:
        raise UsageError(f"sigma = {sigma!r} is not a noise level: it must be a number >= 0")
    return level
