"""Which modes Langevin's chains end in, and which metrics can tell."""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from ...bench.metrics.modes import shares
from ...bench.streams import generator
from ...datasets import get_dataset
from ...datasets.mixture import GaussianMixture
from ...methods.model import Model
from ...methods.random import MemberRandom
from ...methods.reference.exact import ExactScore
from ...methods.sampling.annealed_langevin import AnnealedLangevin
from ...methods.sampling.base import Sampler, Samples, collect
from ...methods.sampling.langevin import Langevin
from . import findings
from .base import Claim, Finding, Measured, Parts, Row, one, pick, row
from .tools import draw, scores, streams

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

# Radii where the nearest of rings' four circles changes.
_BETWEEN = (2.625, 1.875, 1.125)
_BOX = 8.0**2

# NCSN's toy: 1280 chains in [-8, 8]², ε = 0.1; annealed from noise 20 to 1 in 10 levels.
_NAIVE = Langevin(step_size=0.1, steps=1000, box=8.0)
_ANNEALED = AnnealedLangevin(
    step_size=0.1, steps=100, levels=10, sigma_max=20.0, sigma_min=1.0, box=8.0
)


@dataclass(frozen=True)
class UnscaledNoise(Sampler):
    """Annealed Langevin with the noise √ε of the last level at every level: a wrong sampler.

    Both code bases that the blog post is about have it so: the step grows with the noise level,
    but not the noise that is added, so that wide levels do not move any mass.

    Attributes:
        annealed: The sampler as it should be.
    """

    annealed: AnnealedLangevin

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        """Draw ``n`` points from each member."""
        right = self.annealed
        ratio = (right.sigma_min / right.sigma_max) ** (1 / max(right.levels - 1, 1))

        def run(size: int) -> "tuple[Tensor, Tensor]":
            x = rng.uniform(size, model.dim).mul_(2 * right.box).sub_(right.box)
            for sigma in (right.sigma_max * ratio**i for i in range(right.levels)):
                half = 0.5 * right.step_size * (sigma / right.sigma_min) ** 2
                for _ in range(right.steps):
                    x = x + half * model.score(x, sigma)
                    x = x + right.step_size**0.5 * rng.normal_like(x)
            return x, torch.full((rng.members,), -1)

        return collect(model, n, rng, run)


_SAMPLERS: dict[str, Sampler] = {
    "naive": _NAIVE, "annealed": _ANNEALED, "unscaled noise": UnscaledNoise(_ANNEALED),
}  # fmt: skip


def basins(name: str) -> list[float]:
    """Share of the box [-4, 4]² that lies nearest to each mode: where naive chains end.

    Args:
        name: ``rings`` or ``8gaussians``, both drawn round the origin.
    """
    if name == "rings":
        discs = [math.pi * radius**2 / _BOX for radius in _BETWEEN]
        return [1 - discs[0], discs[0] - discs[1], discs[1] - discs[2], discs[2]]
    # A sector of 45° round an axis of the square is twice a triangle of legs 4 and 4 tan(22.5°).
    axis = 16 * math.tan(math.pi / 8) / _BOX
    return [axis, 0.25 - axis] * 4


def _furthest(table: "pd.DataFrame", dataset: str) -> Measured:
    """The weight that is furthest from the share of the box."""
    found = pick(table, "basins", "weight", dataset=dataset)
    return Measured(float((found["value"] - found["expected"]).abs().max()))


def _times_floor(table: "pd.DataFrame", model: str) -> Measured:
    floor = pick(table, "masked", "sw1", model="floor")["value"].mean()
    found = pick(table, "masked", "sw1", model=model)["value"]
    return Measured(float(found.mean() / floor))


def _flattered(table: "pd.DataFrame") -> Measured:
    """How much better the smoothed score does than the exact one with naive Langevin."""
    exact, smooth = (
        pick(table, "masked", "sw1", model=name)["value"] for name in ("naive", "naive, smoothed")
    )
    error = math.hypot(*(float(v.std()) / math.sqrt(len(v)) for v in (exact, smooth)))
    return Measured(float(exact.mean() - smooth.mean()), error)


def _noticed(table: "pd.DataFrame", quantity: str, weights: str) -> Measured:
    """A metric of wrong weights as a multiple of what it varies by at the right ones."""
    right = pick(table, "blind", quantity, weights="0.8, 0.2")["value"]
    wrong = pick(table, "blind", quantity, weights=weights)["value"]
    return Measured(float((wrong.mean() - right.mean()) / right.std()))


