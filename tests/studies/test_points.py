"""Studies on points of a file: what they carry, what they refuse, and what training never sees."""

import shutil

import numpy as np
import pandas as pd
import pytest
import scorebench as sb
import torch
from scorebench import datasets
from scorebench.bench import data_files
from scorebench.bench.from_spec import dataset_of
from scorebench.bench.metrics import metrics
from scorebench.bench.run import execute
from scorebench.bench.sampling import Sampling
from scorebench.bench.spec import Plugin
from scorebench.bench.truth import floor_of, judge_of, most_samples
from scorebench.datasets import point_files
from scorebench.datasets.errors import UsageError
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.results import read_results
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.study import run

STUDY = """\
name = "mine"
methods = [{name = "dsm", sigma = 0.5}]
datasets = [DATASET]
samplers = [{name = "langevin", steps = 5}]
objective = "mmd"
[training]
steps = 3
learning_rate = 0.001
[network]
width = 4
depth = 1
[search]
trials = 0
[confirm]
seeds = 2
[reference]
floors = 3
seeds = 1
EXTRA
"""

DRAWN = """\
import torch
from scorebench.datasets import datasets
from scorebench.datasets.base import Dataset
from sklearn.datasets import make_moons


@datasets.register("their_moons")
class TheirMoons(Dataset):
    \"\"\"Two half circles of scikit-learn.\"\"\"

    def draw(self, n, generator):
        seed = int(torch.randint(2**31, (), generator=generator))
        points, _ = make_moons(n, noise=SPREAD, random_state=seed)
        return torch.from_numpy(points)
"""


def study_file(folder, dataset='{name = "points", path = "mine.csv"}', extra=""):
    path = folder / "mine.toml"
    path.write_text(STUDY.replace("DATASET", dataset).replace("EXTRA", extra))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with points and a study of them, where nothing is known of other tests' files."""
    monkeypatch.setattr(point_files, "_known", {})
    x = np.random.default_rng(0).normal(size=(60, 3))
    pd.DataFrame(x, columns=list("abc")).to_csv(tmp_path / "mine.csv", index=False)
    study_file(tmp_path)
    return tmp_path


def jobs(study):
    """An example run of each phase: floors, reference, and what is tuned."""
    plan = Plan(study, Engine())
    return {cell.method: plan.example(cell) for cell in plan.cells}


def test_a_study_runs_and_its_archive_replays_without_the_file(
    folder, tmp_path_factory, monkeypatch
):
    study = sb.run(folder / "mine.toml", out=folder / "run", workers=1)
    table = read_results(folder / "run")
    assert (table["state"] == "ok").all()
    assert set(table["method"]) == {"truth", "untrained", "dsm"}
    sb.export(folder / "run", folder / "mine.zip")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(folder / "mine.zip", elsewhere / "mine.zip")
    (folder / "mine.csv").unlink()
    point_files._known.clear()
    monkeypatch.setattr(datasets, "_instances", {})
    replayed = sb.replay(elsewhere / "mine.zip", "dsm", "mine")
    assert len(replayed) > 0
    assert (replayed["stored"] == replayed["replayed"]).all()
    assert study.spec.data[0].content
    page = (folder / "run" / "report.html").read_text()
    assert study.spec.data[0].content not in page
    assert "30 for training, 12 for validation, 18 for test" in page


def test_points_are_capped_at_what_there_is_and_this_is_said(folder):
    study = load_study(folder / "mine.toml")
    for job in jobs(study).values():
        assert (job.training.points, job.evaluation.samples) == (30, 9)
    told = " ".join(Engine().words_on(job.dataset, 100_000, 2000))
    assert "60 points of 3 coordinates" in told
    assert "train on all of the training points, and 9 samples" in told
    fewer = load_study(folder / "mine.toml", ["training.points=20", "evaluation.samples=5"])
    job = jobs(fewer)["dsm"]
    assert (job.training.points, job.evaluation.samples) == (20, 5)


def test_an_edited_file_is_another_study(folder):
    run(load_study(folder / "mine.toml"), folder / "run")
    before = load_study(folder / "mine.toml")
    text = (folder / "mine.csv").read_text()
    (folder / "mine.csv").write_text(text.replace("a,b,c\n", "a,b,c\n1,2,3\n"))
    after = load_study(folder / "mine.toml")
    assert Engine().key(jobs(before)["dsm"]) != Engine().key(jobs(after)["dsm"])
    with pytest.raises(UsageError, match=r"cannot be compared.*sha256"):
        run(after, folder / "run")
    # The run directory has the points that it was made from.
    assert load_study(folder / "run").data == before.data


