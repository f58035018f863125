"""Learning against sampling: who makes the larger error, and in which figures and words."""

import math

import numpy as np
import pytest
from scorebench.reports.figures.split import split_figure
from scorebench.reports.figures.style import encode
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.split import split_columns, split_sentence, splits

from .conftest import study

LEVELS = {"dsm": 0.5, "deen": 0.05, "ssm": 0.2, "ssm_vr": 0.4}


def known(**shares: float):
    """A study in which exact points of each method have that share of its error."""
    results = study(methods=LEVELS, datasets=("rings",), spread=0.001, shared=0.0)
    for method, share in shares.items():
        own = (results.method == method) & (results.phase == "confirm")
        results.loc[own, "split.sw1"] = share * results.loc[own, "sw1"]
    return {one.label: one for one in splits(gather(results, "sw1"), "rings")}


def test_the_parts_are_the_means_of_the_right_rows():
    found = known(dsm=0.9, deen=0.9)
    one = found["dsm"]
    assert split_columns.values(one)["learning"] == pytest.approx(0.9 * one.cell.mean)
    assert split_columns.values(one)["sampling"] == pytest.approx(one.cell.oracle.mean())
    assert split_columns.values(one)["floor"] == pytest.approx(one.cell.truth.mean())


def test_the_larger_error_is_named_where_the_seeds_decide_it():
    found = known(dsm=0.9, deen=0.9, ssm=math.nan)
    assert "ssm" not in found, "nothing was sampled exactly"
    assert found["dsm"].larger == "learning", "0.45 against 0.2 of the exact score"
    assert found["deen"].larger == "sampling"
    words = split_sentence(list(found.values()))
    assert words.startswith("Learning error is larger for dsm")
    assert "sampling error is larger for" in words
    assert "deen" in words


def test_a_sampler_that_hides_learning_error_is_named():
    found = known(dsm=2.0, deen=0.9)
    assert found["dsm"].hidden
    assert not found["deen"].hidden
    assert "With dsm the sampler hides learning error" in split_sentence([*found.values()])


def test_a_failed_exact_score_is_the_larger_error():
    results = study(datasets=("rings",))
    results.loc[results.method == "exact", "state"] = "diverged"
    found = splits(gather(results, "sw1"), "rings")
    assert {one.larger for one in found} == {"sampling"}
    figure = split_figure(gather(results, "sw1"), "rings")
    assert [text.get_text() for text in figure.axes[0].texts] == ["failed"] * len(found)


def test_every_part_is_drawn():
    evidence = gather(study(datasets=("rings",)), "sw1")
    figure = split_figure(evidence, "rings", width=3.35)
    assert encode(figure, "pdf")
    drawn = [float(np.mean(bar.lines[0].get_xdata())) for bar in figure.axes[0].containers]
    expected = [
        value
        for one in splits(evidence, "rings")
        for value in (one.cell.loss.value, one.learning.value, one.sampling.value)
    ]
    assert drawn == pytest.approx(expected)


def test_without_it_there_is_nothing_to_show():
    results = study(datasets=("rings",)).drop(columns="split.sw1")
    assert splits(gather(results, "sw1"), "rings") == []
