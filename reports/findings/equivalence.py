"""Where DEEN and DSM part, and limits of other objectives."""

import numpy as np
import pandas as pd

from ...studies.findings.equivalence import parting
from ..figures.style import LIGHT
from . import drawings
from .plain import Axes, Figure, Theme, legend, measured, panels, pick


@drawings.register("equivalence")
def equivalence(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Distances of paths, what they cost, and orders of two limits."""
    return panels(table, [_paths, _losses, _control_variate, _differences], theme, width)


def _paths(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "training", "path distance")
    scaled = pick(table, "scaled", "path distance")
    axis.plot(found["sigma"], found["value"], "o", color=theme.palette[1], markersize=4,
              label="equal ε and clip")  # fmt: skip
    axis.plot(scaled["sigma"], scaled["value"].clip(lower=1e-17), "s", color=theme.palette[0],
              markersize=4, label="scaled by σ⁴, double precision")  # fmt: skip
    place = parting(table)
    if place == place:
        axis.axvline(place, color=theme.faint, linestyle=":", linewidth=1.1)
        axis.annotate(f"they part at σ ≈ {place:.2g}", (place, 1e-9), xytext=(4, 0),
                      textcoords="offset points", fontsize="small")  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("noise σ")
    axis.set_ylabel("distance of DEEN's path from\nDSM's over its length")
    legend(axis)


def _losses(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    for k, name in enumerate(("dsm", "deen")):
        found = pick(table, "training", "excess loss", method=name)
        found = found.groupby("sigma")["value"].agg(["mean", "sem"]).reset_index()
        found = found.rename(columns={"mean": "value", "sem": "error"})
        measured(axis, found["sigma"] * (1 + 0.06 * k), found, theme, k, name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("noise σ")
    axis.set_ylabel("excess loss after training")
    legend(axis)


def _power(axis: Axes, x: pd.Series, y: pd.Series, order: int, theme: Theme) -> None:
    """A line of that slope through the last point."""
    at = np.array([x.min(), x.max()])
    axis.plot(at, y.iloc[-1] * (at / x.iloc[-1]) ** order, color=theme.faint, linewidth=1,
              linestyle="--")  # fmt: skip


def _control_variate(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    for k, (name, label) in enumerate(
        (("control variate", "control variate, order 1"), ("antithetic", "antithetic, order 2"))
    ):
        found = pick(table, name, "rms error").sort_values("sigma")
        _power(axis, found["sigma"], found["value"], k + 1, theme)
        measured(axis, "sigma", found, theme, k, label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("noise σ")
    axis.set_ylabel("DSM's distance from SSM-VR")
    legend(axis)


def _differences(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    for k, name in enumerate(("double", "single")):
        found = pick(table, "fd_ssm", "rms error", precision=name).sort_values("radius")
        if name == "double":
            _power(axis, found["radius"], found["value"], 2, theme)
        measured(axis, "radius", found, theme, k, f"{name} precision")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("radius r of finite differences")
    axis.set_ylabel("FD-SSM's distance from SSM")
    legend(axis)
