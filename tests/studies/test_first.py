"""Known configurations come first, and travel with the study."""

import contextlib
import shutil

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.certificate import certify
from scorebench.studies.execution.events import RunsFinished
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.check import check
from scorebench.studies.specs.load import checked, load_study
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.study import run

from .conftest import contents, make_study
from .fake_engine import FakeEngine

OWN = {"sigma": 0.05, "learning_rate": 1e-3}


def study_with(first, methods=("alpha",), **search):
    return make_study(
        methods=list(methods),
        search={"trials": 8, "batch": 4, "startup": 4, "first": first, **search},
    )


def trials(directory, method="alpha"):
    rows = {
        row.slot.trial: row.suggested
        for row in read_rows(directory)
        if row.slot.cell.method == method and row.slot[1] == "search" and row.slot[3] == 0
    }
    return [rows[number] for number in sorted(rows)]


class KilledError(Exception):
    pass


def kill_at(count):
    left = [count]

    def listen(event):
        if isinstance(event, RunsFinished):
            left[0] -= 1
            if not left[0]:
                raise KilledError

    return listen


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "random"])
def test_known_configurations_come_first_and_bit_by_bit(sampler, tmp_path):
    # More than a batch of them.
    first = [OWN, *({"sigma": value} for value in (0.2, 0.3, 0.4, 0.6, 0.5))]
    study = study_with(first, sampler=sampler)
    run(study, tmp_path / "whole", engine=FakeEngine())
    found = trials(tmp_path / "whole")
    assert found[0] == OWN
    assert [values["sigma"] for values in found[1:6]] == [0.2, 0.3, 0.4, 0.6, 0.5]
    assert len({values["learning_rate"] for values in found}) == 8
    for _ in range(12):
        with contextlib.suppress(KilledError):
            run(study, tmp_path / "killed", listener=kill_at(2), engine=FakeEngine())
        (tmp_path / "killed" / "optuna.journal").unlink(missing_ok=True)
    run(study, tmp_path / "killed", engine=FakeEngine())
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not certify(tmp_path / "whole", rows=1.0, engine=FakeEngine()).replay.problems


def test_configurations_are_for_the_cells_that_search_them(tmp_path):
    first = [{"width": 5}, {"for": "alpha-*", "sigma": 0.2}, {"learning_rate": 0.002}]
    run(study_with(first, ("alpha", "gamma", "epsilon")), tmp_path, engine=FakeEngine())
    assert [values["sigma"] == 0.2 for values in trials(tmp_path)[:2]] == [True, False]
    assert trials(tmp_path)[1]["learning_rate"] == 0.002
    assert trials(tmp_path, "gamma")[0]["width"] == 5
    assert trials(tmp_path, "gamma")[1]["learning_rate"] == 0.002
    assert trials(tmp_path, "epsilon")[0] == {"learning_rate": 0.002}


def test_the_published_setting_is_the_default(tmp_path):
    run(study_with(["default"], ["beta"]), tmp_path, engine=FakeEngine())
    found = trials(tmp_path, "beta")[0]
    assert (found["kind"], found["count"]) == ("steep", 2)
    assert {"slope", "sigma"} < found.keys()
    with pytest.raises(UsageError, match="method 'alpha' names no published setting"):
        check(study_with(["default"], ["alpha", "beta"]), FakeEngine())


def test_winners_of_a_run_become_part_of_the_study(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "quick")
    tables = {**make_study().model_dump(mode="json"), "search": {"trials": 8, "first": ["quick"]}}
    tables["methods"] = ["alpha", "beta"]
    study = checked(tables, "test", tmp_path, FakeEngine())
    shutil.rmtree(tmp_path / "quick")
    assert StudySpec.from_toml(study.to_toml()) == study
    assert {known["for"] for known in study.search.first} == {"alpha-ring-walk", "beta-ring-walk"}
    run(study, tmp_path / "out", engine=FakeEngine())
    for method in ("alpha", "beta"):
        own = [row for row in read_rows(finished) if row.slot.cell.method == method]
        winner = next(row.slot.trial for row in own if row.slot.phase == "confirm")
        assert trials(tmp_path / "out", method)[0] == trials(finished, method)[winner]
    assert load_study(tmp_path / "out", engine=FakeEngine()) == study


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ([{"sigma": 3.0}], r"sigma = 3\.0 is outside of its range: .* from 0\.01 to 1"),
        ([{"sigma": "x"}], "sigma = 'x' is outside of its range"),
        ([{"sigma": True}], "sigma = True is outside of its range"),
        ([{"sigm": 0.1}], "did you mean 'sigma'"),
        ([{"for": "alpah-*", "sigma": 0.1}], "unknown cell in search.first 'alpah-"),
        ([{"sigma": 0.1, "width": 2.5}], "width = 2.5 is outside of its range"),
        ([{"sigma": 0.1, "training": {"steps": 7}}], "no cell of the study searches all of"),
        ([{}], "no cell of the study searches all of"),
        (["nowhere"], "neither 'default' nor a finished run directory"),
        ([1], "1 is neither 'default'"),
        ([{"sigma": x / 100} for x in range(1, 10)], "search.trials = 8: set it to 9"),
    ],
)
def test_bad_configurations_are_refused_before_a_run(first, words, tmp_path):
    tables = make_study().model_dump(mode="json")
    tables |= {"methods": ["alpha", "gamma"], "search": {"trials": 8, "first": first}}
    with pytest.raises(UsageError, match=words) as caught:
        checked(tables, "test", tmp_path, FakeEngine())
    assert "\n" not in str(caught.value)


def test_whole_grids_have_no_first_configuration():
    study = study_with([{"sigma": 0.1}], sampler="brute_force")
    with pytest.raises(UsageError, match="tries every combination"):
        check(study, FakeEngine())


def test_studies_without_them_are_written_as_before():
    assert "first" not in make_study().to_toml()
    assert "first" not in make_study().model_dump(mode="json")["search"]


def test_other_ones_are_another_search(tmp_path):
    run(study_with([OWN]), tmp_path, engine=FakeEngine())
    with pytest.raises(UsageError, match=r"search\.first"):
        run(study_with([{"sigma": 0.2}]), tmp_path, engine=FakeEngine())
