"""Searchers as contestants of the leaderboard's statistics (``contests.py``), by number of trials.

They meet in each cell of the study (a method, a dataset and a sampler). After n trials, a searcher
has the configuration with the best value so far; its value here is the mean of the repeat runs of
that configuration, whose seeds did not choose it. After the last trial it is the mean of the
confirmation runs of the winner.
"""

import numpy as np
import pandas as pd

from ...studies.anytime import looks
from ...studies.specs.spec import StudySpec
from .. import text
from .cell_results import eligible
from .columns import Column, Columns, estimated
from .contests import Contests, Standing, decided, sentences, swapped
from .evidence import gather

# Slices of the table are copies, most of which these texts would be.
_UNREAD = ("spec", "failure", "key", "environment")

_CELL = ["method", "dataset", "sampler"]
_SEARCH = [*_CELL, "restart", "searcher"]


def of_first(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the leaderboard of methods rests on: those of the first searcher."""
    if "searcher" not in results:
        return results
    tuned = results.loc[results["phase"] != "reference", "searcher"]
    kept = results["searcher"].isin(["", *tuned.iloc[:1]])
    return results[kept].drop(columns="searcher").reset_index(drop=True)


def contest(results: pd.DataFrame, study: StudySpec) -> Contests:
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
        table = _by_searcher(rows[rows["phase"] == "reference"], tuned)
        if (table["phase"] == "confirm").any():
            # Looks of ``run --until-decided`` are at the last value only.
            rule = study.decide if number == trials else None
            found[number] = gather(table, study.objective, rule=rule)
    return found


def _after(results: pd.DataFrame, objective: str, trials: int) -> pd.DataFrame:
    """Return the first trials, with the repeat runs of the best of each search as confirmed."""
    search = results[results["phase"] == "search"]
    repeats = search[search["replicate"] > 0]
    first = search[(search["replicate"] == 0) & (search["trial"] < trials)]
    first = first.sort_values("trial", kind="stable")
    values = pd.Series(eligible(first, objective), first.index)
    groups = values.groupby([first[name] for name in _SEARCH], sort=False)
    whole = first[groups.transform("size") >= trials]
    best = first.loc[values[whole.index].groupby([whole[n] for n in _SEARCH], sort=False).idxmin()]
    # Where every trial failed, there is nothing to run again.
    failed = ~np.isfinite(values[best.index])
    again = repeats.merge(best.loc[~failed, [*_SEARCH, "trial"]])
    confirmed = [rows.assign(phase="confirm") for rows in (best[failed], again)]
    return pd.concat([first, *confirmed], ignore_index=True)


def _by_searcher(references: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    """Make a table whose methods are searchers and whose datasets are the contested cells."""
    cells = [rows for _, rows in tuned.groupby(_CELL, sort=False) if rows["searcher"].nunique() > 1]
    one_sampler = len({rows["sampler"].iloc[0] for rows in cells}) < 2
    parts = [tuned.iloc[:0]]
    for own in cells:
        method, dataset, sampler = own[_CELL].iloc[0]
        label = f"{method} on {dataset}" + ("" if one_sampler else f" ({sampler})")
        floors = references["method"].eq("truth") | references["sampler"].eq(sampler)
        beside = references[references["dataset"].eq(dataset) & floors]
        parts.append(swapped(own, "searcher", label, beside))
    return pd.concat(parts, ignore_index=True)


def contest_sentences(contests: Contests) -> list[str]:
    """Say which searchers lead after each number of trials, one sentence each."""
    last = max(contests, default=0)

    def when(trials: int) -> str:
        ending = ", confirmed" if trials == last else ""
        return f"After {text.plural(trials, 'trial')} per cell{ending}"

    return sentences(contests, "searchers", when)


searcher_columns: Columns[Standing] = Columns()
searcher_columns["trials", "trials"] = Column(
    "Trials per cell. At the last number the winners are confirmed; before, the configuration with "
    "the best value so far is run again, on validation seeds that did not choose it.",
    lambda row: row.effort,
    lambda row: str(row.effort),
)
searcher_columns["cell", "cell"] = Column(
    "Method and dataset; `all` for the mean over all cells.", lambda row: row.place
)
searcher_columns["searcher", "searcher"] = Column(
    "Label of the search algorithm.", lambda row: row.contestant
)
searcher_columns.ranks("rank among the searchers", lambda row: row.rank)
searcher_columns["score", "score ± 95 %"] = estimated(
    "Mean of (value − floor) / (untrained − floor): 0 is the noise floor, 1 an untrained network. "
    "The 95 % interval is over restarts.",
    lambda row: row.score,
)
searcher_columns.limits("score", "95 % limit of the score", lambda row: row.score.interval())
searcher_columns["optimism", "optimism"] = Column(
    "Score by the value that made the configuration the best, minus the score; negative if that "
    "value was lucky.",
    lambda row: row.optimism,
    form=lambda value: text.number(value, 2),
)
decided(searcher_columns, "searchers", lambda row: row)
