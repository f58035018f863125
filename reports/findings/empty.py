"""Mass that an energy gives to places without data, and what a Gaussian base changes."""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...datasets import get_density
from ...datasets.box import box_of
from ...methods.network_model import NetworkModel
from ...methods.networks import GaussianBase
from ...methods.objectives.dsm import DSM
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Panel, Table, grouped
from .measures import pick
from .tools import train

_DATASETS = ("8gaussians", "two_modes")
_BASES = ("none", "gaussian")
_RATES = (3e-4, 1e-3, 3e-3)
# Points farther than this from all data are empty: 99.99 % of both datasets are nearer, blur
# included.
_FAR = 0.75
# Half the side of the grid in those of the dataset's box, and its cells along a side.
_REACH, _CELLS = 3.0, 301


def _log_ratio(table: Table, quantity: str, over: TableRow, under: TableRow) -> Measured:
    """Mean difference of logarithms over networks with the same seed, with its error."""
    first, second = (
        pick(table, "mass", quantity, **axes).set_index("network")["value"].map(math.log)
        for axes in (over, under)
    )
    difference = first - second
    return Measured(float(difference.mean()), float(difference.std()) / math.sqrt(len(difference)))


def _by_base(table: Table, quantity: str, dataset: str, *, trained: bool) -> Measured:
    """Compare the base with none: log of the ratio, at the highest or lowest learning rate."""
    rates = table["rate"]
    axes = {"dataset": dataset, "rate": rates.max() if trained else rates.min()}
    return _log_ratio(table, quantity, {**axes, "base": "gaussian"}, {**axes, "base": "none"})


def _by_rate(table: Table, quantity: str, dataset: str) -> Measured:
    """Compare the highest learning rate with the lowest, without a base: log of the ratio."""
    axes = {"dataset": dataset, "base": "none"}
    rates = table["rate"]
    high, low = ({**axes, "rate": rate} for rate in (rates.max(), rates.min()))
    return _log_ratio(table, quantity, high, low)


def _wrong_weight(table: Table, base: str) -> Measured:
    """Mean absolute error of the log odds of two modes at the high learning rate."""
    axes = {"dataset": "two_modes", "base": base, "rate": table["rate"].max()}
    errors = pick(table, "weights", "error of the log odds", **axes)["value"].abs()
    return Measured(float(errors.mean()), float(errors.std()) / math.sqrt(len(errors)))


