"""Scores of points from elsewhere: floors of reference rows, p-values that hold what they say."""

import json

import numpy as np
import pandas as pd
import pytest
import scorebench as sb
import torch
from scorebench.studies.score import score
from typer.testing import CliRunner

COLUMNS = ["metric", "value", "floor50", "floor95", "p", "differs"]


def rings(n, seed=0):
    return sb.get_dataset("rings").sample(n, torch.Generator().manual_seed(seed)).numpy()


def test_truth_and_other_points():
    truth = sb.score(rings(300), "rings", floors=19)
    assert list(truth.columns) == COLUMNS
    assert list(truth["metric"]) == ["mmd", "sw1", "sw2"]
    assert (truth["floor50"] < truth["floor95"]).all()
    assert set(truth["differs"]) == {"no"}
    other = sb.score(rings(300) + 0.5, "rings", floors=19)
    assert set(other["differs"]) == {"yes"}
    assert (other["p"] == 0.05).all()
    few = sb.score(rings(300) + 0.5, "rings", ["sw1"], floors=18)
    assert few["differs"].item() == "open"
    assert few["p"].item() == 1 / 19


def test_the_floors_are_the_reference_rows_of_a_study(tiny_run):
    results = sb.Study(tiny_run).results
    floors = results.query("method == 'truth' and dataset == 'rings'").sort_values("replicate")
    (found,) = score(rings(120), "rings", ["sw1"], floors=4)
    assert found.floor50 == pytest.approx(floors["sw1"].median(), rel=1e-12)
    assert found.floor95 == pytest.approx(floors["sw1"].quantile(0.95), rel=1e-12)


def test_points_of_a_run_have_the_score_of_its_row(tiny_run):
    """As scored here, samples of a study have the value that the study gave them."""
    rows = sb.Study(tiny_run).results
    row = rows.query("phase == 'confirm' and method == 'dsm' and dataset == 'rings'").iloc[0]
    with np.load(tiny_run / "samples" / "dsm-rings-langevin.npz", allow_pickle=False) as stored:
        points = stored["samples"][stored["replicate"] == row["replicate"]]
    value = sb.score(points, "rings", ["sw1"], floors=1)["value"].item()
    assert value == pytest.approx(row["sw1"], rel=1e-12)


def test_p_values_are_uniform_for_samples_of_the_truth():
    ps = [score(rings(40, seed), "rings", ["sw1"], floors=19)[0].p for seed in range(40)]
    # They share one truth and its floors; 2 expected at 0.05, 20 at 0.5.
    assert sum(p <= 0.05 for p in ps) <= 8
    assert 6 <= sum(p <= 0.5 for p in ps) <= 34
    assert min(ps) >= 0.05


def test_against_points():
    same = sb.score(rings(200), against=rings(300, 1), floors=19)
    assert set(same["differs"]) == {"no"}
    other = sb.score(1.5 * rings(200), against=rings(300, 1), floors=19)
    assert set(other["differs"]) == {"yes"}


def test_p_values_against_points_hold_in_any_dimension():
    rng = np.random.default_rng(0)
    ps = []
    for _ in range(40):
        points, held_out = rng.exponential(size=(30, 5)), rng.exponential(size=(45, 5))
        ps.append(score(points, against=held_out, metrics=["sw1"], floors=19)[0].p)
    assert sum(p <= 0.1 for p in ps) <= 10
    assert 8 <= sum(p <= 0.5 for p in ps) <= 32


def test_the_order_of_points_and_their_library_do_not_matter():
    points = rings(100)
    expected = sb.score(points, "rings", floors=3)
    for other in (torch.tensor(points), pd.DataFrame(points), points.tolist()):
        pd.testing.assert_frame_equal(sb.score(other, "rings", floors=3), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "ring"}, "did you mean 'rings'"),
        ({"dataset": "rings", "metrics": ["sw3"]}, "did you mean 'sw1'|did you mean 'sw2'"),
        ({"dataset": "rings", "metrics": ["fisher"]}, "needs the score of a model"),
        ({"dataset": "rings", "metrics": ["kl"]}, "needs the energy of a model"),
        ({"dataset": "checkerboard", "metrics": ["ksd"]}, "the density jumps"),
        ({"dataset": "rings", "floors": 0}, "floors = 0"),
        ({"dataset": "rings", "seed": -1}, "seed = -1"),
        ({}, "neither was given"),
        ({"dataset": "rings", "against": np.zeros((3, 2))}, "both were given"),
        ({"against": np.zeros((3, 3))}, "have 2 coordinates, and .* have 3"),
        ({"against": np.zeros((3, 2)) + 1j}, "complex"),
        ({"against": np.eye(9, 2), "metrics": ["mode_error"]}, "needs the log density"),
        ({"dataset": "rings", "metrics": ["kl"]}, "choose among (?!.*copies)"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments, message):
    with pytest.raises(sb.UsageError, match=message):
        sb.score(np.random.default_rng(0).normal(size=(10, 2)), **arguments)


def test_points_that_cannot_be_scored_are_refused():
    with pytest.raises(sb.UsageError, match=r"shape \(10, 3\), where \(n, 2\) is right"):
        sb.score(np.zeros((10, 3)), "rings")


def test_command(tmp_path, monkeypatch):
    from scorebench.__main__ import app

    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", 1.3 * rings(200))
    np.savetxt("held_out.csv", rings(200, 1), delimiter=",", header="x,y", comments="")

    def run(*words):
        return CliRunner().invoke(app, ["score", *words], catch_exceptions=False).output

    assert "differs" in run("mine.npy", "rings", "--floors", "19")
    rows = json.loads(run("mine.npy", "rings", "--floors", "9", "--format", "json"))
    assert [list(row) for row in rows] == [COLUMNS] * 3
    rows = json.loads(
        run("mine.npy", "--against", "held_out.csv", "--metrics", "sw2", "--format", "json")
    )
    assert [row["metric"] for row in rows] == ["sw2"]
    assert rows[0]["differs"] == "yes"
    with pytest.raises(sb.UsageError, match=r"nope\.npy"):
        run("nope.npy", "rings")
