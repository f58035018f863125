"""What a training objective is: a search space and a loss."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from optuna.trial import BaseTrial
from torch import Tensor, autograd, enable_grad

from ...datasets.base import Dataset
from ..network_model import NetworkModel
from ..random import MemberRandom, SliceKind
from ..setting import Setting

# An objective imports all that its signatures name from here.
__all__ = [
    "Any",
    "BaseTrial",
    "ClassVar",
    "Dataset",
    "Mapping",
    "MemberRandom",
    "NetworkModel",
    "ScoreMatching",
    "Setting",
    "SliceKind",
    "Tensor",
]


class ScoreMatching(ABC):
    """A training objective for scores.

    A subclass is one small file in ``objectives/``. Hyperparameters are what ``space`` suggests;
    ``loss`` takes them by name. Numbers with a fractional part differ from member to member and
    arrive as tensors of shape (K, 1, 1); integers and names are the same for all members.

    A hyperparameter that is suggested between two equal ends has that value unless a study says
    otherwise: it is never searched on its own account.

    Attributes:
        conditional: Whether the network is told the noise level, ``model.score(x, sigma)``.
    """

    conditional: ClassVar[bool] = False

    @abstractmethod
    def space(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest this objective's own hyperparameters to Optuna, and nothing else."""

    def target(self, options: Mapping[str, Any]) -> float:
        """Noise level of the density whose score is learned; for several levels the smallest.

        Args:
            options: The hyperparameters, numbers as they are.
        """
        return 0.0

    def least(self, dataset: Dataset, options: Mapping[str, Any]) -> float:
        """Expected loss of the exact score, the floor of training curves; NaN if it is not known.

        Args:
            dataset: What is trained on.
            options: The hyperparameters, numbers as they are.

        Raises:
            UsageError: The target has no score.
        """
        return math.nan

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:  # noqa: ARG003
        """Why the objective cannot be used in this setting; None if it can."""
        return None

    @abstractmethod
    def loss(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *args: Any, **options: Any
    ) -> Tensor:
        """Loss of each member on its batch.

        Args:
            model: The networks being trained; ``model.score``, ``model.along``,
                ``model.score_and_curvature`` and ``model.energy`` can be differentiated with
                respect to the parameters.
            x: A batch of each member, shape (K, B, d).
            rng: Where training noise comes from.
            args: None; there only so that each objective may name its own options.
            options: The hyperparameters.

        Returns:
            Shape (K,); a member's value must not depend on the others.
        """

    def gradient(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *args: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """``loss``, and the gradient of its sum with respect to the parameters.

        An objective may write this down too, with ``model.vjp``: it is then trained a good part
        faster, and is held to what autograd makes of ``loss``.

        Returns:
            Shapes (K,) and (K, size), with no graph.
        """
        with enable_grad():
            loss = self.loss(model, x, rng, *args, **options)
            (gradient,) = autograd.grad(loss.sum(), model.theta)
        return loss.detach(), gradient

    def __init_subclass__(cls) -> None:
        """A gradient that was written down for another loss is not inherited."""
        if "loss" in vars(cls) and "gradient" not in vars(cls):
            cls.gradient = ScoreMatching.gradient  # type: ignore[method-assign]
