"""A user's own dataset: what `check` finds, and what a study refuses."""

import re

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.specs.load import load_study

from .commands import scorebench

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
STUDY = """
name = "own"
plugins = ["broken.py"]
methods = ["{method}"]
datasets = ["broken"]
samplers = [{{ name = "langevin", steps = 1 }}]
objective = "sw1"
training.steps = 3
training.learning_rate = 0.01
search.trials = 2
"""
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


DRAWN = "torch.randn(n, 2, dtype=torch.float64, generator=generator)"
DENSITY = "-x.square().sum(1) / (2 * v) - math.log(2 * math.pi * v)"
UNUSABLE_DATASETS = {
    "draw raises": (f"return {DRAWN}", "raise OSError('gone')", "broken.py line 15: OSError: gone"),
    "draw asserts": (DRAWN, "[][n]", "broken.py line 15: IndexError"),
    "draw exits": (f"return {DRAWN}", "raise SystemExit(3)", "broken.py line 15: SystemExit: 3"),
    "draw gives nothing": (DRAWN, "None", "`draw` returned NoneType"),
    "draw gives an array": (DRAWN, f"{DRAWN}.numpy()", "`draw` returned ndarray"),
    "draw gives two": (DRAWN, f"({DRAWN}, 0)", "`draw` returned tuple"),
    "float32": ("dtype=torch.float64, ", "", "torch.float32 for n = 1"),
    "dimension": ("n, 2,", "n, 3,", "shape (1, 3)"),
    "number": ("n, 2,", "n + 1, 2,", "shape (2, 2)"),
    "nan": (DRAWN, f"{DRAWN} * math.nan", "`draw` returned a number that is not finite"),
    "gradient": (DRAWN, f"{DRAWN}.requires_grad_()", "add .detach()"),
    "global": (", generator=generator", "", "equal generators gave different points"),
    "NumPy": (DRAWN, "torch.tensor(__import__('numpy').random.randn(n, 2))", "equal generators"),
    "always": ("generator=generator", "generator=torch.Generator()", "two draws gave the same"),
    "density raises": (f"return {DENSITY}", "raise KeyError(1)", "broken.py line 19: KeyError: 1"),
    "density fails": ("x.square()", "x.sqare()", "broken.py line 19: AttributeError"),
    "density gives nothing": (DENSITY, "None", "`log_density` returned NoneType"),
    "density, an array": (DENSITY, "x[:, 0].detach().numpy()", "`log_density` returned ndarray"),
    "density per row": ("sum(1)", "sum(1, keepdim=True)", "`log_density` returned shape (0, 1)"),
    "density of all": ("sum(1)", "sum()", "`log_density` returned shape ()"),
    "density in float32": (DENSITY, f"({DENSITY}).float()", "`log_density` returned torch.float32"),
    "density nan": (DENSITY, f"({DENSITY}) * math.nan", "`log_density` is NaN"),
    "density detached": (DENSITY, f"({DENSITY}).detach()", "`log_density` has no derivative"),
    "dim": ("noise = 1.0", "dim = '2'", "dim = '2'"),
    "noise": ("noise = 1.0", "noise = None", "noise = None"),
    "no dataset": ("Broken(Dataset)", "Broken", "broken.py: AttributeError: 'Broken' object has"),
}  # fmt: skip


@pytest.mark.parametrize("method", ["dsm", "mle_grid"])
@pytest.mark.parametrize("case", UNUSABLE_DATASETS)
def test_a_study_refuses_a_dataset_that_cannot_be_used(case, method, tmp_path):
    before, after, problem = UNUSABLE_DATASETS[case]
    assert before in OWN_DATASET
    (tmp_path / "broken.py").write_text(OWN_DATASET.replace(before, after))
    (tmp_path / "own.toml").write_text(STUDY.format(method=method))
    with pytest.raises(UsageError, match=re.escape(problem)) as caught:
        load_study(tmp_path / "own.toml")
    assert "\n" not in str(caught.value)
