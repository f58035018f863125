"""Costs by dimension."""

import pandas as pd

from ..figures.style import LIGHT, MARKERS
from . import drawings
from .plain import Axes, Figure, Theme, legend, measured, panels, pick, ticks


@drawings.register("scaling")
def scaling(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Passes and seconds by dimension, and the error of the cheap trace."""
    return panels(table, [_passes, _seconds, _trace], theme, width, columns=3)


def _costs(axis: Axes, table: pd.DataFrame, theme: Theme, quantity: str, unit: float) -> None:
    found = pick(table, "cost", quantity)
    for k, name in enumerate(dict.fromkeys(found["method"])):
        some = found[found["method"] == name].sort_values("dim")
        # Sliced objectives need equally many passes: their lines would hide each other.
        some = some.assign(value=some["value"] * (1 + 0.03 * k if quantity == "passes" else 1))
        axis.plot(some["dim"], some["value"] * unit, f"{MARKERS[k]}-", color=theme.palette[k],
                  markersize=4, linewidth=1.1, label=name)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks(axis, found["dim"])
    axis.set_xlabel("dimension d")
    legend(axis)


def _passes(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _costs(axis, table, theme, "passes", 1.0)
    axis.set_ylabel("passes per point")


def _seconds(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _costs(axis, table, theme, "seconds", 1e3)
    axis.set_ylabel("milliseconds per step")


def _trace(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "approximate trace", "relative error")
    for k, width in enumerate(dict.fromkeys(found["width"])):
        some = found[found["width"] == width]
        measured(axis, some["depth"] + 0.06 * (2 * k - 1), some, theme, k, f"{width:g} units")
    axis.set_xlabel("hidden layers")
    ticks(axis, found["depth"])
    axis.set_ylim(-0.05, None)
    axis.set_ylabel("relative error of diagonal\nback-propagation's trace")
    legend(axis, loc="lower right")
