"""What a module of the user's own has to keep to be trained here, as ``promises`` of objectives."""

from collections.abc import Callable, Mapping
from random import getstate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .derivatives.double_backward import DoubleBackward
from .module_network import ModuleNetwork, WrongShapeError
from .network_model import NetworkModel
from .objectives.base import ScoreMatching
from .promises import BrokenPromiseError
from .random import MemberRandom

_POINTS = 12


def output_has_the_right_shape(network: ModuleNetwork) -> None:
    """It returns one energy per point, or one score."""
    try:
        _output(network, _points(network))
    except WrongShapeError as error:
        raise BrokenPromiseError(str(error)) from error
    except Exception as error:
        told = str(error).split("\n")[0]
        columns = network.dim + network.conditional
        level = ", the last column the noise level" if network.conditional else ""
        raise BrokenPromiseError(
            f"it fails on points of shape ({_POINTS}, {columns}){level}: {told}; take `inputs` "
            "and `outputs` in __init__ to be told the numbers of columns"
        ) from error


def it_has_parameters(network: ModuleNetwork) -> None:
    """There is something to train."""
    if not any(part.trained for part in network.parts):
        raise BrokenPromiseError(
            "it has no parameters: make its layers in __init__ and keep them as attributes"
        )


def parameters_come_from_torch(network: ModuleNetwork) -> None:
    """Parameters are drawn from torch's generator, or not drawn at all."""
    before = _generators()
    first, second = (network.init([_generator(5)]) for _ in range(2))
    if not torch.equal(first, second) or _generators() != before:
        raise BrokenPromiseError(
            "its parameters are drawn from NumPy's or Python's generator, so no run could be "
            "repeated: use torch.nn.init or torch.rand"
        )


def nothing_is_random_or_remembered(network: ModuleNetwork) -> None:
    """The same point has the same value whenever it is asked for."""
    x = _points(network)
    before = torch.get_rng_state(), _generators()
    tensors = network.tensors(network.init([_generator(0)])[0])
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    with torch.no_grad():
        first, second = (network(tensors, x) for _ in range(2))
    drawn = not torch.equal(before[0], torch.get_rng_state()) or _generators() != before[1]
    if drawn:
        torch.set_rng_state(before[0])
        raise BrokenPromiseError(
            "it draws random numbers when it is called, as Dropout does: leave that out, or the "
            "score would be that of another function at every call"
        )
    changed = [name for name, tensor in tensors.items() if not torch.equal(kept[name], tensor)]
    if changed:
        raise BrokenPromiseError(
            f"it changes {changed[0]!r} when it is called, as BatchNorm does: what a point is "
            "given would depend on the points before it; LayerNorm does not do that"
        )
    if not torch.equal(first, second):
        raise BrokenPromiseError(
            "it gave two values for the same points: it remembers something between calls"
        )


def points_do_not_see_each_other(network: ModuleNetwork) -> None:
    """The value at a point does not depend on the points beside it."""
    x = _points(network)
    other = torch.cat([x[:1], 3 * x[1:] + 1])
    first, second = _output(network, x)[0], _output(network, other)[0]
    if not torch.allclose(first, second, rtol=1e-4, atol=1e-5):
        raise BrokenPromiseError(
            "the value at a point depends on the points beside it, as with BatchNorm: normalise "
            "over the units of a point (LayerNorm), not over the batch"
        )


def points_are_left_alone(network: ModuleNetwork) -> None:
    """It does not change the points that it is given."""
    x = _points(network)
    kept = x.clone()
    _output(network, x)
    if not torch.equal(x, kept):
        raise BrokenPromiseError("it changes the points that it is given: write x + 1, not x += 1")


def scores_reach_the_parameters(network: ModuleNetwork) -> None:
    """The score is finite, and its gradient reaches the parameters."""
    theta = network.init([_generator(0)]).requires_grad_()
    x = _points(network).unsqueeze(0)
    try:
        (_, score, _, _), _ = DoubleBackward(network, theta).jet(x, None, ("score",), training=True)
        (gradient,) = torch.autograd.grad(score.square().mean(), theta)
    except RuntimeError as error:
        told = str(error).split("\n")[0]
        raise BrokenPromiseError(
            f"its output cannot be differentiated ({told}): leave out .detach(), .data, .item(), "
            "torch.no_grad() and round trips through NumPy"
        ) from error
    if not bool(score.isfinite().all()) or not bool(gradient.isfinite().all()):
        raise BrokenPromiseError(
            "its score or the gradient of it is not finite: look for a square root, a logarithm or "
            "a division at zero"
        )
    if not bool(gradient.any()):
        raise BrokenPromiseError(
            "its score does not depend on its parameters, so nothing would be trained"
        )


def energies_are_smooth(network: ModuleNetwork) -> None:
    """An energy has a second derivative, for objectives that look at it."""
    if network.kind == "energy" and _flat(network):
        raise BrokenPromiseError(
            "the second derivative of its energy is 0 everywhere, as with ReLU: implicit and "
            "sliced score matching would have nothing to learn from; take SiLU, Softplus or Tanh"
        )


PROMISES: tuple[Callable[[ModuleNetwork], None], ...] = (
    it_has_parameters,
    output_has_the_right_shape,
    parameters_come_from_torch,
    points_are_left_alone,
    nothing_is_random_or_remembered,
    points_do_not_see_each_other,
    scores_reach_the_parameters,
)
"""What every module keeps; ``energies_are_smooth`` only those that curvature is asked of."""


def looks_at_curvature(objective: type[ScoreMatching], options: Mapping[str, Any]) -> bool:
    """Whether the loss of an objective asks networks for v·∇s·v.

    Args:
        objective: Whose loss.
        options: Its hyperparameters, numbers as they are.
    """
    network = ModuleNetwork(_Plain, 2, "energy", conditional=objective.conditional)
    model = _Watched(network, network.init([_generator(0)]).requires_grad_())
    given = {
        name: torch.full((1, 1, 1), value) if isinstance(value, float) else value
        for name, value in options.items()
    }
    rng = MemberRandom([_generator(1)])
    objective().loss(model, rng.normal(4, 2), rng, **given)
    return model.curved


class _Watched(NetworkModel):
    """A network that notices what it is asked."""

    curved = False

    def _jet(self, x: Tensor, v: Tensor | None, *wanted: str) -> tuple[Tensor, ...]:
        self.curved |= v is not None
        return super()._jet(x, v, *wanted)


class _Plain(torch.nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(torch.nn.Linear(inputs, 4), torch.nn.SiLU(), torch.nn.Linear(4, outputs))


def _flat(network: ModuleNetwork) -> bool:
    theta = network.init([_generator(k) for k in range(3)])
    rng = MemberRandom([_generator(10 + k) for k in range(3)])
    x = 2 * rng.normal(64, network.dim + network.conditional)
    v = rng.normal(1, *x.shape[1:])
    (_, _, _, second), _ = DoubleBackward(network, theta).jet(x, v, ("slices",), training=False)
    return not bool(second.any())


def _output(network: ModuleNetwork, x: Tensor) -> Tensor:
    with torch.no_grad():
        return network(network.tensors(network.init([_generator(0)])[0]), x)


def _points(network: ModuleNetwork) -> Tensor:
    generator = _generator(3)
    return torch.randn(_POINTS, network.dim + network.conditional, generator=generator)


def _generators() -> tuple[Any, ...]:
    """States of NumPy's and of Python's generator."""
    return np.random.get_state()[1].tolist(), getstate()  # type: ignore[index]  # noqa: NPY002


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
