"""The figure of the finding ``sigma``, apart from its experiments: four panels."""

from typing import Any

import numpy as np

from .base import pick
from .figure import Axes, Panel, Table, Theme, measured, repeated, ticks


def efficiency(u: Any) -> Any:
    """Variance of the unbiased estimate from DSM, over that of maximum likelihood.

    Data are N(0, 1/λ), the model's score is -θx and u = σ²λ: DSM's minimiser estimates
    1/(1/λ + σ²), and 1/(1/θ - σ²) estimates λ.
    """
    return (1 + u) ** 2 / (2 * u)


def _draw_sweep(axis: Axes, table: Table, theme: Theme) -> None:
    for k, name in enumerate(("8gaussians", "rings")):
        rows = pick(table, "sweep", "kl", dataset=name)
        bias = pick(table, "bias", "kl", dataset=name).sort_values("sigma")
        bias = bias[bias["sigma"] >= rows["sigma"].min()]
        colour, label = theme.palette[k], f"KL(p, p_σ), {name}"
        axis.plot(bias["sigma"], bias["value"], "--", color=colour, linewidth=1, label=label)
        repeated(axis, "sigma", rows, theme, k, f"dsm, {name}")
        ticks(axis, rows["sigma"])
    axis.set_ylim(1e-3, None)


def _draw_efficiency(axis: Axes, table: Table, theme: Theme) -> None:
    rows = pick(table, "efficiency", "variance ratio")
    u = np.geomspace(rows["u"].min(), rows["u"].max(), 200)
    axis.plot(u, efficiency(u), color=theme.faint, linewidth=1.1, label="(1 + u)²/2u")
    measured(axis, "u", rows, theme, 0, "dsm on a normal, bias taken out")
    axis.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axis.minorticks_off()


def _draw_floors(axis: Axes, table: Table, theme: Theme) -> None:
    network = pick(table, "floor", "excess loss")
    floor = pick(table, "floor", "loss of the exact score")
    exact = floor.assign(value=floor["value"] - floor["expected"])
    x = np.arange(len(network))
    measured(axis, x - 0.08, exact, theme, 0, "exact score")
    measured(axis, x + 0.08, network, theme, 1, "network")
    label = "its Fisher divergence to p_σ"
    axis.plot(x + 0.08, network["expected"], "_", color=theme.ink, markersize=14, label=label)
    axis.axhline(0, color=theme.faint, linewidth=1)
    axis.set_xticks(x, list(network["dataset"]))


def _draw_where(axis: Axes, table: Table, theme: Theme) -> None:
    rows = pick(table, "where", "squared error")
    measured(axis, "log_density", rows, theme, 0, "a tenth of the box each")


PANELS = (
    Panel(_draw_sweep, "noise σ", "KL divergence from the data", "xy"),
    Panel(
        _draw_efficiency,
        "u: variance of the noise over that of the data",
        "variance over maximum likelihood's",
        "xy",
    ),
    Panel(_draw_floors, y="held-out loss above the floor"),
    Panel(_draw_where, "log density of 8gaussians, smoothed", "squared error of the score", "y"),
)