def _weight(table: "pd.DataFrame", sampler: str) -> Measured:
    found = pick(table, "two modes", "weight", sampler=sampler)["value"]
    return Measured(float(found.mean()), float(found.std()) / math.sqrt(len(found)))


def _reversal(table: "pd.DataFrame") -> Measured:
    fisher, kl = (
        pick(table, "ranking", name).set_index("model")["value"] for name in ("fisher", "kl")
    )
    low, high = fisher.sort_values().index
    return Measured(float(kl[low] - kl[high]))


@findings.register("mixing")
class Mixing(Finding):
    """The weights of far modes: naive Langevin loses them, annealing finds them, KSD is blind.

    With the exact score, chains of naive Langevin stay in the mode whose basin they start in: on
    NCSN's two modes, of weights 0.8 and 0.2, half of them end in either, and on rings and
    8gaussians the weights are areas of the starting box. Annealed Langevin carries mass between
    modes while the noise is high; with its noise not scaled to the level it collapses. On rings
    the sampler hides how good a score is: a smoothed score does better than the exact one. Last,
    points of the two modes with right and wrong weights are given to metrics.

    Attributes:
        chains: Chains on the two modes, a repeat.
        points: Chains on the other toys.
        repeats: How often each is repeated.
    """

    chains: int = Field(1280, ge=100)
    points: int = Field(4000, ge=100)
    repeats: int = Field(10, ge=3)

    def parts(self) -> Parts:
        """Two modes, basins of attraction, rings, metrics."""
        return {
            **{f"two modes {name}": partial(self._two_modes, name) for name in _SAMPLERS},
            **{f"basins {name}": partial(self._basins, name) for name in ("rings", "8gaussians")},
            **{f"rings {name}": partial(self._masked, name)
               for name in ("floor", "naive", "naive, smoothed", "annealed")},
            "metrics": self._blind, "ranking": self._ranking,
        }  # fmt: skip

    def _two_modes(self, name: str) -> list[Row]:
        dataset = get_dataset("two_modes")
        rng = streams(self.seed, "two_modes", name)
        x = _SAMPLERS[name].sample(ExactScore(dataset), self.chains * self.repeats, rng).points[0]
        weights = [float(shares(dataset, part)[0]) for part in x.split(self.chains)]
        return [
            row("two modes", "weight", weight, expected=0.8, sampler=name, dataset="two_modes",
                mode=0, repeat=k)
            for k, weight in enumerate(weights)
        ]  # fmt: skip

    def _basins(self, name: str) -> list[Row]:
        dataset = get_dataset(name)
        n = self.points * self.repeats
        x = draw(Langevin(), ExactScore(dataset), n, self.seed, "basins", name)
        return [
            row("basins", "weight", float(share), math.sqrt(area * (1 - area) / n), area,
                sampler="naive", dataset=name, mode=mode)
            for mode, (share, area) in enumerate(zip(shares(dataset, x), basins(name), strict=True))
        ]  # fmt: skip

    def _masked(self, name: str) -> list[Row]:
        dataset = get_dataset("rings")
        rows = []
        for k in range(self.repeats):
            if name == "floor":
                x = dataset.sample(self.points, generator(self.seed, "floor", k))
            else:
                smoothed = 0.1 if name == "naive, smoothed" else 0.0
                sampler = Langevin() if name != "annealed" else AnnealedLangevin(
                    step_size=2e-3, steps=40, levels=10, sigma_max=3.0, sigma_min=0.08)  # fmt: skip
                x = draw(sampler, ExactScore(dataset, smoothed), self.points, self.seed, name, k)
            value = scores(["sw1"], dataset, self.seed + k, x)["sw1"]
            rows.append(row("masked", "sw1", value, model=name, dataset="rings", repeat=k))
        return rows

    def _blind(self) -> list[Row]:
        dataset = get_dataset("two_modes")
        rows = []
        for weights in ((0.8, 0.2), (0.5, 0.5), (1.0, 0.0)):
            label = ", ".join(f"{w:g}" for w in weights)
            for k in range(self.repeats):
                stream = generator(self.seed, "blind", label, k)
                first = torch.rand(1000, generator=stream) < weights[0]
                place = torch.where(first.unsqueeze(1), 5.0, -5.0).double()
                x = place + torch.randn(1000, 2, generator=stream, dtype=torch.float64)
                found = scores(["ksd", "sw1", "mode_error"], dataset, self.seed + k, x)
                rows += [
                    row("blind", name, value, weights=label, repeat=k, dataset="two_modes")
                    for name, value in found.items()
                ]
        return rows

    def _ranking(self) -> list[Row]:
        """Two models: one has wrong weights, the other is a little too wide."""
        dataset = get_dataset("two_modes")
        mixture: Tensor = dataset.centres  # type: ignore[attr-defined]
        equal = GaussianMixture(mixture, 1.0, weights=(0.5, 0.5))
        rows = []
        for label, model in (
            ("equal weights", ExactScore(equal)), ("smoothed", ExactScore(dataset, 0.3)),
        ):  # fmt: skip
            x = dataset.sample(1000, generator(self.seed, "ranking"))
            model.is_truth = False
            found = scores(["fisher", "kl"], dataset, self.seed, x, model)
            rows += [
                row("ranking", name, value, model=label, dataset="two_modes")
                for name, value in found.items()
            ]
        return rows

    def verdict(self, table: "pd.DataFrame") -> str:
        """The weights that each sampler gives, and what rings' error is made of."""
        naive, annealed, unscaled = (
            pick(table, "two modes", "weight", sampler=name)["value"].mean() for name in _SAMPLERS
        )
        return (
            f"With the exact score and a true weight of 0.8, naive Langevin gives {naive:.2f}, "
            f"annealed Langevin {annealed:.2f}, and annealed Langevin with unscaled noise "
            f"{unscaled:.2f}. On rings naive Langevin's SW1 is "
            f"{_times_floor(table, 'naive').value:.0f} times the noise floor, annealed "
            f"{_times_floor(table, 'annealed').value:.1f} times, whatever was learned."
        )

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A9", "naive Langevin on modes of weight 0.8 and 0.2: weight of the first",
            "Song and Ermon 2019, section 3.2.2", partial(_weight, sampler="naive"),
            expected=0.5, slack=0.02,
        ),
        Claim(
            "A10", "annealed Langevin on the same modes", "Song and Ermon 2019, figure 3",
            partial(_weight, sampler="annealed"),
            expected=0.8, slack=0.04,
        ),
        Claim(
            "A10", "annealed Langevin with unscaled noise collapses", "code of the blog post",
            partial(_weight, sampler="unscaled noise"),
            least=0.98,
        ),
        Claim(
            "A11", "naive Langevin on rings: weights are areas of the box; largest difference",
            "areas in closed form", partial(_furthest, dataset="rings"), most=0.02,
        ),
        Claim(
            "A11", "the same on 8gaussians", "areas in closed form",
            partial(_furthest, dataset="8gaussians"), most=0.01,
        ),
        Claim(
            "A14", "KSD of points with equal weights, in standard deviations of the truth's",
            "Wenliang and Kanagawa 2020", partial(_noticed, quantity="ksd", weights="0.5, 0.5"),
            least=-3, most=3,
        ),
        Claim(
            "A14", "KSD of points that are all in one mode", "Wenliang and Kanagawa 2020",
            partial(_noticed, quantity="ksd", weights="1, 0"), least=-3, most=3,
        ),
        Claim(
            "A14", "SW1 of points with equal weights, in the same units: it sees them",
            "mass × distance", partial(_noticed, quantity="sw1", weights="0.5, 0.5"), least=10,
        ),
        Claim(
            "A14", "Fisher divergence of the model with equal weights", "far modes",
            partial(one, experiment="ranking", quantity="fisher", model="equal weights"),
            expected=0.0, slack=1e-6,
        ),
        Claim(
            "A14", "KL divergence of it", "0.8 log(0.8/0.5) + 0.2 log(0.2/0.5)",
            partial(one, experiment="ranking", quantity="kl", model="equal weights"),
            expected=0.8 * math.log(1.6) + 0.2 * math.log(0.4), slack=1e-3,
        ),
        Claim(
            "A17", "a score matching loss and likelihood rank models differently: KL of the one "
            "with the lower Fisher divergence minus KL of the other",
            "Song et al. 2019, table 1 (on images)", _reversal, least=0.1,
        ),
        Claim(
            "A19", "rings, exact score, naive Langevin: SW1 over its floor", "basins",
            partial(_times_floor, model="naive"), least=5,
        ),
        Claim(
            "A19", "rings, exact score, annealed Langevin: SW1 over its floor", "annealing",
            partial(_times_floor, model="annealed"), most=2,
        ),
        Claim(
            "A19", "rings, naive Langevin: what SW1 gains when the exact score is replaced by one "
            "smoothed by 0.1", "the sampler hides quality", _flattered, least=0.02,
        ),
    )  # fmt: skip
