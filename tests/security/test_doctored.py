"""Results that were edited: none is certified, and what does not fit is said first."""

import hashlib
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from scorebench.__main__ import app
from scorebench.datasets.errors import UsageError
from scorebench.studies.cell import Cell
from scorebench.studies.certificate import certify
from scorebench.studies.engine import Engine
from scorebench.studies.integrity import Findings, check_distances
from scorebench.studies.plan import Plan
from scorebench.studies.rundir.read import read_rows, read_study
from scorebench.studies.stored_files import check_directory
from typer.testing import CliRunner

from ..studies.fake_engine import FakeEngine

OTHER_NETWORK = {"kind": "energy", "module": "os:system", "options": {}}


def problems(directory, engine=None):
    """What the leaderboard says before anything else; nothing is trained."""
    return check_directory(directory, Plan(read_study(directory), engine or FakeEngine())).problems


def refused(directory, **options):
    """The certificate of a replay that must not certify."""
    found = certify(directory, engine=FakeEngine(), **options)
    assert found.verdict == "differs"
    return found


def test_what_was_not_edited_is_certified(finished):
    found = check_directory(finished, Plan(read_study(finished), FakeEngine()))
    assert (found.problems, found.open) == ([], [])
    found = certify(finished, engine=FakeEngine(), rows=1)
    assert (found.verdict, found.replay.problems) == ("identical", ())
    assert found.coverage == (
        "Run again: 12 of 12 ranked, 7 of 7 reference and 52 of 52 search rows (100 %). Not "
        "proved: running times."
    )


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("names", lambda engine, kind: ()),
        ("options", lambda engine, kind, name: {}),
        ("missing_device", lambda engine, device: "there is none here"),
    ],
)
def test_what_is_missing_here_is_said_and_nothing_is_checked(finished, monkeypatch, method, given):
    study, engine = read_study(finished), FakeEngine()
    study.samplers[0].settings["steps"] = 3
    monkeypatch.setattr(FakeEngine, method, given)
    found = check_directory(finished, Plan(study, engine))
    assert found.problems == []
    assert [text.startswith("rows and files: ") for text in found.open] == [True]


def scale(factor, metric=None):
    def change(line):
        metrics = line["result"]["metrics"]
        line["result"]["metrics"] = {
            name: float(value) * factor if metric in (None, name) else value
            for name, value in metrics.items()
        }

    return change


def test_wide_floors_do_not_make_a_wrong_number_tolerable(copied, doctor):
    sign = iter([1000.0, -1000.0, 1000.0])

    def widen(line):
        line["result"]["metrics"]["mmd"] = next(sign)

    doctor(widen, "truth")
    doctor(scale(1.2, "mmd"), "alpha", "confirm", replicate=0)
    verdicts = {
        (run.row.slot.cell.method, number.metric): number.verdict
        for run in refused(copied).runs
        for number in run.numbers
        if run.row.slot.replicate == 0
    }
    assert verdicts["alpha", "mmd"] == verdicts["truth", "mmd"] == "differs"
    assert verdicts["beta", "mmd"] == "identical"
    assert any("truth" in problem and "computed again" in problem for problem in problems(copied))


@pytest.mark.parametrize("floor", ["inf", "-inf", "nan"])
def test_floors_that_are_no_numbers(copied, doctor, floor):
    doctor(lambda line: line["result"]["metrics"].update(mmd=floor), "truth", replicate=1)
    assert any("not finite" in problem for problem in problems(copied))
    refused(copied)


def test_runs_of_another_method_are_not_its_rows(copied, doctor):
    def refile(line):
        spec = line["spec"]
        spec["method"] = {"name": "exact", "options": {}}
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
        line["result"]["key"] = hashlib.sha256(f"1\n{text}".encode()).hexdigest()

    doctor(refile, "alpha", "confirm")
    (found,) = [text for text in problems(copied) if text.startswith("confirm")]
    assert "its settings are not those of the study" in found
    # They are not run either.
    assert all(run.row.slot.cell.method != "alpha" for run in refused(copied).runs)


