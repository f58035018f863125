"""Checks of networks: any ``torch.nn.Module`` that is to be trained here."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from ...datasets.testing.conformance import Check, CheckFailedError, require, seeded
from ..derivatives.double_backward import DoubleBackward
from ..module_network import ModuleNetwork, WrongShapeError
from ..network_model import NetworkModel
from ..objectives.base import Options, ScoreMatching
from .draws import as_tensors, given, other_generators, streams

_POINTS = 12


def it_has_parameters(network: ModuleNetwork) -> None:
    """It has parameters to train."""
    require(
        any(part.trained for part in network.parts),
        "it has no parameters: make its layers in __init__ and keep them as attributes",
    )


def output_has_the_right_shape(network: ModuleNetwork) -> None:
    """It returns one energy per point, or one score."""
    try:
        _output(network, _points(network))
    except WrongShapeError as error:
        raise CheckFailedError(str(error)) from error
    except Exception as error:
        columns = network.dim + network.conditional
        level = ", the last column the noise level" if network.conditional else ""
        raise CheckFailedError(
            f"it fails on points of shape ({_POINTS}, {columns}){level}: {_first_line(error)}; "
            "take `inputs` and `outputs` in __init__ to receive the numbers of columns, or check "
            "it in the dimension that it is for, with --dim"
        ) from error


def parameters_come_from_torch(network: ModuleNetwork) -> None:
    """Parameters are drawn from torch's generator, or not drawn at all."""
    before = other_generators()
    first, second = (network.init([seeded(5)]) for _ in range(2))
    require(
        torch.equal(first, second) and other_generators() == before,
        "its parameters are drawn from NumPy's or Python's generator, so no run could be "
        "repeated: use torch.nn.init or torch.rand",
    )


def points_are_left_alone(network: ModuleNetwork) -> None:
    """It does not change the points passed in."""
    x = _points(network)
    original = x.clone()
    _output(network, x)
    require(torch.equal(x, original), "it changes the points passed in: write x + 1, not x += 1")


def nothing_is_random_or_remembered(network: ModuleNetwork) -> None:
    """The same point has the same value in every call."""
    x = _points(network)
    torch_state, other_states = torch.get_rng_state(), other_generators()
    tensors = network.tensors(network.init([seeded(0)])[0])
    originals = {name: tensor.clone() for name, tensor in tensors.items()}
    with torch.no_grad():
        first, second = (network(tensors, x) for _ in range(2))
    if not torch.equal(torch_state, torch.get_rng_state()) or other_generators() != other_states:
        torch.set_rng_state(torch_state)
        raise CheckFailedError(
            "it draws random numbers when it is called, as Dropout does, so the score would be "
            "that of another function at every call: leave that out"
        )
    for name, tensor in tensors.items():
        require(
            torch.equal(originals[name], tensor),
            f"it changes {name!r} when it is called, as BatchNorm does, so the value at a point "
            "would depend on earlier calls: use LayerNorm",
        )
    require(
        torch.equal(first, second),
        "it gave two values for the same points: it remembers something between calls",
    )


def points_do_not_affect_each_other(network: ModuleNetwork) -> None:
    """The value at a point does not depend on the other points."""
    x = _points(network)
    other = torch.cat([x[:1], 3 * x[1:] + 1])
    first, second = _output(network, x)[0], _output(network, other)[0]
    require(
        torch.allclose(first, second, rtol=1e-4, atol=1e-5),
        "the value at a point depends on the other points, as with BatchNorm: normalise "
        "over the units of a point (LayerNorm), not over the batch",
    )


def scores_reach_the_parameters(network: ModuleNetwork) -> None:
    """The score is finite, and its gradient reaches the parameters."""
    theta = network.init([seeded(0)]).requires_grad_()
    x = _points(network).unsqueeze(0)
    with _differentiating():
        (_, score, _, _), _ = DoubleBackward(network, theta).jet(x, None, ("score",), training=True)
        (gradient,) = torch.autograd.grad(score.square().mean(), theta)
    require(
        score.isfinite().all() and gradient.isfinite().all(),
        "its score or the gradient of the score is not finite: look for a square root, a logarithm "
        "or a division at zero",
    )
    require(
        gradient.any(), "its score does not depend on its parameters, so nothing would be trained"
    )


