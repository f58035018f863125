"""Adam equals torch's, members are independent, and divergence is contained and reported."""

import math

import pytest
import torch
from scorebench.bench.adam import Adam
from scorebench.bench.training import fit, rate
from scorebench.methods import methods
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.objectives.base import ScoreMatching
from scorebench.methods.random import MemberRandom

MLP16 = MLP(2, "energy", 16, 2, "swish")


def stream(seeds, offset=0):
    return MemberRandom([torch.Generator().manual_seed(seed + offset) for seed in seeds])


def train(objective, seeds, *, rates=None, steps=30, clip=100.0, fitting=None, **options):
    data = torch.stack(
        [torch.randn(20_000, 2, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    options = options or {"sigma": torch.full((len(seeds), 1, 1), 0.2)}
    return fit(
        objective,
        MLP16,
        MLP16.init([torch.Generator().manual_seed(seed) for seed in seeds]),
        data,
        options,
        batches=stream(seeds, 100),
        noise=stream(seeds, 200),
        steps=steps,
        batch_size=50,
        learning_rate=torch.tensor(rates or [3e-3] * len(seeds)).unsqueeze(1),
        clip=clip,
        **(fitting or {}),
    )


def test_adam_equals_torch_adam():
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    rates = [1e-3, 1e-2, 0.1]
    mine = theta.clone()
    adam = Adam(
        torch.tensor(rates, dtype=torch.float64).unsqueeze(1),
        torch.zeros_like(mine),
        torch.zeros_like(mine),
    )
    rows = [row.clone().requires_grad_() for row in theta]
    reference = torch.optim.Adam(
        [{"params": [r], "lr": lr} for r, lr in zip(rows, rates, strict=True)]
    )
    for _ in range(50):
        gradient = torch.randn(3, 20, generator=generator, dtype=torch.float64)
        adam.step(mine, gradient)
        for row, g in zip(rows, gradient, strict=True):
            row.grad = g.clone()
        reference.step()
    for row, got in zip(rows, mine, strict=True):
        assert torch.allclose(row.detach(), got, rtol=1e-12, atol=1e-14)


def test_members_train_the_same_to_the_bit_alone():
    seeds, rates = [1, 2, 3, 4], [1e-3, 3e-3, 1e-2, 3e-2]
    together = train(methods.get("dsm")(), seeds, rates=rates)
    for k, seed in enumerate(seeds):
        alone = train(methods.get("dsm")(), [seed], rates=[rates[k]])
        assert torch.equal(together.theta[k], alone.theta[0])
        assert [row.loss[k] for row in together.curve] == [row.loss[0] for row in alone.curve]
        assert [row.gradient[k] for row in together.curve] == [
            row.gradient[0] for row in alone.curve
        ]


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
    assert math.isnan(result.curve[-1].loss[1])
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
    assert result.curve[0].loss[0] > result.curve[-1].loss[0]


@pytest.mark.parametrize("activation", ["swish", "softplus"])
@pytest.mark.parametrize("name", ["dsm", "ssm"])
def test_what_fills_up_a_width_is_never_trained(activation, name):
    mlp = MLP(2, "energy", 21, 2, activation)
    given = {"sigma": torch.full((1, 1, 1), 0.2)}
    if name == "ssm":
        given = {"n_slices": 1, "slice_kind": "gaussian"}
    start = mlp.init([torch.Generator().manual_seed(0)])
    fitted = fit(
        methods.get(name)(), mlp, start, torch.randn(1, 500, 2), given,
        batches=stream([1]), noise=stream([2]), steps=30, batch_size=20,
        learning_rate=torch.full((1, 1), 1e-2), clip=10.0,
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
    made = [rate("wsd", step, steps) for step in range(1, steps + 1)]
    assert all(0 < value <= 1 for value in made)
    top = made.index(max(made))
    assert made[: top + 1] == sorted(made[: top + 1])
    assert made[top:] == sorted(made[top:], reverse=True)
    if steps == 1000:
        assert made[9] == pytest.approx(0.5)
        assert made[19:851] == [1.0] * 832
        assert made[925] == pytest.approx(1 - math.sqrt(0.5), abs=1e-12)
        assert made[-1] == pytest.approx(1 - math.sqrt(149 / 150))


def test_averaged_weights_are_the_weighted_mean_of_the_path():
    beta, steps = 0.7, 6
    path = [train(methods.get("dsm")(), [1, 2], steps=t).theta for t in range(1, steps + 1)]
    weights = [beta ** (steps - t) for t in range(1, steps + 1)]
    wanted = sum(w * theta for w, theta in zip(weights, path, strict=True)) / sum(weights)
    found = train(methods.get("dsm")(), [1, 2], steps=steps, fitting={"ema": beta}).theta
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found, path[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["dsm", "ism", "ncsn", "mle_grid"])
def test_schedules_and_averages_leave_members_alone(name):
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
        return fit(
            methods.get(name)(),
            mlp,
            mlp.init([torch.Generator().manual_seed(seed) for seed in seeds]),
            torch.stack([torch.randn(999, 2, generator=torch.Generator().manual_seed(s))
                         for s in seeds]),
            chosen_options,
            batches=stream(seeds, 100), noise=stream(seeds, 200), steps=25, batch_size=50,
            learning_rate=torch.full((len(seeds), 1), 3e-3), clip=100.0,
            schedule="cosine", ema=0.9,
        ).theta  # fmt: skip

    together = run([0, 1, 2])
    for k in range(3):
        assert torch.equal(together[k], run([k])[0])


def test_a_diverging_member_takes_its_average_along():
    seeds, sigma = [1, 2, 3], torch.tensor([0.2, 2.0, 0.3]).view(-1, 1, 1)
    result = train(FailsAt(17), seeds, steps=40, sigma=sigma, fitting={"ema": 0.9})
    for k in (0, 2):
        alone = train(
            FailsAt(17), [seeds[k]], steps=40, sigma=sigma[k : k + 1], fitting={"ema": 0.9}
        )
        assert torch.equal(result.theta[k], alone.theta[0])
