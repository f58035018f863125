"""Weights of modes, and what hides behind them."""

import pandas as pd

from ..figures.style import LIGHT
from . import drawings
from .plain import Axes, Figure, Theme, legend, measured, panels, pick


@drawings.register("mixing")
def mixing(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Weights by sampler, by basin, and what metrics see of them."""
    return panels(table, [_two_modes, _basins, _masked, _blind], theme, width)


def _strip(axis: Axes, found: pd.DataFrame, by: str, theme: Theme, scale: float = 1.0) -> None:
    """Every value of a group as a small point, beside each other, and the mean as a bar."""
    groups = list(dict.fromkeys(found[by]))
    for i, name in enumerate(groups):
        values = found[found[by] == name]["value"] / scale
        x = [i + 0.03 * (j - len(values) / 2) for j in range(len(values))]
        axis.plot(x, values, "o", color=theme.palette[i], markersize=3, alpha=0.8)
        axis.plot([i - 0.28, i + 0.28], [values.mean()] * 2, color=theme.ink, linewidth=1.2)
    axis.set_xticks(range(len(groups)), [str(name).replace(", ", ",\n") for name in groups])
    axis.set_xlim(-0.5, len(groups) - 0.5)


def _two_modes(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "two modes", "weight")
    axis.axhline(0.8, color=theme.faint, linestyle="--", linewidth=1.1, label="truth")
    axis.axhline(0.5, color=theme.faint, linestyle=":", linewidth=1.1, label="share of the box")
    _strip(axis, found, "sampler", theme)
    axis.set_ylim(0.4, 1.05)
    axis.set_ylabel("weight of the first of two modes")
    legend(axis, loc="upper left")


def _basins(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    low, high = 0.05, 0.8
    axis.plot([low, high], [low, high], color=theme.faint, linewidth=1.1, label="area of the box")
    for k, (name, truth) in enumerate((("rings", 1 / 4), ("8gaussians", 1 / 8))):
        found = pick(table, "basins", "weight", dataset=name)
        measured(axis, "expected", found, theme, k, name)
        axis.axhline(truth, color=theme.palette[k], linestyle="--", linewidth=0.9)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for one in (axis.xaxis, axis.yaxis):
        one.set_ticks([0.06, 0.1, 0.2, 0.4, 0.7], labels=["0.06", "0.1", "0.2", "0.4", "0.7"])
    axis.minorticks_off()
    axis.set_xlabel("share of the starting box nearest to the mode")
    axis.set_ylabel("weight (dashed: truth)")
    legend(axis)


def _masked(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _strip(axis, pick(table, "masked", "sw1"), "model", theme)
    axis.set_yscale("log")
    axis.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    axis.minorticks_off()
    axis.set_ylabel("SW1 on rings, exact score")


def _blind(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    for k, name in enumerate(("ksd", "sw1")):
        found = pick(table, "blind", name)
        right = found[found["weights"] == "0.8, 0.2"]["value"]
        groups = list(dict.fromkeys(found["weights"]))
        for i, label in enumerate(groups):
            values = (found[found["weights"] == label]["value"] - right.mean()) / right.std()
            x = [i + 0.2 * (2 * k - 1) + 0.02 * (j - len(values) / 2) for j in range(len(values))]
            axis.plot(x, values, "os"[k], color=theme.palette[k], markersize=3,
                      label={"ksd": "KSD", "sw1": "SW1"}[name] if i == 0 else "")  # fmt: skip
    axis.set_yscale("symlog", linthresh=3)
    axis.set_xticks(range(len(groups)), groups)
    axis.set_xlabel("weights of the points (truth: 0.8, 0.2)")
    axis.set_ylabel("standard deviations above the truth's")
    legend(axis)
