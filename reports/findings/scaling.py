"""Costs of objectives by dimension, and the error of a cheap trace."""

import math
import time
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from ...datasets import get_dataset
from ...methods.derivatives.activations import ACTIVATIONS
from ...methods.network_model import NetworkModel
from ...methods.networks import MLP
from ...methods.objectives.base import ScoreMatching
from ...methods.objectives.dsm import DSM
from ...methods.objectives.fd_ssm import FDSSM
from ...methods.objectives.ism import ISM
from ...methods.objectives.ssm import SSM
from ...methods.objectives.ssm_vr import SSMVR
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Panel, Table, grouped
from .measures import at_end, exponent, number, pick
from .tools import mean_error, streams

_SLICED = {"n_slices": 1, "slice_kind": "rademacher"}
_METHODS: dict[str, tuple[ScoreMatching, dict[str, object]]] = {
    "ism": (ISM(), {}),
    "ssm": (SSM(), _SLICED),
    "ssm_vr": (SSMVR(), _SLICED),
    "fd_ssm": (FDSSM(), {"radius": 0.1}),
    "dsm": (DSM(), {"sigma": 0.1}),
}


def approximate_trace(mlp: MLP, theta: Tensor, x: Tensor, power: int = 2) -> Tensor:
    """Approximate the trace of ∇s of an energy network by diagonal back-propagation, shape (B,).

    Second derivatives pass down layer by layer as h_a = φ'(a)² h + φ''(a) g and h = (W∘W) h_a,
    where g are first derivatives (Kingma and LeCun 2010, section 4). Cross terms between units of
    a layer are left out. The cost is that of one more backward pass.

    Args:
        mlp: The network.
        theta: Parameters, shape (1, mlp.size).
        x: Points, shape (B, d).
        power: Of the weights in the recursion; any other than 2 is wrong.
    """
    *hidden, (last, _) = ((weight[0], bias[0]) for weight, bias in mlp.views(theta))
    activation = ACTIVATIONS[mlp.activation]
    h, layers = x, []
    for weight, bias in hidden:
        a = h @ weight + bias
        h, slope, curvature, _ = activation(a)
        layers.append((weight, slope, curvature))
    first = last.T.expand(len(x), -1)
    second = torch.zeros_like(first)
    for weight, slope, curvature in reversed(layers):
        second = (slope.square() * second + curvature * first) @ (weight**power).T
        first = (slope * first) @ weight.T
    return -second.sum(1)


_exponent = partial(exponent, experiment="cost", axis="dim")
_at_end = partial(at_end, experiment="cost", axis="dim")


def _ratio(table: Table, quantity: str, a: str, b: str, *, last: bool) -> Measured:
    """Cost of method ``a`` over that of ``b``, in the largest or smallest dimension."""
    first, second = (_at_end(table, quantity=quantity, last=last, method=name) for name in (a, b))
    return Measured(first.value / second.value)


def _growth(table: Table) -> Measured:
    """Growth of ISM's seconds over SSM's from the smallest dimension to the largest."""
    low, high = (_ratio(table, "seconds", "ism", "ssm", last=last) for last in (False, True))
    return Measured(high.value / low.value)


def _least_error(table: Table) -> Measured:
    rows = pick(table, "approximate trace", "relative error", depth=2)
    return Measured(float(rows["value"].min()))


