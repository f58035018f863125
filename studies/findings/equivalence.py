"""Objectives that are one and the same, exactly or in a limit."""

import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field

from ...bench.adam import Adam
from ...bench.streams import generator
from ...datasets import get_dataset
from ...methods.network_model import NetworkModel
from ...methods.networks import MLP
from ...methods.objectives.base import ScoreMatching
from ...methods.objectives.deen import DEEN
from ...methods.objectives.dsm import DSM
from ...methods.objectives.fd_ssm import FDSSM
from ...methods.objectives.ssm import SSM
from ...methods.objectives.ssm_vr import SSMVR
from ...methods.random import MemberRandom
from . import findings
from .base import Claim, Finding, Measured, Parts, Row, exponent, pick, row
from .tools import Fixed, full, scores

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_EPS, _CLIP = 1e-8, 100.0
_DATASET = "8gaussians"
# Where paths have parted: the distance between their ends over the distance they went.
_PARTED = 0.1


def _at(table: "pd.DataFrame", quantity: str, sigma: float, **axes: Any) -> "pd.Series[Any]":
    return pick(table, "training", quantity, sigma=sigma, **axes)["value"]


def _largest(table: "pd.DataFrame", experiment: str, quantity: str) -> Measured:
    return Measured(float(pick(table, experiment, quantity)["value"].max()))


def _distance(table: "pd.DataFrame", *, wide: bool) -> Measured:
    """How far the paths are apart at the widest or narrowest noise, mean over networks."""
    found = pick(table, "training", "path distance").groupby("sigma")["value"].mean()
    return Measured(float(found.iloc[-1 if wide else 0]))


def _seed_spreads(table: "pd.DataFrame", sigma: float) -> Measured:
    """Difference of the two objectives' excess losses in standard deviations over seeds."""
    a, b = (_at(table, "excess loss", sigma, method=name) for name in ("dsm", "deen"))
    return Measured(float(abs(a.mean() - b.mean()) / a.std()))


def _ratios(table: "pd.DataFrame") -> "pd.Series[float]":
    """DEEN's excess loss over DSM's by noise level."""
    found = pick(table, "training", "excess loss")
    mean = found.groupby(["method", "sigma"])["value"].mean()
    ratio: pd.Series[float] = mean["deen"] / mean["dsm"]
    return ratio


def _worse(table: "pd.DataFrame") -> Measured:
    return Measured(float(_ratios(table).max()))


def _order(table: "pd.DataFrame", experiment: str, axis: str, most: float = math.inf) -> Measured:
    found = pick(table, experiment, "rms error", precision="double")
    found = found[found[axis] <= most]
    return exponent(found[axis], found["value"], found["error"])


def _wall(table: "pd.DataFrame") -> Measured:
    """Error of single precision at the smallest radius over its least error."""
    found = pick(table, "fd_ssm", "rms error", precision="single").sort_values("radius")["value"]
    return Measured(float(found.iloc[0] / found.min()))


def parting(table: "pd.DataFrame") -> float:
    """Noise level where the paths of DSM and DEEN are a tenth of their length apart.

    Interpolated on logarithmic scales; NaN if they are not on both sides of it.
    """
    found = pick(table, "training", "path distance").groupby("sigma")["value"].mean()
    near = found[found > _PARTED].index
    if near.empty or len(near) == len(found):
        return math.nan
    low = near.max()
    high = found.index[found.index > low].min()
    share = math.log(found[low] / _PARTED) / math.log(found[low] / found[high])
    return float(low * (high / low) ** share)


