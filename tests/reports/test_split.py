"""Learning and sampling errors: values, the larger one, the sentence and the figure."""

import math

import numpy as np
import pytest
from scorebench.reports.figures.split import split_figure
from scorebench.reports.figures.style import encode
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.split import split_columns, split_sentence, splits

from .conftest import study

LEVELS = {"dsm": 0.5, "deen": 0.05, "ssm": 0.2, "ssm_vr": 0.4}


def by_label(**shares: float):
    """Return the splits of a study in which each method has that share of learning error."""
    results = study(methods=LEVELS, datasets=("rings",), spread=0.001, shared=0.0)
    for method, share in shares.items():
        rows = (results.method == method) & (results.phase == "confirm")
        results.loc[rows, "split.sw1"] = share * results.loc[rows, "sw1"]
    return {split.label: split for split in splits(gather(results, "sw1"), "rings")}


def test_errors_are_the_means_of_their_rows():
    errors = by_label(dsm=0.9, deen=0.9)
    dsm = errors["dsm"]
    assert split_columns.values(dsm)["learning"] == pytest.approx(0.9 * dsm.cell.mean)
    assert split_columns.values(dsm)["sampling"] == pytest.approx(dsm.cell.oracle.mean())
    assert split_columns.values(dsm)["floor"] == pytest.approx(dsm.cell.truth.mean())


def test_the_larger_error_is_named_where_the_seeds_decide_it():
    found = by_label(dsm=0.9, deen=0.9, ssm=math.nan)
    assert "ssm" not in found, "nothing was sampled exactly"
    assert found["dsm"].larger == "learning", "0.45 against 0.2 of the exact score"
    assert found["deen"].larger == "sampling"
    words = split_sentence(list(found.values()))
    assert words.startswith("Learning error is larger for dsm")
    assert "sampling error is larger for" in words
    assert "deen" in words


def test_a_sampler_that_hides_learning_error_is_named():
    found = by_label(dsm=2.0, deen=0.9)
    assert found["dsm"].hidden
    assert not found["deen"].hidden
    assert "With dsm the sampler hides learning error" in split_sentence([*found.values()])


def test_a_failed_exact_score_is_the_larger_error():
    results = study(datasets=("rings",))
    results.loc[results.method == "exact", "state"] = "diverged"
    errors = splits(gather(results, "sw1"), "rings")
    assert {split.larger for split in errors} == {"sampling"}
    figure = split_figure(gather(results, "sw1"), "rings")
    assert [text.get_text() for text in figure.axes[0].texts] == ["failed"] * len(errors)


def test_all_errors_are_drawn():
    evidence = gather(study(datasets=("rings",)), "sw1")
    figure = split_figure(evidence, "rings", width=3.35)
    assert encode(figure, "pdf")
    drawn = [float(np.mean(bar.lines[0].get_xdata())) for bar in figure.axes[0].containers]
    expected = [
        value
        for split in splits(evidence, "rings")
        for value in (split.cell.loss.value, split.learning.value, split.sampling.value)
    ]
    assert drawn == pytest.approx(expected)


def test_a_study_without_splits_has_none():
    results = study(datasets=("rings",)).drop(columns="split.sw1")
    assert splits(gather(results, "sw1"), "rings") == []
