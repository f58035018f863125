"""The noise of sliced objectives, compared with closed forms."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from ...datasets import get_dataset
from ...methods.network_model import NetworkModel
from ...methods.networks import MLP
from ...methods.normal_model import NormalModel
from ...methods.objectives.base import ScoreMatching
from ...methods.objectives.ism import ISM
from ...methods.objectives.ssm import SSM
from ...methods.objectives.ssm_vr import SSMVR
from ...methods.random import SliceKind
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Panel, Table, grouped
from .measures import exponent, largest_deviation, pick
from .tools import Crowd, variance_error

_KINDS: tuple[SliceKind, ...] = ("gaussian", "rademacher", "sphere")
_SLICED: dict[str, ScoreMatching] = {"ssm": SSM(), "ssm_vr": SSMVR()}


class _Unhalved(SSM):
    """A wrong SSM: v·∇s·v + (v·s)²."""

    def loss(self, model: Any, x: Tensor, rng: Any, **options: Any) -> Tensor:
        first, second = model.along(x, rng.slices(options["slice_kind"], options["n_slices"], x))
        value: Tensor = (second + first.square()).mean((-2, -1))
        return value


class _Repeated(Crowd):
    """Random numbers whose directions at a point are all the same."""

    def slices(self, kind: Any, count: int, x: Tensor) -> Tensor:
        return super().slices(kind, 1, x).repeat(1, count, 1, 1)


def loss_variance(method: str, kind: str, dim: int) -> float:
    """Give the variance of the loss of one point and one direction at the optimum, x ~ N(0, I).

    The variance over x of the exact loss is ½d. The rest is the mean of Var(v·Av), with A = -I for
    SSM-VR and -I + ½xxᵀ for SSM: 2|A|² for Gaussian v, and without the diagonal for the others.
    """
    gaussian = kind == "gaussian"
    if method == "ssm_vr":
        return (2 * dim if gaussian else 0) + dim / 2
    return (dim * (dim + 2) / 2 if gaussian else dim * (dim - 1) / 2) + dim / 2


def gradient_variance(method: str, kind: str, dim: int) -> float:
    """Give the variance of that loss's derivative by θ, for energies θ|x|²/2 at θ = 1."""
    gaussian = kind == "gaussian"
    if method == "ssm_vr":
        return 4 * dim if gaussian else 2 * dim
    return 2 * dim * (dim + 2) if gaussian else 2 * dim**2


def direction_variance(second: Tensor, kind: str) -> Tensor:
    """Give the variance of v·Av over directions v, for symmetric A of shape (..., d, d): (...).

    2|A|² for Gaussian v, without the diagonal for Rademacher v, and 2d/(d + 2) (|A|² - tr(A)²/d)
    on the sphere of radius √d.
    """
    dim = second.shape[-1]
    norm = second.square().sum((-2, -1))
    diagonal = second.diagonal(dim1=-2, dim2=-1)
    if kind == "gaussian":
        return 2 * norm
    if kind == "rademacher":
        return 2 * (norm - diagonal.square().sum(-1))
    return 2 * dim / (dim + 2) * (norm - diagonal.sum(-1).square() / dim)


def _ratio(table: Table, quantity: str, kind: str, dim: int) -> Measured:
    """Variance of SSM over that of SSM-VR."""
    a, b = (
        pick(table, "normal", quantity, method=name, slices=kind, dim=dim).iloc[0]
        for name in ("ssm", "ssm_vr")
    )
    value = a["value"] / b["value"]
    error = value * math.hypot(a["error"] / a["value"], b["error"] / b["value"])
    return Measured(value, error, a["expected"] / b["expected"])


def _orthogonal(table: Table, method: str) -> Measured:
    rows = pick(table, "network", "orthogonal error", method=method, count=2)
    return Measured(float(rows["value"].iloc[0]))


_decay = partial(exponent, experiment="network", quantity="rms error", axis="count")


