"""Langevin's bias, and how it goes away."""

import numpy as np
import pandas as pd

from ..figures.style import LIGHT
from . import drawings
from .plain import Axes, Figure, Theme, legend, measured, panels, pick, ticks


@drawings.register("langevin")
def langevin(table: pd.DataFrame, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Variance against step size, and the error on a toy as ε → 0 and as T → ∞."""
    return panels(table, [_variance, _modes, _small_steps, _many_steps], theme, width)


def _variance(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    grid = np.linspace(0.01, 3.85, 200)
    axis.plot(grid, 1 / (1 - grid / 4), color=theme.palette[0], linewidth=1.1,
              label="1/(1 - ελ/4)")  # fmt: skip
    axis.axhline(1, color=theme.palette[1], linewidth=1.1)
    axis.axvline(4, color=theme.faint, linestyle=":", linewidth=1.1, label="unstable from here on")
    for k, (name, label) in enumerate((("langevin", "Langevin"), ("mala", "with Metropolis"))):
        measured(
            axis, "step_size", pick(table, "normal", "variance", sampler=name), theme, k, label
        )
    axis.set_yscale("log")
    axis.set_xlim(0, 4.15)
    axis.set_xlabel("step size ε in units of 1/λ")
    axis.set_ylabel("variance / truth, normal")
    legend(axis)


def _modes(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "modes", "variance ratio")
    names = [f"{d}\nε = {e:g}" for d, e in zip(found["dataset"], found["step_size"], strict=True)]
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    at = pd.Series([places[name] for name in names], index=found.index)
    axis.axhline(1, color=theme.faint, linewidth=0.8)
    for k, (sampler, label) in enumerate((("langevin", "Langevin"), ("mala", "with Metropolis"))):
        some = found[found["sampler"] == sampler]
        x = at[some.index] + 0.12 * (2 * k - 1)
        axis.plot(x, some["expected"], "_", color=theme.ink, markersize=16,
                  label="formula" if k else "")  # fmt: skip
        measured(axis, x, some, theme, k, label)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_xticks(list(places.values()), list(places))
    axis.set_ylabel("variance within modes / truth")
    legend(axis, loc="upper left")


def _small_steps(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "step size", "mmd_z").sort_values("step_size")
    _to_the_floor(axis, found["step_size"], found, theme)
    ticks(axis, found["step_size"])
    axis.set_xlabel("step size ε, at a fixed time εT")


def _many_steps(axis: Axes, table: pd.DataFrame, theme: Theme) -> None:
    found = pick(table, "steps", "mmd_z").sort_values("steps")
    _to_the_floor(axis, found["steps"], found, theme)
    ticks(axis, found["steps"])
    axis.set_xlabel(f"steps T, at ε = {found['step_size'].iloc[0]:g}")


def _to_the_floor(axis: Axes, x: pd.Series, found: pd.DataFrame, theme: Theme) -> None:
    axis.axhspan(-2, 2, color=theme.shade, linewidth=0, label="noise floor, ± 2 sd")
    axis.plot(x, found["value"], "o-", color=theme.palette[0], markersize=4, linewidth=1.1,
              label="8gaussians")  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=3)
    axis.set_ylabel("MMD² in its standard deviations")
    legend(axis)
