"""Losses that have a floor, and one that has none."""

import pandas as pd

from ..figures.style import LIGHT
from . import drawings
from .plain import Axes, Figure, Theme, legend, panels, pick


@drawings.register("illposed")
def illposed(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Losses by training step, with the least that there can be."""
    return panels(table, [_without, _with], theme, width)


def _curves(
    axis: Axes, table: pd.DataFrame, theme: Theme, cases: list[tuple[str, str, float]]
) -> None:
    for k, (method, dataset, noise) in enumerate(cases):
        found = pick(table, "training", "loss", method=method, dataset=dataset, data_noise=noise)
        label = f"{method} on {dataset}" + (f", noise {noise:g}" if noise else "")
        step, value, error = (found[name] for name in ("step", "value", "error"))
        axis.plot(step, value, color=theme.palette[k], linewidth=1.2, label=label)
        axis.fill_between(step, value - 1.96 * error, value + 1.96 * error,
                          color=theme.palette[k], alpha=0.2, linewidth=0)  # fmt: skip
        floor = found["expected"].iloc[0]
        if floor > -float("inf"):
            axis.axhline(floor, color=theme.palette[k], linestyle="--", linewidth=1)
    axis.set_xlabel("training step")
    axis.set_ylabel("loss")
    legend(axis)


def _without(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _curves(axis, table, theme, [("ism", "checkerboard", 0.0), ("ssm", "checkerboard", 0.0)])


def _with(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _curves(axis, table, theme, [("ism", "checkerboard", 0.2), ("ism", "8gaussians", 0.0)])
    axis.set_ylabel("loss (dashed: the least there can be)")
