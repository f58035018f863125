"""Searchers as contestants: who is ranked, on what, and what is honest before the last trial."""

import math

import numpy as np
import pytest
from optuna.samplers import BaseSampler
from scorebench.reports.exports import FORMATS, export
from scorebench.reports.pages.page import page
from scorebench.reports.ranking.contests import ALL, standings
from scorebench.reports.ranking.searchers import (
    contest,
    contest_sentences,
    of_first,
    searcher_columns,
)
from scorebench.reports.source import load
from scorebench.studies.results import read_results
from scorebench.studies.specs.searchers import SEARCHERS, Kind
from scorebench.studies.study import run

from ..calibration.end_to_end import NoisyEngine, results
from ..calibration.searchers import winners
from ..studies.conftest import make_study
from .test_exports import reads_back


class Stubborn(BaseSampler):
    """Always proposes the largest value, which is a bad one."""

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return param_distribution.high


def contested(*searchers, restarts=4, **fields):
    return make_study(
        methods=["alpha", {"name": "alpha", "label": "closed", "sigma": 0.1, "learning_rate": 0.1}],
        datasets=["ring", "plane"],
        search={
            "trials": 12, "startup": 4, "restarts": restarts, "sampler": list(searchers),
            **fields.pop("search", {}),
        },
        confirm={"seeds": 2},
        evaluation={"metrics": ["mmd"]},
        reference={"floors": 4, "seeds": 2},
        **fields,
    )  # fmt: skip


@pytest.fixture(scope="module")
def decided():
    """The table of a study in which one searcher is clearly better."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SEARCHERS, "stubborn", Kind(Stubborn, "a stubborn search"))
        study = contested("stubborn", "random")
        return study, results(study, NoisyEngine())


def test_a_better_searcher_is_told_from_a_worse_one(decided):
    study, table = decided
    contests = contest(table, study)
    assert list(contests) == [5, 10, 12]
    sentences = contest_sentences(contests)
    assert len(sentences) == 3
    assert sentences[-1].startswith("After 12 trials per cell, confirmed: random is best (Pr(best)")
    last = [row for row in standings(contests) if row.effort == 12]
    together = [row for row in last if row.place == ALL]
    assert [(row.contestant, row.rank) for row in together] == [
        ("random", (1, 1)), ("stubborn", (2, 2)),
    ]  # fmt: skip
    assert together[0].best > 0.95
    # A method without anything to search is no contest.
    assert {row.place for row in last} == {ALL, "alpha on ring", "alpha on plane"}


def test_values_before_the_last_trial_did_not_choose(decided):
    study, table = decided
    search = table[(table["phase"] == "search") & (table["searcher"] == "random")]
    for trials, evidence in contest(table, study).items():
        contestant = next(c for c in evidence.contestants if c.label == "random")
        if trials == 12:
            continue
        cell = contestant.cells["alpha on ring"]
        own = search[(search["dataset"] == "ring") & (search["method"] == "alpha")]
        for position, restart in enumerate(cell.replicates):
            rows = own[own["restart"] == restart]
            first = rows[(rows["replicate"] == 0) & (rows["trial"] < trials)]
            best = first.loc[first["mmd"].idxmin()]
            again = rows[(rows["trial"] == best["trial"]) & (rows["replicate"] > 0)]["mmd"]
            assert len(again) == study.search.repeats
            assert math.isclose(cell.losses[position], again.mean())
    # What chose is lucky on average; what is shown is not.
    gaps = [row.optimism for row in standings(contest(table, study)) if row.contestant == "random"]
    assert np.mean(gaps) < 0


def test_the_leaderboard_is_that_of_the_first_searcher(decided):
    _, table = decided
    assert set(of_first(table).columns) == set(table.columns) - {"searcher"}
    alone = contested("random", search={"sampler": "random"})
    only = results(alone, NoisyEngine())
    both = results(contested("random", "tpe"), NoisyEngine())
    first = of_first(both)
    # The same rows as in a study of it alone, and the repeat runs of the looks.
    key = ["phase", "method", "dataset", "restart", "trial", "replicate"]
    merged = only.merge(first, on=key, how="left", suffixes=("", "_both"))
    assert merged["mmd"].equals(merged["mmd_both"])
    assert contest(only, alone) == {}


def test_one_restart_ranks_no_searcher():
    study = contested("random", "tpe", restarts=1)
    contests = contest(results(study, NoisyEngine()), study)
    assert contest_sentences(contests) == [
        "One restart does not compare searchers: set search.restarts = 5 to compare them."
    ]
    assert all(row.rank is None for row in standings(contests))


def test_a_searcher_whose_trials_all_failed_comes_last(decided):
    study, table = decided
    table = table.copy()
    lost = (table["searcher"] == "random") & (table["restart"] == 1)
    table.loc[lost, "state"] = "failed"
    for evidence in contest(table, study).values():
        assert evidence.contestants[-1].label == "random"
        assert math.isinf(evidence.contestants[-1].score.value)


def test_an_unfinished_search_is_left_out(decided):
    study, table = decided
    short = table[~((table["phase"] != "reference") & (table["trial"] >= 6))]
    short = short[short["phase"] != "confirm"]
    assert list(contest(short, study)) == [5]


def test_the_run_directory_the_page_and_the_table(tmp_path):
    study = contested("random", "qmc", {"name": "random", "label": "again"}, restarts=3)
    # Readers do not have the engine that knows of methods, so all of them are searched.
    study = study.model_copy(update={"methods": study.methods[:1]})
    run(study, tmp_path / "out", engine=NoisyEngine())
    table = read_results(tmp_path / "out", NoisyEngine())
    assert set(table["searcher"]) == {"", "random", "qmc", "again"}
    source = load(tmp_path / "out")
    text = export(source, "searchers", "csv").decode()
    assert text.splitlines()[0].split(",") == list(searcher_columns.meanings)
    assert "alpha on ring" in text
    for kind in FORMATS:
        reads_back(source, "searchers", kind)
    html = page(source)
    assert 'id="searchers"' in html
    assert "Which search algorithm on which cells" in html
    assert "After 12 trials per cell, confirmed" in html


@pytest.mark.slow
def test_copies_of_tpe_have_no_winner():
    found = [winners(seed, 3) for seed in range(30)]
    for trials in found[0]:
        # Of 30 studies at 5 %, five or more winners have a probability of 1.6 %.
        assert sum(named[trials] for named in found) <= 4, trials
