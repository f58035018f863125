"""Objectives that are equal, exactly or in a limit."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

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
from ...methods.random import MemberRandom
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Axes, Panel, Series, Table, Theme, grouped
from .measures import exponent, pick
from .tools import Fixed, full, scores

_EPS, _CLIP = 1e-8, 100.0
_DATASET = "8gaussians"
# Distance of the ends of two paths, over the length of a path, from which the paths have parted.
_PARTED = 0.1


class _Misscaled(DEEN):
    """A wrong DEEN: the residual has σ·s where σ²·s belongs."""

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> Tensor:
        noise = sigma * rng.normal_like(x)
        return 0.5 * (noise + sigma * model.score(x + noise)).square().sum(-1).mean(-1)


class _Rescaled(DEEN):
    """A wrong DEEN: divided by σ⁴, which is DSM."""

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> Tensor:
        return super().loss(model, x, rng, sigma=sigma) / sigma.flatten() ** 4


class _OneSided(FDSSM):
    """A wrong FD-SSM of energies: the slope is a one-sided difference."""

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, **options: Any) -> Tensor:
        dim, radius = x.shape[-1], options["radius"]
        step = radius * rng.slices("sphere", 1, x)[:, 0] / dim**0.5
        above, middle, below = (model.energies(x + k * step) for k in (1, 0, -1))
        bend = 2 * middle - above - below + (above - middle).square() / 2
        value: Tensor = (bend * (dim / radius**2)).mean(-1)
        return value


def _largest(table: Table, experiment: str, quantity: str) -> Measured:
    return Measured(float(pick(table, experiment, quantity)["value"].max()))


def _by_noise(table: Table, quantity: str, **axes: object) -> Series:
    """Means over networks by noise level."""
    return pick(table, "training", quantity, **axes).groupby("sigma")["value"].mean()


def _distance(table: Table, *, wide: bool) -> Measured:
    """Distance of the paths at the largest or smallest noise level."""
    return Measured(float(_by_noise(table, "path distance").iloc[-1 if wide else 0]))


def _seed_spreads(table: Table, sigma: float) -> Measured:
    """Difference of the two objectives' excess losses in standard deviations over seeds."""
    dsm, deen = (
        pick(table, "training", "excess loss", sigma=sigma, method=name)["value"]
        for name in ("dsm", "deen")
    )
    return Measured(float(abs(dsm.mean() - deen.mean()) / dsm.std()))


def _ratios(table: Table) -> Series:
    """DEEN's excess loss over DSM's by noise level."""
    dsm, deen = (_by_noise(table, "excess loss", method=name) for name in ("dsm", "deen"))
    return deen / dsm


_order = partial(exponent, quantity="rms error", precision="double")


def _rounding(table: Table) -> Measured:
    """Error of single precision at the smallest radius over its least error."""
    rows = pick(table, "fd_ssm", "rms error", precision="single").sort_values("radius")
    return Measured(float(rows["value"].iloc[0] / rows["value"].min()))


def _parting(table: Table) -> float:
    """Noise level where the paths are a tenth of their length apart.

    Interpolated on logarithmic scales; NaN if the noise levels are not on both sides of it.
    """
    distance = _by_noise(table, "path distance")
    far = distance[distance > _PARTED].index
    if far.empty or len(far) == len(distance):
        return math.nan
    low = far.max()
    high = distance.index[distance.index > low].min()
    share = math.log(distance[low] / _PARTED) / math.log(distance[low] / distance[high])
    return float(low * (high / low) ** share)


def _draw_paths(axis: Axes, table: Table, theme: Theme) -> None:
    equal = pick(table, "training", "path distance")
    scaled = pick(table, "scaled", "path distance")
    scaled = scaled.assign(value=scaled["value"].clip(lower=1e-17))
    for rows, marker, colour, label in (
        (equal, "o", theme.palette[1], "equal ε and clip"),
        (scaled, "s", theme.palette[0], "scaled by σ⁴, double precision"),
    ):
        axis.plot(rows["sigma"], rows["value"], marker, color=colour, markersize=4, label=label)
    sigma = _parting(table)
    if not math.isnan(sigma):
        axis.axvline(sigma, color=theme.faint, linestyle=":", linewidth=1.1)
        note, place = f"they part at σ ≈ {sigma:.2g}", (sigma, 1e-9)
        axis.annotate(note, place, xytext=(4, 0), textcoords="offset points", fontsize="small")


