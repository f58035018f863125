"""Kernel estimators against networks, by the size of the training set."""

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from ...datasets import get_density
from ...methods.estimators.kde import KernelDensity
from ...methods.estimators.kernel_scores import KernelExponentialFamily
from ...methods.model import Model
from ...methods.objectives.dsm import DSM
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, number, pick, row
from .figure import Axes, Panel, Table, Theme, grouped
from .tools import scores, train

# Relative Fisher errors at n = 600, the best of a small grid: kernel density and kernel exponential
# family.
_EXPECTED = {"moons": (0.272, 0.130), "rings": (0.492, 0.325), "8gaussians": (0.155, 0.149)}
_SILVERMAN, _SIGN, _FRESH = "bandwidth of the points", "sign of ζ", "fresh points"


class _Sign(KernelExponentialFamily):
    """A wrong kernel exponential family: ŝ = Kc + ζ/λ."""

    def solve(self, kernel: Any, y: Tensor, strength: float) -> Any:
        solution = super().solve(kernel, y, strength)
        return solution._replace(a=-solution.a)


def _crossing(table: Table, dataset: str) -> Measured:
    """Number of points from which the network is better than both kernel estimators."""
    errors = pick(table, "size", "error", dataset=dataset).pivot_table("value", "points", "method")
    gap = np.log(errors["network"] / errors[["kde", "kef"]].min(axis=1))
    size = np.interp(0.0, -gap.to_numpy(), np.log(errors.index.to_numpy(float)))
    return Measured(float(np.exp(size)))


def _draw_sizes(axis: Axes, table: Table, theme: Theme, dataset: str) -> None:
    chosen = table[table["dataset"] == dataset]
    grouped(axis, chosen, theme, experiment="size", quantity="error", x="points", by="method")


@findings.register("kernels")
class Kernels(Finding):
    """Without a network: kernel estimators are the better ones on small training sets.

    A kernel density (the perfect DSM of Vincent 2011) and a kernel exponential family
    (Sriperumbudur et al. 2017) solve for their score; a network trained by DSM needs points to
    generalise. The finding measures E|s - ∇log p|²/E|∇log p|² of each by the number of training
    points, the best over a small grid: the bandwidth; bandwidth and regularisation; the noise level
    and the number of steps.

    Attributes:
        sizes: Numbers of training points.
        steps: Training steps of networks, the shorter and the longer.
        width: Units of each of the two hidden layers.
    """

    sizes: tuple[int, ...] = (100, 300, 600, 1000, 2000)
    steps: tuple[int, ...] = (1000, 4000)
    width: int = Field(64, ge=8)

    def parts(self) -> Parts:
        return {
            f"{kind} {name}": partial(method, name)
            for name in _EXPECTED
            for kind, method in (("kernels", self._kernels), ("networks", self._networks))
        }

    def _error(self, name: str, model: Model) -> float:
        dataset = get_density(name)
        x = dataset.sample(2, generator(self.seed))
        fisher = scores(["fisher"], dataset, self.seed, x, model)["fisher"]
        return 2 * fisher / dataset.fisher_information()

    def _kernels(self, name: str) -> list[TableRow]:
        dataset = get_density(name)
        x = dataset.sample(max(self.sizes), generator(self.seed, 0, "data"))
        rows = []
        for n in self.sizes:
            points = x[:n]
            silverman = float(points.std(0).mean()) * n ** (-1 / 6)
            fits = [(0.1, 1e-3), (0.2, 1e-4), (0.2, 1e-3), (0.4, 1e-5), (0.4, 1e-4), (0.8, 1e-6)]
            options = [{"kernel": "gaussian", "bandwidth": b, "strength": s} for b, s in fits]
            rng = np.random.default_rng(0)
            models: list[tuple[str, str, list[Model]]] = [
                ("kde", "", [KernelDensity(points.float(), h) for h in np.geomspace(0.05, 0.5, 8)]),
                ("kde", _SILVERMAN, [KernelDensity(points.float(), silverman)]),
            ]
            for wrong, kind in (("", KernelExponentialFamily), (_SIGN, _Sign)):
                if not wrong or n <= 600:
                    chosen = options[:2] if wrong else options
                    fitted = [kind().fit(points.numpy(), rng, **o) for o in chosen]
                    models.append(("kef", wrong, fitted))
            for method, wrong, tried in models:
                error = min(self._error(name, model) for model in tried)
                rows.append(row("size", "error", error, dataset=name, points=n, method=method,
                                wrong=wrong))  # fmt: skip
        return rows

    def _networks(self, name: str) -> list[TableRow]:
        dataset = get_density(name)
        rows = []
        for n, wrong in (*((n, "") for n in self.sizes), (min(self.sizes), _FRESH)):
            errors = []
            for sigma, steps in itertools.product((0.05, 0.1, 0.2), self.steps):
                trained = train(DSM(), {"sigma": sigma}, dataset, seed=self.seed, seeds=1,
                                steps=steps, width=self.width, learning_rate=3e-3,
                                points=100_000 if wrong else n, schedule="cosine")  # fmt: skip
                errors.append(self._error(name, trained.models[0]))
            value = min(errors)
            for size in self.sizes if wrong else [n]:
                rows.append(row("size", "error", value, dataset=name, points=size, method="network",
                                wrong=wrong))  # fmt: skip
        return rows

    sentence: ClassVar[str] = "x"
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A27", f"{method}, 600 points of {name}: relative error of the score, best of a grid",
                source, partial(number, experiment="size", quantity="error", dataset=name,
                points=600, method=method), expected=expected, slack=0.15 * expected, wrong=wrong,
            )
            for name, both in _EXPECTED.items()
            for method, expected, source, wrong in (
                ("kde", both[0], "Vincent 2011", _SILVERMAN),
                ("kef", both[1], "Sriperumbudur et al. 2017", _SIGN),
            )
        ),
        *(
            Claim(
                "A27", f"{name}: number of points from which a network is the better one",
                "measured here", partial(_crossing, dataset=name), least=300, most=2000,
                wrong=_FRESH,
            )
            for name in _EXPECTED
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        _SILVERMAN: "the kernels' width is Silverman's, from the points",
        _SIGN: "the estimate is Kc + ζ/λ",
        _FRESH: "networks are trained on 100,000 points, whatever the size",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = tuple(
        Panel(
            partial(_draw_sizes, dataset=name), f"training points of {name}", "relative error", "xy"
        )
        for name in _EXPECTED
    )