def members_do_not_affect_each_other(network: ModuleNetwork) -> None:
    """A member's gradient is bitwise independent of the other members."""
    theta = network.init([seeded(k) for k in range(3)])
    x = streams(3, 10).normal(7, network.dim + network.conditional)

    def gradient(members: Sequence[int]) -> Tensor:
        rows = theta[members].clone().requires_grad_()
        jet = DoubleBackward(network, rows).jet(x[members], None, ("score",), training=True)
        return torch.autograd.grad(jet[0][1].square().sum(), rows)[0]

    with _differentiating():
        together, alone = gradient([0, 1, 2]), [gradient([k])[0] for k in range(3)]
    for k in range(3):
        require(
            torch.equal(together[k], alone[k]),
            "the gradient of a member depends on the other members: it stores something between "
            "calls",
        )


def energies_are_smooth(network: ModuleNetwork) -> None:
    """An energy has a second derivative, for objectives that use it."""
    require(
        network.kind == "score" or not _is_flat(network),
        "the second derivative of its energy is 0 everywhere, as with ReLU, so implicit and "
        "sliced score matching would learn nothing: use SiLU, Softplus or Tanh",
    )


CHECKS: tuple[Check, ...] = (
    it_has_parameters,
    output_has_the_right_shape,
    parameters_come_from_torch,
    points_are_left_alone,
    nothing_is_random_or_remembered,
    points_do_not_affect_each_other,
    scores_reach_the_parameters,
    members_do_not_affect_each_other,
    energies_are_smooth,
)
"""All checks, each called with the network; the last only matters to objectives that use
curvature, see ``uses_curvature``."""


def uses_curvature(objective: type[ScoreMatching], options: Options) -> bool:
    """Whether the loss of an objective, with these plain options, asks networks for v·∇s·v."""
    network = ModuleNetwork(_Plain, 2, "energy", conditional=objective.conditional)
    model = _CurvatureWatch(network, network.init([seeded(0)]).requires_grad_())
    rng = streams(1, 1)
    objective().loss(model, rng.normal(4, 2), rng, **as_tensors(options, 1), **given(objective))
    return model.used


class _CurvatureWatch(NetworkModel):
    """A network that notes whether its curvature was used."""

    used = False

    def _jet(self, x: Tensor, v: Tensor | None, *wanted: str) -> tuple[Tensor, ...]:
        self.used |= v is not None
        return super()._jet(x, v, *wanted)


class _Plain(torch.nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(torch.nn.Linear(inputs, 4), torch.nn.SiLU(), torch.nn.Linear(4, outputs))


def _is_flat(network: ModuleNetwork) -> bool:
    """Whether second derivatives are 0 at random points."""
    theta = network.init([seeded(k) for k in range(3)])
    rng = streams(3, 10)
    x = 2 * rng.normal(64, network.dim + network.conditional)
    v = rng.normal(1, *x.shape[1:])
    with _differentiating():
        (_, _, _, second), _ = DoubleBackward(network, theta).jet(x, v, ("slices",), training=False)
    return not bool(second.any())


@contextmanager
def _differentiating() -> Iterator[None]:
    """Explain errors of autograd."""
    try:
        yield
    except RuntimeError as error:
        lacking = re.search(r"derivative for '?(?:aten::)?_*(\w+?)(_backward)?'? is", str(error))
        if lacking is None:
            raise CheckFailedError(
                f"its output cannot be differentiated ({_first_line(error)}): leave out .detach(), "
                ".data, .item(), torch.no_grad() and round trips through NumPy"
            ) from error
        raise CheckFailedError(
            f"torch has no second derivative of {lacking[1]}, and a score that is the gradient of "
            "an energy is trained by second derivatives: write that step in elementary operations, "
            "for example (x[:, None] - c).square().sum(-1) for cdist, and softmax(q @ k.mT) @ v "
            "for attention"
        ) from error


def _output(network: ModuleNetwork, x: Tensor) -> Tensor:
    with torch.no_grad():
        return network(network.tensors(network.init([seeded(0)])[0]), x)


def _points(network: ModuleNetwork) -> Tensor:
    return torch.randn(_POINTS, network.dim + network.conditional, generator=seeded(3))


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