@findings.register("equivalence")
class Equivalence(Finding):
    """DEEN equals DSM until its gradients are small beside Adam's ε; limits of other objectives.

    DEEN's loss is σ⁴ times DSM's. Adam's step does not depend on the scale of the gradient, except
    through its ε and the clipping norm; with both scaled by σ⁴ the paths are equal to rounding.
    Unscaled, DEEN behaves as DSM with ε/σ⁴: the paths part as σ falls. Finite differences become
    SSM as their radius r → 0 (Pang et al. 2020), until rounding dominates in single precision.

    Attributes:
        sigmas: Noise levels of training.
        steps: Training steps.
        seeds: Networks at each noise level.
        width: Units of each of the two hidden layers.
        exact_steps: Training steps in double precision with ε and clip scaled.
        radii: Radii r of finite differences.
    """

    sigmas: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
    steps: int = Field(1500, ge=10)
    seeds: int = Field(3, ge=2)
    width: int = Field(128, ge=8)
    exact_steps: int = Field(200, ge=10)
    radii: tuple[float, ...] = (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)

    def parts(self) -> Parts:
        training = {f"sigma {s:g}": partial(self._train, s) for s in self.sigmas}
        return training | {"finite differences": self._differences}

    def _train(self, sigma: float) -> list[TableRow]:
        others: dict[str, ScoreMatching] = {"": DEEN(), "divided by σ⁴": _Rescaled()}
        if sigma in (0.1, max(self.sigmas)):
            others["σ for σ²"] = _Misscaled()
        start, end, _ = self._path(DSM(), sigma, _EPS, _CLIP, torch.float32, self.steps)
        rows = self._losses("dsm", end, sigma)
        rows += as_wrong("divided by σ⁴", rows[:1])
        for wrong, deen in others.items():
            # One network shows what is wrong.
            seeds = 1 if wrong else self.seeds
            _, other, _ = self._path(deen, sigma, _EPS, _CLIP, torch.float32, self.steps, seeds)
            path = self._distances(start, end, other)
            rows += [
                row("training", "path distance", float(distance), sigma=sigma, seed=k,
                    method="both", wrong=wrong)
                for k, distance in enumerate(path)
            ]  # fmt: skip
            rows += as_wrong(wrong, self._losses("deen", other, sigma))
        return rows + self._scaled(sigma)

    def _losses(self, method: str, theta: Tensor, sigma: float) -> list[TableRow]:
        dataset = get_dataset(_DATASET)
        x = dataset.sample(2, generator(self.seed))
        models = (NetworkModel(self._mlp, each, sigma) for each in theta.split(1))
        losses = [scores(["fisher_target"], dataset, self.seed, x, m, sigma) for m in models]
        return [
            row("training", "excess loss", loss["fisher_target"], sigma=sigma, seed=k,
                method=method)
            for k, loss in enumerate(losses)
        ]  # fmt: skip

    def _scaled(self, sigma: float) -> list[TableRow]:
        """Compare the paths in double precision, with ε and clip scaled by σ⁴."""
        scale, double, steps = sigma**4, torch.float64, self.exact_steps
        start, end, dsm_loss = self._path(DSM(), sigma, _EPS, _CLIP, double, steps)
        rows = []
        for wrong, deen in (("", DEEN()), ("σ for σ²", _Misscaled())):
            seeds = 1 if wrong else self.seeds
            _, other, loss = self._path(
                deen, sigma, _EPS * scale, _CLIP * scale, double, steps, seeds
            )
            ratio = (loss / dsm_loss[:seeds] / scale - 1).abs()
            path = self._distances(start, end, other)
            for quantity, values in (("path distance", path), ("loss ratio", ratio)):
                value = float(values.max())
                rows.append(row("scaled", quantity, value, expected=0, sigma=sigma, wrong=wrong))
        return rows

    @staticmethod
    def _distances(start: Tensor, end: Tensor, other: Tensor) -> Tensor:
        """Compute distances of the ends of two paths over the length of the first."""
        start, end = start[: len(other)], end[: len(other)]
        apart: Tensor = (other - end).norm(dim=1) / (end - start).norm(dim=1)
        return apart

    @property
    def _mlp(self) -> MLP:
        return MLP(2, width=self.width)

    def _path(
        self, objective: ScoreMatching, sigma: float, eps: float, clip: float, dtype: torch.dtype,
        steps: int, seeds: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Train; first and last parameters (K, size), and the first losses (K,)."""
        seeds = self.seeds if seeds is None else seeds

        def stream(name: str) -> MemberRandom:
            return MemberRandom([generator(self.seed, k, name) for k in range(seeds)], dtype=dtype)

        dataset = get_dataset(_DATASET)
        start = self._mlp.init([generator(self.seed, k, "init") for k in range(seeds)], dtype)
        theta = start.clone().requires_grad_()
        model = NetworkModel(self._mlp, theta)
        rate = torch.full((self.seeds, 1), 1e-3, dtype=dtype)
        adam = Adam(rate, torch.zeros_like(start), torch.zeros_like(start), eps=eps)
        points, noise = stream("points"), stream("noise")
        data = dataset.sample(50_000, generator(self.seed, "data")).to(dtype)
        losses: list[Tensor] = []
        for _ in range(steps):
            x = data[points.integers(len(data), 100)]
            loss = objective.loss(model, x, noise, sigma=full(seeds, sigma, dtype))
            (gradient,) = torch.autograd.grad(loss.sum(), theta)
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            adam.step(theta.data, gradient * (clip / norm).clamp(max=1.0))
            losses = losses or [loss.detach()]
        return start, theta.detach(), losses[0]

    def _differences(self) -> list[TableRow]:
        members = 20
        mlp = MLP(2, width=64)
        theta = mlp.init([generator(self.seed, "network")], torch.float64)
        points = get_dataset(_DATASET).sample(200 * members, generator(self.seed, "x"))
        x = points.view(members, 200, 2)
        noise = torch.randn(x.shape, generator=generator(self.seed, "e"), dtype=torch.float64)
        model = NetworkModel(mlp, theta.expand(members, -1).contiguous())
        v = noise * (math.sqrt(2) / noise.norm(dim=-1, keepdim=True))
        exact = SSM().loss(model, x, Fixed(v), n_slices=1, slice_kind="sphere")
        single = NetworkModel(model.network, model.theta.float())
        rows = []
        for radius in self.radii:
            for name, wrong, objective, network, dtype in (
                ("double", "", FDSSM(), model, torch.float64),
                ("double", "one-sided", _OneSided(), model, torch.float64),
                ("single", "", FDSSM(), single, torch.float32),
            ):
                r = torch.tensor(radius, dtype=dtype)
                loss = objective.loss(network, x.to(dtype), Fixed(v.to(dtype)), radius=r)
                rms = float((loss.double() - exact).square().mean().sqrt())
                rows.append(
                    row("fd_ssm", "rms error", rms, precision=name, radius=radius, wrong=wrong)
                )
        exact_rows = [r for r in rows if r["precision"] == "double" and not r["wrong"]]
        return rows + as_wrong("double precision", exact_rows, precision="single")

    sentence: ClassVar[str] = (
        "DEEN is DSM: with Adam's ε and the clip scaled by σ⁴ the paths agree to {1:.0e} of their "
        "length. Unscaled, they end {4:.2f} of their length apart at the smallest σ, and DEEN's "
        "excess loss is up to {5:.2f} times DSM's."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A4", "DEEN's loss over σ⁴ times DSM's, minus 1: largest of all σ", "definitions",
            partial(_largest, experiment="scaled", quantity="loss ratio"), most=1e-6,
            wrong="σ for σ²",
        ),
        Claim(
            "A4", "DEEN and DSM with Adam's ε and clip scaled: largest distance of paths over "
            "their length", "Adam's steps do not depend on scale",
            partial(_largest, experiment="scaled", quantity="path distance"), most=1e-8,
            wrong="σ for σ²",
        ),
        Claim(
            "A4", "equal ε, σ = 0.1: difference of excess losses in standard deviations over seeds",
            "ε/σ⁴ = 10⁻⁴", partial(_seed_spreads, sigma=0.1), most=2.0, wrong="σ for σ²",
        ),
        Claim(
            "A4", "equal ε, largest noise: distance of paths over their length", "ε/σ⁴",
            partial(_distance, wide=True), most=0.1, wrong="σ for σ²",
        ),
        Claim(
            "A4", "equal ε, smallest noise: distance of paths over their length", "ε/σ⁴",
            partial(_distance, wide=False), least=0.5, wrong="divided by σ⁴",
        ),
        Claim(
            "A4", "equal ε: DEEN's excess loss over DSM's, largest over σ", "ε/σ⁴",
            lambda table: Measured(float(_ratios(table).max())), least=1.1,
            wrong="divided by σ⁴",
        ),
        Claim(
            "A8", "FD-SSM to SSM: order of the error in r up to 0.1", "Pang et al. 2020",
            partial(_order, experiment="fd_ssm", axis="radius", high=0.1), expected=2.0, slack=0.1,
            wrong="one-sided",
        ),
        Claim(
            "A8", "FD-SSM in single precision: error at the smallest r over the least error",
            "rounding over r²", _rounding, least=20.0, wrong="double precision",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "σ for σ²": "DEEN's residual is x - y - σ·s(y)",
        "divided by σ⁴": "DEEN's loss is divided by σ⁴ before Adam sees it",
        "one-sided": "the slope is E(x + ru) - E(x), not half of E(x + ru) - E(x - ru)",
        "double precision": "single precision is computed in double precision",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(_draw_paths, "noise σ", "distance of DEEN's path from\nDSM's over its length", "xy"),
        Panel(partial(grouped, quantity="excess loss", x="sigma", by="method"), "noise σ",
              "excess loss after training", "xy"),
        Panel(
            partial(grouped, experiment="fd_ssm", quantity="rms error", x="radius", by="precision"),
            "radius r of finite differences", "FD-SSM's distance from SSM", "xy",
        ),
    )  # fmt: skip
