"""Fronts as tables and figures: what fresh runs leave of them."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from scorebench.reports.exports import export
from scorebench.reports.figures.named import figure, figures
from scorebench.reports.pages.page import page
from scorebench.reports.ranking.pareto import front_frame, front_sentence, points
from scorebench.reports.source import Source
from scorebench.studies.results import read_results
from scorebench.studies.rundir.read import read_study
from scorebench.studies.study import run

from ..studies.test_front import Costly, trading


def frame(source: Source) -> pd.DataFrame:
    """The table of the front."""
    evidence, costs = source.evidence, source.study.costs
    finalists = [p for dataset in evidence.datasets for p in points(evidence, costs, dataset)]
    return front_frame(finalists, costs)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front") / "run"
    run(trading(), folder, engine=Costly())
    return Source(folder, read_study(folder), read_results(folder, Costly()), {})


def test_points_are_means_of_fresh_runs(source):
    found = points(source.evidence, source.study.costs, "ring")
    rows = source.results.query("phase == 'search' and replicate > 0")
    assert {(p.results.method, p.trial) for p in found} == set(
        rows[["method", "trial"]].itertuples(index=False, name=None)
    )
    for point in found:
        own = rows[(rows.method == point.results.method) & (rows.trial == point.trial)]
        good = own[(own.state == "ok") & np.isfinite(own.mmd)]
        if len(good) == len(own):
            assert point.quality.value == pytest.approx(own.mmd.mean())
        else:
            assert math.isinf(point.quality.value)
        assert point.costs["train_evaluations"] == good.train_evaluations.mean()
        assert point.runs == len(own) == 2


def test_of_a_race_only_its_finalists_are_shown(tmp_path):
    race = {"trials": 16, "finalists": 3, "repeats": 3, "race": 2}
    run(trading(search=race, methods=["alpha"]), tmp_path, engine=Costly())
    raced = Source(tmp_path, read_study(tmp_path), read_results(tmp_path, Costly()), {})
    found = points(raced.evidence, raced.study.costs, "ring")
    rows = raced.results.query("phase == 'search'")
    assert {p.trial for p in found} == set(rows.query("replicate == 3").trial)
    assert {p.runs for p in found} == {3}
    assert rows.query("replicate == 1").trial.nunique() == 8


def test_the_front_is_of_the_means(source):
    found = points(source.evidence, source.study.costs, "ring")
    for point in found:
        better = [
            other for other in found if other is not point
            and other.quality.value <= point.quality.value
            and other.costs["train_evaluations"] <= point.costs["train_evaluations"]
        ]  # fmt: skip
        assert point.overall == (not better and math.isfinite(point.quality.value))
        same = [other for other in better if other.results.method == point.results.method]
        assert point.own == (not same and math.isfinite(point.quality.value))
    assert sum(point.overall for point in found) > 1


def test_the_table_has_winners_with_their_confirmed_means(source):
    table = frame(source)
    confirmed = source.results.query("phase == 'confirm'")
    for method, rows in table.groupby("method"):
        winner = rows[rows.winner.notna()]
        own = confirmed[confirmed.method == method]
        assert set(winner.trial) == set(own.trial)
        assert winner.winner.iloc[0] == pytest.approx(own.mmd.mean())
    assert "training.steps" in table.parameters.iloc[0]
    shown = export(source, "front", "markdown").decode()
    assert "| front |" in shown
    back = pd.read_csv(io.BytesIO(export(source, "front", "csv")))
    assert list(back.trial) == list(table.trial)


def test_the_figure_shows_every_point_and_the_page_has_it(source):
    drawn = figure(source, "front-ring")
    (axis,) = drawn.axes
    good = [
        p
        for p in points(source.evidence, source.study.costs, "ring")
        if math.isfinite(p.quality.value)
    ]
    marks = [c for c in axis.containers if c.has_yerr]
    assert len(marks) == len(good)
    assert axis.get_xlabel() == "train evaluations"
    assert len(figure(source, "front-ring", 3.35).axes) == 1
    html = page(source)
    assert "Quality against cost" in html
    assert "Only winners are confirmed on the test sample" in front_sentence(good, "mmd")


def test_one_objective_has_no_front(tmp_path):
    run(trading(objective="mmd", search={"trials": 4}), tmp_path, engine=Costly())
    plain = Source(tmp_path, read_study(tmp_path), read_results(tmp_path, Costly()), {})
    assert "front-ring" not in figures(plain)
    assert frame(plain).empty
