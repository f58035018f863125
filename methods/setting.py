"""Facts about a run before it starts, from which plug-ins decide whether they can be used."""

from typing import Any, NamedTuple

from ..datasets.base import Dataset, has_density


class Setting(NamedTuple):
    """The setting in which a method, sampler or metric is to be used.

    Plug-ins have a class method ``unfit(setting)`` that returns the reason why they cannot be used,
    or None; a study that names an unfit plug-in is refused when it is loaded.

    Attributes:
        dataset: The distribution.
        energy: Whether models have an energy, not only a score.
        levels: Whether models have a score for every noise level.
        target: Noise level of the density to learn; None if it is not known yet.
    """

    dataset: Dataset
    energy: bool = True
    levels: bool = False
    target: float | None = None


def why_unfit(plugin: Any, setting: Setting) -> str | None:
    """Return why a method, sampler, metric or reference cannot be used in a setting, or None.

    One with the attribute ``needs_density`` cannot be used where points can only be drawn.
    """
    if getattr(plugin, "needs_density", False) and not has_density(setting.dataset):
        return "it needs the log density of the data, which can only be drawn from"
    # References have no condition of their own.
    reason: str | None = plugin.unfit(setting) if hasattr(plugin, "unfit") else None
    return reason
