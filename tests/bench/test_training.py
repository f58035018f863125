"""Adam equals torch's AdamW; members are independent; divergence is contained and reported."""

import math

import numpy as np
import pytest
import torch
from scorebench.bench.adam import Adam
from scorebench.bench.spec import TrainingSpec
from scorebench.bench.trainer import Trainees, rate
from scorebench.bench.training import fit
from scorebench.methods import methods
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.objectives.base import ScoreMatching
from scorebench.methods.random import MemberRandom

MLP16 = MLP(2, "energy", 16, 2, "swish")


def stream(seeds, offset=0):
    return MemberRandom([torch.Generator().manual_seed(seed + offset) for seed in seeds])


def train(objective, seeds, *, rates=None, steps=30, clip=100.0, settings=None, **options):
    data = torch.stack(
        [torch.randn(20_000, 2, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    options = options or {"sigma": torch.full((len(seeds), 1, 1), 0.2)}
    trainees = Trainees(
        objective,
        MLP16,
        MLP16.init([torch.Generator().manual_seed(seed) for seed in seeds]),
        data,
        options,
        TrainingSpec(steps=steps, batch_size=50, clip=clip, **(settings or {})),
        torch.tensor(rates or [3e-3] * len(seeds)).unsqueeze(1),
        batches=stream(seeds, 100),
        noise=stream(seeds, 200),
    )
    return fit(trainees)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_adam_equals_torch_adamw(weight_decay, compiled):
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    rates = torch.tensor([1e-3, 1e-2, 0.1], dtype=torch.float64)
    mine = theta.clone()
    zeros = torch.zeros_like(mine)
    adam = Adam(rates.unsqueeze(1), zeros.clone(), zeros.clone(), weight_decay, compiled=compiled)
    rows = [row.clone().requires_grad_() for row in theta]
    groups = [{"params": [row], "lr": lr} for row, lr in zip(rows, rates.tolist(), strict=True)]
    reference = torch.optim.AdamW(groups, weight_decay=weight_decay)
    for step in range(1, 51):
        gradient = torch.randn(3, 20, generator=generator, dtype=torch.float64)
        factor = rate("cosine", step, 50)
        adam.step(mine, gradient, factor)
        for row, own in zip(rows, gradient, strict=True):
            row.grad = own.clone()
        for group, lr in zip(reference.param_groups, rates.tolist(), strict=True):
            group["lr"] = lr * factor
        reference.step()
    for row, result in zip(rows, mine, strict=True):
        assert torch.allclose(row.detach(), result, rtol=1e-12, atol=1e-14)


def test_a_gradient_that_is_not_finite_decays_nothing():
    theta = torch.ones(2, 3)
    adam = Adam(torch.full((2, 1), 0.1), torch.zeros(2, 3), torch.zeros(2, 3), weight_decay=0.5)
    _, moved = adam.step(theta, torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]]))
    assert not moved
    assert torch.equal(theta, torch.ones(2, 3))


def test_weight_decay_shrinks_networks_and_is_left_out_of_specs_without_it():
    plain, decayed = (
        train(methods.get("dsm")(), [1, 2], steps=100, settings={"weight_decay": decay}).theta
        for decay in (0.0, 1.0)
    )
    assert (decayed.norm(dim=1) < 0.95 * plain.norm(dim=1)).all()
    assert torch.equal(plain, train(methods.get("dsm")(), [1, 2], steps=100).theta)
    without, spec = TrainingSpec(steps=10, weight_decay=0), TrainingSpec(steps=10, weight_decay=0.1)
    assert without.model_dump_json() == TrainingSpec(steps=10).model_dump_json()
    assert "weight_decay" not in without.model_dump_json()
    assert TrainingSpec.model_validate_json(spec.model_dump_json()) == spec


def test_members_train_the_same_to_the_bit_alone():
    seeds, rates = [1, 2, 3, 4], [1e-3, 3e-3, 1e-2, 3e-2]
    together = train(methods.get("dsm")(), seeds, rates=rates)
    for k, seed in enumerate(seeds):
        alone = train(methods.get("dsm")(), [seed], rates=[rates[k]])
        assert torch.equal(together.theta[k], alone.theta[0])
        assert np.array_equal(together.curves[k], alone.curves[0])


