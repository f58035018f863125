"""Training curves of confirmation runs, and the errors of their scores by noise level."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..ranking.statistics import Array
from ..source import Learned, Points
from .style import LIGHT, Theme, colours, decades, drawing, fitting, grid_lines

_SMOOTHED = 9
_NARROW = 5.0


def training_curves(
    learned: Mapping[str, Learned], metric: str, theme: Theme = LIGHT, width: float = 9.6
) -> Figure:
    """Draw every confirmation run on a dataset: a row per method, a column per quantity.

    Lines are running means, since single batches are noisy. Losses of different methods have
    different units and never share an axis. A narrow figure replaces the loss by the excess loss
    where that is known for every method. ``learned`` has the training records by label of the
    contestant; ``metric`` was measured during training.
    """
    shades = colours(learned, theme)
    heads = _quantities(learned, metric, width < _NARROW)
    rows = max(1, len(learned))
    with drawing(theme, 6.5 if width < _NARROW else fitting(width)):
        figure = Figure(figsize=(width, 0.35 + rows * (0.55 + 0.07 * width)), layout="constrained")
        axes = figure.subplots(rows, len(heads), squeeze=False, sharex=True)
        for row, (label, runs) in zip(axes, learned.items(), strict=False):
            for axis, head in zip(row, heads, strict=True):
                _panel(axis, runs, head, shades[label][0], theme)
            row[0].set_title(label, loc="left", fontweight="bold")
        for axis, head in zip(axes[0], heads, strict=True):
            # One line above the names of the methods, which can be long.
            axis.set_title(f"{head}\n", loc="right", color=theme.faint)
        for axis in axes[-1]:
            axis.set_xlabel("step")
        if heads[-1] == metric.upper():
            _same_limits([row[-1] for row in axes])
    return figure


def spectrum_figure(
    spectra: Mapping[str, Points], theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw nats per unit of log σ against σ: areas are shares of the divergence.

    ``spectra`` has both at each level, by label of the contestant: shape (seeds, levels, 2).
    """
    shades = colours(spectra, theme)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.62 * width), layout="constrained")
        axis = figure.subplots()
        for label, runs in spectra.items():
            colour, _ = shades[label]
            sigma, mean = runs[0, :, 0], np.mean(runs[..., 1], axis=0)
            for run in runs:
                axis.plot(sigma, run[:, 1], color=colour, linewidth=0.5, alpha=0.4)
            axis.plot(sigma, mean, "o-", color=colour, linewidth=1.4, markersize=2.5, label=label)
            axis.fill_between(sigma, 0, mean, color=colour, alpha=0.08, linewidth=0)
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("noise level σ")
        axis.set_ylabel("nats per unit of log σ")
        grid_lines(axis, theme)
        axis.legend(fontsize=fitting(width) - 0.5, handlelength=1.4)
    return figure


def _quantities(learned: Mapping[str, Learned], metric: str, narrow: bool) -> list[str]:
    known = [math.isfinite(runs.least) for runs in learned.values()]
    heads = ["loss", "loss − least", "gradient norm"]
    if not any(known) or (narrow and not all(known)):
        heads.remove("loss − least")
    elif narrow:
        heads.remove("loss")
    if any(runs.metric(metric).size for runs in learned.values()):
        heads.append(metric.upper())
    return heads


def _panel(axis: Axes, runs: Learned, head: str, colour: str, theme: Theme) -> None:
    steps, losses, norms = (runs.curves[..., i] for i in range(3))
    if head == "loss":
        _lines(axis, steps, losses, colour)
        _loss_limits(axis, _smooth(losses), runs.least, theme)
    elif head == "loss − least":
        # The excess is small compared with the noise of a loss: a longer mean shows it.
        window = max(_SMOOTHED, losses.shape[1] // 8)
        _lines(axis, steps, losses - runs.least, colour, window)
        _positive_limits(axis, _smooth(losses - runs.least, window))
    elif head == "gradient norm":
        _lines(axis, steps, norms, colour)
        _positive_limits(axis, _smooth(norms))
    else:
        for run in runs.metric(head.lower()):
            axis.plot(
                run[:, 0], run[:, 1], "o-", color=colour, alpha=0.8, linewidth=0.9, markersize=2.2
            )
        axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_locator(MaxNLocator(4))
    grid_lines(axis, theme)
    if not axis.lines:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "not known", transform=axis.transAxes, ha="center", va="center",
                  color=theme.faint, fontsize="small")  # fmt: skip


def _same_limits(axes: Sequence[Axes]) -> None:
    """Give the axes of a metric the same limits: unlike a loss, it compares across methods."""
    drawn = [np.asarray(line.get_ydata(), float) for axis in axes for line in axis.lines]
    values = np.concatenate(drawn)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    for axis in axes:
        if low > 0 and high > 8 * low:
            _positive_limits(axis, values)
        else:
            axis.set_ylim(min(0.0, 1.05 * low), 1.05 * high)


def _lines(axis: Axes, steps: Array, values: Array, colour: str, window: int = _SMOOTHED) -> None:
    for x, y in zip(steps, values, strict=True):
        if np.isfinite(y).any():
            axis.plot(x, _running(y, window), color=colour, alpha=0.8, linewidth=0.9)


def _loss_limits(axis: Axes, losses: Array, least: float, theme: Theme) -> None:
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return
    low, high = (float(q) for q in np.quantile(finite, [0.0, 0.98]))
    if math.isfinite(least):
        # A least loss far below, as for data without noise, would flatten the curves.
        near = low - least < 3 * (high - low)
        low = min(low, least) if near else low
        note = f"least {least:.3g}" if near else f"least {least:.3g}, far below"
        axis.text(0.98, 0.96, note, transform=axis.transAxes, ha="right", va="top",
                  fontsize="small", color=theme.faint)  # fmt: skip
        if near:
            axis.axhline(least, color=theme.ink, linewidth=1.0, linestyle=(0, (4, 2)))
    pad = 0.06 * (high - low or 1.0)
    axis.set_ylim(low - pad, high + 3 * pad)
    axis.yaxis.set_major_locator(MaxNLocator(4))


def _positive_limits(axis: Axes, smooth: Array) -> None:
    """Fit a logarithmic axis to the positive values; noise can make an excess negative."""
    positive = smooth[np.isfinite(smooth) & (smooth > 0)]
    if not positive.size:
        return
    low, high = float(np.quantile(positive, 0.01)), float(positive.max())
    if high < 3 * low:
        axis.set_ylim(0.9 * low, 1.1 * high)
        axis.yaxis.set_major_locator(MaxNLocator(4))
        return
    axis.set_yscale("log")
    axis.set_ylim(low / 1.4, high * 1.4)
    decades(axis.yaxis, fine=high < 30 * low, ticks=5)


def _smooth(runs: Array, window: int = _SMOOTHED) -> Array:
    return np.array([_running(values, window) for values in runs])


def _running(values: Array, window: int) -> Array:
    """Return running means over a window of values, shorter at the ends."""
    weights = np.ones(min(window, len(values)))
    sums: Array = np.convolve(values, weights, "same")
    counts: Array = np.convolve(np.ones(len(values)), weights, "same")
    return sums / counts
