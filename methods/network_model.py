"""Networks as models, some of them conditional on the noise level."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from .derivatives.closed_form import ClosedForm
from .derivatives.double_backward import DoubleBackward
from .model import Model, Slices
from .module_network import ModuleNetwork
from .networks import MLP, Prediction
from .quadratic import QuadraticLoss

Network = MLP | ModuleNetwork

# Standard deviation of data for which inputs and outputs of conditional networks are of order one;
# any number of that order works.
DATA_SCALE = 2.0


class Preconditioning(NamedTuple):
    """Scales of a conditional network N at noise levels σ, with δ the scale of the data.

        s(x, σ) = (δ/σq) N(x/√(σ² + δ²), (log σ)/4) - x/v

    In the words of Karras et al. 2022 (equation 7): the mean of the clean point is c_skip x +
    c_out N(c_in x, c_noise) with c_in = 1/√(σ² + δ²), c_out = σδ/q and 1 - c_skip = σ²/v.

    =========  =============  ==========  ==========================================================
    predicts   q              v           N, up to its sign and the unit δ
    =========  =============  ==========  ==========================================================
    velocity   √(σ² + δ²)     σ² + δ²     v of Salimans and Ho 2022; the choice of Karras et al.
    noise      δ              ∞           ε (Ho et al. 2020)
    data       σ              σ²          the clean point
    flow       σ + δ          σ(σ + δ)    dx_t/dt on x_t = (1 - t) x/δ + t ε (Lipman et al. 2023)
    =========  =============  ==========  ==========================================================

    Attributes:
        spread: √(σ² + δ²).
        reach: q; an error of the score is σq/δ times as large in N.
        own: √v, the standard deviation of the Gaussian whose score it is where N = 0.
    """

    spread: Tensor
    reach: Tensor
    own: Tensor

    @classmethod
    def of(cls, predicts: Prediction, noise: Tensor) -> "Preconditioning":
        """Compute the scales at levels of any shape."""
        spread = (noise.square() + DATA_SCALE**2).sqrt()
        if predicts == "velocity":
            return cls(spread, spread, spread)
        if predicts == "noise":
            nothing = torch.full_like(noise, torch.inf)
            return cls(spread, torch.full_like(noise, DATA_SCALE), nothing)
        reach = noise if predicts == "data" else noise + DATA_SCALE
        return cls(spread, reach, (noise * reach).sqrt())


class NetworkModel(Model):
    """K networks of one architecture, differentiable once with respect to ``theta``.

    Perceptrons are differentiated in closed form, all others by autograd; ``theta`` are the flat
    parameters, shape (K, network.size). A conditional network N has the noise level as one more
    input, (log σ)/4, and gives

        E(x, σ) = |x|²/2(σ² + 4) + (2/σ) N(x/√(σ² + 4), log σ),

    or the score of that form (Karras et al. 2022, section 5, for data of standard deviation 2):
    at high noise the score is then right without training, and the network's part is of order one
    at every level. ``Preconditioning`` has this and the other forms that a network can ``predict``.
    One that is none of them, N(x)/σ without the input (Song and Ermon 2020), requires that x
    reveals its noise level, which points of the plane do not.
    """

    def __init__(self, network: Network, theta: Tensor, level: float = 0.0) -> None:
        self.network = network
        self.theta = theta
        self.level = level
        self.dim = network.dim
        self.members = theta.shape[0]
        self.device = theta.device
        self._inside: ClosedForm | DoubleBackward = (
            ClosedForm(network, theta)
            if isinstance(network, MLP)
            else DoubleBackward(network, theta)
        )

    @property
    def has_energy(self) -> bool:
        """Whether the network is an energy."""
        return self.network.kind == "energy"

    def noise(self, sigma: float) -> float:
        """Return the level itself if the network is conditional."""
        return max(sigma, self.level) if self.network.conditional else self.level

    def score(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Compute the score at x, shape (K, B, d).

        In training ``sigma`` may be one per point, (K, B, 1). Unconditional networks ignore it.
        """
        if not self.network.conditional:
            return self._score(x)
        noise = self._levels(x, sigma)
        spread, reach, own = Preconditioning.of(self.network.predicts, noise)
        raw = self._score(conditioned(x, noise, spread))[..., : self.dim]
        return raw * (DATA_SCALE / (noise * reach)) - x / own.square()

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:
        """Compute the energy E, shape (K, B), with -∇E the score; None for score networks."""
        if not self.has_energy:
            return None
        if not self.network.conditional:
            return self.energies(x)
        noise = self._levels(x, sigma)
        scaling = Preconditioning.of(self.network.predicts, noise)
        raw = self.energies(conditioned(x, noise, scaling.spread))
        return conditional_energy(x, noise, scaling, raw)

    def energies(self, x: Tensor) -> Tensor:
        """Compute ``energy`` of a network that has one, shape (K, B)."""
        if not self.has_energy:
            raise ValueError(
                "a score network has no energy: let `unfit` return a reason unless setting.energy"
            )
        return self._jet(x, None, "energy")[0]

    def energy_and_score(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Compute energy (K, B) and score (K, B, d), in one pass where the network allows it."""
        if not self.has_energy or self.network.conditional:
            return super().energy_and_score(x)
        energy, score, _, _ = self._jet(x, None, "energy", "score")
        return energy, score

    def along(self, x: Tensor, v: Tensor) -> Slices:
        """Compute v·s and v·∇s·v for directions v of shape (K, M, B, d)."""
        _, _, first, second = self._jet(x, v, "slices")
        return Slices(first, second)

    def score_and_curvature(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the score (K, B, d), and v·∇s·v (K, M, B) for directions v (K, M, B, d)."""
        _, score, _, second = self._jet(x, v, "slices", "score")
        return score, second

    def inner(self, loss: QuadraticLoss) -> QuadraticLoss:
        """Express a loss in the network's own output, or minus its gradient if it is an energy."""
        base, x = self.network.base, loss.points
        if self.network.conditional:
            noise = self._levels(x, 0.0 if loss.sigma is None else loss.sigma)
            spread, reach, own = Preconditioning.of(self.network.predicts, noise)
            factor, points = DATA_SCALE / (noise * reach), conditioned(x, noise, spread)
            return loss.through(factor, -x / own.square(), points)
        if base is None:
            return loss
        inner = loss.through(1.0, base.energy_and_score(x)[1], x)
        if loss.directions is None:
            return inner
        # v·∇s·v of the base.
        bend = loss.directions.square().sum(-1, keepdim=True).mean(1) / -(base.spread**2)
        return replace(inner, constant=inner.constant + loss.bend * bend)

    def _levels(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        if isinstance(sigma, Tensor):
            return sigma
        return x.new_full((*x.shape[:-1], 1), self.noise(sigma))

    def _score(self, x: Tensor) -> Tensor:
        if self._training():
            return self._jet(x, None, "score")[1]
        score, passes = self._inside.score(x)
        self.evaluations += x.shape[-2] * passes
        base = self.network.base
        return score if base is None else score + base.energy_and_score(x)[1]

    def _jet(self, x: Tensor, v: Tensor | None, *wanted: str) -> tuple[Tensor, ...]:
        jet, passes = self._inside.jet(x, v, wanted, training=self._training())
        self.evaluations += x.shape[-2] * passes
        return self._on_base(x, v, jet)

    def _on_base(self, x: Tensor, v: Tensor | None, jet: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Add energy, score and slices of the base to the network's; gradients stay the same."""
        base = self.network.base
        if base is None:
            return jet
        energy, score = base.energy_and_score(x)
        added = [energy, score]
        if v is not None:
            added += [(v * score.unsqueeze(1)).sum(-1), v.square().sum(-1) / -(base.spread**2)]
        # What was not wanted is empty, and stays so.
        return tuple(
            value + more if value.shape == more.shape else value
            for value, more in zip(jet, [*added, *jet[len(added) :]], strict=True)
        )

    def _training(self) -> bool:
        return self.theta.requires_grad and torch.is_grad_enabled()


def conditioned(x: Tensor, noise: Tensor, spread: Tensor) -> Tensor:
    """Compute the inputs of a conditional network: (…, d + 1)."""
    return torch.cat([x / spread, noise.log() / 4], -1)


def conditional_energy(x: Tensor, noise: Tensor, scaling: Preconditioning, raw: Tensor) -> Tensor:
    """Compute the energy at x (…, d) from that of a conditional network, ``raw`` (…)."""
    square = (x / scaling.own).square().sum(-1)
    factor = DATA_SCALE * (scaling.spread / scaling.reach) / noise
    return 0.5 * square + raw * factor.squeeze(-1)
