"""Models and points of others in a study: ranked like any method, and refused where they cannot."""

import numpy as np
import pytest
import scorebench as sb
import torch
from scorebench.studies.replay import replayed

DOORS = """
import numpy as np
from scorebench.methods import methods
from scorebench.methods.estimators.base import Estimator


@methods.register("normal")
class Normal(Estimator):
    \"\"\"A score alone.\"\"\"

    def score(self, x, sigma):
        return -x


@methods.register("fitted")
class Fitted(Estimator):
    \"\"\"Points of the training set, with noise.\"\"\"

    gives = "points"

    def space(self, trial):
        return {"width": trial.suggest_float("width", 0.01, 0.5, log=True)}

    def fit(self, points, rng, *, width, jitter=0.0):
        assert jitter in (0.0, 0.25), jitter

        def draw(n, seed):
            rng = np.random.default_rng(seed)
            return points[rng.integers(len(points), size=n)] + width * rng.normal(size=(n, 2))

        return draw


@methods.register("loose")
class Loose(Estimator):
    \"\"\"Other points in every call.\"\"\"

    def points(self, n, seed):
        return np.random.default_rng().normal(size=(n, 2))
"""

SIZE = [
    "training.points=300", "training.steps=10", "network.width=4", "search.trials=4",
    "search.batch=2", "search.finalists=1", "search.repeats=0",
    "confirm.seeds=2", "search.restarts=1", "reference.floors=3",
    "reference.seeds=1", "evaluation.samples=60", 'datasets=["rings"]', 'objective="sw1"',
    'samplers=[{name="langevin", steps=5}]', 'evaluation.metrics=["sw1"]', "evaluation.also=[]",
    'plugins=["doors.py"]',
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "doors.py").write_text(DOORS)
    truth = sb.get_dataset("rings").sample(120, torch.Generator().manual_seed(1)).numpy()
    np.save("all.npy", truth)
    for seed in range(2):
        np.save(f"theirs-rings-{seed}.npy", truth[60 * seed :][:60])
    return tmp_path


def with_size(*overrides):
    given = {override.partition("=")[0] for override in overrides}
    return [*(o for o in SIZE if o.partition("=")[0] not in given), *overrides]


def load(*overrides):
    return sb.load_study("quick", with_size(*overrides))


