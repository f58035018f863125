"""A network of one's own in a study: read, checked, run, replayed, sampled, carried along."""

import numpy as np
import pytest
from scorebench.bench.fingerprint import fingerprints
from scorebench.bench.plugin_check import check
from scorebench.bench.spec import NetworkSpec
from scorebench.datasets.errors import UsageError
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.spec import StudySpec

from ..commands import scorebench

NETWORK = '''\
import torch
from torch import nn


class MyNet(nn.Module):
    """A plain network."""

    def __init__(self, inputs, outputs, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, outputs),
        )

    def forward(self, x):
        return self.layers(x)


class Direct(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)


class Kinked(MyNet):
    def forward(self, x):
        return self.layers[-1](torch.relu(self.layers[0](x)))
'''

STUDY = """\
name = "own"
methods = [{ name = "dsm", sigma = 0.2 }, { name = "ssm", n_slices = 1, slice_kind = "gaussian" }]
datasets = ["8gaussians"]
samplers = [{ name = "langevin", steps = 10 }]
objective = "sw1"

[network]
module = "nets/mine.py:MyNet"
options = { width = 6 }

[training]
steps = 12
batch_size = 16
points = 300
learning_rate = { low = 1e-3, high = 1e-2, log = true }

[search]
trials = 2
batch = 2
finalists = 1

[confirm]
seeds = 3

[reference]
floors = 2
seeds = 1

[evaluation]
samples = 60
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(NETWORK)
    (tmp_path / "own.toml").write_text(STUDY)
    return tmp_path


def test_a_study_carries_the_text_of_its_network(folder):
    study = load_study(folder / "own.toml")
    assert study.network.module == "mine.py:MyNet"
    assert [plugin.file for plugin in study.plugins] == ["mine.py"]
    assert study.plugins[0].code == NETWORK
    assert StudySpec.from_toml(study.to_toml()) == study
    assert "depth" not in study.model_dump()["network"]
    named_twice = load_study(folder / "own.toml", ['plugins=["nets/mine.py"]'])
    assert named_twice == study


def test_a_network_takes_the_place_of_a_packaged_studys_perceptron(folder, monkeypatch):
    monkeypatch.chdir(folder)
    own = load_study("quick", ["network.module='nets/mine.py:MyNet'"])
    assert own.network.module == "mine.py:MyNet"
    assert [plugin.file for plugin in own.plugins] == ["mine.py"]
    with pytest.raises(UsageError, match="is of the perceptron"):
        load_study("quick", ["network.module='nets/mine.py:MyNet'", "network.width=5"])


def test_keys_follow_the_code_and_the_options_of_the_network(folder):
    def keys(*overrides):
        study = load_study(folder / "own.toml", overrides)
        plan = Plan(study, Engine())
        spec = plan.example(plan.tuned[0])
        return Engine().key(spec), fingerprints(spec)

    key, parts = keys()
    other, same = keys("network.options={width=7}")
    assert key != other
    assert parts == same
    (folder / "nets" / "mine.py").write_text("# A comment.\n" + NETWORK)
    assert keys() == (key, parts)
    (folder / "nets" / "mine.py").write_text(NETWORK.replace("SiLU", "Softplus"))
    changed, now = keys()
    assert changed != key
    assert {part for part in parts if parts[part] != now[part]} == {"network"}


BAD = {
    "network.module='nets/mine.py:MyNat'": "did you mean 'MyNet'",
    "network.module='nets/none.py:MyNet'": "cannot be read",
    "network.module='torch.nn:Nothing'": "unknown class in torch.nn called 'Nothing'",
    "network.module='no.such:Net'": "cannot be imported",
    "network.module='MyNet'": "does not name a class",
    "network.options={wdth=3}": "did you mean 'width'",
    "network.options={width='x'}": "cannot be made with width = 'x'",
    "network.width=5": "is of the perceptron",
    "network.kind='score'": None,
    "network.module='nets/mine.py:Kinked'": "cannot be used with 'ssm' on '8gaussians'.*ReLU",
}


@pytest.mark.parametrize("override", BAD)
def test_what_cannot_be_is_said_when_the_study_is_read(folder, override):
    if BAD[override] is None:
        assert load_study(folder / "own.toml", [override]).network.kind == "score"
        return
    overrides = [override]
    if "MyNet" not in override and "module" in override:
        overrides.append("network.options={}")
    with pytest.raises(UsageError, match=BAD[override]):
        load_study(folder / "own.toml", overrides)


def test_options_without_a_module_are_refused():
    with pytest.raises(ValueError, match="options are given to a module"):
        NetworkSpec(options={"width": 3})


def test_check_tells_of_networks(folder, monkeypatch):
    monkeypatch.chdir(folder)
    good = list(check("nets/mine.py:MyNet"))
    assert len(good) >= 8
    assert {result.plugin for result in good} == {"energy 'mine.py:MyNet'"}
    assert [result for result in good if result.problem] == []
    bad = [result for result in check("nets/mine.py:Kinked") if result.problem]
    assert ["ReLU" in result.problem for result in bad] == [True]
    only_a_score = {result.plugin for result in check("nets/mine.py:Direct")}
    assert only_a_score == {"score 'mine.py:Direct'"}
    with pytest.raises(UsageError, match=r"nets/mine\.py:MyNet"):
        list(check("nets/mine.py"))


@pytest.mark.slow
def test_from_the_file_to_a_replayed_winner_by_command(folder):
    def command(*arguments, status=0):
        done = scorebench(*arguments, cwd=folder)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    command("run", "own.toml", "--out", "out", "-o", "methods=['dsm', 'ncsn']",
            "-o", "search.trials=1", "-o", "confirm.seeds=2")  # fmt: skip
    report = (folder / "out" / "report.html").read_text()
    assert "mine.py:MyNet" in report
    # From here on the user's file is not there any more.
    (folder / "nets" / "mine.py").unlink()
    assert "identical" in command("replay", "out", "dsm", "8gaussians")
    command("sample", "out", "ncsn", "8gaussians", "-n", "50", "--out", "points.npy")
    assert np.load(folder / "points.npy").shape == (50, 2)
    (folder / "my.toml").write_text(command("best", "out", "dsm", "8gaussians"))
    command("run", "my.toml", "--out", "again")
    drawn = [
        np.load(folder / out / "samples" / "dsm-8gaussians-langevin.npz")["samples"]
        for out in ("out", "again")
    ]
    assert np.array_equal(*drawn)
