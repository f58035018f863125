"""Samplers as contestants: what counts as reached, with how many evaluations, and who is ranked."""

import math

import numpy as np
import pandas as pd
import pytest
from scorebench.reports.exports import FORMATS, export
from scorebench.reports.figures.named import figure
from scorebench.reports.pages.page import page
from scorebench.reports.ranking.contests import ALL
from scorebench.reports.ranking.samplers import (
    COARSEST,
    at_the_end,
    sampler_board,
    sampler_columns,
    sampler_sentences,
    sampler_standings,
)
from scorebench.reports.source import load
from scorebench.studies.specs.load import load_study
from scorebench.studies.study import run

from ..studies.conftest import make_study
from .test_exports import reads_back

N, EFFORTS = 100, (8, 16, 32)


def study(**fields):
    return make_study(
        methods=["exact"],
        datasets=["ring"],
        samplers=[{"name": "langevin", "label": label} for label in ("good", "slow", "lost")],
        objective="sw1",
        reference={"methods": []},
        evaluation={"samples": N, "metrics": ["sw1"]},
        **fields,
    )


def made(losses, restarts=3, dataset="ring"):
    """Results of samplers whose losses are given by number of evaluations; the floor is 1."""
    rows = [
        {"phase": "reference", "method": "truth", "sampler": "iid", "replicate": number}
        | {"restart": 0, "sw1": 1.0, "state": "ok"}
        for number in range(20)
    ]
    for restart in range(restarts):
        for label, values in losses.items():
            rows += [
                {"phase": "search", "method": "exact", "sampler": label, "replicate": 0}
                | {"restart": restart, "trial": trial, "state": "ok"}
                | {"sw1": value * (1 + 0.01 * restart), "sample_evaluations": N * evaluations}
                for trial, (evaluations, value) in enumerate(values.items())
            ]
    return pd.DataFrame(rows).assign(dataset=dataset)


LOSSES = {
    "good": {8: 30.0, 16: 0.9, 32: 0.8},
    "slow": {8: 50.0, 16: 7.8, 32: 0.95},
    # Its first run costs more than the smallest budget.
    "lost": {9: 3.9, 17: 100.0, 32: 3.9},
}


def test_a_target_is_reached_with_the_first_run_below_it():
    board = sampler_board(made(LOSSES), study())
    assert tuple(board.contests) == EFFORTS
    shares = {
        (row.standing.effort, row.standing.contestant): 1 - row.standing.score.value
        for row in sampler_standings(board)
        if row.standing.place == ALL
    }

    def share(loss):
        values = loss * (1 + 0.01 * np.arange(3))
        return (1 - np.log(values) / math.log(COARSEST)).clip(0, 1).mean()

    # A quarter of 32 is two fifths of the way in logarithms.
    assert share(8) == pytest.approx(0.4, abs=0.005)
    assert shares[8, "good"] == pytest.approx(share(30))
    assert shares[8, "slow"] == shares[8, "lost"] == 0
    assert shares[16, "good"] == shares[32, "good"] == shares[32, "slow"] == 1
    assert shares[16, "slow"] == pytest.approx(share(7.8))
    # What a shorter run has reached is not lost by a longer one.
    assert shares[16, "lost"] == shares[32, "lost"] == pytest.approx(share(3.9))


def test_evaluations_to_the_floor_are_those_of_the_first_run_at_it():
    end = {row.standing.contestant: row for row in at_the_end(sampler_board(made(LOSSES), study()))}
    assert end["good"].needed == 16
    # The third restart is 2 % larger: .95 is within the floor in each, .98 would not be.
    assert end["slow"].needed == 32
    assert math.isinf(end["lost"].needed)
    assert end["lost"].at_floor == 0
    assert end["lost"].ratio == pytest.approx(3.9 * 1.01)
    close = {**LOSSES, "slow": {8: 50.0, 16: 0.985, 32: 0.95}}
    rows = sampler_standings(sampler_board(made(close), study()))
    slow = next(r for r in rows if r.standing.contestant == "slow" and r.standing.place == "ring")
    assert slow.needs.tolist() == [16, 16, 32]
    assert slow.needed == 16