@findings.register("empty")
class Empty(Finding):
    """Energies give mass to places without data; training removes it, a Gaussian base helps early.

    Score matching compares scores where there are data, so the energy is free everywhere else
    (Wenliang and Kanagawa 2020). A network times a Gaussian with the mean and variance of the data
    (Xie et al. 2016) vanishes far away whatever the network does. The finding trains energies by
    DSM with and without it, from the same data and initial weights, at a low, a middle and a high
    learning rate; the mass is exact, on a grid of three times the side of the dataset's box.

    Attributes:
        steps: Training steps.
        seeds: Networks of each case.
        width: Units of each of the two hidden layers.
        sigma: Noise level of DSM.
    """

    steps: int = Field(1500, ge=10)
    seeds: int = Field(6, ge=2)
    width: int = Field(64, ge=8)
    sigma: float = Field(0.1, gt=0)

    def parts(self) -> Parts:
        return {
            f"{name} {rate:g} {base}": partial(self._train, name, rate, base)
            for name in _DATASETS
            for rate in _RATES
            for base in _BASES
        }

    def _train(self, name: str, rate: float, base: str) -> list[TableRow]:
        dataset = get_density(name)
        trained = train(
            DSM(), {"sigma": self.sigma}, dataset, seed=self.seed, seeds=self.seeds,
            steps=self.steps, width=self.width, points=10_000, learning_rate=rate,
            base=GaussianBase.fitted if base == "gaussian" else None,
        )  # fmt: skip
        box = box_of(dataset)
        side = torch.linspace(-1, 1, _CELLS, dtype=torch.float64) * (_REACH * box.reach)
        grid = torch.cartesian_prod(side, side) + box.centre
        empty = _distance(grid, trained.data[0].double()) > _FAR
        mode, weights = dataset.assign(grid), dataset.weights
        rows = []
        for k, model in enumerate(trained.models):
            mass = _masses(model, grid)
            axes: TableRow = {"dataset": name, "rate": rate, "base": base, "network": k}
            rows.append(row("mass", "empty mass", float(mass[empty].sum()), **axes))
            if name == "two_modes":
                left, right = (float(mass[mode == m].sum()) for m in (0, 1))
                error = math.log(left / right) - float((weights[0] / weights[1]).log())
                rows.append(row("weights", "error of the log odds", error, **axes))
                ours = dataset.assign(trained.data[k].double()) == 0
                error = float((ours.sum() / (~ours).sum()).log() - (weights[0] / weights[1]).log())
                rows.append(row("weights", "error of the log odds", error, **axes,
                                wrong="counted in the data"))  # fmt: skip
            if base == "none" and rate == max(_RATES):
                fitted = GaussianBase.fitted(trained.data.flatten(0, 1))
                late = mass * torch.exp(fitted.energy_and_score(grid)[0])
                rows.append(
                    row(
                        "mass",
                        "empty mass",
                        float(late[empty].sum() / late.sum()),
                        **{**axes, "base": "gaussian"},
                        wrong="wrong sign",
                    )
                )
        masses = [r for r in rows if r["quantity"] == "empty mass" and "wrong" not in r]
        if base == "none":
            rows += as_wrong("base left out", masses, base="gaussian")
            if rate == min(_RATES):
                rows += as_wrong("one rate", masses, rate=max(_RATES))
        return rows

    sentence: ClassVar[str] = (
        "On two_modes a tenfold learning rate changes the log of the mass that an energy gives to "
        "places without data by {3:.1f}, a Gaussian base by {1:.1f} at the low rate. The weights "
        "of the modes stay wrong."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A22", f"{name}, low rate: log of the empty mass with the base over that without",
                "the base vanishes far away; Xie et al. 2016",
                partial(_by_base, quantity="empty mass", dataset=name, trained=False), most=-0.2,
                wrong="base left out",
            )
            for name in _DATASETS
        ),
        *(
            Claim(
                "A22", f"{name}: log of the empty mass at the high rate over that at the low one",
                "training", partial(_by_rate, quantity="empty mass", dataset=name), most=-1.0,
                wrong="one rate",
            )
            for name in _DATASETS
        ),
        Claim(
            "A22", "8gaussians, high rate: log of the empty mass with the base over that without",
            "where the network is trained, it overrides the base",
            partial(_by_base, quantity="empty mass", dataset="8gaussians", trained=True),
            least=-1.0, most=1.0, wrong="wrong sign",
        ),
        *(
            Claim(
                "A22", f"two_modes, high rate, base {base}: mean |error| of the modes' log odds",
                "score matching does not see weights; Wenliang and Kanagawa 2020",
                partial(_wrong_weight, base=base), least=0.3, wrong="counted in the data",
            )
            for base in _BASES
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "base left out": "the base is fitted, and the network trained without it",
        "wrong sign": "the energy of the base is subtracted, from that of a trained network",
        "one rate": "all networks are trained at the lowest rate",
        "counted in the data": "the weights are those of the training points",
    }
    panels: ClassVar[tuple[Panel, ...]] = tuple(
        Panel(
            partial(grouped, quantity="empty mass", x="rate", by="base", dataset=name),
            f"learning rate, {name}",
            "empty mass",
            log="xy",
        )
        for name in _DATASETS
    )


def _masses(model: NetworkModel, grid: Tensor) -> Tensor:
    """Compute the share of the mass in each cell of a grid (m, 2): shape (m,), float64."""
    with torch.no_grad():
        energy = model.energy(grid[None].float())
    assert energy is not None, "a network of kind energy"  # noqa: S101
    return torch.softmax(-energy[0].double(), 0)


def _distance(points: Tensor, data: Tensor) -> Tensor:
    """Compute the distance of each point (m, 2) from the nearest of the data (n, 2)."""
    from scipy.spatial import cKDTree

    return torch.from_numpy(cKDTree(data.numpy()).query(points.numpy())[0])
