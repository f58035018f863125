"""Bias and variance of denoising score matching."""

import numpy as np
import pandas as pd

from ...studies.findings.sigma import efficiency
from ..figures.style import LIGHT, MARKERS
from . import drawings
from .plain import Axes, Figure, Theme, legend, measured, panels, pick, ticks


@drawings.register("sigma")
def sigma(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """The sweep of σ, efficiency, floors, kernel densities, and where errors are."""
    draw = [_sweep, _efficiency, _floors, _where, _kernels, _memorise]
    return panels(table, draw, theme, width)


def _sweep(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    for k, name in enumerate(("8gaussians", "rings")):
        found = pick(table, "sweep", "kl", dataset=name)
        mean = found.groupby("sigma")["value"].mean()
        bias = pick(table, "bias", "kl", dataset=name).sort_values("sigma")
        bias = bias[bias["sigma"] >= found["sigma"].min()]
        axis.plot(bias["sigma"], bias["value"], "--", color=theme.palette[k], linewidth=1,
                  label=f"KL(p, p_σ), {name}")  # fmt: skip
        axis.plot(found["sigma"], found["value"], MARKERS[k], color=theme.palette[k], markersize=3)
        axis.plot(mean.index, mean, color=theme.palette[k], linewidth=1.2, label=f"dsm, {name}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_ylim(1e-3, None)
    ticks(axis, found["sigma"])
    axis.set_xlabel("noise σ")
    axis.set_ylabel("KL divergence from the data")
    legend(axis)


def _efficiency(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "efficiency", "variance ratio")
    u = np.geomspace(found["u"].min(), found["u"].max(), 200)
    axis.plot(u, [efficiency(one) for one in u], color=theme.faint, linewidth=1.1,
              label="(1 + u)²/2u")  # fmt: skip
    measured(axis, "u", found, theme, 0, "dsm on a normal, bias taken out")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axis.minorticks_off()
    axis.set_xlabel("u: variance of the noise over that of the data")
    axis.set_ylabel("variance over maximum likelihood's")
    legend(axis)


def _floors(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    excess = pick(table, "floor", "excess loss")
    floor = pick(table, "floor", "loss of the exact score")
    x = np.arange(len(excess))
    exact = floor.assign(value=floor["value"] - floor["expected"])
    measured(axis, x - 0.08, exact, theme, 0, "exact score")
    measured(axis, x + 0.08, excess, theme, 1, "network")
    axis.plot(x + 0.08, excess["expected"], "_", color=theme.ink, markersize=14,
              label="its Fisher divergence to p_σ")  # fmt: skip
    axis.axhline(0, color=theme.faint, linewidth=1)
    axis.set_xticks(x, list(excess["dataset"]))
    axis.set_ylabel("held-out loss above the floor")
    legend(axis)


def _where(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "where", "squared error")
    measured(axis, "log_density", found, theme, 0, "a tenth of the box each")
    axis.set_yscale("log")
    axis.set_xlabel("log density of 8gaussians, smoothed")
    axis.set_ylabel("squared error of the score")
    legend(axis)


def _kernels(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "kde", "fisher to truth")
    at = found["points"].to_numpy()
    axis.plot(at, found["value"].iloc[0] * at[0] / at, "--", color=theme.faint, linewidth=1,
              label="1/points")  # fmt: skip
    measured(axis, "points", found, theme, 0, "kernel density estimate")
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks(axis, found["points"])
    axis.set_xlabel("training points")
    axis.set_ylabel("Fisher divergence to p_σ")
    legend(axis)


def _memorise(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    for k, (name, label) in enumerate((("kde", "their kernel density"), ("truth", "the truth"))):
        found = pick(table, "memorise", f"fisher to {name}")
        mean = found.groupby("steps")["value"].mean()
        axis.plot(found["steps"], found["value"], MARKERS[k], color=theme.palette[k], markersize=3)
        axis.plot(mean.index, mean, color=theme.palette[k], linewidth=1.2, label=f"to {label}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks(axis, found["steps"])
    axis.set_xlabel(f"training steps on {found['points'].iloc[0]:g} points")
    axis.set_ylabel("Fisher divergence")
    legend(axis)
