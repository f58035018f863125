"""Noise of sliced objectives, measured and in closed form."""

import pandas as pd

from ..figures.style import LIGHT
from . import drawings
from .plain import Axes, Figure, Theme, legend, measured, panels, pick, theory, ticks


@drawings.register("variance")
def variance(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Errors by number of directions, variances by dimension; lines are closed forms."""
    return panels(table, [_ssm, _ssm_vr, _loss, _gradient], theme, width)


def _error(axis: Axes, table: pd.DataFrame, theme: Theme, method: str) -> None:
    found = pick(table, "network", "rms error", method=method)
    for k, kind in enumerate(("gaussian", "rademacher", "sphere")):
        some = found[found["slices"] == kind]
        measured(axis, "count", some, theme, k, kind)
        theory(axis, "count", some, theme, k)
    some = found[(found["slices"] == "orthogonal") & (found["value"] > 1e-9)]
    measured(axis, "count", some, theme, 3, "orthogonal (exact for even M)")
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks(axis, found["count"])
    axis.set_xlabel("directions M per point")
    axis.set_ylabel(f"rms error of the {method} loss")
    legend(axis)


def _ssm(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _error(axis, table, theme, "ssm")


def _ssm_vr(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _error(axis, table, theme, "ssm_vr")


def _by_dimension(axis: Axes, table: pd.DataFrame, theme: Theme, quantity: str) -> None:
    found = pick(table, "normal", quantity)
    cases = [("ssm", "gaussian"), ("ssm", "rademacher"), ("ssm_vr", "gaussian"),
             ("ssm_vr", "rademacher"), ("ism", "–")]  # fmt: skip
    for k, (method, kind) in enumerate(cases):
        some = found[(found["method"] == method) & (found["slices"] == kind)]
        label = method if method == "ism" else f"{method}, {kind}"
        measured(axis, "dim", some, theme, k, label)
        theory(axis, "dim", some, theme, k)
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks(axis, found["dim"])
    axis.set_xlabel("dimension d")
    axis.set_ylabel(f"{quantity}, x ~ N(0, I)")
    legend(axis)


def _loss(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _by_dimension(axis, table, theme, "loss variance")


def _gradient(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    _by_dimension(axis, table, theme, "gradient variance")
