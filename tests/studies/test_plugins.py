"""Plug-ins that a study brings along: found, carried, part of the keys, and safe to get wrong."""

import subprocess
import sys

import optuna
import pytest
import scorebench as sb
from scorebench.bench.plugins import PluginFile, activate
from scorebench.datasets import cache, datasets
from scorebench.datasets.errors import UsageError
from scorebench.methods import methods
from scorebench.studies.engine import Engine
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.spec import StudySpec

MINE = '''\
from scorebench.methods import methods
from scorebench.methods.objectives.base import ScoreMatching


@methods.register("mine")
class Mine(ScoreMatching):
    """Mine."""

    def space(self, trial):
        return {"sigma": trial.suggest_float("sigma", 0.1, 0.5)}

    def loss(self, model, x, rng, *, sigma):
        noise = rng.normal_like(x)
        residual = sigma * model.score(x + sigma * noise) + noise
        return residual.square().sum(-1).mean(-1)
'''


@pytest.fixture
def folder(tiny_toml, tmp_path):
    """A study file that names a plug-in file beside it."""
    lines = tiny_toml.read_text().splitlines()
    lines[1:4] = ['plugins = ["mine.py"]', 'methods = ["mine"]', 'datasets = ["rings"]',
                  'samplers = [{ name = "langevin", steps = 10 }]']  # fmt: skip
    (tmp_path / "my.toml").write_text("\n".join(lines))
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


DATA = '''\
import math
from pathlib import Path

import torch
from scorebench.datasets import datasets
from scorebench.datasets.base import Dataset

STORED = {"place": 0.0}


def read():
    return float(Path(FILE).read_text())


@datasets.register("stored")
class Stored(Dataset):
    """A normal distribution around a place that is read."""

    noise = 1.0

    def __init__(self):
        self.place = read()

    def draw(self, n, generator):
        return PLACE + torch.randn(n, 2, dtype=torch.float64, generator=generator)

    def log_density(self, x, sigma):
        v = 1 + sigma**2
        return -(x - PLACE).square().sum(1) / (2 * v) - math.log(2 * math.pi * v)

    @property
    def weights(self):
        return torch.ones(1, dtype=torch.float64)

    def assign(self, x):
        return torch.zeros(len(x), dtype=torch.long)
'''


def keys(folder, seed=0, dataset="rings"):
    """Keys of the runs of a study: what its rows are found again by."""
    from scorebench.bench.spec import EvaluationSpec, NetworkSpec, Plugin, RunSpec, TrainingSpec

    study = load_study(folder / "my.toml")
    engine = Engine()
    engine.equip(study)
    spec = RunSpec(
        phase="search", seed=seed, method=Plugin(name="mine", options={"sigma": 0.2}),
        dataset=Plugin(name=dataset), sampler=Plugin(name="langevin"), network=NetworkSpec(),
        training=TrainingSpec(steps=1), evaluation=EvaluationSpec(),
    )  # fmt: skip
    return engine.key(spec)


