"""Critical-difference diagram: mean ranks on a line, bars over groups without a difference."""

from matplotlib.figure import Figure

from ..ranking.friedman import RankTest
from .style import LIGHT, Theme, drawing, fitting


def critical_diagram(test: RankTest, theme: Theme = LIGHT, width: float = 4.6) -> Figure:
    """Draw the mean ranks of all methods, the best on the left (Demšar 2006, figure 1)."""
    labels = list(test.ranks)
    half = (len(labels) + 1) // 2
    bars = 0.35 * len(test.groups)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, 0.7 + 0.17 * bars + 0.2 * half), layout="constrained")
        axis = figure.subplots()
        for spine in ("left", "right", "bottom"):
            axis.spines[spine].set_visible(False)
        axis.spines["top"].set_visible(True)
        axis.xaxis.set_ticks_position("top")
        axis.set_xticks(range(1, len(labels) + 1))
        axis.set_yticks([])
        low, high = 1.0 - 0.05 * len(labels), len(labels) * 1.05
        axis.set_xlim(low, high)
        depth = 0.5 + bars + half
        axis.set_ylim(-depth, 0.0)
        for i, label in enumerate(labels):
            rank = test.ranks[label]
            y = -(0.5 + bars + (i if i < half else len(labels) - 1 - i))
            end, side = (low, "left") if i < half else (high, "right")
            axis.plot([rank, rank, end], [0.0, y, y], color=theme.ink, linewidth=0.8)
            axis.text(end, y, f" {label} {rank:.2f} ", ha=side, va="bottom", color=theme.ink)
        for i, group in enumerate(test.groups):
            ends = [test.ranks[group[0]] - 0.04, test.ranks[group[-1]] + 0.04]
            y = -0.3 - 0.35 * i
            axis.plot(ends, [y, y], color=theme.palette[0], linewidth=3.0)
        axis.set_title(f"mean rank; {test.critical:.2f} apart is significant", loc="left")
    return figure