@findings.register("equivalence")
class Equivalence(Finding):
    """DEEN is DSM: one path, until its small gradients meet Adam's ε; and limits of others.

    DEEN's loss is σ⁴ times DSM's. Adam divides scale out of the gradient, except for its ε and the
    limit at which gradients are clipped; with both scaled by σ⁴ the paths are equal to rounding.
    With equal ones DEEN behaves as DSM with ε/σ⁴: the paths part as σ falls. Then two limits: DSM
    with the control variate |ε|²/2σ² + ε·s(x)/σ becomes SSM-VR as σ → 0 (Wang et al. 2020), its
    mean over ±ε does so faster, and finite differences become SSM as their radius r → 0 (Pang et
    al. 2020), until differences of energies in single precision are rounding noise.

    Attributes:
        sigmas: Noise levels.
        steps: Training steps.
        seeds: Networks at each level.
        width: Units of each of their two hidden layers.
        exact_steps: Steps in double precision with everything scaled.
        radii: Lengths r of finite differences.
        small: Noise levels of the limit of DSM.
    """

    sigmas: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
    steps: int = Field(1500, ge=10)
    seeds: int = Field(3, ge=2)
    width: int = Field(128, ge=8)
    exact_steps: int = Field(200, ge=10)
    radii: tuple[float, ...] = (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
    small: tuple[float, ...] = (1e-3, 3e-3, 0.01, 0.03, 0.1)

    def parts(self) -> Parts:
        """Training by noise level, and the limits."""
        training = {f"sigma {s:g}": partial(self._train, s) for s in self.sigmas}
        limits = {"control variate": self._control_variate, "finite differences": self._differences}
        return training | limits

    def _train(self, sigma: float) -> list[Row]:
        dsm, deen = DSM(), DEEN()
        scale = sigma**4
        start, one, _ = self._path(dsm, sigma, _EPS, _CLIP, torch.float32, self.steps)
        _, other, _ = self._path(deen, sigma, _EPS, _CLIP, torch.float32, self.steps)
        rows = []
        apart = (other - one).norm(dim=1) / (one - start).norm(dim=1)
        for k, distance in enumerate(apart):
            rows.append(row("training", "path distance", float(distance), sigma=sigma, seed=k,
                            method="both"))  # fmt: skip
        dataset = get_dataset(_DATASET)
        x = dataset.sample(2, generator(self.seed))
        for name, theta in (("dsm", one), ("deen", other)):
            for k in range(self.seeds):
                model = NetworkModel(self._mlp, theta[k : k + 1], sigma)
                found = scores(["fisher_target"], dataset, self.seed, x, model, sigma)
                rows.append(row("training", "excess loss", found["fisher_target"], sigma=sigma,
                                seed=k, method=name))  # fmt: skip
        double, steps = torch.float64, self.exact_steps
        start, one, first = self._path(dsm, sigma, _EPS, _CLIP, double, steps)
        _, other, second = self._path(deen, sigma, _EPS * scale, _CLIP * scale, double, steps)
        apart = (other - one).norm(dim=1) / (one - start).norm(dim=1)
        rows += [
            row("scaled", "path distance", float(apart.max()), expected=0.0, sigma=sigma),
            row("scaled", "loss ratio", float((second / first / scale - 1).abs().max()),
                expected=0.0, sigma=sigma),
        ]  # fmt: skip
        return rows

    @property
    def _mlp(self) -> MLP:
        return MLP(2, width=self.width)

    def _path(
        self, objective: ScoreMatching, sigma: float, eps: float, clip: float, dtype: torch.dtype,
        steps: int,
    ) -> "tuple[Tensor, Tensor, Tensor]":  # fmt: skip
        """First and last parameters (K, size), and the first losses (K,)."""

        def stream(name: str) -> MemberRandom:
            found = [generator(self.seed, k, name) for k in range(self.seeds)]
            return MemberRandom(found, dtype=dtype)

        dataset = get_dataset(_DATASET)
        start = self._mlp.init([generator(self.seed, k, "init") for k in range(self.seeds)], dtype)
        theta = start.clone().requires_grad_()
        model = NetworkModel(self._mlp, theta)
        rate = torch.full((self.seeds, 1), 1e-3, dtype=dtype)
        adam = Adam(rate, torch.zeros_like(start), torch.zeros_like(start), eps=eps)
        points, noise = stream("points"), stream("noise")
        data = dataset.sample(50_000, generator(self.seed, "data")).to(dtype)
        losses: list[Tensor] = []
        for _ in range(steps):
            x = data[points.integers(len(data), 100)]
            loss = objective.loss(model, x, noise, sigma=full(self.seeds, sigma, dtype))
            (gradient,) = torch.autograd.grad(loss.sum(), theta)
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            adam.step(theta.data, gradient * (clip / norm).clamp(max=1.0))
            losses = losses or [loss.detach()]
        return start, theta.detach(), losses[0]

    def _problem(self, members: int = 20) -> "tuple[NetworkModel, Tensor, Tensor]":
        """A network as it is initialised, points, and as many normal vectors."""
        mlp = MLP(2, width=64)
        theta = mlp.init([generator(self.seed, "network")], torch.float64)
        points = get_dataset(_DATASET).sample(200 * members, generator(self.seed, "x"))
        x = points.view(members, 200, 2)
        noise = torch.randn(x.shape, generator=generator(self.seed, "e"), dtype=torch.float64)
        return NetworkModel(mlp, theta.expand(members, -1).contiguous()), x, noise

    def _control_variate(self) -> list[Row]:
        model, x, noise = self._problem()
        sliced = SSMVR().loss(model, x, Fixed(noise), n_slices=1, slice_kind="gaussian")
        along = (noise * model.score(x)).sum(-1)
        rows = []
        for sigma in self.small:
            constant = noise.square().sum(-1) / (2 * sigma**2)
            level = full(len(x), sigma, torch.float64)
            ahead, behind = (
                DSM().loss(model, x, Fixed(way), sigma=level) for way in (noise, -noise)
            )
            controlled = ahead - (constant + along / sigma).mean(-1)
            antithetic = (ahead + behind) / 2 - constant.mean(-1)
            for name, loss in (("control variate", controlled), ("antithetic", antithetic)):
                rms = float((loss - sliced).square().mean().sqrt())
                rows.append(row(name, "rms error", rms, precision="double", sigma=sigma))
        return rows

    def _differences(self) -> list[Row]:
        model, x, noise = self._problem()
        v = noise * (math.sqrt(2) / noise.norm(dim=-1, keepdim=True))
        exact = SSM().loss(model, x, Fixed(v), n_slices=1, slice_kind="sphere")
        single = NetworkModel(model.network, model.theta.float())
        rows = []
        for radius in self.radii:
            for name, network, dtype in (
                ("double", model, torch.float64), ("single", single, torch.float32),
            ):  # fmt: skip
                r = torch.tensor(radius, dtype=dtype)
                loss = FDSSM().loss(network, x.to(dtype), Fixed(v.to(dtype)), radius=r)
                rms = float((loss.double() - exact).square().mean().sqrt())
                rows.append(row("fd_ssm", "rms error", rms, precision=name, radius=radius))
        return rows

    def verdict(self, table: "pd.DataFrame") -> str:
        """Where the paths part."""
        scaled = _largest(table, "scaled", "path distance").value
        place = parting(table)
        where = f"near σ = {place:.2g}" if place == place else "outside of the levels tried"
        ratios = _ratios(table)
        return (
            f"DEEN is DSM: with Adam's ε and the clip scaled by σ⁴ the paths agree to {scaled:.0e} "
            f"of their length. With equal ones they part {where}, and at σ = {ratios.idxmax():g} "
            f"DEEN's excess loss is {ratios.max():.2f} times DSM's."
        )

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A4", "DEEN's loss over σ⁴ times DSM's, minus 1: largest of all σ", "definitions",
            partial(_largest, experiment="scaled", quantity="loss ratio"), most=1e-6,
        ),
        Claim(
            "A4", "DEEN and DSM with Adam's ε and clip scaled: largest distance of paths over "
            "their length", "Adam divides scale out",
            partial(_largest, experiment="scaled", quantity="path distance"), most=1e-8,
        ),
        Claim(
            "A4", "equal ε, σ = 0.1: difference of excess losses in standard deviations over seeds",
            "ε/σ⁴ = 10⁻⁴", partial(_seed_spreads, sigma=0.1), most=2.0,
        ),
        Claim(
            "A4", "equal ε, widest noise: distance of paths over their length", "ε/σ⁴",
            partial(_distance, wide=True), most=0.1,
        ),
        Claim(
            "A4", "equal ε, narrowest noise: distance of paths over their length", "ε/σ⁴",
            partial(_distance, wide=False), least=0.5,
        ),
        Claim(
            "A4", "equal ε: DEEN's excess loss over DSM's, largest over σ", "ε/σ⁴", _worse,
            least=1.1,
        ),
        Claim(
            "A7", "DSM with control variate to SSM-VR: order of the error in σ",
            "Wang et al. 2020", partial(_order, experiment="control variate", axis="sigma"),
            expected=1.0, slack=0.1,
        ),
        Claim(
            "A7", "the same with antithetic noise: order", "odd orders cancel",
            partial(_order, experiment="antithetic", axis="sigma"), expected=2.0, slack=0.1,
        ),
        Claim(
            "A8", "FD-SSM to SSM: order of the error in r up to 0.1", "Pang et al. 2020",
            partial(_order, experiment="fd_ssm", axis="radius", most=0.1), expected=2.0, slack=0.1,
        ),
        Claim(
            "A8", "FD-SSM in single precision: error at the smallest r over the least error",
            "rounding over r²", _wall, least=20.0,
        ),
    )  # fmt: skip
