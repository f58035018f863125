"""What every toy distribution offers: iid samples, exact densities at every noise level, modes."""

import math
import operator
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from .cache import cached
from .errors import UsageError
from .quadrature import grid, midpoints, monte_carlo


class Dataset(ABC):
    """A distribution p on R^d whose truth is known exactly.

    People call ``sample``, ``log_prob`` and ``score``, which check what they are given; a plug-in
    writes ``draw`` and ``log_density`` (and ``gradient`` where autograd is too slow or fails),
    which may trust their arguments.

    Everything is computed and returned in float64 on the CPU; points given in another floating
    precision are converted first. ``sigma`` is the standard deviation of added Gaussian noise:
    every density and score is that of p_sigma = p * N(0, sigma² I); ``sigma = 0`` is the data
    itself. Rows are independent: what is returned for a point does not depend, in any bit, on the
    points beside it, and a row with NaN spoils no other.

    Attributes:
        dim: Dimension d of the space.
        extent: Half the side of the box, centred at the origin, that pictures show and that
            Langevin chains start in; holds nearly all of the mass.
        noise: Standard deviation of the Gaussian noise that the data has already, the length
            below which p is smooth; 0 for a density with edges.
        score_from: Smallest sigma from which on the score exists (0 for smooth densities).
        reference_sigma: Noise level whose exact score stands for the truth where a sampler needs
            one: 0, or the smallest that Langevin steps of ordinary size can follow.
    """

    dim: int = 2
    extent: float = 4.0
    noise: float = 0.0
    score_from: ClassVar[float] = 0.0
    reference_sigma: ClassVar[float] = 0.0

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` >= 0 independent points, shape (n, d), from ``generator`` alone.

        Raises:
            UsageError: ``n`` is negative or no integer, or there is no generator.
        """
        try:
            count = operator.index(n)
        except TypeError:
            raise UsageError(f"cannot sample {n!r} points: n has to be an integer >= 0") from None
        if count < 0:
            raise UsageError(f"cannot sample {count} points: n has to be >= 0")
        if not isinstance(generator, torch.Generator):
            raise UsageError(
                f"sampling draws from a torch.Generator of your own, not from {generator!r}"
            )
        return self.draw(count, generator)

    def log_prob(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Log density of p_sigma at ``x`` of shape (n, d): shape (n,), in nats.

        Raises:
            UsageError: ``x`` is not an (n, d) tensor of floats, or ``sigma`` is negative.
        """
        return self.log_density(self._points(x), _level(sigma))

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Gradient of ``log_prob(x, sigma)`` with respect to ``x``: shape (n, d).

        Raises:
            UsageError: As for ``log_prob``, and where p_sigma has no score at this ``sigma``.
        """
        level = self._smooth_level(sigma)
        return self.gradient(self._points(x), level)

    def entropy(self, sigma: float = 0.0) -> float:
        """-E log p_sigma(x) over x ~ p_sigma, in nats: the least loss of any density model.

        Right to 1e-6 in the plane, by quadrature. In other dimensions it is a seeded Monte Carlo
        mean with a standard error of at most 1e-3 (1 + |value|), unless the dataset knows better.

        Raises:
            UsageError: ``sigma`` is negative or no number.
        """
        return _information(self, _level(sigma))[0]

    def fisher_information(self, sigma: float = 0.0) -> float:
        """E|score(x, sigma)|² over x ~ p_sigma, as right as ``entropy``, relative to its size.

        Minus half of it is the least loss of implicit score matching (Hyvärinen 2005), and
        (d/sigma² - I)/2 that of denoising score matching (Vincent 2011).

        Raises:
            UsageError: As for ``score``.
        """
        return _information(self, self._smooth_level(sigma))[1]

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Do what ``sample`` promises, for an ``n`` >= 0 that was checked."""

    @abstractmethod
    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Do what ``log_prob`` promises, for checked float64 points; differentiable in ``x``."""

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Do what ``score`` promises, for checked points; by autograd unless overridden."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_density(x, sigma).sum(), x)
        return slope

    def information(self, sigma: float) -> tuple[float, float]:
        """Entropy and Fisher information for a checked ``sigma``; asked for once, then kept.

        Where there is no score the second number is of no account.
        """
        if self.dim != 2:
            return monte_carlo(self, sigma)
        whole = grid(self, sigma)
        return whole.entropy, whole.fisher if sigma >= self.score_from else math.nan

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """A rule for integrals of p_sigma, d = 2, times something smooth: for ``quadrature.grid``.

        Args:
            sigma: Noise level.
            step: How fine, in standard deviations of the blur.

        Returns:
            Points (m, 2) and the area that each stands for (m,).
        """
        axis, width = midpoints(self.extent, math.hypot(self.noise, sigma), step)
        points = torch.cartesian_prod(axis, axis)
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
                f"{type(self).__name__} has no score at sigma = {level:g} (its density jumps); "
                f"it has one from sigma = {self.score_from:g} on"
            )
        return level

    def _points(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise UsageError(f"points have to be a tensor of floats, not {kind}")
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise UsageError(f"points have shape (n, {self.dim}) here, not {tuple(x.shape)}")
        # Sums over strided memory run in another order: the layout must not change a bit.
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
        raise UsageError(f"sigma = {sigma!r} is no noise level: it has to be a number >= 0")
    return level
