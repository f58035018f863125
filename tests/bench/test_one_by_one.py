"""Compiled training is that of autograd and torch, for every quadratic loss and every network."""

import numpy as np
import pytest
import torch
from scorebench.bench.one_by_one import OneByOne
from scorebench.bench.side_by_side import SideBySide
from scorebench.bench.spec import TrainingSpec
from scorebench.bench.trainer import Trainees
from scorebench.bench.training import fit
from scorebench.methods import methods
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP, GaussianBase
from scorebench.methods.normal_model import NormalModel
from scorebench.methods.objectives.base import QuadraticObjective
from scorebench.methods.quadratic import QuadraticLoss, few
from scorebench.methods.random import MemberRandom

SEEDS = (1, 2)
BASE = GaussianBase((0.5, -0.2), 1.7)


def fraction(*values):
    return torch.tensor(values).view(-1, 1, 1)


SIGMA = {"sigma": fraction(0.2, 0.5)}
SLICES = {"n_slices": 1, "slice_kind": "gaussian"}
LEVELS = {"sigma_min": fraction(0.05, 0.1), "sigma_max": fraction(5.0, 8.0)}
FURTHER = {"log_level": fraction(0.0, 0.3), "log_spread": fraction(1.5, 1.0)}
CASES = {
    "dsm": SIGMA,
    "dsm_cv": SIGMA,
    "deen": SIGMA,
    "tsm": {**SIGMA, "clean_score": lambda x: -x},
    "ism": {"data_noise": fraction(0.0, 0.2)},
    "ssm": SLICES,
    "ssm_vr": {**SLICES, "n_slices": 2, "slice_kind": "orthogonal", "data_noise": 0.0},
    "ncsn": LEVELS,
    "diffusion": {**LEVELS, **FURTHER, "weight": "flow", "predicts": "velocity", "share": 2},
}


def streams(offset, dtype=torch.float64):
    generators = [torch.Generator().manual_seed(seed + offset) for seed in SEEDS]
    return MemberRandom(generators, dtype=dtype)


def trainees(name, *, kind="energy", base=None, options=None, dtype=torch.float64, **settings):
    objective = methods.get(name)()
    mlp = MLP(2, kind, 20, 2, "softplus", objective.conditional, base=base)
    data = streams(50, dtype).normal(300, 2)
    training = TrainingSpec(**{"steps": 70, "batch_size": 30, "clip": 20.0, **settings})
    rates = torch.tensor([[1e-2], [3e-3]], dtype=dtype)
    theta = mlp.init([torch.Generator().manual_seed(seed) for seed in SEEDS], dtype)
    given = CASES[name] if options is None else options
    noise = streams(100, dtype), streams(200, dtype)
    return Trainees(objective, mlp, theta, data, given, training, rates, *noise)


def side_by_side(made, monkeypatch):
    monkeypatch.setattr(OneByOne, "suits", lambda _: False)
    return fit(made)


def test_every_quadratic_objective_is_here():
    found = [name for name in methods.builtin if issubclass(methods.get(name), QuadraticObjective)]
    assert sorted(found) == sorted(CASES)


