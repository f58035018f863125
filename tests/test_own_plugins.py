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

from .commands import scorebench

LIMITS = {"method": 15, "dataset": 10, "network": 15}


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
    "class": "word of Python",
    "print": "word of Python",
    "match": "word of Python",
    "none": "'None' is a word of Python",
    "value_error": "'ValueError' is a word of Python",
    "exact": "already",
    "truth": "already",
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


@pytest.mark.parametrize("module", [dataset_testing, objectives, networks, samplers])
def test_every_check_has_a_sentence(module):
    assert all(property_of(check) for check in module.CHECKS)


def test_unknown_plugins_cannot_be_checked(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="registers no method, dataset"):
        list(check(str(tmp_path / "empty.py")))
    with pytest.raises(UsageError, match="did you mean 'rings'"):
        list(check("ring"))
    with pytest.raises(UsageError, match="cannot be read"):
        list(check("no/such.py"))


NETWORKS = """\
import torch
from torch import nn


class Distances(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(4, inputs))

    def forward(self, x):
        return (-torch.cdist(x, self.centres)).exp().sum(1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(1, 4), nn.Linear(4, 1)

    def forward(self, x):
        h = self.enter(x[:, None, :, None])
        return self.leave(nn.functional.scaled_dot_product_attention(h, h, h)[:, 0].mean(1))


class Image(nn.Module):
    def __init__(self):
        super().__init__()
        self.filter, self.leave = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(32, 1)

    def forward(self, x):
        return self.leave(nn.functional.silu(self.filter(x.view(-1, 1, 4, 4))).flatten(1))


class Levels(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.mark.parametrize(
    ("name", "dim", "title", "problem"),
    [
        ("Distances", None, "energy 'nets.py:Distances'", "no second derivative of cdist"),
        ("Attention", None, "energy 'nets.py:Attention'", "softmax(q @ k.mT) @ v for attention"),
        ("Image", None, "energy 'nets.py:Image'", "--dim"),
        ("Image", 16, "energy 'nets.py:Image'", None),
        ("Levels", None, "score 'nets.py:Levels' given the noise level", None),
    ],
)
def test_networks_are_checked_in_their_own_role(name, dim, title, problem, tmp_path):
    (tmp_path / "nets.py").write_text(NETWORKS)
    results = list(check(f"{tmp_path / 'nets.py'}:{name}", dim))
    problems = [result.problem for result in results if result.problem]
    assert {result.plugin for result in results} == {title}
    assert bool(problems) == (problem is not None)
    assert all(problem in text for text in problems)


LOSSES = '''\
import torch
from scorebench.methods import methods
from scorebench.methods.objectives.base import ScoreMatching


@methods.register("own_divergence")
class Divergence(ScoreMatching):
    """Contrastive divergence."""

    @classmethod
    def unfit(cls, setting):
        return None if setting.energy else "it needs an energy"

    def space(self, trial):
        return {"step": trial.suggest_float("step", 0.01, 0.1)}

    def loss(self, model, x, rng, *, step):
        with torch.no_grad():
            y = x + 0.5 * step * model.score(x) + step**0.5 * rng.normal_like(x)
        return (model.energies(x) - model.energies(y)).mean(-1)


@methods.register("own_options")
class AnyOptions(ScoreMatching):
    """Denoising with any options."""

    def space(self, trial):
        return {"sigma": trial.suggest_float("sigma", 0.02, 0.5),
                "kind": trial.suggest_categorical("kind", [None, 1.0, "b"])}

    def target(self, options):
        return options["sigma"]

    def loss(self, model, x, rng, **options):
        noise, sigma = rng.normal_like(x), options["sigma"]
        return (model.score(x + sigma * noise) + noise / sigma).square().sum(-1).mean(-1)
'''


def test_losses_are_not_advised_wrongly(tmp_path):
    (tmp_path / "losses.py").write_text(LOSSES)
    assert [result for result in check(str(tmp_path / "losses.py")) if result.problem] == []
    no_role = LOSSES.replace(' if setting.energy else "it needs an energy"', "")
    (tmp_path / "losses.py").write_text(no_role)
    problems = [result.problem for result in check(str(tmp_path / "losses.py")) if result.problem]
    assert all("a score network has no energy" in problem for problem in problems)
    assert problems


METRIC = '''\
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.base import Metric


@metrics.register("own_spread")
class Spread(Metric):
    """Difference of spreads."""

    def value(self, samples):
        return float((samples.abs().mean() - self.reference.abs().mean()).abs())
'''


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("", ""), None),
        (('"own_spread"', '"state"'), "called like a column"),
        (("return float(", "return -float("), "metrics are losses"),
        (("return float(", "samples += 1; return float("), "changes the points"),
        (("return float(", "return samples.no("), "own.py line 10: AttributeError"),
    ],
)
def test_metrics_are_checked(change, problem, tmp_path):
    (tmp_path / "own.py").write_text(METRIC.replace(*change) if change[0] else METRIC)
    problems = [result.problem for result in check(str(tmp_path / "own.py")) if result.problem]
    assert bool(problems) == (problem is not None)
    assert problem is None or any(problem in text for text in problems)


def test_checks_that_fail_by_design_can_be_skipped():
    by_design = ["points_do_not_depend_on_how_many_follow", "paths_end_at_the_samples"]
    results = list(check("smc_langevin", skip=by_design))
    assert len(results) == 4
    assert not any(result.problem for result in results)
    with pytest.raises(UsageError, match="did you mean 'paths_end_at_the_samples'"):
        list(check("langevin", skip=["paths_end"]))
