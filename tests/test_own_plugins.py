"""A user's own method, dataset or network: written by `new`, checked by `check`."""

import re
import subprocess
import sys

import pytest
from scorebench.bench.plugin_check import check
from scorebench.datasets import testing as dataset_testing
from scorebench.datasets.errors import UsageError
from scorebench.datasets.testing.conformance import property_of
from scorebench.methods.testing import networks, objectives, samplers
from scorebench.studies.scaffold import scaffold
from scorebench.studies.specs.load import load_study

LIMITS = {"method": 15, "dataset": 10, "network": 15}


def scorebench(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "scorebench", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, timeout=300,
    )  # fmt: skip


def lines_of_code(text):
    lines = [line.strip() for line in text.split('"""')[2:][0::2] for line in line.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("kind", LIMITS)
def test_new_writes_a_small_plugin_that_passes_all_checks(kind, tmp_path):
    done = scorebench("new", kind, "my_own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checked = "my_own.py:MyOwn" if kind == "network" else "my_own.py"
    assert f"scorebench check {checked}\n" in done.stdout
    plugin, study = tmp_path / "my_own.py", tmp_path / "my_own.toml"
    assert 5 < len(lines_of_code(plugin.read_text())) <= LIMITS[kind]
    for text in (plugin.read_text(), study.read_text(), (tmp_path / "test_my_own.py").read_text()):
        assert "NAME" not in text
        assert "Name" not in text
    results = list(check(str(tmp_path / checked)))
    assert len(results) >= 8
    assert [result for result in results if result.problem] == []
    assert load_study(study).name == "my_own"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    again = scorebench("new", kind, "my_own", cwd=tmp_path)
    assert again.returncode == 2
    assert "already exists" in again.stderr


BAD_NAMES = {
    "dsm": "already",
    "torch": "Python module already",
    "../up": "small letters",
    "Mine": "small letters",
    "a-b": "small letters",
    "": "small letters",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_invalid_names_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match=BAD_NAMES[name]):
        scaffold("method", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


# A change of the template, and a part of the first problem that it causes.
BROKEN_METHODS = {
    ("square().sum(-1).mean(-1)", "square().mean()"): r"returned \(\) for 3 members",
    ("square().sum(-1).mean(-1)", "square().sum(-1)"): r"returned \(3, 32\)",
    ("noise = rng", "x += 1; noise = rng"): "x \\+ noise, not x \\+= noise",
    ("rng.normal_like(x)", "__import__('torch').randn(x.shape)"): "global generator",
    ("residual.square()", "(residual - residual.mean()).square()"): "over the first axis",
    ("model.score(x + sigma * noise)", "model.score(x + sigma * noise).detach()"): "parameters",
    (".mean(-1)", ".sum(-1)"): "average over them",
    ("noise / sigma", "noise"): "factor is missing",
    ("return options[\"sigma\"]", "return 0.0"): "factor is missing",
    ("return options[\"sigma\"]", "return -1.0"): "noise level >= 0",
    ("*, sigma", "*, width"): "`space` suggests 'sigma'",
    ("*, sigma", "*, sigma, width"): "`loss` needs 'width'",
    ("residual.square()", "residual.log()"): "not finite",
    ("residual.square()", "residual.nothing()"): "line 2[0-9]: AttributeError",
    ("residual.square()", "(residual * 0).square().sqrt()"): "gradient of member 0 is not finite",
}  # fmt: skip


@pytest.mark.parametrize("change", BROKEN_METHODS, ids=lambda change: change[1])
def test_broken_methods_fail_with_the_reason(change, tmp_path):
    plugin = scaffold("method", "broken", tmp_path)[0]
    text = plugin.read_text()
    assert change[0] in text
    plugin.write_text(text.replace(*change))
    first = next(result.problem for result in check(str(plugin)) if result.problem)
    assert re.search(BROKEN_METHODS[change], first), first


OWN_DATASET = '''\
import math

import torch
from scorebench.datasets import datasets
from scorebench.datasets.base import Dataset


@datasets.register("broken")
class Broken(Dataset):
    """A normal distribution."""

    noise = 1.0

    def draw(self, n, generator):
        return torch.randn(n, 2, dtype=torch.float64, generator=generator)

    def log_density(self, x, sigma):
        v = 1 + sigma**2
        return -x.square().sum(1) / (2 * v) - math.log(2 * math.pi * v)

    @property
    def weights(self):
        return torch.ones(1, dtype=torch.float64)

    def assign(self, x):
        return torch.zeros(len(self._points(x)), dtype=torch.long)
'''
BROKEN_DATASETS = {
    ("", ""): None,
    ("generator=generator", ""): "generator=generator to every",
    ("2 * math.pi * v", "math.pi * v"): "normalising constant",
    ("1 + sigma**2", "1 + sigma"): "sigma",
    ("torch.ones(1", "0.5 * torch.ones(1"): "`assign` and `weights`",
    ("x.square().sum(1)", "x.square().sum()"): "first axis",
    ("noise = 1.0", "noise = 1.0; extent = 1.0"): "larger",
    ("torch.randn(n, 2,", "torch.randn(n, 3,"): "shape",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("change", BROKEN_DATASETS, ids=lambda change: change[1])
def test_broken_datasets_fail_with_the_reason(change, tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text(OWN_DATASET.replace(*change) if change[0] else OWN_DATASET)
    done = scorebench("check", plugin, cwd=tmp_path)
    wanted = BROKEN_DATASETS[change]
    assert done.returncode == (0 if wanted is None else 1), done.stdout + done.stderr
    if wanted is not None:
        assert wanted.replace("`", "") in " ".join(done.stdout.split())


@pytest.mark.parametrize("module", [dataset_testing, objectives, networks, samplers])
def test_every_check_has_a_sentence(module):
    assert all(property_of(check) for check in module.CHECKS)


def test_unknown_plugins_cannot_be_checked(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="registers no method and no dataset"):
        list(check(str(tmp_path / "empty.py")))
    with pytest.raises(UsageError, match="did you mean 'rings'"):
        list(check("ring"))
    with pytest.raises(UsageError, match="cannot be read"):
        list(check("no/such.py"))
