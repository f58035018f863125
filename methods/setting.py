"""What is known of a run before it starts, for plug-ins to say whether they can take part."""

from typing import NamedTuple

from ..datasets.base import Dataset


class Setting(NamedTuple):
    """Circumstances under which a method, sampler or metric is asked for.

    Plug-ins have a class method ``unfit(setting)`` that gives the reason why they cannot be used,
    or None; a study that asks for them nevertheless is refused when it is read.

    Attributes:
        dataset: The distribution.
        energy: Whether models have an energy, not only a score.
        levels: Whether models know a score for every noise level.
        target: Noise level whose density the model is to learn; None where it is not known yet.
    """

    dataset: Dataset
    energy: bool = True
    levels: bool = False
    target: float | None = None