@pytest.mark.slow
def test_points_and_models_of_others_are_ranked(folder):
    theirs = "theirs-{dataset}-{seed}.npy"
    methods = (
        'methods=["dsm", "normal", {name="fitted", jitter=0.25}, "loose", '
        f'{{name="points", label="theirs", path="{theirs}"}}, '
        '{name="points", label="parts", path="all.npy"}]'
    )
    study = sb.run("quick", "out", workers=1, overrides=with_size(methods))
    results = study.results
    assert set(results["state"]) == {"ok"}
    # One file for two runs, and two files of its halves, are the same points.
    sw1 = results.query("phase == 'confirm'").set_index(["method", "replicate"])["sw1"]
    assert list(sw1["theirs"]) == list(sw1["parts"])
    scored = sb.score("theirs-rings-0.npy", "rings", ["sw1"], floors=3)
    assert sw1["theirs", 0] == pytest.approx(scored["value"].item(), rel=1e-12)
    searched = results.query("method == 'fitted' and phase == 'search'")
    assert searched["params.width"].nunique() == 4
    assert "params.learning_rate" not in searched.dropna(axis=1, how="all")
    cells = study.cells().set_index("method")["repeats"]
    assert dict(cells) == {
        "dsm": "", "normal": "identical", "fitted": "identical", "loose": "differs",
        "theirs": "from a file", "parts": "from a file",
    }  # fmt: skip
    assert len(study.leaderboard()) == 6
    assert "points of parts and theirs come from files" in study.verdict()
    assert "second run of loose with equal seeds differs" in study.verdict()
    assert study.report().exists()
    found = replayed(folder / "out", (None, None, None), None, 1, None)
    verdicts = {run.row.slot.cell.method: run.verdict for run in found.runs}
    assert not {"theirs", "parts"} & set(verdicts)
    # Other points are as near to the truth now and then.
    assert verdicts.pop("loose") in ("differs", "within tolerance")
    assert set(verdicts.values()) == {"identical"}
    assert any("made elsewhere" in sentence for sentence in found.open)

    before = results["key"]
    np.save("all.npy", np.load("all.npy") + 0.1)
    with pytest.raises(sb.UsageError, match=r"or the file that it reads.*--discard 'parts-"):
        sb.run("quick", "out", workers=1, overrides=with_size(methods))
    assert list(study.results["key"]) == list(before)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['methods=[{name="points", path="none.npy"}]'], r"none\.npy.*cannot be read"),
        (['methods=["points"]'], "it needs a file"),
        (['methods=[{name="points", path="all.npy"}]', "confirm.seeds=3"], "has 120 points, and"),
        (
            [
                'methods=[{name="points", path="all.npy"}]',
                'datasets=[{name="gaussian_ring", dim=3}]',
            ],
            "dimension",
        ),
        (['methods=[{name="points", path="doors.py"}]'], "must end in"),
        (['methods=[{name="points", pth="all.npy"}]'], "did you mean 'path'"),
        (['methods=[{name="points", path=3}]'], "should be a string"),
        (['methods=[{name="points", path=["a.npy", "b.npy"]}]'], "is not searched"),
        (
            ['methods=["loose"]', 'samplers=[{name="langevin"}, {name="mala"}]'],
            "which no sampler changes",
        ),
        (['methods=["loose"]', 'evaluation.metrics=["sw1", "fisher"]'], "needs a score"),
        (['methods=["normal"]', 'evaluation.metrics=["sw1", "kl"]'], "needs an energy"),
        (['methods=["normal"]', 'samplers=["grid"]'], "needs an energy, and the method gives"),
        (['methods=["normal"]', "reference.split=true"], "needs an energy"),
        (['methods=[{name="normal", learning_rate=0.1}]'], "learning_rate"),
        (['methods=[{name="fitted", widht=0.1}]'], "did you mean 'width'"),
    ],
)
def test_what_cannot_work_is_refused_when_the_study_is_read(folder, overrides, message):
    with pytest.raises(sb.UsageError, match=message) as caught:
        load(*overrides)
    assert "\n" not in str(caught.value)


def test_keys_depend_on_the_content_of_the_file_and_not_on_training(folder):
    from scorebench.bench.fingerprint import run_key
    from scorebench.studies.cell import Cell
    from scorebench.studies.engine import Engine
    from scorebench.studies.plan import Plan

    def key(*overrides):
        one = 'methods=[{name="points", path="all.npy"}]'
        study = load(one, *overrides)
        return run_key(Plan(study, Engine()).example(Cell("points", "rings", "langevin")))

    first = key()
    others = ("training.steps=20", "network.width=8", 'samplers=[{name="langevin", steps=6}]')
    for other in others:
        assert key(other) == first
    np.save("all.npy", np.load("all.npy") * 2)
    assert key() != first


def test_a_restart_has_its_own_files(folder):
    from scorebench.studies.cell import numbered

    options = {"path": "theirs-{seed}.npy", "part": 0}
    assert numbered(options, 3) == {"path": "theirs-3.npy", "part": 0}
    assert numbered({"path": "theirs.npy", "part": 0}, 3) == {"path": "theirs.npy", "part": 3}
    assert numbered({"sigma": 0.1}, 3) == {"sigma": 0.1}
    one = 'methods=[{name="points", path="theirs-{dataset}-{seed}.npy"}]'
    with pytest.raises(sb.UsageError, match=r"theirs-rings-2\.npy.*cannot be read"):
        load(one, "search.restarts=2")