@findings.register("variance")
class Variance(Finding):
    """Noise of sliced losses and of their gradients: SSM, SSM-VR and the exact trace.

    The finding first compares the sliced losses of a network at fixed points in the plane, with
    more and more directions, with the exact loss. Then it measures the noise for energies θ|x|²/2
    of x ~ N(0, I) at the optimum θ = 1, where the variances of loss and gradient of one point and
    one direction have closed forms (those of quadratic forms) in every dimension.

    Attributes:
        counts: Numbers of directions per point.
        batch: Points of the network's loss.
        repeats: Draws of all directions of that loss.
        dims: Dimensions of the normal.
        draws: Points, with a direction each, of the normal.
    """

    counts: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    batch: int = Field(500, ge=10)
    repeats: int = Field(100, ge=20)
    dims: tuple[int, ...] = (1, 2, 5, 10)
    draws: int = Field(100_000, ge=1000)

    def parts(self) -> Parts:
        network = {f"M = {m}": partial(self._network, m) for m in self.counts}
        return {**network, **{f"d = {d}": partial(self._normal, d) for d in self.dims}}

    def _network(self, count: int) -> list[TableRow]:
        mlp = MLP(2, width=32)
        theta = mlp.init([generator(self.seed, "network")], torch.float64)
        x = get_dataset("8gaussians").sample(self.batch, generator(self.seed, "points"))
        model = NetworkModel(mlp, theta)
        # Three directions determine a symmetric matrix in the plane.
        v = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.float64).view(1, 3, 1, 2)
        second = model.along(x.unsqueeze(0), v.repeat(1, 1, len(x), 1)).second[0]
        cross = (second[2] - second[0] - second[1]) / 2
        jacobian = torch.stack([second[0], cross, cross, second[1]], -1).view(-1, 2, 2)
        score = model.score(x.unsqueeze(0))[0]
        with_square = jacobian + 0.5 * score.unsqueeze(-1) * score.unsqueeze(-2)
        matrix = {"ssm": with_square, "ssm_vr": jacobian}
        exact = ISM().loss(model, x.unsqueeze(0), Crowd(generator(0), 1, torch.float64))
        rows = []
        for name, objective in _SLICED.items():
            for kind, crowd, wrong in (
                *((kind, Crowd, "") for kind in (*_KINDS, "orthogonal")),
                *((kind, _Repeated, "repeated directions") for kind in (*_KINDS, "orthogonal")),
            ):
                stream = crowd(generator(self.seed, name, kind, count), 1, torch.float64)
                values = [
                    objective.loss(model, x.unsqueeze(0), stream, n_slices=count, slice_kind=kind)
                    for _ in range(self.repeats)
                ]
                squares = (torch.cat(values) - exact).square()
                rms = float(squares.mean().sqrt())
                expected = math.nan
                if kind != "orthogonal":
                    total = direction_variance(matrix[name], kind).mean()
                    expected = math.sqrt(float(total) / (self.batch * count))
                # A sum over many points is nearly normal, and so is its root mean square.
                scale = rms if math.isnan(expected) else expected
                error = scale / math.sqrt(2 * self.repeats)
                # Orthogonal directions are exact if there are two: no error for a logarithmic axis.
                quantity = "orthogonal error" if kind == "orthogonal" else "rms error"
                rows.append(row("network", quantity, rms, error, expected, method=name,
                                slices=kind, count=count, wrong=wrong))  # fmt: skip
        return rows

    def _normal(self, dim: int) -> list[TableRow]:
        rows = []
        cases = [("ism", "–", ISM(), ""), *(
            (name, kind, objective, wrong)
            for name, objective, wrong in (
                *((name, objective, "") for name, objective in _SLICED.items()),
                ("ssm", _Unhalved(), "no ½"),
            )
            for kind in _KINDS
        )]  # fmt: skip
        for name, kind, objective, wrong in cases:
            options: Any = {} if name == "ism" else {"n_slices": 1, "slice_kind": kind}
            stream = Crowd(generator(self.seed, "normal", name, kind, dim), self.draws)
            factors = torch.ones(self.draws, 1, 1, requires_grad=True)
            model: Any = NormalModel(factors, 1.0, 0.0)
            loss = objective.loss(model, stream.normal(1, dim), stream, **options)
            (gradient,) = torch.autograd.grad(loss.sum(), factors)
            closed: dict[str, tuple[Tensor, Callable[[str, str, int], float], float]] = {
                "loss variance": (loss.detach(), loss_variance, dim / 2),
                "gradient variance": (gradient, gradient_variance, 2 * dim),
            }
            for quantity, (values, formula, exact) in closed.items():
                value, error = variance_error(values)
                expected = exact if name == "ism" else formula(name, kind, dim)
                rows.append(row("normal", quantity, value, error, expected, method=name,
                                slices=kind, dim=dim, wrong=wrong))  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "The error of M directions falls as M^{0:.2f}, and two orthogonal directions are exact in "
        "the plane. The gradient of SSM has {10:.2f} times the variance of SSM-VR's in d = 2 and "
        "{13:.1f} times in d = 10. The loss of SSM-VR is noisier for d = 1, and equally noisy for "
        "d = 2."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A1", f"{method} with {kind} directions: exponent of the rms error in M",
                "independent directions", partial(_decay, method=method, slices=kind),
                expected=-0.5, slack=0.1, wrong="repeated directions",
            )
            for method in _SLICED
            for kind in _KINDS
        ),
        Claim(
            "A1", "rms errors against the variance of quadratic forms: largest deviation in "
            "standard errors", "closed form",
            partial(largest_deviation, experiment="network", quantity="rms error"), most=4.5,
            wrong="repeated directions",
        ),
        *(
            Claim(
                "A1", f"{method} with two orthogonal directions in the plane: rms error",
                "together they give the trace", partial(_orthogonal, method=method), most=1e-12,
                wrong="repeated directions",
            )
            for method in _SLICED
        ),
        Claim(
            "A2", "variances of the gradient: largest deviation from the closed form in standard "
            "errors", "moments of normal vectors",
            partial(largest_deviation, experiment="normal", quantity="gradient variance"), most=4.5,
            wrong="no ½",
        ),
        *(
            Claim(
                "A2", f"d = {dim}, {kind} directions: gradient variance of SSM over SSM-VR's",
                "(d + 2)/2 (Gaussian), d (others)",
                partial(_ratio, quantity="gradient variance", kind=kind, dim=dim), slack=1e-9,
                wrong="no ½",
            )
            for dim in (2, 10)
            for kind in _KINDS
        ),
        Claim(
            "A3", "variances of the loss: largest deviation from the closed form in standard "
            "errors", "moments of normal vectors",
            partial(largest_deviation, experiment="normal", quantity="loss variance"), most=4.5,
            wrong="no ½",
        ),
        Claim(
            "A3", "d = 1, Gaussian directions: loss variance of SSM over SSM-VR's, 2.0 / 2.5",
            "moments of normal vectors",
            partial(_ratio, quantity="loss variance", kind="gaussian", dim=1), slack=1e-9,
            wrong="no ½",
        ),
        Claim(
            "A3", "d = 2: the same, 5 / 5", "moments of normal vectors",
            partial(_ratio, quantity="loss variance", kind="gaussian", dim=2), slack=1e-9,
            wrong="no ½",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "repeated directions": "all directions of a point are the same one",
        "no ½": "SSM with (v·s)² in place of its half",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = tuple(
        Panel(partial(grouped, quantity=quantity, x=x, by="slices", method=method), label,
              f"{quantity}, {method}", "xy")
        for method in _SLICED
        for quantity, x, label in (
            ("rms error", "count", "directions M per point"),
            ("loss variance", "dim", "dimension d, x ~ N(0, I)"),
            ("gradient variance", "dim", "dimension d, x ~ N(0, I)"),
        )
    )  # fmt: skip
