"""The tables on studies whose right answer is known."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.reports.pages.tables import hidden_columns, to_json
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.leaderboard import board_frame, cell_frame
from scorebench.reports.ranking.verdict import answer, headline, verdict, verdict_on
from scorebench.studies.cell import Cell

from .conftest import DATASETS, METHODS, fail, study


def leaderboard(results: pd.DataFrame, objective: str) -> pd.DataFrame:
    return board_frame(gather(results, objective))


def cells(results: pd.DataFrame, objective: str) -> pd.DataFrame:
    return cell_frame(gather(results, objective))


def confirmed(results: pd.DataFrame, method: str, dataset: str) -> pd.Series:
    return (results.phase == "confirm") & (results.method == method) & (results.dataset == dataset)


def test_known_order_is_found(results: pd.DataFrame):
    board = leaderboard(results, "sw1").set_index("method")
    assert set(board.index[:2]) == {"dsm", "deen"}
    for name, ranks in {"dsm": (1, 2), "deen": (1, 2), "ssm_vr": (3, 3), "ssm": (4, 4)}.items():
        assert (board.rank_low[name], board.rank_high[name]) == ranks
    assert board.tied_with["dsm"] == "deen"
    assert board.probability_best.sum() == pytest.approx(1)


def test_numbers_agree_with_a_plain_computation(results: pd.DataFrame):
    table = cells(results, "sw1").set_index(["method", "dataset"])
    board = leaderboard(results, "sw1").set_index("method")
    scores = []
    for dataset in DATASETS:
        here = results[results.dataset == dataset]
        floor = here[here.method == "truth"].sw1
        scale = here[here.method == "untrained"].sw1.mean() - floor.mean()
        values = here[confirmed(here, "ssm", dataset)].sw1
        cell = table.loc[("ssm", dataset)]
        assert cell["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert cell["floor"] == pytest.approx(floor.mean(), rel=1e-12)
        assert cell["floor_95"] == pytest.approx(floor.quantile(0.95), rel=1e-12)
        assert cell["ratio"] == pytest.approx(values.mean() / floor.mean(), rel=1e-12)
        worse = values.mean() / floor.quantile(0.95)
        assert cell["ratio_95"] == pytest.approx(worse, rel=1e-12)
        assert cell["oracle"] == pytest.approx(here[here.method == "exact"].sw1.mean(), rel=1e-12)
        search = here[(here.phase == "search") & (here.method == "ssm")].sw1
        assert cell["optimism"] == pytest.approx(search.min() - values.mean(), rel=1e-9)
        assert board[f"mean.{dataset}"]["ssm"] == cell["mean"]
        scores.append((values.mean() - floor.mean()) / scale)
    assert board.score["ssm"] == pytest.approx(np.mean(scores), rel=1e-12)
    assert board.score_low["ssm"] < board.score["ssm"] < board.score_high["ssm"]


def test_winners_have_their_own_hyperparameters_only(results: pd.DataFrame):
    found = {cell.method: cell.parameters for cell in gather(results, "sw1").on("rings")}
    assert set(found["dsm"]) == {"learning_rate", "sigma"}
    assert set(found["ssm"]) == {"learning_rate", "n_slices"}
    assert isinstance(found["ssm"]["n_slices"], int)
    winner = results[confirmed(results, "ssm", "rings")].iloc[0]
    assert found["ssm"]["learning_rate"] == winner["params.learning_rate"]


def test_finalists_are_not_taken_for_the_search_best(results: pd.DataFrame):
    again = results[(results.phase == "search") & (results.method == "dsm")].head(1).copy()
    again["replicate"], again["sw1"] = 1, 1e-6
    before = cells(results, "sw1").search_best
    assert cells(pd.concat([results, again]), "sw1").search_best.equals(before)


def test_identical_values_are_ties():
    results = study(methods={"a": 0.3})
    twin = results[results.method == "a"].assign(method="b")
    board = leaderboard(pd.concat([results, twin]), "sw1")
    assert board[["rank_low", "rank_high"]].to_numpy().tolist() == [[1, 2], [1, 2]]
    assert board.probability_best.tolist() == [0.5, 0.5]
    assert "cannot be told apart" in verdict(gather(pd.concat([results, twin]), "sw1"))


def test_one_failed_run_makes_its_mean_the_worst(results: pd.DataFrame):
    fail(results, confirmed(results, "dsm", "rings") & (results.replicate == 2))
    cell = cells(results, "sw1").set_index(["method", "dataset"]).loc[("dsm", "rings")]
    assert cell["mean"] == math.inf
    assert cell["seeds"] == 5
    assert cell["failed"] == 1
    board = leaderboard(results, "sw1")
    assert board.method.iloc[-1] == "dsm"
    assert board.score.iloc[-1] == math.inf
    assert board.probability_best.iloc[-1] == 0
    assert board.rank_high.iloc[-1] == 4
    assert board.failure_rate.iloc[-1] == pytest.approx(1 / (4 * 13))
    assert "Failed: 1 of 208 runs" in verdict(gather(results, "sw1"))


def test_a_failed_run_is_never_dropped_even_with_a_value_or_without_state(results: pd.DataFrame):
    first = confirmed(results, "dsm", "rings") & (results.replicate == 0)
    results.loc[first, "state"] = "timeout"
    second = confirmed(results, "deen", "rings") & (results.replicate == 0)
    results.loc[second, "sw1"] = np.nan
    table = cells(results, "sw1").set_index(["method", "dataset"])
    assert table["mean"][("dsm", "rings")] == table["mean"][("deen", "rings")] == math.inf


def test_all_runs_failed_is_last_in_its_dataset(results: pd.DataFrame):
    fail(results, confirmed(results, "dsm", "rings"))
    table = cells(results, "sw1").set_index(["dataset", "method"]).loc["rings"]
    assert table.index[-1] == "dsm"
    assert (table.rank_low["dsm"], table.rank_high["dsm"]) == (4, 4)


def test_missing_cells_are_shown_and_never_averaged_over(results: pd.DataFrame):
    gone = results[~((results.method == "dsm") & (results.dataset == "rings"))]
    board = leaderboard(gone, "sw1").set_index("method")
    assert board.missing["dsm"] == "rings"
    assert math.isnan(board.score["dsm"])
    assert math.isnan(board.rank_low["dsm"])
    assert board.rank_high.max() == 3
    table = cells(gone, "sw1").set_index(["method", "dataset"])
    assert math.isnan(table["mean"][("dsm", "rings")])
    evidence = gather(gone, "sw1")
    assert any("dsm is not ranked" in note and "rings" in note for note in evidence.notes)
    assert "of the 3 of 4 methods confirmed on all of them" in verdict(evidence)
    assert "dsm" not in answer(evidence)


def test_a_dataset_without_any_confirmed_run_is_left_out_for_all(results: pd.DataFrame):
    some = results[~((results.phase == "confirm") & (results.dataset == "rings"))]
    evidence = gather(some, "sw1")
    assert "rings" not in evidence.compared
    assert "Nothing is confirmed yet on rings." in evidence.notes
    assert verdict(evidence).startswith("Across 3 datasets")
    assert leaderboard(some, "sw1").score.notna().all()


def test_an_empty_study_has_no_answer():
    planned = [("dsm", "rings", "langevin"), ("ssm", "rings", "langevin")]
    evidence = gather(study().head(0), "sw1", [Cell(*labels) for labels in planned])
    assert [cell.missing for cell in evidence.cells] == [True, True]
    assert "no answer" in verdict(evidence)


def test_truth_is_marked_at_floor():
    results = study(methods={"perfect": 0.04, "poor": 0.4}, spread=0.006, shared=0.0)
    for d, dataset in enumerate(DATASETS):
        results.loc[confirmed(results, "perfect", dataset), "sw1"] -= 0.004 * d
    table = cells(results, "sw1").set_index("method")
    assert table.at_floor["perfect"].sum() >= 3
    assert not table.at_floor["poor"].any()
    board = leaderboard(results, "sw1").set_index("method")
    assert board.at_floor["poor"] == 0
    assert "cannot be told from the truth" in verdict(gather(results, "sw1"))


def test_further_references_are_no_contestants(results: pd.DataFrame):
    extra = results[results.method == "exact"].assign(method="kde")
    extra.loc[:, "sw1"] += 0.1
    evidence = gather(pd.concat([results, extra]), "sw1")
    assert {contestant.method for contestant in evidence.contestants} == set(METHODS)
    cell = evidence.on("rings")[0]
    assert cell.others["kde"] == pytest.approx(cell.oracle + 0.1)


def test_samplers_share_one_scale_per_dataset():
    results = study(samplers=("langevin", "annealed"))
    board = leaderboard(results, "sw1").set_index(["method", "sampler"])
    assert len(board) == 8
    evidence = gather(results, "sw1")
    for dataset in DATASETS:
        assert len({cell.scale for cell in evidence.on(dataset)}) == 1
    assert board.score[("dsm", "annealed")] < board.score[("dsm", "langevin")]
    oracles = {c.sampler: c.oracle.mean() for c in evidence.on("rings")}
    assert oracles["annealed"] == pytest.approx(0.1, abs=0.03)
    assert oracles["langevin"] == pytest.approx(0.2, abs=0.03)


def test_what_is_no_study_is_refused(results: pd.DataFrame):
    with pytest.raises(UsageError, match="'sw9'"):
        leaderboard(results, "sw9")
    other = results[confirmed(results, "dsm", "rings")].head(1).assign(trial=0, replicate=9)
    with pytest.raises(UsageError, match="several configurations"):
        cells(pd.concat([results, other]), "sw1")


def test_a_winner_is_named_with_its_margin():
    evidence = gather(study(methods={"dsm": 0.3, "ssm": 0.5}), "sw1")
    answer = verdict(evidence)
    assert answer.startswith("Across 4 datasets the configuration found for dsm is best: score 0.2")
    assert "better than ssm" in answer
    assert "5 seeds" in answer
    assert verdict_on(evidence, "rings").startswith(
        "On rings the configuration found for dsm is best: SW1 0."
    )


def test_a_single_seed_decides_nothing():
    answer = verdict(gather(study(seeds=1), "sw1"))
    assert "cannot be told apart" in answer
    assert "1 seed, which cannot decide anything" in answer
    assert "best:" not in answer


def test_words_never_name_a_winner_whose_lead_is_within_the_noise():
    wrong = 0
    for seed in range(25):
        results = study(seed, methods=dict.fromkeys("abcd", 0.3), seeds=3, trials=1)
        wrong += " is best" in verdict(gather(results, "sw1"))
    assert wrong <= 1


def test_tables_read_back_to_the_same_numbers(results: pd.DataFrame):
    fail(results, confirmed(results, "dsm", "rings"))
    board = leaderboard(results, "sw1")
    text = to_json(board)
    back = pd.DataFrame(json.loads(text, parse_constant=pytest.fail))
    numbers = board.select_dtypes("number").columns
    for name in numbers:
        np.testing.assert_array_equal(back[name].astype(float), board[name].astype(float))
    csv = pd.read_csv(io.StringIO(board.to_csv(index=False)))
    np.testing.assert_array_equal(csv[numbers].astype(float), board[numbers].astype(float))


def test_the_only_method_without_a_failure_is_no_winner():
    results = study(methods=dict.fromkeys("abcd", 0.3))
    for method in "abc":
        fail(results, confirmed(results, method, "rings") & (results.replicate == 1))
    assert headline(gather(results, "sw1")).startswith("No best configuration")
    several = pd.concat([results.assign(restart=n) for n in range(2)], ignore_index=True)
    several["sw1"] += 1e-3 * np.random.default_rng(0).normal(size=len(several))
    assert headline(gather(several, "sw1")).startswith("No winner")


def test_the_sampler_is_the_headline_where_it_is_the_limit():
    results = study()
    assert "sampler is the limit" not in headline(gather(results, "sw1"))
    exact = results.method == "exact"
    results.loc[exact & results.dataset.isin(DATASETS[:1]), "sw1"] += 5
    assert "sampler is the limit" not in headline(gather(results, "sw1"))
    assert f"On {DATASETS[0]} the best method" in verdict(gather(results, "sw1"))
    results.loc[exact & results.dataset.isin(DATASETS[1:3]), "sw1"] += 5
    said = headline(gather(results, "sw1"))
    assert said.startswith("Ranks say little about learning: the sampler is the limit on")
    assert all(name in said for name in DATASETS[:3])


def test_samplers_of_one_method_are_called_samplers():
    results = study(methods=dict.fromkeys("abcdef", 0.3), spread=0.2)
    tuned = results.phase != "reference"
    results.loc[tuned, "sampler"] = results.method
    one = results.assign(method=results.method.where(~tuned, "known"))
    evidence = gather(one, "sw1")
    assert headline(evidence) == "No best configuration: 6 samplers are tied"
    assert {contestant.label for contestant in evidence.contestants} == set("abcdef")
    assert hidden_columns(evidence) == ["method"]
    two = pd.concat([one, one[tuned].assign(method="other")])
    assert headline(gather(two, "sw1")).endswith("12 pairs of method and sampler are tied")
    assert hidden_columns(gather(two, "sw1")) == []


def test_datasets_that_disagree_are_named_and_make_no_winner():
    results = study(methods=dict.fromkeys("abcd", 0.6))
    several = pd.concat([results.assign(restart=n) for n in range(5)], ignore_index=True)
    noise = np.random.default_rng(0).normal(size=len(several))
    several["sw1"] += 0.01 * noise
    tuned = several.phase.isin(["search", "confirm"])
    first, second = several.method.isin(["a", "b"]), several.dataset.isin(DATASETS[:2])
    several.loc[tuned & (first == second), "sw1"] -= 0.2
    evidence = gather(several, "sw1")
    assert headline(evidence).startswith("No winner: ")
    assert "Each dataset by itself, at 95 %, the best are a and b on" in verdict(evidence)
    assert "; c and d on" in verdict(evidence)
    stages = ["train_seconds", "sample_seconds", "score_seconds"]
    total = several[tuned][stages].sum().sum()
    assert evidence.restart_seconds == pytest.approx(total / 5)


def test_failures_decide_where_no_method_has_a_score():
    results = study(methods={"dsm": 0.3, "deen": 0.3}, datasets=("rings",), seeds=14)
    of_methods = results["phase"] == "confirm"
    results["restart"] = results["replicate"].where(of_methods, 0)
    results.loc[of_methods, "replicate"] = 0
    dsm, deen = (of_methods & (results["method"] == name) for name in ("dsm", "deen"))
    fail(results, dsm & (results["restart"] == 0))
    tied = results.copy()
    fail(tied, deen & (tied["restart"] == 1))
    assert headline(gather(tied, "sw1")) == "Nothing to rank on rings"
    fail(results, deen & (results["restart"] > 0))
    assert headline(gather(results, "sw1")) == "dsm is best on rings"
    assert "failed in 13 confirmed runs" in verdict(gather(results, "sw1"))
