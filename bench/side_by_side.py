"""Training on any loss and device: a step of all networks at a time, gradients by autograd."""

import numpy as np
import torch
from torch import Tensor

from ..methods.network_model import NetworkModel
from ..methods.random import MemberRandom
from .adam import Adam
from .trainer import Trainees, Trainer, rate

_NOTED = 64
"""Steps whose losses are read from the device together: it waits for each reading."""


class SideBySide(Trainer):
    """Makes each step with all networks together."""

    def __init__(self, trainees: Trainees) -> None:
        super().__init__(trainees)
        theta = trainees.theta.clone().requires_grad_()
        self._model = NetworkModel(trainees.network, theta)
        self._weights = theta.data
        self._options = dict(trainees.options)
        means = torch.zeros_like(theta.data), torch.zeros_like(theta.data)
        self._adam = Adam(
            trainees.learning_rate, *means, weight_decay=trainees.training.weight_decay
        )
        self._average = torch.zeros_like(theta.data)
        self._data = trainees.data
        self._ahead: list[Tensor] = []

    def advance(self, first: int, last: int) -> None:
        """Make the steps after ``first``, up to ``last``."""
        training = self.trainees.training
        losses: list[Tensor] = []
        norms: list[Tensor] = []
        for step in range(first + 1, last + 1):
            loss, gradient = self._gradient()
            factor = rate(training.schedule, step, training.steps)
            norm, moved = self._adam.step(self._weights, gradient, factor, training.clip)
            if not moved:
                self._note(step - 1, losses, norms)
                rest = self._drop_diverged(step, loss, norm)
                if not self.alive:
                    return
                loss, gradient = loss[rest], gradient[rest]
                norm, _ = self._adam.step(self._weights, gradient, factor, training.clip)
            if training.ema:
                self._average.lerp_(self._weights, 1 - training.ema)
            losses.append(loss)
            norms.append(norm)
            if len(losses) == _NOTED:
                self._note(step, losses, norms)
        self._note(last, losses, norms)

    def reached(self, step: int) -> Tensor:
        """Return the parameters, or their average, shape (alive, size)."""
        ema = self.trainees.training.ema
        return self._average / (1 - ema**step) if ema else self._weights.clone()

    def evaluations(self, member: int) -> int:  # noqa: ARG002 (all make the same steps)
        """Return how many points were pushed through a member."""
        return self._model.evaluations

    def _gradient(self) -> tuple[Tensor, Tensor]:
        """Compute the losses (alive,) of the next batches, and their gradients (alive, size)."""
        trainees = self.trainees
        if not self._ahead:
            self._ahead = _batches_ahead(self._data, trainees.batches, trainees.training.batch_size)
        x = self._ahead.pop()
        with torch.enable_grad():
            loss = trainees.objective.loss(self._model, x, trainees.noise, **self._options)
            (gradient,) = torch.autograd.grad(loss.sum(), self._model.theta)
        return loss.detach(), gradient

    def _note(self, last: int, losses: list[Tensor], norms: list[Tensor]) -> None:
        """Move the losses (alive,) and norms (alive, 1) of the steps up to ``last`` to the path."""
        if losses:
            rows = torch.stack([torch.stack(losses, 1), torch.cat(norms, 1)], -1)
            values = np.reshape(rows.flatten().tolist(), rows.shape)
            self.path[self.alive, last - len(losses) : last] = values
            losses.clear()
            norms.clear()

    def _drop_diverged(self, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """Drop members without a finite norm (alive, 1) of the gradient; ``loss`` is (alive,).

        Returns:
            Rows of the members that stay.
        """
        finite = torch.isfinite(norm).squeeze(1)
        for i, k in enumerate(self.alive):
            if not finite[i]:
                self.diverged(k, self._weights[i], step, loss[i].item())
        rest = finite.nonzero().squeeze(1)
        rows = rest.tolist()
        self.alive = [self.alive[i] for i in rows]
        theta = self._weights[rest].requires_grad_()
        evaluations = self._model.evaluations
        self._model = NetworkModel(self._model.network, theta)
        self._model.evaluations = evaluations
        self._weights = theta.data
        self._options = {
            name: value[rest] if isinstance(value, Tensor) else value
            for name, value in self._options.items()
        }
        self._adam.keep(rest)
        self._average = self._average[rest]
        self._data = self._data[rest]
        self._ahead = [batch[rest] for batch in self._ahead]
        self.trainees.batches.keep(rows)
        self.trainees.noise.keep(rows)
        return rest


def _batches_ahead(data: Tensor, batches: MemberRandom, size: int, steps: int = 32) -> list[Tensor]:
    """Draw the next batches of each member, last first: (K, N, d) to a list of (K, B, d)."""
    members, points, dim = data.shape
    index = batches.integers(points, steps, size)
    offset = torch.arange(members, device=index.device).mul_(points).view(-1, 1, 1)
    flat = data.reshape(-1, dim).index_select(0, (index + offset).transpose(0, 1).reshape(-1))
    return list(flat.view(steps, members, size, dim).unbind())[::-1]
