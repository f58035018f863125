"""Base class of toy distributions: iid samples, exact densities at every noise level, modes."""

import math
import operator
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar, cast

import torch
from torch import Tensor

from .box import Followed, box_of, outline_of, probe
from .cache import cached
from .errors import UsageError
from .quadrature import grid, midpoints, monte_carlo, require_mass


class Dataset(ABC):
    """A distribution p on R^d whose truth is known exactly.

    Users call ``sample``, ``log_prob`` and ``score``, which check their arguments; a plug-in
    defines ``draw`` and ``log_density`` (and ``gradient`` where autograd is too slow or fails),
    whose arguments are checked already.

    Everything is computed and returned in float64 on the CPU; points given in another floating
    precision are converted first. ``sigma`` is the standard deviation of added Gaussian noise:
    every density and score is that of p_sigma = p * N(0, sigma² I); ``sigma = 0`` is the data
    itself. Rows are independent: the value at a point is bitwise independent of the other points,
    and a row with NaN affects no other.

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
    """

    dim: int = 2
    centre: Tensor = cast("Tensor", Followed())
    extent: float = cast("float", Followed())
    noise: float = 0.0
    score_from: ClassVar[float] = 0.0
    reference_sigma: ClassVar[float] = 0.0

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` >= 0 independent points, shape (n, d), from ``generator`` alone.

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
        return self.draw(count, generator)

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
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` >= 0 points, as ``sample`` does; ``n`` is checked already."""

    @abstractmethod
    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Compute ``log_prob`` at checked float64 points, differentiable in ``x``."""

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Compute ``score`` at checked points, by autograd unless overridden."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_density(x, sigma).sum(), x)
        return slope

    def outline(self) -> tuple[Tensor, Tensor]:
        """Find the ends of each coordinate, without far tails: two tensors of shape (d,)."""
        return outline_of(probe(self))

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

    def _points(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise UsageError(f"points must be a tensor of floats, not {kind}")
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise UsageError(f"points must have shape (n, {self.dim}), not {tuple(x.shape)}")
        # Sums over strided memory run in another order; the layout must not change any bit.
        return x.double().contiguous()


@lru_cache(maxsize=1024)
def _information(dataset: Dataset, sigma: float) -> tuple[float, float]:
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
