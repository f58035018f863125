"""Panels of a cell on common axes, alone, side by side, and as a gallery of all cells."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..source import Points, Portrait, Source
from .style import LIGHT, Theme, drawing, fitting

_DENSITY = "magma"
_ENERGY = "viridis"
_ERROR = "RdBu_r"
_ERROR_BINS = 40


def truth_panel(axis: Axes, portrait: Portrait) -> None:
    """Draw a histogram of the truth."""
    if portrait.truth is None:
        _words(axis, "the truth is\nnot available", portrait)
    else:
        _density(axis, portrait.truth, portrait)


def samples_panel(axis: Axes, portrait: Portrait) -> None:
    """Draw a histogram of the samples on the colour scale of the truth."""
    if portrait.samples is None:
        _words(axis, "no confirmed\nsamples", portrait)
    else:
        _density(axis, portrait.samples, portrait)


def error_panel(axis: Axes, portrait: Portrait) -> None:
    """Draw samples minus truth: red for too many samples, blue for too few."""
    if portrait.samples is None or portrait.truth is None:
        _words(axis, "no samples or\nno truth", portrait)
        return
    edges = np.linspace(-portrait.extent, portrait.extent, _ERROR_BINS + 1)
    truth = _histogram(portrait.truth, edges)
    peak = float(np.quantile(truth[truth > 0], 0.9)) if truth.any() else 1.0
    error = _histogram(portrait.samples, edges) - truth
    _image(axis, portrait, error.T, cmap=_ERROR, vmin=-peak, vmax=peak, interpolation="nearest")


def energy_panel(axis: Axes, portrait: Portrait) -> None:
    """Draw the energy, bright where it is low; the highest quarter, without samples, is cut."""
    if portrait.energy is None:
        _words(axis, "no energy:\nthe network gives\nthe score itself", portrait)
        return
    finite = portrait.energy[np.isfinite(portrait.energy)]
    if finite.size == 0:
        _words(axis, "energy is\nnot finite", portrait)
        return
    low, high = float(finite.min()), float(np.quantile(finite, 0.75))
    ends = {"vmin": low, "vmax": max(high, low + 1e-12)}
    _image(axis, portrait, portrait.energy, cmap=f"{_ENERGY}_r", interpolation="bilinear", **ends)


def score_panel(axis: Axes, portrait: Portrait) -> None:
    """Draw the score field: arrows for direction, colour for length."""
    if portrait.score is None:
        _words(axis, "no score field", portrait)
        return
    field = portrait.score.astype(np.float64)
    q = len(field)
    at = np.linspace(-portrait.extent, portrait.extent, q)
    x, y = np.meshgrid(at, at, indexing="xy")
    length = np.hypot(field[..., 0], field[..., 1])
    shown = np.isfinite(length) & (length > 0)
    if not shown.any():
        _words(axis, "score is\nnot finite", portrait)
        return
    u, v = (field[..., i][shown] / length[shown] for i in (0, 1))
    axis.set_facecolor("#12111c")
    axis.quiver(
        x[shown], y[shown], u, v, np.log10(length[shown]), cmap="viridis", pivot="mid",
        angles="xy", scale_units="xy", scale=q / (1.7 * portrait.extent), width=0.16 / q,
        headwidth=3.6, headlength=4, headaxislength=3.6,
    )  # fmt: skip
    _frame(axis, portrait)


def paths_panel(axis: Axes, portrait: Portrait) -> None:
    """Draw the paths of a few chains over the truth, from a ring to a dot."""
    if portrait.paths is None:
        _words(axis, "no chains:\nthe sampler draws\npoints directly", portrait)
        return
    if portrait.truth is not None:
        edges = np.linspace(-portrait.extent, portrait.extent, 65)
        shares = _histogram(portrait.truth, edges)
        peak = float(shares.max()) or 1.0
        norm = PowerNorm(0.6, vmin=0.0, vmax=1.8 * peak)
        _image(axis, portrait, shares.T, cmap="Greys", norm=norm, interpolation="bilinear")
    for i, path in enumerate(portrait.paths.astype(np.float64).swapaxes(0, 1)):
        colour = LIGHT.palette[i % len(LIGHT.palette)]
        axis.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.7, alpha=0.85)
        for end, face in ((0, "white"), (-1, colour)):
            axis.plot(*path[end], "o", color=colour, ms=3.2, mfc=face, mew=0.8)
    _frame(axis, portrait)


PANELS = {
    "truth": truth_panel,
    "samples": samples_panel,
    "error": error_panel,
    "energy": energy_panel,
    "score": score_panel,
    "paths": paths_panel,
}
_FOUR = {"truth": "truth", "samples": "samples", "energy": "energy", "score": "score field"}


def panel(portrait: Portrait, kind: str) -> Figure:
    """Draw one of ``PANELS`` without a frame, for a page that adds its own titles."""
    with drawing(LIGHT):
        figure = Figure(figsize=(1.9, 1.9))
        axis = figure.add_axes((0, 0, 1, 1))
        PANELS[kind](axis, portrait)
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def four_panels(
    portrait: Portrait, title: str = "", theme: Theme = LIGHT, width: float = 9.6
) -> Figure:
    """Draw truth, samples, energy and score of a cell with titles; a narrow figure has two rows.

    The theme colours the frame.
    """
    rows = 1 if width > 5 else 2
    height = rows * width * rows / len(_FOUR) + 0.6
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, len(_FOUR) // rows, sharex=True, sharey=True)
        for axis, (kind, head) in zip(axes.flat, _FOUR.items(), strict=True):
            PANELS[kind](axis, portrait)
            axis.set_title(head, loc="left")
            for side in ("top", "right"):
                axis.spines[side].set_visible(True)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        around = f"; {portrait.view}" if any(portrait.centre) else ""
        figure.supxlabel(portrait.census + around, fontsize=fitting(width) - 1, color=theme.faint)
    return figure


def gallery_figure(source: Source, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Draw sample histograms: a row per dataset, a column for the truth and for each method.

    The theme colours the frame.
    """
    evidence = source.evidence
    portraits = {
        (cell.dataset, cell.label): portrait
        for cell in evidence.cells
        if not cell.missing and (portrait := source.portrait(cell)) is not None
    }
    datasets = [name for name in evidence.datasets if any(name == key[0] for key in portraits)]
    labels = [c.label for c in evidence.contestants if any(c.label == key[1] for key in portraits)]
    side = width / (len(labels) + 1)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, side * len(datasets) + 0.4), layout="constrained")
        axes = figure.subplots(len(datasets), len(labels) + 1, squeeze=False)
        for row, dataset in zip(axes, datasets, strict=True):
            row[0].set_ylabel(dataset)
            shown = [portraits.get((dataset, label)) for label in labels]
            truth_panel(row[0], next(portrait for portrait in shown if portrait is not None))
            for axis, portrait in zip(row[1:], shown, strict=True):
                if portrait is None:
                    axis.set_axis_off()
                else:
                    samples_panel(axis, portrait)
            for axis in row:
                axis.set_xticks([])
                axis.set_yticks([])
        for axis, head in zip(axes[0], ["truth", *labels], strict=True):
            axis.set_title(head)
    return figure