def test_rows_that_are_not_the_best_are_run_again_too(copied, doctor):
    ranked = [row for row in read_rows(copied) if row.slot.cell.method == "beta"]
    worst = max((r for r in ranked if r.slot.phase == "confirm"), key=lambda r: r.loss("mmd"))
    doctor(scale(0.9), "beta", "confirm", replicate=worst.slot.replicate)
    refused(copied)


def test_the_scale_of_scores_is_replayed(copied, doctor):
    doctor(scale(10), "untrained")
    found = refused(copied)
    assert {run.row.slot.cell.method for run in found.runs if run.verdict != "identical"} == {
        "untrained"
    }


@pytest.mark.parametrize("name", ["train_evaluations", "sample_evaluations", "acceptance"])
def test_costs_are_replayed(copied, doctor, name):
    doctor(lambda line: line["result"]["compute"].update({name: 1.0}), "alpha", "confirm")
    refused(copied)


def test_a_bad_configuration_cannot_be_made_the_winner_of_a_rival(copied, doctor):
    # The search row of the winner is spoilt, so that another trial wins; its rows are honest.
    winner = next(r.slot.trial for r in read_rows(copied) if r.slot[:2][1] == "confirm")
    doctor(scale(0.5), "beta", "search", trial=(winner + 1) % 10, replicate=0)
    assert certify(copied, "alpha", engine=FakeEngine()).verdict == "identical"
    refused(copied, rows=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: [row, {**row, "environment": "x"}], "repeats the run of line"),
        (lambda row: [row, row], "repeats the run of line"),
        (lambda row: row.update(cell=["../x", "ring", "walk"]), "'../x' is no label"),
        (lambda row: row.update(cell=[["alpha"], "ring", "walk"]), "is no label"),
        (lambda row: row.update(cell="alpha"), "is no cell"),
        (lambda row: row.update(cell=["alpha", "ring", "walk", True]), "no number of a restart"),
        (lambda row: row.update(phase="final"), "'final' is no phase"),
        (lambda row: row.update(phase=["confirm"]), "is no phase"),
        (lambda row: row.update(replicate=1.0), "replicate 1.0 is no number of a run"),
        (lambda row: row.update(replicate=-1), "replicate -1 is no number"),
        (lambda row: row.update(trial=None), "trial None is impossible"),
        (lambda row: row.update(trial=10**30), "is no number of a run"),
        (lambda row: row["result"].update(key="../../x"), "'../../x' is no key"),
        (lambda row: row["result"].update(metrics=["mmd"]), "metrics"),
        (lambda row: row["result"].update(state="best"), "state"),
        (lambda row: row.update(environment="a/b"), "'a/b' is no environment"),
        (lambda row: row.update(suggested=[1]), "is no table"),
    ],
)
def test_rows_are_validated_when_they_are_read(copied, doctor, change, message):
    place = {"phase": "search", "trial": 0} if "trial None" in message else {"trial": 0}
    doctor(change, "alpha", **place, replicate=0)
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        certify(copied, engine=FakeEngine())
    assert "\n" not in str(caught.value)
    assert str(copied) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (lambda r: r["result"].update(key="0" * 64), {"phase": "confirm"}, "the key is not that"),
        (lambda r: r.update(replicate=7), {"phase": "confirm"}, "has no such run"),
        (lambda r: r.update(trial=99), {"phase": "search", "trial": 9}, "has no such run"),
        (lambda r: r["spec"].update(seed=1), {"phase": "search"}, "its settings are not those"),
        (lambda r: r["spec"]["training"].update(steps=500), {"phase": "confirm"}, "its settings"),
        (lambda r: r["spec"].update(network=OTHER_NETWORK), {}, "its settings are not"),
        (lambda r: r["suggested"].update(sigma=1e6), {"phase": "search"}, "its hyperparameters"),
        (lambda r: r["suggested"].update(more=1), {"phase": "search"}, "its hyperparameters"),
        (lambda r: r["suggested"].clear(), {"phase": "search"}, "its hyperparameters"),
        (lambda r: r["result"]["metrics"].pop("mmd"), {"phase": "confirm"}, "it has no mmd"),
        (lambda r: r["result"]["metrics"].update(mmd="nan"), {}, "mmd is not a number"),
        (lambda r: r["result"]["metrics"].update(sw1=-99), {}, "below what noise explains"),
        (lambda r: r["result"].update(state="failed"), {}, "without a failure"),
        (lambda r: r["result"]["compute"].update(train_seconds=-1), {}, "is impossible"),
        (lambda r: r["result"]["compute"].update(train_evaluations=1.5), {}, "is impossible"),
        (lambda r: r["result"]["compute"].update(train_seconds="inf"), {}, "is impossible"),
        (lambda r: r["result"]["compute"].update(bonus=1), {}, "no run has bonus"),
    ],
)
def test_rows_are_held_against_the_plan_without_training(copied, doctor, change, where, message):
    where = {"phase": "confirm", **where}
    doctor(lambda row: change(row) and None, "alpha", replicate=0, **where)
    assert any(message in problem for problem in problems(copied)), problems(copied)
    refused(copied)


