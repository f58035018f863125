"""Training inside a run: settings, checkpoints, networks on a base."""

import math

import numpy as np
import pytest
import torch
from scorebench.bench.from_spec import architecture, dataset_of, model_of
from scorebench.bench.run import execute
from scorebench.bench.shapes import shape
from scorebench.bench.spec import (
    EvaluationSpec,
    NetworkSpec,
    Plugin,
    RunSpec,
    TrainingSpec,
)
from scorebench.methods import methods

from .runs import OPTIONS, numbers, spec


def test_the_learning_rate_may_fall_and_weights_be_averaged():
    results = {
        (schedule, ema): execute([
            spec(training=TrainingSpec(steps=40, batch_size=32, points=1000, learning_rate=1e-2,
                                       schedule=schedule, ema=ema))
        ])[0].result.metrics["mmd"]
        for schedule in ("constant", "cosine", "wsd") for ema in (0.0, 0.9)
    }  # fmt: skip
    assert len(set(results.values())) == 6


def test_weight_decay_is_part_of_a_run_only_if_it_is_used():
    def run(**settings):
        return spec(training=TrainingSpec(steps=40, batch_size=32, points=1000, **settings))

    plain, zero, decayed = run(), run(weight_decay=0.0), run(weight_decay=0.5)
    assert zero.canonical() == plain.canonical()
    assert "weight_decay" not in plain.canonical()
    assert RunSpec.parse(decayed.canonical()) == decayed
    assert shape(decayed) != shape(plain)
    values = [execute([one])[0].result.metrics for one in (plain, zero, decayed)]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_checkpoints_change_nothing_and_end_at_the_model(ema):
    def run(checkpoints, rates):
        training = TrainingSpec(steps=40, batch_size=32, points=1000, ema=ema)
        evaluation = EvaluationSpec(samples=300, checkpoints=checkpoints, metrics=("sw1", "kl"))
        batch = [
            spec(rate=rate, phase="confirm", evaluation=evaluation,
                 training=training.model_copy(update={"learning_rate": rate}))
            for rate in rates
        ]  # fmt: skip
        return execute(batch, keep=True)

    rates = [1e-3, 3e-3]
    without, looked = run(0, rates), run(4, rates)
    for k, (one, other) in enumerate(zip(without, looked, strict=True)):
        assert one.result.metrics == other.result.metrics
        for name, array in one.artifacts.parameters.items():
            assert np.array_equal(array, other.artifacts.parameters[name])
        learning = other.artifacts.learning
        assert learning.names == ("sw1",), "metrics of models cost too much to be looked at"
        assert learning.checkpoints[:, 0].tolist() == [10, 20, 30, 40]
        assert len(set(learning.checkpoints[:, 1])) == 4
        alone = run(4, [rates[k]])[0].artifacts.learning
        assert np.array_equal(alone.checkpoints, learning.checkpoints)
        assert np.array_equal(alone.curve, learning.curve)


def test_a_checkpoint_equals_a_shorter_training():
    evaluation = EvaluationSpec(samples=300, checkpoints=2, metrics=("mmd",))
    training = TrainingSpec(steps=40, batch_size=32, points=1000, learning_rate=3e-3, ema=0.9)
    half = training.model_copy(update={"steps": 20})
    long, short = (
        execute([spec(phase="confirm", evaluation=evaluation, training=t)], keep=True)[0]
        for t in (training, half)
    )
    assert long.artifacts.learning.checkpoints[0, 1] == short.artifacts.learning.checkpoints[1, 1]


def test_the_least_loss_is_stored_where_it_is_known():
    dataset = dataset_of(spec())
    learning = execute([spec(phase="confirm")], keep=True)[0].artifacts.learning
    assert learning.least == methods.get("dsm")().least(dataset, OPTIONS["dsm"])
    jumps = {"dataset": Plugin(name="checkerboard")}
    assert math.isnan(execute([spec("ssm", **jumps)], keep=True)[0].artifacts.learning.least)
    assert execute([spec("untrained")], keep=True)[0].artifacts.learning is None


@pytest.mark.parametrize("kind", ["energy", "score"])
def test_a_network_that_is_zero_on_a_base_is_the_gaussian_of_the_data(kind):
    run = spec("untrained", network=NetworkSpec(width=16, kind=kind, base="gaussian"))
    network = architecture(run)
    model = model_of(run, network, torch.zeros(1, network.size))
    truth = dataset_of(run).sample(20_000, torch.Generator().manual_seed(1))
    x = torch.tensor([[[1.0, 2.0], [-30.0, 7.0]]])
    slope = (truth.mean(0) - x) / truth.var(0).mean()
    assert model.score(x)[0].numpy() == pytest.approx(slope[0].numpy(), rel=0.05, abs=0.02)


def test_plain_networks_are_written_as_before_there_were_bases():
    assert "base" not in NetworkSpec().model_dump()


def test_a_network_on_a_base_trains_and_saves_the_same_model_whatever_its_batch():
    runs = [
        spec("ssm", network=NetworkSpec(width=16, base="gaussian"), replicate=r) for r in range(2)
    ]
    together = execute(runs)
    assert [numbers(outcome) for outcome in together] == [numbers(execute([r])[0]) for r in runs]
    assert numbers(together[0]) != numbers(execute([spec("ssm")])[0])