class FailsAt(ScoreMatching):
    """Denoising score matching that gives NaN to every member with sigma over 1, from a step on."""

    def __init__(self, step):
        self.step, self.calls = step, 0

    def space(self, trial):
        return {}

    def loss(self, model, x, rng, *, sigma):
        self.calls += 1
        loss = methods.get("dsm")().loss(model, x, rng, sigma=sigma)
        bad = (sigma.flatten() > 1) & (self.calls >= self.step)
        return loss * torch.where(bad, torch.nan, 1.0)


@pytest.mark.parametrize("step", [1, 17])
def test_a_diverging_member_leaves_without_disturbing_the_rest(step):
    seeds = [1, 2, 3]
    sigma = torch.tensor([0.2, 2.0, 0.3]).view(-1, 1, 1)
    result = train(FailsAt(step), seeds, steps=130, sigma=sigma)
    assert [f is None for f in result.failures] == [True, False, True]
    failure = result.failures[1]
    assert (failure.stage, failure.step) == ("train", step)
    assert result.evaluations[1] < result.evaluations[0]
    assert np.isnan(result.curves[1, -1, 1:]).all()
    for k in (0, 2):
        alone = train(FailsAt(step), [seeds[k]], steps=130, sigma=sigma[k : k + 1])
        assert torch.equal(result.theta[k], alone.theta[0])


def test_all_members_may_diverge():
    result = train(FailsAt(3), [1, 2], sigma=torch.full((2, 1, 1), 2.0))
    assert [f.step for f in result.failures] == [3, 3]
    assert torch.isfinite(result.theta).all()


def test_clipping_bounds_the_gradient_of_each_member():
    # With one step Adam moves by the sign of the gradient whatever its length, so two are needed.
    free = train(methods.get("dsm")(), [1, 2], steps=5)
    loose = train(methods.get("dsm")(), [1, 2], steps=5, clip=1e6)
    tight = train(methods.get("dsm")(), [1, 2], steps=5, clip=1e-3)
    assert torch.equal(free.theta, loose.theta)
    assert not torch.equal(free.theta, tight.theta)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dsm", {"sigma": torch.full((1, 1, 1), 0.3)}),
        ("ssm", {"n_slices": 1, "slice_kind": "gaussian"}),
        ("ssm_vr", {"n_slices": 1, "slice_kind": "sphere"}),
    ],
)
def test_training_finds_the_score_of_a_gaussian(name, options):
    result = train(methods.get(name)(), [3], steps=1500, rates=[1e-2], **options)
    x = torch.randn(1, 1000, 2, generator=torch.Generator().manual_seed(9))
    score = NetworkModel(MLP16, result.theta).score(x)
    variance = 1 + (0.3**2 if name == "dsm" else 0)
    error = (score + x / variance).square().sum(-1).mean() / 2
    assert error < 0.12
    assert result.curves[0, 0, 1] > result.curves[0, -1, 1]


@pytest.mark.parametrize(("activation", "weight_decay"), [("swish", 0.0), ("softplus", 0.1)])
@pytest.mark.parametrize("name", ["dsm", "ssm"])
def test_padding_of_a_width_is_never_trained(activation, weight_decay, name):
    mlp = MLP(2, "energy", 21, 2, activation)
    given = {"sigma": torch.full((1, 1, 1), 0.2)}
    if name == "ssm":
        given = {"n_slices": 1, "slice_kind": "gaussian"}
    start = mlp.init([torch.Generator().manual_seed(0)])
    training = TrainingSpec(steps=30, batch_size=20, clip=10.0, weight_decay=weight_decay)
    fitted = fit(
        Trainees(
            methods.get(name)(), mlp, start, torch.randn(1, 500, 2), given, training,
            torch.full((1, 1), 1e-2), batches=stream([1]), noise=stream([2]),
        )
    )  # fmt: skip
    assert not torch.equal(fitted.theta, start)
    assert torch.equal(fitted.theta, mlp.pack(mlp.named(fitted.theta)))


