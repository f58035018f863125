"""Scores of points that have no error."""

import numpy as np
import pandas as pd

from ..figures.style import LIGHT
from . import drawings
from .plain import Axes, Figure, Theme, legend, panels, pick


@drawings.register("selftest")
def selftest(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Distributions of standardised MMD² and of SW1, for fresh truth and for exact points."""
    return panels(table, [_moments, _distances], theme, width)


_SOURCES = (("truth", "fresh truth"), ("grid", "drawn exactly"))


def _moments(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    bins = [-3 + 0.2 * i for i in range(46)]
    for k, (source, label) in enumerate(_SOURCES):
        values = pick(table, "mmd", "z", source=source)["value"]
        label = f"{label}: mean {values.mean():.2f}, sd {values.std():.2f}"
        shown = values.clip(bins[0], bins[-1])
        axis.hist(shown, bins, density=True, histtype="step", color=theme.palette[k],
                  linewidth=1.3, label=label)  # fmt: skip
    axis.set_xlabel("MMD² in its standard deviations, all datasets and bandwidths")
    axis.set_ylabel("density")
    legend(axis)


def _distances(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    names = list(dict.fromkeys(table["dataset"]))
    for k, (source, label) in enumerate(_SOURCES):
        found = pick(table, "sw1", "sw1", source=source)
        for i, name in enumerate(names):
            values = np.sort(found[found["dataset"] == name]["value"])
            x = i + 0.18 * (2 * k - 1)
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
            axis.plot([x, x], [low, high], color=theme.palette[k], linewidth=1.2)
            axis.plot([x], [middle], "os"[k], color=theme.palette[k], markersize=5,
                      label=label if i == 0 else "")  # fmt: skip
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("SW1: median and 90 %")
    legend(axis)
