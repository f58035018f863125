"""Modules of one's own: equal to the closed forms, member by member, and told what is wrong."""

import re
from itertools import pairwise

import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.methods import estimator, methods, samplers
from scorebench.methods.module_network import ModuleNetwork
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom
from scorebench.methods.setting import Setting
from scorebench.methods.testing import CheckFailedError, draw_options
from scorebench.methods.testing.draws import given
from scorebench.methods.testing.networks import CHECKS, energies_are_smooth, uses_curvature
from torch import nn

TRAINED = sorted(name for name in methods.builtin if estimator(name) is None)


class Perceptron(nn.Module):
    """What ``MLP`` describes, written the usual way."""

    def __init__(self, inputs, outputs, width=16, depth=2, activation=nn.SiLU):
        super().__init__()
        widths = [inputs, *[width] * depth, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = activation()

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Fourier(nn.Module):
    """Random features that are drawn once, in a buffer, and a counter that is no fraction."""

    def __init__(self, inputs, outputs, features=8):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(inputs, features))
        self.register_buffer("version", torch.tensor(3))
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.read = nn.Linear(2 * features, outputs)

    def forward(self, x):
        angle = self.scale * x @ self.frequencies
        return self.read(torch.cat([angle.sin(), angle.cos()], -1)) * (self.version > 2)


def same_functions(mlp, members=3):
    """Closed forms, and modules with the same weights, in double precision."""
    generators = [torch.Generator().manual_seed(k) for k in range(members)]
    theta = mlp.init(generators, torch.float64)
    module = ModuleNetwork(
        lambda inputs, outputs: Perceptron(inputs, outputs, mlp.width, mlp.depth),
        mlp.dim, mlp.kind, conditional=mlp.conditional,
    )  # fmt: skip
    named = {}
    for i, (weight, bias) in enumerate(mlp.views(theta)):
        named[f"layers.{i}.weight"], named[f"layers.{i}.bias"] = weight.mT, bias.squeeze(1)
    return (mlp, theta), (module, module.pack(named))


def packed_alike(module, mlp, gradient):
    """The gradient of a module's parameters as the perceptron lays them out."""
    named = module.named(gradient)
    mine = {}
    for i in range(mlp.depth + 1):
        mine[f"weight{i}"] = named[f"layers.{i}.weight"].mT
        mine[f"bias{i}"] = named[f"layers.{i}.bias"].unsqueeze(1)
    return mlp.pack(mine)


@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("name", TRAINED)
def test_every_loss_and_its_gradient_equal_the_closed_form(name, kind):
    objective = methods.get(name)
    if objective.unfit(Setting(get_dataset("8gaussians"), kind == "energy", True)) is not None:
        pytest.skip("not for this kind of network")
    mlp = MLP(2, kind, 16, 2, "swish", objective.conditional)
    options = {
        key: torch.full((3, 1, 1), value, dtype=torch.float64)
        if isinstance(value, float) else value
        for key, value in draw_options(objective, 3).items()
    }  # fmt: skip
    if name == "mle_grid":
        options["cells"] = 12
    options |= given(objective)
    found = []
    closed, by_autograd = same_functions(mlp)
    for network, theta in (closed, by_autograd):
        theta = theta.clone().requires_grad_()
        generators = [torch.Generator().manual_seed(50 + k) for k in range(3)]
        rng = MemberRandom(generators, dtype=torch.float64)
        loss = objective().loss(NetworkModel(network, theta), rng.normal(10, 2), rng, **options)
        (gradient,) = torch.autograd.grad(loss.sum(), theta)
        found.append((loss.detach(), gradient))
    (loss, gradient), (other_loss, other) = found
    torch.testing.assert_close(other_loss, loss, rtol=1e-10, atol=1e-10)
    other = packed_alike(by_autograd[0], mlp, other)
    torch.testing.assert_close(other, gradient, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("conditional", [False, True])
def test_scores_and_energies_equal_the_closed_form(kind, conditional):
    closed, by_autograd = same_functions(MLP(2, kind, 16, 2, "swish", conditional))
    mine, other = (NetworkModel(network, theta, 0.1) for network, theta in (closed, by_autograd))
    x = torch.randn(3, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for sigma in (0.0, 0.5):
        torch.testing.assert_close(other.score(x, sigma), mine.score(x, sigma))
        if kind == "energy":
            torch.testing.assert_close(other.energy(x, sigma), mine.energy(x, sigma))
    energy, score = other.energy_and_score(x)
    torch.testing.assert_close(score, mine.score(x))
    assert (energy is None) == (kind == "score")
    assert not score.requires_grad


@pytest.mark.parametrize("make", [Perceptron, Fourier])
@pytest.mark.parametrize("name", ["dsm", "ssm", "ism"])
@pytest.mark.parametrize("points", [32, 7])
def test_members_are_the_same_to_the_bit_alone(make, name, points):
    objective = methods.get(name)()
    network = ModuleNetwork(make, 2, "energy")
    options = draw_options(type(objective), 0)
    theta = network.init([torch.Generator().manual_seed(k) for k in range(4)])
    batch = MemberRandom([torch.Generator().manual_seed(20 + k) for k in range(4)])
    x = batch.normal(points, 2)

    def run(chosen):
        rng = MemberRandom([torch.Generator().manual_seed(10 + k) for k in chosen])
        row = theta[chosen].clone().requires_grad_()
        given = {
            key: torch.full((len(chosen), 1, 1), value) if isinstance(value, float) else value
            for key, value in options.items()
        }
        model = NetworkModel(network, row)
        loss = objective.loss(model, x[chosen], rng, **given)
        (gradient,) = torch.autograd.grad(loss.sum(), row)
        sampled = samplers.get("langevin")(steps=5).sample(model, 53, rng).points
        return loss.detach(), gradient, sampled

    together = run([0, 1, 2, 3])
    for k in range(4):
        for all_values, alone in zip(together, run([k]), strict=True):
            assert torch.equal(all_values[k], alone[0])


def test_initialising_leaves_the_global_generator_alone_and_follows_the_members_own():
    state = torch.get_rng_state()
    network = ModuleNetwork(Fourier, 2, "score")
    both = network.init([torch.Generator().manual_seed(k) for k in (1, 2)])
    assert torch.equal(state, torch.get_rng_state())
    again = network.init([torch.Generator().manual_seed(2)])
    assert torch.equal(both[1], again[0])
    assert not torch.equal(both[0], both[1])


def test_buffers_are_kept_and_never_trained():
    network = ModuleNetwork(Fourier, 2, "energy")
    theta = network.init([torch.Generator().manual_seed(0)]).requires_grad_()
    score = NetworkModel(network, theta).score(torch.ones(1, 5, 2))
    (gradient,) = torch.autograd.grad(score.square().sum(), theta)
    named = network.named(gradient)
    assert not named["frequencies"].any()
    assert named["read.weight"].any()
    assert named["scale"].shape == (1,)
    stored = network.named(theta.detach())
    assert torch.equal(network.pack(stored), theta)


class Inner(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, 8), nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


class Wide(Inner):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, 3)


class Alone(Inner):
    def __init__(self):
        super().__init__(3, 1)


class Normalised(Inner):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.norm = nn.BatchNorm1d(inputs)

    def forward(self, x):
        return super().forward(self.norm(x))


class Centred(Inner):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Dropped(Inner):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.5))


