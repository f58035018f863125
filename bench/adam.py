"""Adam, and the length of gradients, for K members side by side."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) on flat parameters, a step size per member.

    Attributes:
        learning_rate: Shape (K, 1).
        first: Running mean of the gradients, shape (K, size).
        second: Running mean of their squares, shape (K, size).
        compiled: Whether to use compiled loops where they fit.
    """

    learning_rate: Tensor
    first: Tensor
    second: Tensor
    steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    compiled: bool = True

    def __post_init__(self) -> None:
        if self.first.device.type == "cpu":
            # Made once: a step of a narrow network takes not much longer than making them.
            self._moments = self.first.numpy(), self.second.numpy()
            self._rates = self.learning_rate.numpy()
            self._ones = np.ones_like(self._rates)

    def norms(self, gradient: Tensor) -> Tensor:
        """Length of each member's gradient, (K, size) -> (K, 1)."""
        if not self._fits(gradient):
            made: Tensor = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            return made
        from .adam_loops import norms

        made = gradient.new_empty((len(gradient), 1))
        norms(gradient.numpy(), made.numpy())
        return made

    def step(
        self, theta: Tensor, gradient: Tensor, factor: float = 1.0, shrink: Tensor | None = None
    ) -> None:
        """Move ``theta`` of shape (K, size) in place.

        Args:
            theta: The parameters.
            gradient: Of the same shape.
            factor: What the step sizes are multiplied by.
            shrink: What each member's gradient is multiplied by, shape (K, 1).
        """
        self.steps += 1
        b1, b2 = self.betas
        # The bias corrections are moved to the small factors: fewer passes over the parameters.
        root = math.sqrt(1 - b2**self.steps)
        scale = factor * root / (1 - b1**self.steps)
        if self._fits(gradient) and theta.is_contiguous():
            from .adam_loops import move

            shrinks = self._ones if shrink is None else shrink.numpy()
            arrays = theta.numpy(), gradient.numpy(), *self._moments, shrinks, self._rates
            move(*arrays, scale, self.eps * root, b1, b2)
            return
        if shrink is not None:
            gradient = gradient * shrink
        self.first.lerp_(gradient, 1 - b1)
        self.second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        spread = torch.sqrt(self.second).add_(self.eps * root)
        theta.sub_(torch.div(self.first, spread, out=spread).mul_(self.learning_rate * scale))

    def keep(self, members: Tensor) -> None:
        """Forget all other members."""
        self.learning_rate = self.learning_rate[members]
        self.first, self.second = self.first[members], self.second[members]
        self.__post_init__()

    def _fits(self, gradient: Tensor) -> bool:
        return self.compiled and gradient.device.type == "cpu" and gradient.is_contiguous()