@pytest.mark.parametrize("base", [None, BASE], ids=["plain", "base"])
@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("name", CASES)
def test_parameters_and_curves_are_those_of_autograd(name, kind, base, monkeypatch):
    if base and (methods.get(name).conditional or kind == "score"):
        pytest.skip("only plain energies have a base")
    settings = {"ema": 0.9, "weight_decay": 0.1, "schedule": "wsd"}
    mine = fit(trainees(name, kind=kind, base=base, **settings))
    theirs = side_by_side(trainees(name, kind=kind, base=base, **settings), monkeypatch)
    assert mine.failures == theirs.failures == [None, None]
    assert torch.allclose(mine.theta, theirs.theta, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(mine.theta, trainees(name, kind=kind).theta, atol=1e-2)
    assert np.allclose(mine.curves, theirs.curves, rtol=1e-4, atol=1e-5)
    assert mine.evaluations == theirs.evaluations


@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_one_step_is_exact(name, kind):
    made = trainees(name, kind=kind, steps=1, clip=1e9)
    theta = made.theta.clone().requires_grad_()
    index = streams(100).integers(300, 30)
    x = torch.stack([data[i] for data, i in zip(made.data, index, strict=True)])
    terms = made.objective.terms(x, streams(200), **made.options)
    (gradient,) = torch.autograd.grad(terms.of(NetworkModel(made.network, theta)).sum(), theta)
    trainer = OneByOne(made)
    with torch.no_grad():
        trainer.advance(0, 1)
    # Adam's first running mean is a tenth of the gradient.
    found = 10 * trainer._means[0]
    assert (found - gradient).norm() <= 1e-10 * gradient.norm()
    assert np.allclose(trainer.path[:, 0, 1], gradient.norm(dim=1).numpy(), rtol=1e-10)


def test_one_that_diverges_leaves_the_other_alone():
    made = trainees("dsm", steps=200)
    made.learning_rate[1] = 1e200
    result = fit(made)
    alone = trainees("dsm", steps=200)
    reference = fit(alone)
    assert result.failures[0] is None
    assert result.failures[1].stage == "train"
    assert torch.equal(result.theta[0], reference.theta[0])
    assert result.evaluations[1] < result.evaluations[0] == reference.evaluations[0]
    assert np.isnan(result.curves[1, -1, 1:]).all()


@pytest.mark.parametrize("size", [30, 700_000])
def test_checkpoints_change_nothing(size):
    class Looks:
        steps = frozenset((3, 7, 8))
        seen: list = []

        def look(self, step, members, theta):
            self.seen.append((step, members[:], theta.clone()))

    steps = 70 if size == 30 else 9
    looks, settings = Looks(), {"steps": steps, "batch_size": size, "ema": 0.5}
    small = {"dtype": torch.float32, **settings}
    plain, looked = fit(trainees("dsm", **small)), fit(trainees("dsm", **small), looks)
    assert torch.equal(plain.theta, looked.theta)
    assert np.array_equal(plain.curves, looked.curves)
    for step, _, theta in looks.seen:
        early = fit(trainees("dsm", **{**small, "steps": step}))
        assert torch.equal(theta, early.theta)


def test_an_objective_with_a_loss_of_its_own_is_not_taken_for_its_terms():
    class Twice(methods.get("dsm")):
        def loss(self, model, x, rng, *, sigma):
            return 2 * super().loss(model, x, rng, sigma=sigma)

    made = trainees("dsm")
    made.objective = Twice()
    assert not OneByOne.suits(made)
    assert np.allclose(fit(made).curves[:, 0, 1], 2 * fit(trainees("dsm")).curves[:, 0, 1])
    assert isinstance(SideBySide(made), SideBySide)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sphere", "orthogonal"])
def test_few_directions_stand_for_many(dim, kind):
    x = torch.randn(2, 50, dim)
    v = streams(0).slices(kind, 4, x)
    less = few(v)
    assert less.shape[1] == min(4, dim)
    assert torch.allclose(
        *((part.unsqueeze(-1) * part.unsqueeze(-2)).mean(1) for part in (v, less)),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    model = NormalModel(fraction(0.5, 2.0), 1.0, 0.0)
    values = [QuadraticLoss(x, directions=w, sliced=1.0, bend=1.0).of(model) for w in (v, less)]
    assert torch.allclose(*values, rtol=1e-4, atol=1e-5)


def test_directions_that_are_all_one_stay_finite():
    v = torch.ones(1, 4, 10, 2)
    less = few(v)
    assert less.isfinite().all()
    assert torch.allclose((less.unsqueeze(-1) * less.unsqueeze(-2)).mean(1), torch.ones(2, 2))
