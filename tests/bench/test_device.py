"""Devices of tensors: all tensors used with a network are on the network's device.

Without a GPU this is tested with tensors that have a device and a shape but no numbers, and that
refuse operations with another device. With a GPU, its runs are compared with runs on the CPU.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from scorebench.bench.from_spec import streams_of
from scorebench.bench.metrics.density import energy_at
from scorebench.bench.metrics.fisher import score_at
from scorebench.bench.run import execute
from scorebench.bench.shapes import shape
from scorebench.bench.spec import EvaluationSpec, NetworkSpec, Plugin, RunSpec, TrainingSpec
from scorebench.bench.trainer import Trainees
from scorebench.bench.training import fit
from scorebench.datasets import get_dataset
from scorebench.datasets.errors import UsageError
from scorebench.methods import estimator, methods, samplers
from scorebench.methods.module_network import ModuleNetwork
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom
from scorebench.methods.setting import Setting
from scorebench.methods.testing import draw_options
from scorebench.studies.specs.load import load_study
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

TRAINED = sorted(name for name in methods.builtin if estimator(name) is None)

# Stands for a GPU: the one other device that torch lets fake tensors be on without any hardware.
ELSEWHERE = torch.device("lazy")


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), nn.SiLU(), nn.Linear(8, outputs))

    def forward(self, x):
        return self.layers(x)


@pytest.fixture
def fake():
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def network_for(name, kind, own):
    conditional = name is not None and methods.get(name).conditional
    if own:
        return ModuleNetwork(Net, 2, kind, conditional=conditional)
    return MLP(2, kind, 16, 2, "swish", conditional)


def model_of(network, members=3):
    generators = [torch.Generator().manual_seed(k) for k in range(members)]
    theta = network.init(generators).to(ELSEWHERE).requires_grad_()
    return NetworkModel(network, theta, 0.1)


def random(members=3):
    return MemberRandom([torch.Generator().manual_seed(k) for k in range(members)], ELSEWHERE)


def test_the_stand_in_refuses_what_a_gpu_refuses(fake):
    there = torch.zeros(3).to(ELSEWHERE)
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.zeros(3)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients_stay_on_the_device(request, name, kind, own):
    objective = methods.get(name)
    if objective.unfit(Setting(get_dataset("8gaussians"), kind == "energy", True)) is not None:
        pytest.skip("not for this kind of network")
    small = {"mle_grid": {"cells": 8}, "diffusion": {"share": 2}, "cd": {"n_steps": 2}}
    drawn = draw_options(objective, 0) | small.get(name, {})
    if objective.needs_score:
        drawn["clean_score"] = torch.neg
    request.getfixturevalue("fake")
    model, rng = model_of(network_for(name, kind, own)), random()
    options = {
        key: torch.full((3, 1, 1), value, device=ELSEWHERE) if isinstance(value, float) else value
        for key, value in drawn.items()
    }
    loss = objective().loss(model, rng.normal(20, 2), rng, **options)
    (gradient,) = torch.autograd.grad(loss.sum(), model.theta)
    assert loss.device == gradient.device == ELSEWHERE


@pytest.mark.parametrize("own", [False, True])
# smc_langevin chooses its temperatures from the particles, so it must read numbers from the device.
@pytest.mark.parametrize("name", sorted(set(samplers.builtin) - {"smc_langevin"}))
def test_samples_and_paths_stay_on_the_device(fake, name, own):
    few = {"langevin": {"steps": 3}, "mala": {"steps": 3}, "grid": {"cells": 10},
           "annealed_langevin": {"steps": 2, "levels": 2}, "pf_ode": {"steps": 3}}  # fmt: skip
    sampler = samplers.get(name)(**few.get(name, {}))
    model = model_of(network_for("ncsn", "energy", own))
    for size in (0, 1003):
        samples = sampler.sample(model, size, random())
        assert {part.device for part in samples if part is not None} == {ELSEWHERE}
    paths = sampler.paths(model, 5, random())
    assert paths is None or paths.device == ELSEWHERE


@pytest.mark.parametrize(("ema", "weight_decay"), [(0.0, 0.0), (0.9, 0.1)])
@pytest.mark.parametrize("own", [False, True])
def test_training_stays_on_the_device(fake, monkeypatch, own, ema, weight_decay):
    # Numbers are read to detect divergence and to store curves; any number serves.
    monkeypatch.setattr(torch.Tensor, "item", lambda self: 1.0)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: [1.0] * self.numel())
    network, looked = network_for("dsm", "energy", own), []
    trainees = Trainees(
        methods.get("dsm")(),
        network,
        model_of(network).theta.detach(),
        random().normal(50, 2),
        {"sigma": torch.full((3, 1, 1), 0.2, device=ELSEWHERE)},
        TrainingSpec(steps=4, batch_size=10, clip=0.5, ema=ema, weight_decay=weight_decay),
        torch.full((3, 1), 1e-3, device=ELSEWHERE),
        batches=random(),
        noise=random(),
    )
    checkpoints = SimpleNamespace(
        steps={2}, look=lambda step, members, theta: looked.append(theta.device)
    )
    fitted = fit(trainees, checkpoints)
    assert fitted.theta.device == ELSEWHERE
    assert looked == [ELSEWHERE]


def test_metrics_of_models_come_back_to_the_cpu(fake):
    model = model_of(MLP(2, "energy", 16, 2, "swish"), 1)
    with torch.no_grad():
        x = torch.zeros(9000, 2, dtype=torch.float64)
        assert energy_at(model, x).device.type == "cpu"
        assert score_at(model, x, 0.0).device.type == "cpu"


def spec(device, replicate=0, method="dsm", network=None, **options):
    return RunSpec(
        phase="confirm", seed=3, replicate=replicate,
        method=Plugin(name=method, options=options or {"sigma": 0.2}),
        dataset=Plugin(name="8gaussians"),
        sampler=Plugin(name="langevin", options={"steps": 20}),
        network=network or NetworkSpec(width=32),
        training=TrainingSpec(steps=50, batch_size=64, points=2000, learning_rate=3e-3),
        evaluation=EvaluationSpec(samples=500, metrics=("mmd", "sw1", "fisher", "kl"), split=True),
        device=device,
    )  # fmt: skip


def test_the_device_is_part_of_the_run():
    assert spec("cpu").key("code") != spec("cuda").key("code")
    assert shape(spec("cpu")) != shape(spec("cuda"))
    assert RunSpec.parse(spec("cuda").canonical()) == spec("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_study_that_needs_one_is_refused_when_it_is_read():
    with pytest.raises(UsageError, match=r'device = "cuda", and torch .*: give device = "cpu"'):
        load_study("quick", ["device=cuda"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and there is none")
@pytest.mark.parametrize(
    "options", [{"sigma": 0.2}, {"n_slices": 2, "slice_kind": "orthogonal", "data_noise": 0.1}]
)
def test_a_gpu_gives_the_numbers_of_the_cpu(options):
    method = "dsm" if "sigma" in options else "ssm"
    mine, other = (
        execute([spec(device, r, method, **options) for r in range(3)], keep=True)
        for device in ("cuda", "cpu")
    )
    for on_gpu, on_cpu in zip(mine, other, strict=True):
        assert on_gpu.result.state == "ok"
        for name, value in on_cpu.result.metrics.items():
            assert on_gpu.result.metrics[name] == pytest.approx(value, rel=0.05, abs=2e-3)
        assert on_gpu.artifacts.samples.shape == on_cpu.artifacts.samples.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and there is none")
def test_hundreds_of_members_train_as_one():
    outcomes = execute([spec("cuda", r) for r in range(256)])
    assert all(outcome.result.state == "ok" for outcome in outcomes)
    assert all(math.isfinite(outcome.result.metrics["mmd"]) for outcome in outcomes)


def test_streams_go_to_the_device_that_is_asked_for(request):
    streams = streams_of([spec("cpu")], "noise", ELSEWHERE)
    request.getfixturevalue("fake")
    assert streams.normal(3).device == ELSEWHERE