def test_a_file_runs_in_workers_and_replays_without_the_file(folder, tmp_path_factory):
    study = sb.run(folder / "my.toml", folder / "run", workers=2)
    assert list(study.leaderboard()["method"]) == ["mine"]
    (folder / "mine.py").unlink()
    moved = (folder / "run").rename(tmp_path_factory.mktemp("elsewhere") / "run")
    code = (
        "import sys, scorebench as sb\n"
        "study = sb.Study(sys.argv[1])\n"
        "assert set(study.replay('mine', 'rings')['verdict']) == {'identical'}\n"
        "assert study.best('mine', 'rings').plugins == study.spec.plugins\n"
        "study.report()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(moved)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_toml_with_code_reads_back_equal(folder):
    odd = '"""A doc\\n with \\\\ and \'\'\'."""\n'
    (folder / "mine.py").write_text(odd + MINE)
    study = load_study(folder / "my.toml")
    assert study.plugins == (PluginFile(file="mine.py", code=odd + MINE),)
    assert StudySpec.from_toml(study.to_toml()) == study


def test_keys_follow_the_code_and_not_its_comments(folder):
    before = keys(folder)
    (folder / "mine.py").write_text("# A comment.\n" + MINE.replace('"""Mine."""', '"""My."""'))
    assert keys(folder) == before
    (folder / "mine.py").write_text(MINE.replace("sigma * model", "2 * sigma * model"))
    assert keys(folder) != before
    (folder / "mine.py").write_text(MINE)
    assert keys(folder) == before


@pytest.mark.parametrize("place", ["self.place", "read()", 'STORED["place"]'])
def test_keys_follow_data_that_a_plugin_reads(folder, place):
    data = folder / "place.txt"
    text = DATA.replace("FILE", repr(str(data))).replace("PLACE", place)
    (folder / "mine.py").write_text(MINE + text)
    found = []
    for value in ("1", "2", "1"):
        data.write_text(value)
        load_study(folder / "my.toml", ['datasets=["stored"]'])
        sys.modules[datasets.get("stored").__module__].STORED["place"] = float(value)
        found.append(keys(folder, dataset="stored"))
    assert found[0] == found[2] != found[1]


def test_keys_of_built_in_datasets_need_no_points(folder, monkeypatch):
    before = keys(folder)
    monkeypatch.setattr(cache, "drawn", None)
    assert keys(folder) == before


def test_a_process_uses_the_file_that_was_read_last(folder):
    for high in (0.5, 0.7):
        (folder / "mine.py").write_text(MINE.replace("0.5", str(high)))
        load_study(folder / "my.toml")
        study = optuna.create_study()
        trial = study.ask()
        methods.get("mine")().space(trial)
        assert trial.distributions["sigma"].high == high


def test_overrides_name_files_from_the_current_folder(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "other.py").write_text(MINE.replace('"mine"', '"other"'))
    monkeypatch.chdir(folder / "elsewhere")
    study = load_study("quick", ['plugins=["other.py"]', 'methods=["dsm", "other"]'])
    assert study.plugins[0].file == "other.py"


def test_modules_are_imported_by_name(folder, monkeypatch):
    (folder / "my_losses.py").write_text(MINE.replace('"mine"', '"from_module"'))
    monkeypatch.syspath_prepend(folder)
    load_study(folder / "my.toml", ['plugins=["my_losses"]', 'methods=["from_module"]'])


BROKEN = {
    "plugins=['no.py']": "'no.py' cannot be read: No such file",
    "plugins=['no.such']": "'no.such' cannot be imported",
    "plugins=['../up']": "not the name of a module",
    "plugins='mine.py'": "is not a list",
    "plugins=['a-b.py']": "use letters, digits",
    "plugins=[{file='../up.py', code=''}]": "use letters, digits",
    "plugins=[{file='up.py'}]": "code",
    "plugins=[1]": "plugins",
    "plugins=[{file='up.py', code='x ='}]": "up.py line 1: invalid syntax",
    "plugins=[{file='up.py', code='\n1 / 0'}]": "up.py line 2: ZeroDivisionError",
    "plugins=[]": "did you mean",
}


@pytest.mark.parametrize("override", BROKEN)
def test_mistakes_are_said_in_one_line(folder, override):
    (folder / "a-b.py").write_text("")
    text = override.replace("'", '"').replace("\n", "\\n")
    arguments = [text] if override != "plugins=[]" else [text, 'methods=["dsn"]']
    with pytest.raises(UsageError, match=BROKEN[override].replace(".", r"\.")) as told:
        load_study(folder / "my.toml", arguments)
    assert "\n" not in str(told.value)


def test_built_in_names_are_taken():
    code = 'from scorebench.datasets import datasets\n@datasets.register("rings")\nclass R: ...\n'
    with pytest.raises(UsageError, match="dataset 'rings' is built in already"):
        activate([PluginFile(file="r.py", code=code)])
    assert datasets.get("rings").__module__ == "scorebench.datasets.rings"
