"""Samples beside the truth on the line, and in more than two dimensions: by pairs, or as images."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...datasets.base import Dataset, has_density
from ..ranking.cell_results import CellResults
from ..source import Points, Source
from .style import LIGHT, Theme, drawing, fitting

Numbers = NDArray[np.float64]

# Coordinates of a matrix of pairs; of more, the leading principal components are shown.
_SHOWN = 4
_DOTS = 1000
_BINS = 40
_ACROSS = 6


@dataclass(frozen=True)
class Cloud:
    """Truth and samples of a cell in one, or in more than two dimensions.

    Attributes:
        truth: Shape (m, d), finite.
        samples: Those that are finite, shape (n, d).
        lost: Number of those that are not.
        names: Names of the d coordinates.
        image: Height and width of the images that points are; None if they are none.
        density: Places on the line and the true density there, two arrays; None if unknown.
    """

    truth: Numbers
    samples: Numbers
    lost: int
    names: tuple[str, ...]
    image: tuple[int, int] | None = None
    density: tuple[Numbers, Numbers] | None = None

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return int(self.truth.shape[1])

    @cached_property
    def shown(self) -> tuple[Numbers, Numbers, list[str]]:
        """Columns of a matrix of pairs: truth (m, k), samples (n, k), and their names.

        The coordinates, or if there are more than four the principal components of the truth.
        """
        if self.dim <= _SHOWN:
            return self.truth, self.samples, list(self.names)
        middle = self.truth.mean(0)
        variances, axes = np.linalg.eigh(np.cov(self.truth.T))
        axes = axes[:, ::-1][:, :_SHOWN]
        # The sign of an axis is arbitrary.
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), range(_SHOWN)])
        share = variances[::-1][:_SHOWN] / variances.sum()
        names = [f"component {i + 1} ({part:.0%})" for i, part in enumerate(share)]
        return (self.truth - middle) @ axes, (self.samples - middle) @ axes, names

    @property
    def caption(self) -> str:
        """Description of the figure, one sentence."""
        lost = f"; {self.lost} samples are not finite" if self.lost else ""
        if self.image:
            return f"Images of the data above, images that were sampled below{lost}."
        if self.dim == 1:
            known = ", the exact density as a line" if self.density else ""
            return f"Shares of truth and samples{known}{lost}."
        what = "coordinates" if self.dim <= _SHOWN else "leading principal components of the truth"
        return (
            f"Pairs of {what}: truth above the diagonal, samples below it, both as histograms on "
            f"it{lost}."
        )


def cloud(source: Source, cell: CellResults) -> Cloud | None:
    """Load truth and samples of a cell; None in the plane, or if either is missing."""
    samples, dataset = source.samples(cell), source.dataset(cell.dataset)
    if samples is None or samples.ndim != 2 or samples.shape[1] == 2 or dataset is None:
        return None
    truth = source.truth(dataset, len(samples))
    if truth is None or truth.shape[1] != samples.shape[1]:
        return None
    finite = np.isfinite(samples).all(axis=1)
    names = getattr(dataset, "columns", map(str, range(1, truth.shape[1] + 1)))
    return Cloud(
        truth.astype(np.float64),
        samples[finite].astype(np.float64),
        int((~finite).sum()),
        tuple(f"coordinate {name}" if name.isdecimal() else name for name in names),
        getattr(dataset, "image", None),
        _density(dataset, truth) if truth.shape[1] == 1 else None,
    )


def cloud_figure(cloud: Cloud, title: str = "", theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Draw a cloud: images, histograms on the line, or a matrix of pairs."""
    with drawing(theme, fitting(width)):
        if cloud.image is not None:
            figure = _images(cloud, cloud.image, width)
        elif cloud.dim == 1:
            figure = _line(cloud, theme, width)
        else:
            figure = _pairs(cloud, theme, width)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def _density(dataset: Dataset, truth: Points) -> tuple[Numbers, Numbers] | None:
    if not has_density(dataset):
        return None
    low, high = float(truth.min()), float(truth.max())
    places = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 400)
    return places, dataset.log_prob(torch.from_numpy(places)[:, None]).exp().numpy()


