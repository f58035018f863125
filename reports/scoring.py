"""Scores of points that come from elsewhere, as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from . import text
from .session import undisturbed

if TYPE_CHECKING:
    import pandas as pd


@undisturbed
def score(
    points: object,
    dataset: str | None = None,
    metrics: Sequence[str] = (),
    *,
    against: object = None,
    floors: int = 99,
    seed: int = 0,
) -> "pd.DataFrame":
    """Score points that come from elsewhere, beside samples of the truth of the same size.

    Args:
        points: Shape (n, d): NumPy, torch, pandas, anything with ``__array__`` or DLPack; or the
            path of a file (CSV, NPY, NPZ, Parquet).
        dataset: Name of the dataset that they should follow.
        metrics: Names of metrics that need no model (default: ``mmd``, ``sw1``, ``sw2``).
        against: Points, or a file of them, instead of the dataset.
        floors: Samples of the truth that are scored like the points; 19 at least for p = 0.05.
        seed: Seed of the truth.

    Returns:
        A row per metric: ``metric``, ``value``, ``floor50``, ``floor95`` (quantiles of the
        floors), ``p`` and ``differs`` (``yes``, ``no``, or ``open`` with too few floors).

    Raises:
        UsageError: The points or names are not usable; one line says why.
    """
    import pandas as pd

    from ..studies.score import score as scored

    return pd.DataFrame(scored(points, dataset, metrics, against=against, floors=floors, seed=seed))


def score_view(scores: "pd.DataFrame", floors: int) -> RenderableType:
    """Return the metrics of points from elsewhere, beside the noise floor, and what they show."""
    shown = text.grid(["metric"], ["value", "floor50", "floor95", "p", "differs"])
    for row in scores.to_dict("records"):
        numbers = [text.number(row[name]) for name in ("value", "floor50", "floor95", "p")]
        shown.add_row(str(row["metric"]), *numbers, str(row["differs"]))
    about = [f"p: share of {floors} samples of the truth, and the points, that are as far."]
    if (scores["differs"] == "open").any():
        about.append(f"open: {floors} floors cannot give p <= 0.05; 19 or more can (--floors).")
    if len(scores) > 1:
        about.append("Each row stands for itself: of 20 metrics one has p <= 0.05 by chance.")
    return Group(shown, *(Text(line, style="dim") for line in about))
