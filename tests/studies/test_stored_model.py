"""A stored model back: score, energy, density, torch and ONNX agree with each other."""

import numpy as np
import onnxruntime
import pytest
import scorebench as sb
import torch
from scorebench.datasets import UsageError
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP, GaussianBase
from scorebench.methods.score_module import ScoreModule, onnx_of
from torch import nn

X = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))


NETWORKS = [
    case
    for kind in ("energy", "score")
    for case in (
        (MLP(2, kind, 16, 2, "softplus"), 0.0),
        (MLP(2, kind, 16, 1, "swish", False, GaussianBase((0.3, -0.2), 1.7)), 0.0),
        (MLP(3, kind, 16, 2, "swish", True), 0.1),
    )
]


def trained(network, level):
    return NetworkModel(network, network.init([torch.Generator().manual_seed(1)]), level)


@pytest.mark.parametrize(("network", "level"), NETWORKS)
def test_the_module_is_the_model(network, level):
    model = trained(network, level)
    module = ScoreModule(model)
    x = torch.randn(9, network.dim, generator=torch.Generator().manual_seed(0))
    for sigma in (0.0, 0.05, 0.7):
        torch.testing.assert_close(module(x, sigma), model.score(x.unsqueeze(0), sigma)[0])
        if network.kind == "energy":
            energy = model.energy(x.unsqueeze(0), sigma)[0]
            torch.testing.assert_close(module.energy(x, sigma), energy)
    torch.testing.assert_close(module(x), module(x, 0.0))
    with torch.no_grad():
        assert not module(x).requires_grad
    levels = torch.full((9,), 0.5)
    torch.testing.assert_close(module(x, levels), module(x, 0.5))


def test_the_score_of_a_module_can_be_differentiated():
    module = ScoreModule(trained(MLP(2, "energy", 8, 2, "softplus"), 0.0))
    x = X.clone().requires_grad_()
    (second,) = torch.autograd.grad(module(x).sum(), x)
    assert second.abs().max() > 0


def test_a_score_has_no_energy():
    with pytest.raises(UsageError, match="no energy"):
        ScoreModule(trained(MLP(2, "score", 8), 0.0)).energy(X)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "level"), NETWORKS)
def test_onnx_gives_the_same(network, level):
    model = trained(network, level)
    session = onnxruntime.InferenceSession(onnx_of(ScoreModule(model)))
    x = torch.randn(31, network.dim, generator=torch.Generator().manual_seed(0))
    inputs = {"x": x.numpy()}
    if network.conditional:
        inputs["sigma"] = np.array(0.4, dtype=np.float32)
    score, *energy = session.run(None, inputs)
    expected = model.score(x.unsqueeze(0), 0.4)[0]
    np.testing.assert_allclose(score, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    if network.kind == "energy":
        expected = model.energy(x.unsqueeze(0), 0.4)[0].detach().numpy()
        np.testing.assert_allclose(energy[0], expected, rtol=1e-4, atol=1e-5)


def test_a_model_of_a_study(tiny_run):
    study = sb.Study(tiny_run)
    model = study.model("dsm", "rings")
    x = X.numpy()
    assert model.score(x).shape == (9, 2)
    assert model.score(x).dtype == np.float32
    step = np.array([1e-2, 0])
    slope = (model.energy(x - step) - model.energy(x + step)) / 2e-2
    np.testing.assert_allclose(model.score(x)[:, 0], slope, atol=1e-2)
    np.testing.assert_allclose(model.torch()(X).numpy(), model.score(X), rtol=1e-4, atol=1e-5)
    ticks = torch.linspace(-6, 6, 241)
    grid = torch.cartesian_prod(ticks, ticks)
    mass = np.exp(model.log_prob(grid).astype(float)).sum() * 0.05**2
    assert mass == pytest.approx(1, abs=0.01)
    assert np.array_equal(model.sample(40, seed=3), study.sample("dsm", "rings", n=40, seed=3))
    assert model.target == model.spec.method.options["sigma"]
    assert "dsm-rings-langevin" in repr(model)
    for x in (X.T, X.numpy().astype(object), "points"):
        with pytest.raises(UsageError):
            model.score(x)
    with pytest.raises(UsageError, match="n = 0"):
        model.sample(0)


OWN = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.last = nn.Linear(8, outputs, bias=False)
        self.register_buffer("steps", torch.tensor([3, 4]))
        self.register_buffer("scale", torch.rand(1), persistent=False)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x))) * self.steps[0] * (1 + self.scale)
"""


@pytest.mark.slow
def test_a_module_of_the_user_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    overrides = [
        "training.points=200", "training.steps=10", "search.trials=0", "confirm.seeds=2",
        "reference.floors=0", "reference.seeds=0", "evaluation.samples=40", 'datasets=["rings"]',
        'methods=[{name="dsm", sigma=0.3}]', "training.learning_rate=1e-3", 'objective="sw1"',
        'samplers=[{name="langevin", steps=5}]', 'evaluation.metrics=["sw1"]', "evaluation.also=[]",
        'network.module="own.py:Own"', "search.restarts=1",
    ]  # fmt: skip
    study = sb.run("quick", "out", workers=1, overrides=overrides)
    model = study.model("dsm", "rings")
    module = model.torch()
    torch.testing.assert_close(module(X), torch.from_numpy(model.score(X)))
    space: dict = {}
    exec(OWN, space)
    own = space["Own"](2, 1)
    state = module.network.state_dict()
    assert state["steps"].dtype == torch.int64
    own.load_state_dict(state)
    assert isinstance(own, nn.Module)
    own.scale.copy_(module.network.scale)
    torch.testing.assert_close(own(X)[:, 0], torch.from_numpy(model.energy(X)))
    session = onnxruntime.InferenceSession(model.onnx("model.onnx"))
    np.testing.assert_allclose(
        session.run(["score"], {"x": X.numpy()})[0], model.score(X), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_kernel_methods_come_back_without_a_network(tmp_path):
    overrides = [
        "training.points=200", "search.trials=0", "confirm.seeds=1", "reference.floors=0",
        "reference.seeds=0", "evaluation.samples=40", 'datasets=["rings"]', 'objective="sw1"',
        'methods=[{name="kde", bandwidth=0.3}]', 'samplers=[{name="langevin", steps=5}]',
        'evaluation.metrics=["sw1"]', "evaluation.also=[]", "search.restarts=1",
    ]  # fmt: skip
    study = sb.run("quick", tmp_path / "out", workers=1, overrides=overrides)
    model = study.model("kde", "rings")
    assert model.sample(30).shape == (30, 2)
    assert model.log_prob(X).shape == (9,)
    with pytest.raises(UsageError, match="kde trains no network"):
        model.torch()