class Remembering(Inner):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class Changing(Inner):
    def forward(self, x):
        x += 1
        return super().forward(x)


class Detached(Inner):
    def forward(self, x):
        return super().forward(x).detach()


class Constant(Inner):
    def forward(self, x):
        return super().forward(x) * 0 + x.square().sum(-1, keepdim=True)


class Root(Inner):
    def forward(self, x):
        return super().forward(x) + (x - x).square().sum(-1, keepdim=True).sqrt()


class Kinked(Inner):
    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


class Bare(nn.Module):
    def forward(self, x):
        return x.square().sum(-1)


class Foreign(Inner):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        import numpy as np

        self.first.weight.data = torch.from_numpy(np.random.rand(8, inputs)).float()  # noqa: NPY002


WRONG = {
    Wide: r"returned \(12, 3\) for points of shape \(12, 2\) where \(12,\) is right",
    Alone: r"fails on points of shape \(12, 2\).*take `inputs` and `outputs`",
    Normalised: "as BatchNorm does",
    Centred: "depends on the other points",
    Dropped: "as Dropout does",
    Remembering: "remembers something",
    Changing: r"write x \+ 1, not x \+= 1",
    Detached: "leave out .detach",
    Constant: "does not depend on its parameters",
    Root: "not finite",
    Kinked: "as with ReLU",
    Bare: "has no parameters",
    Foreign: "NumPy's or Python's generator",
}


def problems(network):
    messages = []
    for check in CHECKS:
        try:
            check(network)
        except CheckFailedError as error:
            messages.append(str(error))
        except Exception:
            pass
    return messages


@pytest.mark.parametrize("make", WRONG)
def test_the_first_failed_check_names_the_problem(make):
    messages = problems(ModuleNetwork(make, 2, "energy"))
    assert messages
    assert re.search(WRONG[make], messages[0]), messages[0]


@pytest.mark.parametrize("make", [Perceptron, Fourier, Inner])
@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("conditional", [False, True])
def test_sound_modules_pass_all_checks(make, kind, conditional):
    assert problems(ModuleNetwork(make, 2, kind, conditional=conditional)) == []


def test_relu_is_refused_only_where_curvature_is_asked_for():
    asking = {
        name for name in TRAINED
        if uses_curvature(methods.get(name), draw_options(methods.get(name), 0))
    }  # fmt: skip
    assert asking == {"ism", "ssm", "ssm_vr"}
    energies_are_smooth(ModuleNetwork(Kinked, 2, "score"))