def test_cosine_schedule_equals_torch_with_the_rate_of_each_step():
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(1, 20, generator=generator, dtype=torch.float64)
    mine = theta.clone()
    adam = Adam(
        torch.full((1, 1), 0.01, dtype=torch.float64),
        torch.zeros_like(mine),
        torch.zeros_like(mine),
    )
    parameter = theta[0].clone().requires_grad_()
    reference = torch.optim.Adam([parameter], lr=0.01)
    # torch's own schedule ends one step later and has the same values before.
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=40)
    for step in range(1, 41):
        gradient = torch.randn(1, 20, generator=generator, dtype=torch.float64)
        adam.step(mine, gradient, rate("cosine", step, 40))
        parameter.grad = gradient[0].clone()
        reference.step()
        schedule.step()
    assert torch.allclose(parameter.detach(), mine[0], rtol=1e-10, atol=1e-12)
    assert rate("constant", 17, 40) == 1.0
    assert rate("cosine", 1, 40) == 1.0
    assert 0 < rate("cosine", 40, 40) < 0.01


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_a_rate_warms_up_stays_and_decays(steps):
    factors = [rate("wsd", step, steps) for step in range(1, steps + 1)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    if steps == 1000:
        assert factors[9] == pytest.approx(0.5)
        assert factors[19:851] == [1.0] * 832
        assert factors[925] == pytest.approx(1 - math.sqrt(0.5), abs=1e-12)
        assert factors[-1] == pytest.approx(1 - math.sqrt(149 / 150))


def test_averaged_weights_are_the_weighted_mean_of_the_path():
    beta, steps = 0.7, 6
    path = [train(methods.get("dsm")(), [1, 2], steps=t).theta for t in range(1, steps + 1)]
    weights = [beta ** (steps - t) for t in range(1, steps + 1)]
    mean = sum(w * theta for w, theta in zip(weights, path, strict=True)) / sum(weights)
    average = train(methods.get("dsm")(), [1, 2], steps=steps, settings={"ema": beta}).theta
    assert torch.allclose(average, mean, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(average, path[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["dsm", "ism", "ncsn", "mle_grid"])
def test_schedules_averages_and_decay_keep_members_independent(name):
    options = {
        "dsm": {"sigma": [0.1, 0.2, 0.4]},
        "ism": {"data_noise": [0.0, 0.1, 0.2]},
        "ncsn": {"sigma_min": [0.05, 0.1, 0.2], "sigma_max": [5.0, 5.0, 8.0]},
        "mle_grid": {"box": [4.0, 5.0, 6.0]},
    }[name]

    def run(chosen):
        chosen_options = {
            key: torch.tensor([values[k] for k in chosen]).view(-1, 1, 1)
            for key, values in options.items()
        } | ({"cells": 12} if name == "mle_grid" else {})
        mlp = MLP(2, "energy", 16, 2, "swish", methods.get(name).conditional)
        seeds = [k + 1 for k in chosen]
        rows = [torch.randn(999, 2, generator=torch.Generator().manual_seed(s)) for s in seeds]
        training = TrainingSpec(
            steps=25, batch_size=50, schedule="cosine", ema=0.9, weight_decay=0.1
        )
        trainees = Trainees(
            methods.get(name)(),
            mlp,
            mlp.init([torch.Generator().manual_seed(seed) for seed in seeds]),
            torch.stack(rows),
            chosen_options,
            training,
            torch.full((len(seeds), 1), 3e-3),
            batches=stream(seeds, 100),
            noise=stream(seeds, 200),
        )
        return fit(trainees).theta

    together = run([0, 1, 2])
    for k in range(3):
        assert torch.equal(together[k], run([k])[0])


def test_averages_and_decay_of_the_rest_outlast_a_diverging_member():
    seeds, sigma = [1, 2, 3], torch.tensor([0.2, 2.0, 0.3]).view(-1, 1, 1)
    settings = {"ema": 0.9, "weight_decay": 0.1}
    result = train(FailsAt(17), seeds, steps=40, sigma=sigma, settings=settings)
    for k in (0, 2):
        alone = train(FailsAt(17), [seeds[k]], steps=40, sigma=sigma[k : k + 1], settings=settings)
        assert torch.equal(result.theta[k], alone.theta[0])