def test_of_a_large_file_the_hash_travels(folder, monkeypatch):
    monkeypatch.setattr(data_files, "MOST", 100)
    run(load_study(folder / "mine.toml"), folder / "run")
    study = load_study(folder / "run")
    assert study.data[0].content == ""
    assert "mine.csv" in study.data[0].place
    text = (folder / "mine.csv").read_text()
    (folder / "mine.csv").write_text(text + "1,2,3\n")
    # Another process has not read the old one.
    monkeypatch.setattr(datasets, "_instances", {})
    with pytest.raises(UsageError, match="was edited"):
        load_study(folder / "run")
    (folder / "mine.csv").unlink()
    with pytest.raises(UsageError, match=r"cannot be read"):
        load_study(folder / "run")


def test_toml_with_points_reads_back_equal(folder):
    study = load_study(folder / "mine.toml")
    assert StudySpec.from_toml(study.to_toml()) == study
    assert study.datasets[0].label == "mine"
    assert "content" not in load_study("quick").to_toml()


def test_the_file_is_found_beside_the_study_and_named_without_folders(folder, monkeypatch):
    (folder / "deep").mkdir()
    (folder / "mine.csv").rename(folder / "deep" / "mine.csv")
    path = study_file(folder, '{name = "points", path = "deep/mine.csv", label = "its"}')
    monkeypatch.chdir("/")
    study = load_study(path)
    assert study.datasets[0].settings["path"] == "mine.csv"
    assert study.datasets[0].label == "its"


class Poisoned:
    """Stands for a part of the data that nobody may see."""

    available = 1000

    def sample(self, n, generator):
        raise AssertionError("this part was looked at")


def test_nothing_of_the_test_part_reaches_training(folder, monkeypatch):
    study = load_study(folder / "mine.toml")
    job = jobs(study)["dsm"]
    dataset = dataset_of(job)
    monkeypatch.setitem(dataset._parts, "test", Poisoned())
    job = job.model_copy(update={"training": job.training.model_copy(update={"steps": 7})})
    judge_of.__globals__["_judge"].cache_clear()
    (search,) = execute([job], keep=True)
    assert search.result.state == "ok", search.result.failure
    confirm = job.model_copy(update={"phase": "confirm"})
    (lost,) = execute([confirm])
    assert (lost.result.state, lost.result.failure.stage) == ("failed", "score")
    assert "looked at" in lost.result.failure.reason
    # Nor does the validation part.
    monkeypatch.setitem(dataset._parts, "validation", Poisoned())
    judge_of.__globals__["_judge"].cache_clear()
    (lost,) = execute([job])
    assert lost.result.failure.stage == "score"


def test_search_and_confirmation_are_scored_on_their_own_parts(folder):
    job = jobs(load_study(folder / "mine.toml"))["dsm"]
    dataset = dataset_of(job)
    for phase, part in (("search", "validation"), ("confirm", "test")):
        judge = judge_of(job.model_copy(update={"phase": phase}))
        truth = judge.metrics["sw1"].reference
        known = dataset.part(part).points
        assert all((known == row).all(1).any() for row in truth)


def test_floors_are_disjoint_halves_of_the_test_part(folder):
    job = jobs(load_study(folder / "mine.toml"))["truth"]
    test = set(map(tuple, dataset_of(job).part("test").points.tolist()))
    halves = []
    for replicate in range(3):
        job = job.model_copy(update={"replicate": replicate})
        points, truth = (set(map(tuple, x.tolist())) for x in floor_of(job))
        assert len(points) == len(truth) == 9
        assert points | truth == test
        assert judge_of(job).metrics["sw1"].reference.tolist() == floor_of(job)[1].tolist()
        halves.append(points)
    assert halves[0] != halves[1] != halves[2]


