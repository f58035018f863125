"""What a training objective is: a search space and a loss."""

from abc import ABC, abstractmethod
from typing import Any

from optuna.trial import BaseTrial
from torch import Tensor

from ..model import NetworkModel
from ..random import MemberRandom, SliceKind

# An objective imports all that its signatures name from here.
__all__ = [
    "Any",
    "BaseTrial",
    "MemberRandom",
    "NetworkModel",
    "ScoreMatching",
    "SliceKind",
    "Tensor",
]


class ScoreMatching(ABC):
    """A training objective for scores.

    A subclass is one small file in ``objectives/``. Hyperparameters are what ``space`` suggests;
    ``loss`` takes them by name. Numbers with a fractional part differ from member to member and
    arrive as tensors of shape (K, 1, 1); integers and names are the same for all members.
    """

    @abstractmethod
    def space(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest this objective's own hyperparameters to Optuna, and nothing else."""

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
