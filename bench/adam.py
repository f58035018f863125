"""Adam with decoupled weight decay, and the norms of gradients, for K members side by side."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BETAS = 0.9, 0.999
"""Decay rates of the running means."""

EPS = 1e-8


def scales(
    step: int, factor: float, weight_decay: float, eps: float = EPS
) -> tuple[float, float, float]:
    """Return what multiplies the learning rate at step 1 … n, what it decays by, and Adam's ε.

    The bias corrections are moved to these numbers: fewer passes over the parameters.
    """
    b1, b2 = BETAS
    root = math.sqrt(1 - b2**step)
    return factor * root / (1 - b1**step), factor * weight_decay, eps * root


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) on flat parameters, a step size per member.

    Attributes:
        learning_rate: Shape (K, 1).
        first: Running mean of the gradients, shape (K, size).
        second: Running mean of their squares, shape (K, size).
        weight_decay: λ of decoupled decay (Loshchilov and Hutter 2019, algorithm 2), in units of
            the learning rate as in ``torch.optim.AdamW``: a step also subtracts λ times its
            step size times the parameters before the step. It enters neither running mean.
        compiled: Whether to use compiled loops where they apply.
    """

    learning_rate: Tensor
    first: Tensor
    second: Tensor
    weight_decay: float = 0.0
    steps: int = 0
    eps: float = EPS
    compiled: bool = True

    def __post_init__(self) -> None:
        self._theta: Tensor | None = None
        self._arrays: tuple[object, ...] = ()

    def step(
        self, theta: Tensor, gradient: Tensor, factor: float = 1.0, clip: float = math.inf
    ) -> tuple[Tensor, bool]:
        """Move ``theta`` of shape (K, size) in place, unless a gradient is not finite.

        Step sizes are multiplied by ``factor``. Gradients (K, size) whose norm exceeds ``clip`` are
        scaled down to it.

        Returns:
            Norm of each member's gradient before clipping, (K, 1), and whether all are finite: if
            one is not, nothing is moved and the step does not count.
        """
        b1, b2 = BETAS
        scale, decay, eps = scales(self.steps + 1, factor, self.weight_decay, self.eps)
        if self.compiled and gradient.device.type == "cpu" and gradient.is_contiguous():
            norm = gradient.new_empty((len(gradient), 1))
            arrays = self._loops(theta), gradient.numpy(), *self._arrays, norm.numpy()
            moved = self._move(*arrays, clip, scale, decay, eps, b1, b2)
        else:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            moved = math.isfinite(sum(norm.flatten().tolist()))
            if moved:
                gradient = gradient * (clip / norm).clamp(max=1.0)
                self.first.lerp_(gradient, 1 - b1)
                self.second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
                spread = torch.sqrt(self.second).add_(eps)
                theta.mul_(1 - self.learning_rate * decay).sub_(
                    torch.div(self.first, spread, out=spread).mul_(self.learning_rate * scale)
                )
        self.steps += moved
        return norm, moved

    def keep(self, members: Tensor) -> None:
        """Forget all other members."""
        self.learning_rate = self.learning_rate[members]
        self.first, self.second = self.first[members], self.second[members]
        self.__post_init__()

    def _loops(self, theta: Tensor) -> object:
        """Return the parameters as an array; cache all arrays that stay from step to step."""
        if theta is not self._theta:
            # Imported here: numba takes a third of a second, and only training needs it.
            from .training_loops import move

            self._move, self._theta, self._array = move, theta, theta.numpy()
            self._arrays = self.first.numpy(), self.second.numpy(), self.learning_rate.numpy()
        return self._array
