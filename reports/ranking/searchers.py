"""Searchers as contestants: the statistics of the leaderboard, with searchers in place of methods.

Each cell of the study (a method, a dataset and a sampler) is what a dataset is on the leaderboard,
and restarts are random. After n trials, a searcher has the configuration with the best value so
far; its value here is the mean of the repeat runs of that configuration, whose seeds did not choose
it. After the last trial it is the mean of the confirmation runs of the winner.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...studies.anytime import best_so_far, looks
from ...studies.specs.spec import StudySpec
from .. import text
from .cell_columns import optimism
from .cell_results import eligible
from .columns import Column, Columns, estimated
from .evidence import Contestant, Evidence, gather
from .statistics import Estimate, estimate

ALL = "all"
"""Stands for all cells together."""

# Slices of the table are copies, most of which these texts would be.
_UNREAD = ("spec", "failure", "key", "environment")

_CELL = ["method", "dataset", "sampler"]
_SEARCH = [*_CELL, "restart", "searcher"]


@dataclass(frozen=True)
class Standing:
    """A searcher after a number of trials, in a cell or in all together.

    Attributes:
        trials: The number of trials.
        cell: Label of the cell, or ``ALL``.
        searcher: Label of the searcher.
        score: Normalised loss of its best configuration: 0 is the noise floor, 1 untrained.
        rank: Best and worst rank compatible with the data; ``None`` with one restart.
        best: Probability that its true score is the smallest; ``nan`` in single cells.
        optimism: Score by the value that made the configuration the best, minus ``score``.
        needed: Further restarts that would tell it from the leader, or the leader from the next.
    """

    trials: int
    cell: str
    searcher: str
    score: Estimate
    rank: tuple[int, int] | None
    best: float
    optimism: float
    needed: float


def of_first(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the leaderboard of methods rests on: those of the first searcher."""
    if "searcher" not in results:
        return results
    tuned = results.loc[results["phase"] != "reference", "searcher"]
    kept = results["searcher"].isin(["", *tuned.iloc[:1]])
    return results[kept].drop(columns="searcher").reset_index(drop=True)


def contest(results: pd.DataFrame, study: StudySpec) -> dict[int, Evidence]:
    """Rank the searchers of a study, by number of trials; empty if it has only one.

    Numbers of trials that no search has reached are left out.
    """
    if "searcher" not in results:
        return {}
    rows = results if "restart" in results else results.assign(restart=0)
    names = map(str, rows)
    rows = rows[[n for n in names if not n.startswith("params.") and n not in _UNREAD]]
    trials = study.search.trials
    after = {n: _after(rows, study.objective, n) for n in looks(trials)}
    after[trials] = rows[rows["phase"] != "reference"]
    found = {}
    for number, tuned in after.items():
        swapped = _swapped(rows[rows["phase"] == "reference"], tuned)
        if (swapped["phase"] == "confirm").any():
            # Looks of ``run --until-decided`` are at the last value only.
            rule = study.decide if number == trials else None
            found[number] = gather(swapped, study.objective, rule=rule)
    return found


def _after(results: pd.DataFrame, objective: str, trials: int) -> pd.DataFrame:
    """Return the first trials, with the repeat runs of the best of each search as confirmed."""
    search = results[results["phase"] == "search"]
    first = search[(search["replicate"] == 0) & (search["trial"] < trials)]
    repeats = search[search["replicate"] > 0]
    of_search = dict(iter(repeats.groupby(_SEARCH, sort=False)))
    parts = [first]
    for name, rows in first.groupby(_SEARCH, sort=False):
        if len(rows) < trials:
            continue
        ordered = rows.sort_values("trial")
        best = ordered.iloc[[best_so_far(eligible(ordered, objective).tolist())]]
        again = of_search.get(name, repeats.iloc[:0])
        again = again[again["trial"] == best["trial"].item()]
        # Where every trial failed, there is nothing to run again.
        failed = not np.isfinite(eligible(best, objective)).all()
        parts.append((best if failed else again).assign(phase="confirm"))
    return pd.concat(parts, ignore_index=True)