@findings.register("scaling")
class Scaling(Finding):
    """An exact trace costs as many passes as there are dimensions; a cheap trace is biased.

    The finding counts the passes through the network of one step (loss and gradient) of each
    objective, which is exact, and times it: the least of several steps, which depends on the
    machine and differs from run to run. Then it compares the trace by diagonal back-propagation
    with the exact one for networks at initialisation.

    Attributes:
        dims: Dimensions of the Gaussian ring.
        repeats: Timed steps.
        batch: Points of a step.
        width: Units of each of the two hidden layers.
        networks: Networks for the trace, at each size.
    """

    dims: tuple[int, ...] = (2, 5, 10, 20, 50, 100)
    repeats: int = Field(15, ge=3)
    batch: int = Field(100, ge=10)
    width: int = Field(128, ge=8)
    networks: int = Field(10, ge=2)

    def parts(self) -> Parts:
        # All methods of one dimension are in one part, so that a busy machine slows them alike.
        costs = {f"d = {d}": partial(self._costs, d) for d in self.dims}
        return {**costs, "approximate trace": self._trace}

    def _costs(self, dim: int) -> list[TableRow]:
        dataset = get_dataset("gaussian_ring", dim=dim)
        mlp = MLP(dim, width=self.width)
        theta = mlp.init([generator(self.seed, "cost")]).requires_grad_()
        x = dataset.sample(self.batch, generator(self.seed, "points")).float().unsqueeze(0)
        noise = streams(self.seed, "noise")
        model = NetworkModel(mlp, theta)
        seconds: dict[str, list[float]] = {name: [] for name in _METHODS}
        passes = {}
        for _ in range(self.repeats + 1):
            for name, (objective, options) in _METHODS.items():
                before, started = model.evaluations, time.perf_counter()
                torch.autograd.grad(objective.loss(model, x, noise, **options).sum(), theta)
                seconds[name].append(time.perf_counter() - started)
                passes[name] = (model.evaluations - before) / self.batch
        rows = []
        for name in _METHODS:
            # Other load only adds time; the first step also allocates memory.
            value = min(seconds[name][1:])
            rows += [
                row("cost", "passes", passes[name], method=name, dim=dim),
                row("cost", "seconds", value, method=name, dim=dim),
            ]
        by_name = {name: [r for r in rows if r["method"] == name] for name in _METHODS}
        rows += as_wrong("one direction", by_name["ssm"], method="ism")
        for name in ("ssm", "ssm_vr", "fd_ssm", "dsm"):
            rows += as_wrong("full trace", by_name["ism"], method=name)
        return rows

    def _trace(self) -> list[TableRow]:
        rows = []
        for depth in (1, 2, 3):
            for width in (50, 300):
                errors = torch.stack(
                    [self._trace_errors(depth, width, k) for k in range(self.networks)], 1
                )
                expected = 0.0 if depth == 1 else math.nan
                names = ("", "W not squared", "cross terms")
                for wrong, values in zip(names, errors, strict=True):
                    value, error = mean_error(values)
                    rows.append(row("approximate trace", "relative error", value, error, expected,
                                    depth=depth, width=width, wrong=wrong))  # fmt: skip
        return rows

    def _trace_errors(self, depth: int, width: int, k: int) -> Tensor:
        """Relative errors of the approximate trace, of a wrong one, and of the exact one."""
        mlp = MLP(2, width=width, depth=depth)
        theta = mlp.init([generator(self.seed, "trace", depth, width, k)], torch.float64)
        x = get_dataset("8gaussians").sample(500, generator(self.seed, "trace", k))
        axes = torch.eye(2, dtype=torch.float64).view(1, 2, 1, 2).expand(1, 2, len(x), 2)
        model = NetworkModel(mlp, theta)
        exact = model.along(x.unsqueeze(0), axes.contiguous()).second[0].sum(0)
        turned = torch.stack([axes[:, 0] + axes[:, 1], axes[:, 0] - axes[:, 1]], 1) / math.sqrt(2)
        traces = torch.stack([
            approximate_trace(mlp, theta, x),
            approximate_trace(mlp, theta, x, power=1),
            model.along(x.unsqueeze(0), turned).second[0].sum(0),
        ])  # fmt: skip
        return ((traces - exact).square().mean(1) / exact.square().mean()).sqrt()

    sentence: ClassVar[str] = (
        "The time of a step of exact score matching over that of a sliced one grows {6:.0f}-fold "
        "from the smallest dimension to the largest; sliced and denoising steps need the same "
        "number of passes in every dimension. The trace by diagonal back-propagation is exact for "
        "one hidden layer, and wrong by at least {10:.0%} for two."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A15", "passes of an exact trace grow in proportion to d: exponent from d = 10 on",
            "Song et al. 2019, section 2.3",
            partial(_exponent, quantity="passes", low=10, method="ism"), expected=1.0, slack=0.1,
            wrong="one direction",
        ),
        *(
            Claim(
                "A15", f"passes of {name} do not grow: exponent", "Song et al. 2019, section 3",
                partial(_exponent, quantity="passes", method=name), expected=0.0, slack=1e-9,
                wrong="full trace",
            )
            for name in ("ssm", "ssm_vr", "fd_ssm", "dsm")
        ),
        Claim(
            "A15", "seconds of a step with the exact trace: exponent from d = 10 on",
            "Song et al. 2019, figure 2",
            partial(_exponent, quantity="seconds", low=10, method="ism"), least=0.5, most=1.8,
            wrong="one direction",
        ),
        Claim(
            "A15", "seconds of ism over those of ssm: growth from the smallest d to the largest",
            "Song et al. 2019, figure 2", _growth, least=8.0,
            wrong="one direction",
        ),
        Claim(
            "A15", "passes of ssm over those of dsm",
            "nine products against six; Song and Ermon 2019 took four times as long",
            partial(_ratio, quantity="passes", a="ssm", b="dsm", last=False), expected=1.5,
            slack=1e-9, wrong="full trace",
        ),
        *(
            Claim(
                "A16", f"diagonal back-propagation, one hidden layer of {width}: relative error",
                "no cross terms to leave out",
                partial(number, experiment="approximate trace", quantity="relative error", depth=1,
                        width=width), slack=1e-12, wrong="W not squared",
            )
            for width in (50, 300)
        ),
        Claim(
            "A16", "two hidden layers: least relative error of the trace over widths",
            "Kingma and LeCun 2010, section 4", _least_error, least=0.1, wrong="cross terms",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "one direction": "the trace of ism is estimated along one direction",
        "full trace": "sliced and denoising losses compute the trace as ism does",
        "W not squared": "h = W h_a",
        "cross terms": "nothing is left out: the trace along two other axes",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, quantity="passes", x="dim", by="method"), "dimension d",
              "passes per point", "xy"),
        Panel(partial(grouped, quantity="seconds", x="dim", by="method"), "dimension d",
              "seconds per step", "xy"),
        Panel(partial(grouped, quantity="relative error", x="depth", by="width"), "hidden layers",
              "relative error of diagonal\nback-propagation's trace", legend="lower right"),
    )  # fmt: skip
