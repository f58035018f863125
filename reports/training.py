"""How the confirmed runs learned: their losses over the steps, and the least loss there can be."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .evidence import Evidence
from .statistics import Array
from .style import LIGHT, Theme, colours, drawing, fitting

_SMOOTHED = 9


def training_curves(
    evidence: Evidence,
    curves: Mapping[str, Array],
    least: Mapping[str, float],
    theme: Theme = LIGHT,
    width: float = 4.6,
) -> Figure:
    """Loss of every confirmed run of each method on a dataset, a panel each.

    Losses of different methods have different units and are never drawn on one axis.

    Args:
        evidence: The gathered results.
        curves: By label of the contestant: steps and losses first, shape (seeds, points, columns).
        least: By label: the least loss there can be.
        theme: Colours.
        width: Of the figure, in inches.
    """
    shades = colours(sorted(c.label for c in evidence.contestants), theme)
    shown = [c.label for c in evidence.contestants if c.label in curves]
    columns = 2 if len(shown) > 1 else 1
    rows = math.ceil(len(shown) / columns) or 1
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, rows * 0.36 * width + 0.2), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for i, axis in enumerate(axes.flat):
            if i >= len(shown):
                axis.set_axis_off()
                continue
            label = shown[i]
            _panel(axis, curves[label], least.get(label, math.nan), shades[label][0], theme)
            axis.set_title(label, loc="left")
            if i >= len(shown) - columns:
                axis.set_xlabel("step")
            if i % columns == 0:
                axis.set_ylabel("loss")
    return figure


def excess(curves: Array, least: float) -> float:
    """Mean loss over the last tenth of training minus the least there can be.

    Args:
        curves: Steps and losses first, shape (seeds, points, columns).
        least: The least loss.
    """
    points = curves.shape[1]
    return float(curves[:, points - max(1, points // 10) :, 1].mean()) - least


def _panel(axis: Axes, curves: Array, least: float, colour: str, theme: Theme) -> None:
    for one in curves:
        axis.plot(one[:, 0], one[:, 1], color=colour, alpha=0.18, linewidth=0.6)
        axis.plot(one[:, 0], _running(one[:, 1]), color=colour, alpha=0.8, linewidth=0.9)
    finite = curves[..., 1][np.isfinite(curves[..., 1])]
    if finite.size:
        low, high = (float(q) for q in np.quantile(finite, [0.002, 0.98]))
        if math.isfinite(least):
            # A floor far below, as of data without noise, would press the curves flat.
            near = low - least < 3 * (high - low)
            low = min(low, least) if near else low
            note = f"least {least:.3g}" if near else f"least {least:.3g}, far below"
            axis.text(
                0.98, 0.96, note, transform=axis.transAxes, ha="right", va="top",
                fontsize="small", color=theme.faint,
            )  # fmt: skip
            if near:
                axis.axhline(least, color=theme.ink, linewidth=1.0, linestyle=(0, (4, 2)))
        pad = 0.06 * (high - low or 1.0)
        axis.set_ylim(low - pad, high + 3 * pad)
    axis.grid(axis="y", color=theme.shade, linewidth=0.6)
    axis.set_axisbelow(True)


def _running(values: Array) -> Array:
    """Mean over neighbours; fewer of them at the ends."""
    weights = np.ones(min(_SMOOTHED, len(values)))
    sums: Array = np.convolve(values, weights, "same")
    counts: Array = np.convolve(np.ones(len(values)), weights, "same")
    return sums / counts