@pytest.fixture(scope="module")
def real(tiny_run, tmp_path_factory):
    """A copy of a study of real runs."""
    return shutil.copytree(tiny_run, tmp_path_factory.mktemp("real") / "tiny")


@pytest.fixture
def real_copy(real, tmp_path):
    return shutil.copytree(real, tmp_path / "tiny")


def test_samples_are_scored_again_and_said_first(real_copy, doctor):
    runner = CliRunner()
    assert problems(real_copy, Engine()) == []
    doctor(scale(0.5, "sw1"), "dsm", "confirm", directory=real_copy, replicate=1)
    assert any("of its stored samples" in text for text in problems(real_copy, Engine()))
    board = runner.invoke(app, ["leaderboard", str(real_copy)]).stdout
    assert board.startswith("Does not fit its study: ")
    runner.invoke(app, ["report", str(real_copy)])
    assert "Does not fit its study: " in (real_copy / "report.md").read_text()[:400]
    page = (real_copy / "report.html").read_text()
    assert page.index("Does not fit its study") < page.index("<h1>")
    done = runner.invoke(app, ["leaderboard", str(real_copy), "--format", "csv"])
    assert "Does not fit its study" in done.stderr
    assert "Does not fit" not in done.stdout


def test_stored_samples_that_are_not_those_of_the_rows(real_copy):
    path = real_copy / "samples" / "dsm-rings-langevin.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["samples"] = arrays["samples"] * np.float32(1 + 1e-6)
    np.savez(path, **arrays)
    assert any("of its stored samples" in text for text in problems(real_copy, Engine()))
    found = certify(real_copy, "dsm", "rings")
    assert any("not what the replay" in text for text in found.replay.problems)


def test_a_model_that_is_not_the_best_one(real_copy):
    models = real_copy / "models"
    shutil.copyfile(
        models / "ssm-rings-langevin.safetensors", models / "dsm-rings-langevin.safetensors"
    )
    assert any("not the model of the best" in text for text in problems(real_copy, Engine()))


def test_replay_of_real_rows_takes_a_share_and_says_so(real):
    done = CliRunner().invoke(
        app, ["replay", str(real), "--all", "--rows", "0.1", "--workers", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "Run again:" in " ".join(done.stdout.split())
    assert "The replay took" in done.stdout
    for share in ("0", "1.5", "nan"):
        done = CliRunner().invoke(app, ["replay", str(real), "--all", "--rows", share])
        assert isinstance(done.exception, UsageError)


@pytest.mark.parametrize(
    ("floors", "value", "impossible"),
    [
        # Floors share their truth: all may be positive where other samples are negative.
        ([0.001 + 0.0003 * n for n in range(20)], -0.0016, False),
        ([0.001 + 0.0003 * n for n in range(20)], -0.1, True),
        # Two floors may both be near 0.
        ([1e-5, -2e-5], -0.0016, False),
        ([1e-5, -2e-5], -0.1, True),
        ([0.001], -0.1, False),
    ],
)
def test_a_negative_distance_is_impossible_only_beyond_noise(floors, value, impossible):
    row = SimpleNamespace(
        ok=True,
        name="search 0 of a-ring-walk",
        slot=SimpleNamespace(cell=Cell("a", "ring", "walk")),
        result=SimpleNamespace(metrics={"keeps.mmd": value}),
    )
    found = Findings()
    check_distances([row], {("ring", "mmd"): floors}, found)
    assert bool(found.problems) == impossible
