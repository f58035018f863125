"""Closed-form derivatives equal autograd's double backward, and members do not touch each other."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP, GaussianBase

from . import reference

SHAPES = [
    MLP(dim, kind, width, depth, activation)
    for dim, kind, width, depth, activation in [
        (2, "energy", 16, 2, "swish"),
        (2, "energy", 32, 1, "softplus"),
        (3, "energy", 7, 3, "swish"),
        (1, "energy", 32, 2, "softplus"),
        (2, "score", 16, 2, "swish"),
        (5, "score", 9, 3, "softplus"),
        (2, "score", 8, 1, "swish"),
    ]
]
BASE = GaussianBase((0.7, -0.2), 1.5)
SHAPES += [MLP(2, kind, 16, 2, base=BASE) for kind in ("energy", "score")]


def problem(mlp: MLP, members: int, points: int, slices: int, dtype=torch.float64, seed=0):
    generators = [torch.Generator().manual_seed(seed + k) for k in range(members)]
    theta = mlp.init(generators, dtype)
    x = torch.stack([torch.randn(points, mlp.dim, generator=g, dtype=dtype) for g in generators])
    v = torch.stack(
        [torch.randn(slices, points, mlp.dim, generator=g, dtype=dtype) for g in generators]
    )
    return theta, x, v


def close(a, b):
    return (a - b).abs().max() <= 1e-10 * (1 + b.abs().max())


@pytest.mark.parametrize("mlp", SHAPES, ids=str)
@pytest.mark.parametrize("slices", [1, 3])
def test_values_equal_autograd(mlp, slices):
    theta, x, v = problem(mlp, 3, 5, slices)
    model = NetworkModel(mlp, theta)
    x.requires_grad_()
    score, second = reference.curvature(mlp, theta, x, v)
    mine, curvature = model.score_and_curvature(x.detach(), v)
    assert close(mine, score)
    assert close(curvature, second)
    along = model.along(x.detach(), v)
    assert close(along.first, (v * score.unsqueeze(1)).sum(-1))
    assert close(along.second, second)
    assert close(model.score(x.detach()), score)
    if mlp.kind == "energy":
        assert close(model.energy(x.detach()), reference.output(mlp, theta, x))


@pytest.mark.parametrize("mlp", SHAPES, ids=str)
@pytest.mark.parametrize("slices", [1, 3])
def test_parameter_gradients_equal_double_backward(mlp, slices):
    theta, x, v = problem(mlp, 2, 5, slices)
    theta.requires_grad_()
    x.requires_grad_()
    model = NetworkModel(mlp, theta)

    def objective(score, first, second):
        # Nonlinear in each, so that cotangents differ from point to point.
        return (
            score.pow(3).sum() + (first * second).sum() + first.sin().sum() + second.square().sum()
        )

    score, second = reference.curvature(mlp, theta, x, v)
    first = (v * score.unsqueeze(1)).sum(-1)
    (expected,) = torch.autograd.grad(objective(score, first, second), theta)

    points = x.detach()
    mine_score, mine_second = model.score_and_curvature(points, v)
    along = model.along(points, v)
    for first, second in [(along.first, along.second), (along.first, mine_second)]:
        (got,) = torch.autograd.grad(objective(mine_score, first, second), theta, retain_graph=True)
        assert close(got, expected)


@pytest.mark.parametrize("mlp", [s for s in SHAPES if s.kind == "energy"], ids=str)
def test_gradient_of_the_energy_itself(mlp):
    theta, x, _ = problem(mlp, 2, 6, 1)
    theta.requires_grad_()
    (expected,) = torch.autograd.grad(reference.output(mlp, theta, x).square().sum(), theta)
    (got,) = torch.autograd.grad(NetworkModel(mlp, theta).energy(x).square().sum(), theta)
    assert close(got, expected)


@settings(max_examples=25, deadline=None)
@given(
    members=st.integers(2, 6),
    points=st.integers(1, 40),
    dim=st.sampled_from([1, 2, 3, 12]),
    width=st.sampled_from([1, 5, 16, 30, 64, 100]),
    depth=st.integers(1, 3),
    kind=st.sampled_from(["energy", "score"]),
    slices=st.integers(1, 2),
)
# Batched products of one row once rounded otherwise than single ones.
@example(members=2, points=1, dim=2, width=16, depth=2, kind="energy", slices=1)
@example(members=3, points=33, dim=12, width=100, depth=2, kind="energy", slices=1)
def test_a_member_is_the_same_to_the_bit_whoever_stands_beside_it(
    members, points, dim, width, depth, kind, slices
):
    mlp = MLP(dim, kind, width, depth, "swish")
    theta, x, v = problem(mlp, members, points, slices, torch.float32)

    def run(chosen):
        parameters = theta[chosen].clone().requires_grad_()
        model = NetworkModel(mlp, parameters)
        score, second = model.score_and_curvature(x[chosen], v[chosen])
        first, other = model.along(x[chosen], v[chosen])
        loss = (score.square().sum(-1).mean(-1) + (second + first * other).mean((1, 2))).sum()
        (gradient,) = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            return score.detach(), second.detach(), gradient, model.score(x[chosen])

    together = run(list(range(members)))
    for k in range(members):
        for all_values, alone in zip(together, run([k]), strict=True):
            assert torch.equal(all_values[k], alone[0])


def test_float32_stays_near_float64():
    mlp = MLP(2, "energy", 128, 2, "swish")
    theta, x, v = problem(mlp, 1, 50, 1)
    exact = NetworkModel(mlp, theta).score_and_curvature(x, v)
    single = NetworkModel(mlp, theta.float()).score_and_curvature(x.float(), v.float())
    for a, b in zip(exact, single, strict=True):
        assert (a - b).abs().max() <= 2e-6 * (1 + a.abs().max())
