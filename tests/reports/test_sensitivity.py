"""Hyperparameters: which mattered, which lie at an edge, and where runs fail."""

import math

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from scorebench.reports.figures.slices import parallel_figure, slice_figure
from scorebench.reports.figures.style import encode
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.sensitivity import (
    _importance,
    edge_sentences,
    sensitivity,
    slices,
)
from scorebench.studies.specs.spec import StudySpec

from .conftest import fail, study


@pytest.fixture
def spec() -> StudySpec:
    return StudySpec(
        name="s", methods=["dsm", "ssm"], datasets=["rings"], samplers=["langevin"], objective="sw1"
    )


def searched(trials: int = 60):
    """Trials whose loss depends on sigma alone, and is least at its lower end."""
    results = study(methods={"dsm": 0.3, "ssm": 0.5}, datasets=("rings",), trials=trials)
    dsm = (results.method == "dsm") & (results.phase == "search")
    sigma = np.geomspace(0.02, 0.5, trials)
    results.loc[dsm, "params.sigma"] = np.random.default_rng(0).permutation(sigma)
    results.loc[dsm, "sw1"] = 1 + np.log(results.loc[dsm, "params.sigma"] / 0.02)
    confirmed = (results.method == "dsm") & (results.phase == "confirm")
    best = results.loc[dsm].sort_values("sw1").iloc[0]
    for name in ("params.sigma", "params.learning_rate", "trial"):
        results.loc[confirmed, name] = best[name]
    return results


def edges(spec: StudySpec, results: pd.DataFrame) -> pd.DataFrame:
    evidence = gather(results, "sw1")
    return sensitivity(evidence, {cell.cell: slices(spec, cell) for cell in evidence.cells})


def test_the_hyperparameter_that_decides_is_found(spec: StudySpec):
    cell = next(c for c in gather(searched(), "sw1").on("rings") if c.method == "dsm")
    found = slices(spec, cell)
    assert [one.name for one in found] == ["sigma", "learning_rate"]
    assert found[0].importance > 0.8
    assert sum(one.importance for one in found) == pytest.approx(1)
    assert (found[0].low, found[0].high, found[0].logarithmic) == (0.02, 0.5, True)
    assert found[0].winners == (int(np.argmin(found[0].losses)),)


def test_importance_has_an_interval_from_trials_or_restarts(spec: StudySpec):
    results = searched()
    one = edges(spec, results).set_index(["method", "parameter"])
    decisive, other = one.loc[("dsm", "sigma")], one.loc[("dsm", "learning_rate")]
    assert decisive.importance_low > other.importance_high
    assert (one.importance_low <= one.importance).all()
    assert (one.importance <= one.importance_high).all()
    # Three restarts that agree to the last digit: nothing is uncertain.
    search = results[results["phase"] == "search"]
    copies = [results.assign(restart=0), *(search.assign(restart=r) for r in (1, 2))]
    several = edges(spec, pd.concat(copies))
    assert (several.importance_high - several.importance_low).max() < 1e-9


def test_importance_covers_its_mean_in_repeated_searches():
    """Random searches of 40 trials, whose loss depends on two of three hyperparameters."""
    ranges = {name: FloatDistribution(0, 1) for name in "abc"}
    shares, halves = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        trials = [dict(zip("abc", map(float, point), strict=True)) for point in rng.random((40, 3))]
        losses = [(t["a"] - 0.3) ** 2 + 0.3 * t["b"] + 0.05 * rng.normal() for t in trials]
        found = _importance(trials, [ranges] * 40, np.array(losses), np.zeros(40))
        shares.append([found[name][0] for name in "abc"])
        halves.append([found[name][1] for name in "abc"])
    covered = np.abs(shares - np.mean(shares, axis=0)) <= halves
    assert 0.85 < covered.mean() < 1


def test_a_winner_at_the_edge_is_warned_of(spec: StudySpec):
    table = edges(spec, searched()).set_index(["method", "parameter"])
    assert table.loc[("dsm", "sigma"), "edge"] == "lower"
    said = edge_sentences(table.reset_index())
    assert any("sigma of dsm is at the lower edge of its range (0.02" in s for s in said)


def test_few_trials_have_no_importance(spec: StudySpec):
    table = edges(spec, searched(19))
    assert table["importance"].isna().all()
    assert len(table)


def test_failures_are_counted_and_mapped(spec: StudySpec):
    results = searched(24)
    low = (results.method == "dsm") & (results.phase == "search") & (results["params.sigma"] < 0.05)
    fail(results, low)
    cell = next(c for c in gather(results, "sw1").on("rings") if c.method == "dsm")
    found = slices(spec, cell)
    for one in found:
        assert np.isinf(one.losses).sum() == low.sum()
    figure = slice_figure(found, "SW1")
    assert len(figure.axes) == 3, "two slices and the map"
    assert encode(figure, "png")
    other = slices(spec, _other(results))
    assert len(slice_figure(other, "SW1").axes) == 2, "choices have no contours"
    lines = parallel_figure(other).axes[0].lines
    assert len(lines) == 24 + len(other[0].winners)
    assert all(0 <= y <= 1 for line in lines for y in line.get_ydata())


def _other(results):
    return next(c for c in gather(results, "sw1").on("rings") if c.method == "ssm")


def test_a_gone_plug_in_has_no_slices(spec: StudySpec):
    results = searched(20).replace({"method": {"dsm": "gone"}})
    cell = next(c for c in gather(results, "sw1").on("rings") if c.method == "gone")
    assert slices(spec, cell) == []
    assert all(math.isfinite(loss) for loss in cell.losses)