def test_a_failed_run_reaches_nothing():
    table = made(LOSSES)
    good = table["sampler"].eq("good") & table["restart"].eq(1)
    table.loc[good, "state"] = "diverged"
    row = at_the_end(sampler_board(table, study()))
    needs = {r.standing.contestant: r for r in row}["good"]
    assert needs.standing.score.value == pytest.approx(1 / 3)


def test_ranks_need_restarts_and_a_difference():
    rng = np.random.default_rng(0)
    tables = [
        made({label: {8: values[0], 16: values[1]} for label, values in drawn.items()}, 1, dataset)
        .assign(restart=lambda rows, r=restart: rows["restart"] + r)
        for dataset in ("ring", "plane")
        for restart in range(5)
        for drawn in [{
            "good": rng.uniform(0.7, 1.5, 2), "slow": rng.uniform(10, 20, 2),
            "lost": rng.uniform(10, 20, 2),
        }]
    ]  # fmt: skip
    board = sampler_board(pd.concat(tables, ignore_index=True), study())
    ranks = {r.standing.contestant: r.standing.rank for r in at_the_end(board)}
    assert ranks == {"good": (1, 1), "slow": (2, 3), "lost": (2, 3)}
    assert sampler_sentences(board)[-1].startswith("With 16 evaluations per chain: good is best")
    one = sampler_board(made(LOSSES, restarts=1), study())
    assert all(row.standing.rank is None for row in sampler_standings(one))
    assert "restarts = 5" in sampler_sentences(one)[-1]


def test_samplers_that_are_equal_in_every_restart_are_tied():
    table = made({"good": {8: 0.5}, "slow": {8: 0.6}, "lost": {8: 400.0}})
    rows = {
        row.standing.contestant: row.standing for row in at_the_end(sampler_board(table, study()))
    }
    assert rows["good"].best == rows["slow"].best == 0.5
    assert rows["lost"].best == 0
    assert rows["good"].rank == rows["slow"].rank == (1, 2)


def test_a_sampler_that_has_not_run_on_a_dataset_has_no_evaluations_there():
    table = pd.concat([made(LOSSES), made({"good": {8: 0.5}}, dataset="plane")])
    rows = sampler_standings(sampler_board(table, study()))
    needs = {
        row.standing.place: row.needs.tolist() for row in rows if row.standing.contestant == "slow"
    }
    assert needs["plane"] == []
    assert needs["ring"] == [32] * 3
    assert needs[ALL] == [32]


def test_where_something_is_learned_there_is_no_board():
    assert sampler_board(made(LOSSES), study().model_copy(update={"methods": ()})) is None
    one = study().model_copy(update={"samplers": study().samplers[:1]})
    assert sampler_board(made(LOSSES), one) is None
    assert sampler_board(made(LOSSES).iloc[:20], study()) is None


@pytest.mark.slow
def test_the_packaged_study_on_one_dataset(tmp_path):
    chosen = load_study(
        "samplers",
        ['datasets=["two_modes"]', "search.restarts=2", "reference.floors=8",
         "evaluation.samples=200"],
    )  # fmt: skip
    run(chosen, tmp_path / "out", workers=1)
    source = load(tmp_path / "out")
    # Every sampler made the runs that it was allowed, and none more.
    runs = source.samplers.runs
    assert not (source.results["state"] != "ok").any()
    most = runs.groupby("sampler")["evaluations"].max()
    assert (most <= 256).all()
    exact = most.drop("smc_langevin")
    assert (exact >= 250).all()
    best = at_the_end(source.samplers)[0].standing.contestant
    assert best in ("dpmpp_2m", "heun", "euler", "ancestral", "reverse_sde", "pc", "from_data")
    text = export(source, "samplers", "csv").decode()
    assert text.splitlines()[0].split(",") == list(sampler_columns.meanings)
    for kind in FORMATS:
        reads_back(source, "samplers", kind)
    assert figure(source, "samplers").axes
    html = page(source)
    assert 'id="samplers"' in html
    assert "Evaluations to the noise floor" in html
