"""Noise, data, velocity and flow: one regression at all noise levels."""

from typing import get_args

import torch
from torch import Tensor, erf, special

from .. import methods
from ..network_model import DATA_SCALE, Preconditioning
from .base import (
    BaseTrial,
    ClassVar,
    MemberRandom,
    Options,
    Prediction,
    QuadraticLoss,
    QuadraticObjective,
    Suggested,
)

_PREDICTIONS = list(get_args(Prediction))


@methods.register("diffusion")
class Diffusion(QuadraticObjective):
    """One regression at all noise levels: of the noise, the clean point, the velocity, or a flow.

    ½ E (σq/δ)² |s(x + σε, σ) + ε/σ|² (Karras et al. 2022, equation 8), each point with its own σ.
    It is the squared error of a network that predicts ``weight``, whatever this one ``predicts``:
    q = δ is `ncsn`, q = σ is `deen` over δ² at every level, q = σ + δ is flow matching, with δ the
    scale of the data (``network_model.Preconditioning``). log σ is normal with mean ``log_level``
    and standard deviation ``log_spread``, cut off at the bounds; a ``log_spread`` of 100 is
    uniform; log δ and 1.7 are, up to .01, a time t = σ/(σ + δ) uniform between 0 and 1.

    Of every ``share`` points of a batch one is noised. If there are others, the mean of the clean
    point given the noisy one, over the batch, replaces the clean point (Xu et al. 2023, "Stable
    target field for reduced variance score estimation in diffusion models"). Its expectation is the
    same at any size of the batch: choosing a point of the batch by those weights is a step of
    iterated importance sampling, which keeps the distribution of the clean point.
    """

    conditional: ClassVar[bool] = True

    def space(self, trial: BaseTrial) -> Suggested:
        return {
            "sigma_min": trial.suggest_float("sigma_min", 0.01, 0.1, log=True),
            "sigma_max": trial.suggest_float("sigma_max", 10.0, 10.0),
            "predicts": trial.suggest_categorical("predicts", _PREDICTIONS),
            "weight": trial.suggest_categorical("weight", _PREDICTIONS),
            "log_level": trial.suggest_float("log_level", 0.0, 0.0),
            "log_spread": trial.suggest_float("log_spread", 1.5, 1.5),
            "share": trial.suggest_int("share", 1, 1),
        }

    def target(self, options: Options) -> float:
        return float(options["sigma_min"])

    def predicts(self, options: Options) -> Prediction:
        predicts: Prediction = options["predicts"]
        return predicts

    def terms(
        self,
        x: Tensor,
        rng: MemberRandom,
        *,
        sigma_min: Tensor,
        sigma_max: Tensor,
        weight: Prediction,
        log_level: Tensor,
        log_spread: Tensor,
        share: int,
        predicts: Prediction,  # it is a property of the network
    ) -> QuadraticLoss:
        count = -(-x.shape[1] // share)
        noise = rng.normal(count, x.shape[2])
        ends = [x.new_zeros(len(x), 1, 1) + bound for bound in (sigma_min, sigma_max)]
        low, high = (
            0.5 + 0.5 * erf((bound.log() - log_level) / (log_spread * 2**0.5)) for bound in ends
        )
        rank = low + (high - low) * rng.uniform(count, 1)
        sigma: Tensor = (log_level + log_spread * special.ndtri(rank)).exp()
        # Far out in the tail, ranks round to 0 or 1.
        sigma = sigma.clamp(*ends)
        noisy = x[:, :count] + sigma * noise
        if share > 1:
            noise = (noisy - clean_means(x, noisy, sigma)) / sigma
        factor = (Preconditioning.of(weight, sigma).reach / DATA_SCALE).square()
        constant = 0.5 * factor * noise.square().sum(-1, keepdim=True)
        square = factor * sigma.square()
        return QuadraticLoss(noisy, square, factor * sigma * noise, constant, sigma=sigma)


@torch.no_grad()
def clean_means(x: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
    """Compute the mean of clean points given noisy ones if the points x are all that there are.

    Args:
        x: Points, shape (K, m, d).
        noisy: Some of them with noise, shape (K, n, d).
        sigma: Standard deviation of the noise, (K, n, 1).

    Returns:
        Shape (K, n, d).
    """
    if x.device.type != "cpu":
        distance = torch.cdist(noisy, x, compute_mode="donot_use_mm_for_euclid_dist")
        weights: Tensor = torch.softmax(-distance.square() / (2 * sigma.square()), -1)
        return weights @ x
    from ..derivatives.mean_kernels import clean_means as compiled

    means = torch.empty_like(noisy)
    rows = torch.cat([x, torch.ones_like(x[..., :1])], -1).transpose(1, 2).contiguous()
    rate = (0.5 / sigma.square()).squeeze(-1)
    for k in range(len(x)):
        compiled(*(tensor[k].numpy() for tensor in (rows, noisy, rate, means)))
    return means
