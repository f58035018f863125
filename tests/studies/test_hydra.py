"""Studies composed by Hydra, with the current hydra-core."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from scorebench.datasets.errors import UsageError
from scorebench.studies import hydra
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.entries import Choices, Range
from scorebench.studies.specs.load import load_study, presets

TINY = [
    "training.steps=4", "training.points=50", "network.width=4", "network.depth=1",
    "search.trials=2", "search.repeats=0", "search.restarts=1", "confirm.seeds=2",
    "reference.floors=2", "reference.seeds=1", "evaluation.samples=30",
    "methods=[dsm]", "datasets=[rings]", "workers=1",
]  # fmt: skip


@pytest.fixture
def composing():
    hydra.register()

    def study(*overrides):
        with initialize(version_base="1.3", config_path=None):
            config = compose(hydra.CONFIG, overrides=hydra.replacing(overrides))
        return hydra.composed(config)[0]

    yield study
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("name", presets())
def test_packaged_studies_are_what_they_are_elsewhere(name, composing):
    assert composing(f"study={name}") == load_study(name)


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (["training.steps=500"], None),
        (["training.ema=0.9", "limits.run_seconds=9"], None),
        (["datasets=[8gaussians,2spirals]"], ['datasets=["8gaussians","2spirals"]']),
        (["methods=[dsm,{name:ssm,n_slices:[1,4]}]"],
         ['methods=["dsm",{name="ssm",n_slices=[1,4]}]']),
        (["training.learning_rate=1e-3"], None),
        (["training.learning_rate=[1e-3,1e-2]"], None),
        (["training.learning_rate={low:1e-3,high:2e-3}"],
         ["training.learning_rate={low=1e-3,high=2e-3}"]),
        (["training.steps={low:10,high:99,log:true}"],
         ["training.steps={low=10,high=99,log=true}"]),
        (["network.width=[8,16]"], None),
        (["limits.run_seconds=null"], []),
    ],
)  # fmt: skip
def test_overrides_mean_what_they_mean_on_the_command_line(overrides, same, composing):
    assert composing(*overrides) == load_study("quick", overrides if same is None else same)


def test_ranges_and_lists_arrive_as_such(composing):
    study = composing("network.width=[8,16]", "training.steps={low:10,high:99}")
    assert study.network.width == Choices(choices=(8, 16))
    assert study.training.steps == Range(low=10.0, high=99.0)


def test_a_module_of_ones_own_takes_the_perceptrons_place(composing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self, width=4):\n"
        "        super().__init__()\n        self.hidden = torch.nn.Linear(2, width)\n\n"
        "    def forward(self, x):\n        return torch.tanh(self.hidden(x)).square().sum(-1)\n"
    )
    study = composing("network.module='net.py:Net'", "+network.options.width=3", "datasets=[rings]",
                      "methods=[dsm]")  # fmt: skip
    assert study.network.module == "net.py:Net"
    assert study.network.options == {"width": 3}
    assert [plugin.file for plugin in study.plugins] == ["net.py"]


def test_bad_values_are_refused(composing):
    with pytest.raises(UsageError, match=r"training.steps = -3 should be greater"):
        composing("training.steps=-3")
    with pytest.raises(UsageError, match="did you mean"):
        composing("datasets=[ring]")
    with pytest.raises(Exception, match=r"Could not override 'training\.step'"):
        composing("training.step=3")


def test_equal_studies_share_a_directory_whatever_their_budgets(composing):
    def place(*overrides):
        return hydra.directory(composing(*overrides), overrides)

    assert (
        place("study=quick") == place("search.trials=99", "confirm.seeds=9") == Path("runs/quick")
    )
    other = place("training.steps=500")
    assert other != Path("runs/quick")
    assert other == place("training.steps=500", "search.trials=99")
    assert (
        len({other, place("training.steps=501"), place("seed=1"), place("datasets=[rings]")}) == 4
    )


def by_hand(folder, *words):
    command = [sys.executable, "-m", "scorebench.studies.hydra", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_one_line_says_what_is_wrong(tmp_path):
    bad = by_hand(tmp_path, "training.steps=x")
    assert bad.returncode == 2
    assert bad.stderr.startswith("scorebench: the composed study: training.steps = 'x'")
    assert bad.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_runs_and_resumes_and_leaves_nothing_else(tmp_path):
    done = by_hand(tmp_path, "--multirun", "seed=1,2", *TINY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: runs/quick-") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    one, other = sorted((tmp_path / "runs").iterdir())
    assert {row.run.seed for path in (one, other) for row in read_rows(path)} == {1, 2}
    # The same study with a larger budget goes on where it was.
    done = by_hand(tmp_path, "study=quick", "seed=1", *TINY, "confirm.seeds=3")
    assert done.returncode == 0, done.stderr
    assert " 1 of them now" in done.stdout + done.stderr
    assert set((tmp_path / "runs").iterdir()) == {one, other}