def _density(axis: Axes, points: Points, portrait: Portrait) -> None:
    reference = points if portrait.truth is None else portrait.truth
    bins = int(np.clip(np.sqrt(len(reference)), 64, 128))
    edges = np.linspace(-portrait.extent, portrait.extent, bins + 1)
    shares, scale = _histogram(points, edges), _histogram(reference, edges)
    peak = float(np.quantile(scale[scale > 0], 0.98)) if scale.any() else 1.0
    norm = PowerNorm(0.5, vmin=0.0, vmax=peak, clip=True)
    _image(axis, portrait, shares.T, cmap=_DENSITY, norm=norm, interpolation="nearest")


def _histogram(points: Points, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of all points, non-finite ones included, in each square of the view."""
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    counts, _, _ = np.histogram2d(finite[:, 0], finite[:, 1], bins=(edges, edges))
    return counts / max(1, len(points))


def _words(axis: Axes, words: str, portrait: Portrait) -> None:
    axis.set_facecolor("#2a303b")
    note = axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center")
    note.set(fontsize=9, color="#d0d5dd", linespacing=1.5)
    _frame(axis, portrait)


def _image(axis: Axes, portrait: Portrait, image: NDArray[Any], **look: Any) -> None:
    end = portrait.extent
    axis.imshow(image, origin="lower", extent=(-end, end, -end, end), **look)
    _frame(axis, portrait)


def _frame(axis: Axes, portrait: Portrait) -> None:
    axis.set_xlim(-portrait.extent, portrait.extent)
    axis.set_ylim(-portrait.extent, portrait.extent)
    axis.set_aspect("equal")
