"""What the error of a score costs at each noise level."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..source import Points
from .style import LIGHT, Theme, colours, drawing, fitting, grid_lines


def spectrum_figure(
    spectra: Mapping[str, Points], theme: Theme = LIGHT, width: float = 4.6
) -> Figure:
    """Draw nats per unit of log σ against σ, so that areas are shares of the divergence.

    ``spectra`` has, by label of the contestant, σ and that value at each level, shape (seeds,
    levels, 2).
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