def _swapped(references: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    """Make a table whose methods are searchers and whose datasets are the contested cells."""
    cells = [rows for _, rows in tuned.groupby(_CELL, sort=False) if rows["searcher"].nunique() > 1]
    one_sampler = len({rows["sampler"].iloc[0] for rows in cells}) < 2
    parts = [tuned.iloc[:0]]
    for own in cells:
        method, dataset, sampler = own[_CELL].iloc[0]
        label = f"{method} on {dataset}" + ("" if one_sampler else f" ({sampler})")
        floors = references["method"].eq("truth") | references["sampler"].eq(sampler)
        beside = references[references["dataset"].eq(dataset) & floors]
        parts += [own.assign(method=own["searcher"], dataset=label), beside.assign(dataset=label)]
    return pd.concat(parts, ignore_index=True).assign(sampler="")


def standings(contests: dict[int, Evidence]) -> list[Standing]:
    """List the searchers by number of trials, in all cells together first, best first."""
    return [
        standing
        for trials, evidence in contests.items()
        for standing in (*_overall(trials, evidence), *_by_cell(trials, evidence))
    ]


def _overall(trials: int, evidence: Evidence) -> Iterator[Standing]:
    ranked = [c for c in evidence.contestants if c.rank is not None]
    several = evidence.restarts > 1
    for contestant in evidence.contestants:
        gaps = [optimism(c) / c.scale for c in contestant.cells.values() if not c.missing]
        yield Standing(
            trials,
            ALL,
            contestant.method,
            contestant.score,
            contestant.rank if several else None,
            contestant.best if several else math.nan,
            float(np.mean(gaps)) if gaps else math.nan,
            _needed(evidence, None, contestant.label, [c.label for c in ranked]),
        )


def _by_cell(trials: int, evidence: Evidence) -> Iterator[Standing]:
    several = evidence.restarts > 1
    for dataset in evidence.datasets:
        cells = evidence.on(dataset)
        ranked = [cell.label for cell in cells if cell.rank is not None]
        for cell in cells:
            yield Standing(
                trials,
                dataset,
                cell.method,
                estimate([cell.normalised]),
                cell.rank if several else None,
                math.nan,
                optimism(cell) / cell.scale if not cell.missing else math.nan,
                _needed(evidence, dataset, cell.label, ranked),
            )


def _needed(evidence: Evidence, dataset: str | None, label: str, ranked: Sequence[str]) -> float:
    """Return the restarts that would tell a searcher from the leader, or the leader from others."""
    others = [other for other in ranked[:2] if other != label]
    outcome = evidence.comparisons.get((dataset, label, others[0])) if others else None
    return math.nan if outcome is None else outcome.needed


def contest_sentences(contests: dict[int, Evidence]) -> list[str]:
    """Say which searchers lead after each number of trials, one sentence each."""
    sentences = []
    last = max(contests, default=0)
    for trials, evidence in contests.items():
        ranked = [c for c in evidence.contestants if c.rank is not None]
        if evidence.restarts < 2 or len(ranked) < 2:
            continue
        leading = [c for c in ranked if c.rank is not None and c.rank[0] == 1]
        when = f"After {text.plural(trials, 'trial')} per cell"
        when += ", confirmed" if trials == last else ""
        sentences.append(f"{when}: {_outcome(leading, ranked)}.")
    if contests and contests[last].restarts < 2:
        sentences.append(
            "One restart does not compare searchers: set search.restarts = 5 to compare them."
        )
    return sentences


def _outcome(leading: Sequence[Contestant], ranked: Sequence[Contestant]) -> str:
    first = ranked[0]
    chance = f"Pr(best) {text.percent(first.best)}"
    if len(leading) == 1:
        return f"{first.label} is best ({chance})"
    if len(leading) == len(ranked):
        return f"none is better than all others for certain ({first.label} looks best, {chance})"
    return f"{text.listed([c.label for c in leading])} are tied for the lead"


searcher_columns: Columns[Standing] = Columns()
searcher_columns["trials", "trials"] = Column(
    "Trials per cell. At the last number the winners are confirmed; before, the configuration with "
    "the best value so far is run again, on validation seeds that did not choose it.",
    lambda row: row.trials,
    lambda row: str(row.trials),
)
searcher_columns["cell", "cell"] = Column(
    "Method and dataset; `all` for the mean over all cells.", lambda row: row.cell
)
searcher_columns["searcher", "searcher"] = Column(
    "Label of the search algorithm.", lambda row: row.searcher
)
searcher_columns.ranks("rank among the searchers", lambda row: row.rank)
searcher_columns["score", "score ± 95 %"] = estimated(
    "Mean of (value − floor) / (untrained − floor): 0 is the noise floor, 1 an untrained network. "
    "The 95 % interval is over restarts.",
    lambda row: row.score,
)
searcher_columns.limits("score", "95 % limit of the score", lambda row: row.score.interval())
searcher_columns["probability_best", "Pr(best)"] = Column(
    "Probability that the true mean score is the smallest of all searchers.",
    lambda row: row.best,
    form=text.percent,
)
searcher_columns["optimism", "optimism"] = Column(
    "Score by the value that made the configuration the best, minus the score; negative if that "
    "value was lucky.",
    lambda row: row.optimism,
    form=lambda value: text.number(value, 2),
)
searcher_columns["needed", "restarts needed"] = Column(
    "Further restarts that would tell it from the leader (the leader from the second) with a "
    "probability of 80 %, if the difference stays as it is.",
    lambda row: row.needed,
    form=text.further,
)
