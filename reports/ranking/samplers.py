"""Samplers as contestants of the leaderboard's statistics (``contests.py``), by evaluations.

They meet on each dataset of a study of the exact score, where nothing is learned. A target is a
precision on a dataset: a multiple of the noise floor. A sampler has reached it with B evaluations
of the score per chain if a run with at most as many has a smaller loss. Its score is the share of
targets that it has not reached, as in the profiles of COCO (Hansen et al. 2021).
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from ...studies.specs.spec import StudySpec
from .. import text
from .cell_results import losses
from .columns import Column, Columns
from .contests import ALL, Contests, Standing, decided, sentences, standings, swapped
from .evidence import gather
from .statistics import Array

KNOWN = "exact"
"""The method whose score is that of the data, so that samplers alone differ."""

COARSEST = 32
"""Largest target on a dataset, in units of the 95 % quantile of its noise floor, the smallest."""

_WEIGHTS = "mode_error"
Values = TypeVar("Values", pd.Series, pd.DataFrame)
_PLACE = ["dataset", "sampler"]


@dataclass(frozen=True)
class SamplerBoard:
    """The samplers of a study.

    Attributes:
        contests: The samplers, ranked after each number of evaluations per chain.
        runs: A row per run: ``dataset``, ``sampler``, ``restart``, ``evaluations`` per chain,
            ``loss`` in units of the 95 % quantile of the floor, ``ratio``, loss in units of its
            mean, and ``weights``, mass in the wrong mode beyond that of the floor.
    """

    contests: Contests
    runs: pd.DataFrame


@dataclass(frozen=True)
class SamplerStanding:
    """A sampler with a number of evaluations, on a dataset or on all.

    Attributes:
        standing: Its rank; the score is the share of targets missed.
        needs: Evaluations to the floor in each restart, ``inf`` where it is not reached, shape
            (restarts,); for all datasets the medians of each, shape (datasets,).
        ratio: Loss over the mean floor with these evaluations; for all datasets their geometric
            mean.
        weights: Mass in the wrong mode, beyond that of the floor.
    """

    standing: Standing
    needs: Array
    ratio: float
    weights: float

    @property
    def needed(self) -> float:
        """Median of the evaluations to the floor."""
        return float(np.quantile(self.needs, 0.5, method="higher")) if len(self.needs) else math.nan

    @property
    def at_floor(self) -> int:
        """Number of restarts, or for all datasets of datasets, where the floor is reached."""
        return int(np.isfinite(self.needs).sum())


def sampler_board(results: pd.DataFrame, study: StudySpec) -> SamplerBoard | None:
    """Rank the samplers of a study of the exact score; None for other studies."""
    if {entry.name for entry in study.methods} != {KNOWN} or len(study.samplers) < 2:
        return None
    runs = _runs(results, study)
    if runs.empty:
        return None
    start, end = (math.log2(runs["evaluations"].agg(which)) for which in ("min", "max"))
    efforts = [2**power for power in range(math.ceil(start), math.ceil(end) + 1)]
    contests = {effort: gather(_missed(runs, effort), "missed") for effort in efforts}
    return SamplerBoard(contests, runs)


def _runs(results: pd.DataFrame, study: StudySpec) -> pd.DataFrame:
    """Collect the runs of all budgets, in units of the floors."""
    rows = results if "restart" in results else results.assign(restart=0)
    reference = rows[rows["phase"] == "reference"]
    tuned = rows[rows["phase"] == "search"]
    tuned = tuned[tuned["replicate"] == 0] if len(tuned) else rows[rows["phase"] == "confirm"]
    parts = []
    for dataset, own in tuned.groupby("dataset", sort=False):
        floor = reference[reference["dataset"].eq(dataset) & reference["method"].eq("truth")]
        if floor.empty:
            continue
        noise, loss = losses(floor, study.objective), losses(own, study.objective)
        weights = own[_WEIGHTS] - floor[_WEIGHTS].mean() if _WEIGHTS in own else math.nan
        parts.append(
            own[[*_PLACE, "restart"]].assign(
                evaluations=own["sample_evaluations"] / study.evaluation.samples,
                loss=loss / np.quantile(noise, 0.95),
                ratio=loss / noise.mean(),
                weights=weights,
            )
        )
    if not parts:
        return pd.DataFrame(columns=[*_PLACE, "restart", "evaluations"])
    # Runs that failed before they counted evaluations miss every target.
    return pd.concat(parts, ignore_index=True).dropna(subset="evaluations")


def _missed(runs: pd.DataFrame, effort: int) -> pd.DataFrame:
    """Make a table whose methods are samplers: what share of the targets they have missed.

    Its references make the floor 0 and an untrained network 1, so that scores are these shares.
    """
    parts = []
    for dataset, own in runs.groupby("dataset", sort=False):
        # A sampler that cannot run with so few evaluations has reached nothing.
        loss = own["loss"].where(own["evaluations"] <= effort, math.inf)
        best = loss.groupby([own["sampler"], own["restart"]], sort=False).min()
        # Targets are even in the logarithm of the loss, and as many as one likes.
        missed = (np.log(best.to_numpy()) / math.log(COARSEST)).clip(0, 1)
        table = best.index.to_frame(index=False).assign(phase="confirm", replicate=0, missed=missed)
        ends = pd.DataFrame({"method": ["truth", "untrained"], "missed": [0.0, 1.0]})
        references = ends.assign(phase="reference", restart=0, replicate=0)
        parts.append(swapped(table, "sampler", str(dataset), references))
    stages = dict.fromkeys(("train_seconds", "sample_seconds", "score_seconds"), 0.0)
    return pd.concat(parts, ignore_index=True).assign(state="ok", **stages)


def sampler_standings(board: SamplerBoard | None) -> list[SamplerStanding]:
    """List the samplers by evaluations, on all datasets together first, best first."""
    if board is None:
        return []
    runs = board.runs
    hits = runs.assign(evaluations=runs["evaluations"].where(runs["loss"] <= 1, math.inf))
    first = hits.groupby([*_PLACE, "restart"])["evaluations"].min()
    medians = first.groupby(_PLACE).quantile(0.5, interpolation="higher")
    ends = {effort: _ends(runs, effort) for effort in board.contests}
    rows = []
    for standing in standings(board.contests):
        name, place, end = standing.contestant, standing.place, ends[standing.effort]
        needs = _of(medians if place == ALL else first, name, place)
        own = _of(end, name, place)
        ratio = float(np.exp(np.log(own["ratio"]).mean()))
        rows.append(
            SamplerStanding(standing, needs.to_numpy(), ratio, float(own["weights"].mean()))
        )
    return rows


def _of(values: Values, sampler: str, place: str) -> Values:
    """Select what a sampler has at a place: nothing where it has not run yet."""
    there = (values.index.get_level_values("dataset") == place) | (place == ALL)
    return values[there & (values.index.get_level_values("sampler") == sampler)]


def _ends(runs: pd.DataFrame, effort: int) -> pd.DataFrame:
    """Average the runs with the most evaluations up to ``effort``, by dataset and sampler."""
    within = runs[runs["evaluations"] <= effort].sort_values("evaluations", kind="stable")
    last = within.groupby([*_PLACE, "restart"]).last()
    return last.groupby(_PLACE)[["ratio", "weights"]].mean()


def sampler_sentences(board: SamplerBoard) -> list[str]:
    """Say which samplers lead with each number of evaluations, one sentence each."""

    def when(effort: int) -> str:
        return f"With {text.plural(effort, 'evaluation')} per chain"

    return sentences(board.contests, "samplers", when)


def to_floor(standing: SamplerStanding) -> str:
    """Write the evaluations to the floor, with the least and most of the restarts."""
    if not len(standing.needs) or math.isinf(standing.needed):
        return text.MISSING
    low, high = standing.needs.min(), standing.needs.max()
    spread = "" if low == high else f" ({_count(low)}–{_count(high)})"
    return _count(standing.needed) + spread


def _count(evaluations: float) -> str:
    return "∞" if math.isinf(evaluations) else f"{evaluations:.0f}"


def _reached(missed: tuple[float, float]) -> tuple[float, float]:
    return 1 - missed[1], 1 - missed[0]


sampler_columns: Columns[SamplerStanding] = Columns()
sampler_columns["evaluations", "evaluations"] = Column(
    "Evaluations of the score per chain, at most; an energy that is evaluated with the score is "
    "not counted.",
    lambda row: row.standing.effort,
    lambda row: str(row.standing.effort),
)
sampler_columns["dataset", "dataset"] = Column(
    "Dataset; `all` for all of them together.", lambda row: row.standing.place
)
sampler_columns["sampler", "sampler"] = Column(
    "Label of the sampler.", lambda row: row.standing.contestant
)
sampler_columns.ranks("rank among the samplers", lambda row: row.standing.rank)
sampler_columns["targets", "targets ± 95 %"] = Column(
    "Share of the targets that are reached with so many evaluations: losses of 1 to 32 times the "
    "95 % quantile of the noise floor on each dataset, even in their logarithm. The 95 % interval "
    "is over restarts.",
    lambda row: 1 - row.standing.score.value,
    lambda row: (
        text.measured(100 * (1 - row.standing.score.value), 100 * row.standing.score.half_width())
        + " %"
    ),
)
sampler_columns.limits(
    "targets",
    "95 % limit of the share of targets",
    lambda row: _reached(row.standing.score.interval()),
)
sampler_columns["to_floor", "to floor"] = Column(
    "Evaluations with which a loss first is within the 95 % quantile of the noise floor: median "
    "over the restarts (least–most of them), for all datasets over the datasets; infinite or – if "
    "no run of most of them is.",
    lambda row: row.needed,
    to_floor,
)
sampler_columns["at_floor", "at floor"] = Column(
    "Restarts in which the floor is reached; for all datasets the number of datasets on which it "
    "is in most restarts.",
    lambda row: row.at_floor,
    lambda row: f"{row.at_floor} of {len(row.needs)}",
)
sampler_columns["ratio", "× floor"] = Column(
    "Mean loss with these evaluations, in units of the mean noise floor; for all datasets the "
    "geometric mean.",
    lambda row: row.ratio,
)
sampler_columns["weights", "wrong mode"] = Column(
    "Mass in the wrong mode (`mode_error`) beyond that of samples of the truth, where it is "
    "measured.",
    lambda row: row.weights,
    form=lambda value: text.number(value, 2),
)
decided(sampler_columns, "samplers", lambda row: row.standing)


def at_the_end(board: SamplerBoard | None, *, together: bool = True) -> list[SamplerStanding]:
    """List the samplers with all evaluations, on all datasets ``together`` or on each."""
    effort = 0 if board is None else max(board.contests)
    return [
        row
        for row in sampler_standings(board)
        if row.standing.effort == effort and together == (row.standing.place == ALL)
    ]


def floor_frame(board: SamplerBoard) -> pd.DataFrame:
    """Write the evaluations to the floor, a row per sampler and a column per dataset."""
    order = [row.standing.contestant for row in at_the_end(board)]
    rows = at_the_end(board, together=False)
    entries = [(row.standing.contestant, row.standing.place, to_floor(row)) for row in rows]
    frame = pd.DataFrame(entries, columns=["sampler", "dataset", "entry"])
    return frame.pivot(index="sampler", columns="dataset", values="entry").loc[order].reset_index()
