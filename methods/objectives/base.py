"""Base class of training objectives: a search space and a loss."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from optuna.trial import BaseTrial
from torch import Tensor

from ...datasets.base import Dataset, Density
from ..network_model import NetworkModel
from ..networks import Prediction
from ..quadratic import QuadraticLoss
from ..random import MemberRandom, SliceKind
from ..setting import Setting

# Objectives import the types of their signatures from here.
__all__ = [
    "Any",
    "BaseTrial",
    "ClassVar",
    "Dataset",
    "Density",
    "Mapping",
    "MemberRandom",
    "NetworkModel",
    "Options",
    "Prediction",
    "QuadraticLoss",
    "QuadraticObjective",
    "ScoreMatching",
    "Setting",
    "SliceKind",
    "Suggested",
    "Tensor",
]

Options = Mapping[str, Any]
"""Hyperparameters by name."""

Suggested = dict[str, Any]
"""Hyperparameters that a trial suggests, by name."""


class ScoreMatching(ABC):
    """A training objective for scores.

    A subclass is one small file in ``objectives/``. ``space`` suggests the hyperparameters, and
    ``loss`` takes them by name. Floats differ between members and arrive as tensors of shape
    (K, 1, 1); integers and names are the same for all members. If the loss is quadratic in the
    score, a ``QuadraticObjective`` trains faster.

    A hyperparameter that is suggested between two equal bounds has that value, and is searched only
    if a study gives it a range.

    Attributes:
        conditional: Whether the noise level is an input of the network, ``model.score(x, sigma)``.
        needs_score: Whether the loss has a parameter ``clean_score``: a function from points
            (K, B, d) of the data to their exact scores.
        published: The setting of the method's publication, by name, if there is one: what
            ``search.first = ["default"]`` tries. Places that it leaves out are searched.
    """

    conditional: ClassVar[bool] = False
    needs_score: ClassVar[bool] = False

    @abstractmethod
    def space(self, trial: BaseTrial) -> Suggested:
        """Suggest the hyperparameters of this objective to Optuna, and nothing else."""

    def target(self, options: Options) -> float:
        """Return the noise level of the density whose score is learned; of several, the smallest.

        Args:
            options: The hyperparameters, as plain numbers.
        """
        return 0.0

    def least(self, dataset: Density, options: Options) -> float:
        """Compute the loss of the exact score, the floor of training curves; NaN if unknown.

        Args:
            dataset: The training distribution.
            options: The hyperparameters, as plain numbers.

        Raises:
            UsageError: The target has no score.
        """
        return math.nan

    def predicts(self, options: Options) -> Prediction:
        """Return what a conditional network's output is; see ``network_model.Preconditioning``."""
        return "velocity"

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        """Return the reason why the objective cannot be used in this setting; None if it can."""
        return None

    @abstractmethod
    def loss(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *args: Any, **options: Any
    ) -> Tensor:
        """Compute the loss of each member on its batch.

        Args:
            model: The networks being trained; ``model.score``, ``model.along``,
                ``model.score_and_curvature`` and ``model.energy`` can be differentiated with
                respect to the parameters.
            x: One batch per member, shape (K, B, d).
            rng: Source of the training noise.
            args: Empty; lets each objective name its own options.
            options: The hyperparameters; and for a loss that has a parameter ``centre``, the middle
                of the data of each member, shape (K, 1, d).

        Returns:
            Shape (K,); the value of a member must not depend on other members.
        """

    @property
    def formula(self) -> Callable[..., object]:
        """The method that takes the hyperparameters by name."""
        return self.loss


class QuadraticObjective(ScoreMatching):
    """An objective whose loss is quadratic in the score: it defines ``terms`` in place of ``loss``.

    It trains many steps in one compiled call.
    """

    @abstractmethod
    def terms(self, x: Tensor, rng: MemberRandom, *args: Any, **options: Any) -> QuadraticLoss:
        """Draw the noise of each member, and return the loss; the arguments are those of ``loss``.

        In compiled training the members are the batches of one member's next steps.
        """

    def loss(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *args: Any, **options: Any
    ) -> Tensor:
        return self.terms(x, rng, *args, **options).of(model)

    @property
    def is_quadratic(self) -> bool:
        """Whether ``terms`` says all: a subclass may have a loss of its own."""
        return type(self).loss is QuadraticObjective.loss

    @property
    def formula(self) -> Callable[..., object]:
        """``terms``, or the loss of a subclass."""
        return self.terms if self.is_quadratic else self.loss