def _line(cloud: Cloud, theme: Theme, width: float) -> Figure:
    figure = Figure(figsize=(width, 0.35 * width + 0.4), layout="constrained")
    axis = figure.subplots()
    _histograms(axis, cloud.truth[:, 0], cloud.samples[:, 0], theme)
    if cloud.density is not None:
        axis.plot(*cloud.density, color=theme.ink, linewidth=1, label="exact density")
    axis.set_xlabel(cloud.names[0])
    axis.set_ylabel("density")
    axis.legend(frameon=False)
    return figure


def _pairs(cloud: Cloud, theme: Theme, width: float) -> Figure:
    truth, samples, names = cloud.shown
    k = len(names)
    figure = Figure(figsize=(width, width + 0.3), layout="constrained")
    axes = figure.subplots(k, k, squeeze=False)
    for row in range(k):
        for column in range(k):
            axis = axes[row][column]
            low, high = _limits(truth[:, column])
            axis.set_xlim(low, high)
            if row == column:
                _histograms(axis, truth[:, row], samples[:, row], theme)
                axis.set_yticks([])
            else:
                points, colour = (
                    (truth, theme.faint) if row < column else (samples, theme.palette[1])
                )
                dots = points[:_DOTS]
                size = 1.5 + 60 / max(8, len(dots) ** 0.75)
                axis.scatter(
                    dots[:, column], dots[:, row], s=size, color=colour, alpha=0.6, linewidths=0
                )
                axis.set_ylim(*_limits(truth[:, row]))
            axis.tick_params(labelbottom=row == k - 1, labelleft=column == 0 and row > 0)
        axes[row][0].set_ylabel(names[row])
        axes[-1][row].set_xlabel(names[row])
    labels = axes[0][0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside upper right", ncols=2, frameon=False)
    return figure


def _histograms(axis: Axes, truth: Numbers, samples: Numbers, theme: Theme) -> None:
    """Draw two histograms over the range of the truth, as shares of all points by length."""
    low, high = _limits(truth)
    bins = min(_BINS, max(8, int(np.sqrt(len(truth)))))
    edges = np.linspace(low, high, bins + 1)
    for points, colour, label in (
        (truth, theme.faint, "truth"),
        (samples, theme.palette[1], "samples"),
    ):
        shares = np.histogram(points, edges)[0] / max(1, len(points)) / (edges[1] - edges[0])
        axis.stairs(
            shares, edges, color=colour, fill=label == "truth", label=label, linewidth=1.2,
            alpha=0.45 if label == "truth" else 1.0,
        )  # fmt: skip


def _limits(values: Numbers) -> tuple[float, float]:
    """The range of the truth with a margin, for truth and samples alike."""
    low, high = float(values.min()), float(values.max())
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin


def _images(cloud: Cloud, shape: tuple[int, int], width: float) -> Figure:
    """Draw two rows of images of the data, and two of samples, on one scale of grey."""
    across = _ACROSS if width < 5 else 2 * _ACROSS
    side = width / across
    figure = Figure(figsize=(width, 4 * side * shape[0] / shape[1] + 0.7), layout="constrained")
    low, high = np.quantile(cloud.truth, [0.01, 0.99])
    axes = figure.subplots(4, across, squeeze=False)
    for first, (points, title) in ((0, (cloud.truth, "truth")), (2, (cloud.samples, "samples"))):
        for i, axis in enumerate(axes[first : first + 2].flat):
            axis.set_axis_off()
            if i < len(points):
                axis.imshow(
                    points[i].reshape(shape), cmap="Greys", vmin=low, vmax=max(high, low + 1e-12),
                    interpolation="nearest",
                )  # fmt: skip
        axes[first][0].set_title(title, loc="left")
    return figure