def test_chains_start_at_training_points(folder, monkeypatch):
    job = jobs(load_study(folder / "mine.toml"))["dsm"]
    also = {"stay": Plugin(name="langevin", options={"start": "data", "steps": 1})}
    scored = job.evaluation.model_copy(update={"also": also})
    job = job.model_copy(update={"phase": "confirm", "evaluation": scored})
    starts = []
    keep = Sampling.sample_from

    def watched(sampling, model, start, rng):
        starts.extend(map(tuple, start.tolist()))
        return keep(sampling, model, start, rng)

    monkeypatch.setattr(Sampling, "sample_from", watched)
    (outcome,) = execute([job])
    assert np.isfinite(outcome.result.metrics["stay.mmd"])
    assert len(starts) == 9
    assert set(starts) <= set(map(tuple, dataset_of(job).points.tolist()))


def test_what_needs_a_density_is_refused_by_name(folder):
    for name in sorted(metrics.builtin):
        if metrics.get(name).needs_density:
            extra = f'[evaluation]\nmetrics = ["mmd", "{name}"]'
            with pytest.raises(UsageError, match=f"'{name}'.*(log density|drawn from)"):
                load_study(study_file(folder, extra=extra))
    for method in ("exact", "exact_smoothed"):
        path = study_file(folder, extra=f'methods = ["{method}"]')
        with pytest.raises(UsageError, match=f"'{method}' is impossible on 'mine'.*log density"):
            load_study(path)
    assert load_study(study_file(folder)).reference.labels == ("untrained",)
    assert load_study("quick").reference.labels[:2] == ("exact", "untrained")


def test_every_other_metric_has_a_value(folder):
    names = [
        name
        for name in sorted(metrics.builtin)
        if not metrics.get(name).needs_density and metrics.get(name).needs == "samples"
    ]
    assert {"mmd", "sw1", "sw2", "energy_distance", "c2st"} <= set(names)
    listed = ", ".join(f'"{name}"' for name in names)
    job = jobs(load_study(study_file(folder, extra=f"[evaluation]\nmetrics = [{listed}]")))["dsm"]
    (outcome,) = execute([job])
    assert outcome.result.state == "ok", outcome.result.failure
    assert all(np.isfinite(value) for value in outcome.result.metrics.values())


def test_a_plugin_may_only_draw(folder):
    pytest.importorskip("sklearn")
    (folder / "theirs.py").write_text(DRAWN.replace("SPREAD", "0.1"))
    path = study_file(folder, '"their_moons"')
    path.write_text('plugins = ["theirs.py"]\n' + path.read_text())
    small = ["evaluation.samples=50", "training.points=100"]
    study = load_study(path, small)
    run(study, folder / "run")
    assert (read_results(folder / "run")["state"] == "ok").all()
    assert study.reference.labels == ("untrained",)
    before = Engine().key(jobs(study)["dsm"])
    (folder / "theirs.py").write_text(DRAWN.replace("SPREAD", "0.2"))
    assert Engine().key(jobs(load_study(path, small))["dsm"]) != before
    assert most_samples(dataset_of(jobs(study)["dsm"])) is None
    with pytest.raises(UsageError, match=r"'ksd'.*(log density|drawn from)"):
        load_study(path, [*small, 'evaluation.metrics=["mmd", "ksd"]'])
    assert torch.isfinite(sb.get_dataset("their_moons").extent * torch.ones(1)).all()


def test_missing_and_damaged_files_are_refused(folder):
    for dataset, words in (
        ('{name = "points", path = "none.csv"}', "none.csv.*cannot be read"),
        ('{name = "points"}', "path"),
        ('{name = "points", path = "mine.csv", columns = ["d"]}', "column"),
        ('{name = "points", path = "mine.csv", shares = [1.0]}', "shares"),
    ):
        with pytest.raises(UsageError, match=words):
            load_study(study_file(folder, dataset))
    study = load_study(study_file(folder))
    text = study.to_toml().replace(study.data[0].content, "?" + study.data[0].content)
    (folder / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match="damaged"):
        load_study(folder / "bad.toml")


def test_show_leaves_out_the_reference_rows_that_run_leaves_out(folder, monkeypatch):
    from scorebench.__main__ import app
    from scorebench.studies.execution import estimate
    from typer.testing import CliRunner

    monkeypatch.setattr(estimate, "estimate", lambda study: estimate.StudyEstimate({}, 0, 0.0, 0.0))
    words = ["show", str(folder / "mine.toml")]
    shown = CliRunner().invoke(app, words, catch_exceptions=False)
    assert (shown.exit_code, "exact" in shown.output, "untrained" in shown.output) == (0, 0, 1)
