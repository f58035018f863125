"""One run: pure, independent of its batch, with errors stored instead of raised."""

import contextlib
import math

import numpy as np
import pytest
import torch
from scorebench.bench import run as run_module
from scorebench.bench import truth
from scorebench.bench.fingerprint import fingerprints, run_key
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.base import Metric
from scorebench.bench.run import execute
from scorebench.bench.shapes import shape
from scorebench.bench.spec import (
    EvaluationSpec,
    Plugin,
)
from scorebench.datasets import _instances, get_dataset
from scorebench.methods import methods, references
from scorebench.methods.objectives.base import ScoreMatching
from scorebench.methods.sampling.langevin import Langevin
from scorebench.methods.setting import Setting

from .runs import OPTIONS, numbers, spec

MODEL = ("fisher", "fisher_target", "kl", "mmd_exact")


@pytest.mark.parametrize("kind", ["energy", "score"])
@pytest.mark.parametrize("method", sorted({*methods.builtin, *references.builtin} - {"points"}))
def test_every_method_runs_and_is_pure(method, kind):
    if kind == "score" and method in ("mle_grid", "cd", "nce", "cnce"):
        pytest.skip("fits energies only")
    first = execute([spec(method, kind=kind)], keep=True)[0]
    state = torch.get_rng_state()
    second = execute([spec(method, kind=kind)], keep=True)[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert first.result.state == "ok"
    assert set(first.result.metrics) == {"mmd", "sw1", "sw2"}
    assert all(math.isfinite(value) for value in first.result.metrics.values())
    assert numbers(first) == numbers(second)
    assert np.array_equal(first.artifacts.samples, second.artifacts.samples)
    assert first.artifacts.samples.shape == (300, 2)
    assert first.result.key == run_key(spec(method, kind=kind))


def test_runs_are_bitwise_independent_of_their_batch():
    batch = [spec(options={"sigma": s}, rate=r, replicate=i)
               for i, (s, r) in enumerate([(0.1, 1e-3), (0.2, 1e-2), (0.5, 3e-2)])]  # fmt: skip
    assert len({shape(one) for one in batch}) == 1
    for together, one in zip(execute(batch, keep=True), batch, strict=True):
        alone = execute([one], keep=True)[0]
        assert numbers(together) == numbers(alone)
        for name, values in alone.artifacts.parameters.items():
            assert np.array_equal(together.artifacts.parameters[name], values)


def test_runs_of_other_programs_have_other_shapes():
    one = spec("ssm")
    others = [
        spec("ssm_vr"),
        spec("ssm", {"n_slices": 2, "slice_kind": "gaussian"}),
        spec("ssm", steps=41),
        spec("ssm", kind="score"),
    ]
    assert all(shape(other) != shape(one) for other in others)
    assert shape(spec("ssm", rate=0.1, replicate=3)) == shape(one)


@contextlib.contextmanager
def session(put, value, former):
    put(value)
    try:
        yield
    finally:
        put(former)


SESSIONS = {
    "float64": lambda: session(torch.set_default_dtype, torch.float64, torch.float32),
    "meta": lambda: session(torch.set_default_device, "meta", None),
    "a device for a while": lambda: torch.device("meta"),
    "NumPy": lambda: np.errstate(all="raise"),
    "rough products": lambda: session(torch.set_float32_matmul_precision, "medium", "highest"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference": torch.inference_mode,
    "no gradients": torch.no_grad,
    "denormal numbers": lambda: session(torch.set_flush_denormal, True, False),
}


@pytest.mark.parametrize("kind", SESSIONS)
def test_settings_of_the_session_change_no_run(kind):
    def forget():
        truth._judge.cache_clear()
        _instances.clear()

    def run():
        scored = EvaluationSpec(samples=60, metrics=("sw1", "mmd", "kl"))
        return execute([spec("ssm", steps=3, evaluation=scored)])[0]

    expected = numbers(run())
    forget()
    with SESSIONS[kind]():
        found = numbers(run())
    forget()
    assert found == expected
    assert found[1] == "ok"


def test_methods_share_data_and_noise_and_phases_do_not():
    dsm = execute([spec("dsm", steps=0)])[0].result
    ssm = execute([spec("ssm", steps=0)])[0].result
    assert dsm.metrics == ssm.metrics
    for other in ({"replicate": 1}, {"phase": "confirm"}, {"seed": 8}):
        assert execute([spec("dsm", steps=0, **other)])[0].result.metrics != dsm.metrics


def test_search_is_scored_on_another_truth_than_confirmation():
    from scorebench.bench.truth import judge_of

    search, confirm = spec(), spec(phase="confirm")
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    assert judge_of(search).score(points) != judge_of(confirm).score(points)
    again = spec(phase="confirm", replicate=3)
    assert judge_of(again).score(points) == judge_of(confirm).score(points)
    assert judge_of(spec("truth")).score(points) == judge_of(confirm).score(points)


def test_chains_that_explode_are_a_diverged_row_with_the_worst_scores():
    result = execute([spec("exact", sampler={"step_size": 5.0, "steps": 200})])[0].result
    assert result.state == "diverged"
    assert result.failure.stage == "sample"
    assert result.failure.step == 50
    assert set(result.metrics.values()) == {math.inf}


def test_training_that_explodes_is_a_diverged_row_with_its_step():
    outcomes = execute([spec(rate=3e-3), spec(options={"sigma": 1e-38})])
    assert outcomes[0].result.state == "ok"
    result = outcomes[1].result
    assert (result.state, result.failure.stage, result.failure.step) == ("diverged", "train", 1)
    assert result.metrics == {}
    assert numbers(outcomes[0]) == numbers(execute([spec(rate=3e-3)])[0])


@methods.register("raises_in_test")
class Raises(ScoreMatching):
    """Raises for one member's options."""

    def space(self, trial):
        return {}

    def loss(self, model, x, rng, *, sigma):
        if bool((sigma > 1).any()):
            raise RuntimeError("a bug\nof the method")
        return methods.get("dsm")().loss(model, x, rng, sigma=sigma)


def test_an_exception_is_a_failed_row_and_the_rest_of_the_batch_survives():
    good, bad = spec("raises_in_test", {"sigma": 0.2}), spec("raises_in_test", {"sigma": 2.0})
    outcomes = execute([good, bad], keep=True)
    assert outcomes[0].result.state == "ok"
    assert outcomes[1].result.state == "failed"
    assert outcomes[1].result.failure.stage == "train"
    assert outcomes[1].result.failure.reason == "RuntimeError: a bug of the method"
    assert outcomes[1].artifacts is None


def test_artifacts_have_the_shapes_that_figures_need():
    artifacts = execute([spec("dsm", phase="confirm")], keep=True)[0].artifacts
    assert artifacts.energy.shape == (100, 100)
    assert artifacts.score_field.shape == (24, 24, 2)
    assert artifacts.parameters["weight0"].shape == (1, 2, 16)
    assert artifacts.learning.curve.shape[1] == 3
    assert artifacts.learning.curve[-1, 0] == 40
    assert (artifacts.learning.curve[:, 2] > 0).all()
    assert artifacts.paths.shape == (11, 8, 2)
    assert artifacts.learning.checkpoints.shape == (0, 1)
    direct = execute([spec("dsm", kind="score")], keep=True)[0].artifacts
    assert direct.energy is None


def test_fields_have_the_right_orientation():
    # Left mode of 8gaussians lighter than the centre: low energy where the data are.
    artifacts = execute([spec("exact")], keep=True)[0].artifacts
    column, row = round((2.83 + 4) / 8 * 100), 50
    assert artifacts.energy[row, column] < artifacts.energy[50, 50]
    arrows = artifacts.score_field
    assert arrows[12, -1, 0] < 0
    assert arrows[-1, 12, 1] < 0


def test_the_number_of_threads_is_restored():
    torch.set_num_threads(2)
    execute([spec("untrained")])
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_only_requested_metrics_are_measured_and_fingerprinted():
    names = ("sw1", "mode_error")
    one = spec(evaluation=EvaluationSpec(samples=300, metrics=names))
    assert set(execute([one])[0].result.metrics) == set(names)
    assert fingerprints(one)["metrics"] != fingerprints(spec())["metrics"]
    other = spec(evaluation=EvaluationSpec(samples=300, metrics=("mode_error", "sw1")))
    assert fingerprints(one) == fingerprints(other)


@pytest.mark.parametrize("method", ["dsm", "ncsn", "mle_grid"])
def test_metrics_of_models_do_not_depend_on_the_batch(method):
    options = OPTIONS[method]
    evaluation = EvaluationSpec(samples=300, metrics=MODEL, split=True)
    first = next(name for name in options if isinstance(options[name], float))
    batch = [
        spec(method, options | {first: options[first] * scale}, replicate=i, evaluation=evaluation)
        for i, scale in enumerate([0.7, 1.0, 1.4])
    ]
    for together, one in zip(execute(batch), batch, strict=True):
        assert numbers(together) == numbers(execute([one])[0])
        assert all(math.isfinite(value) for value in together.result.metrics.values())


def test_the_split_has_no_error_of_a_sampler():
    # One step of Langevin leaves the exact score's chains where they started.
    evaluation = EvaluationSpec(samples=2000, metrics=("mmd", "sw1", "kl"), split=True)
    one = spec("exact", sampler={"steps": 1}, evaluation=evaluation)
    values = execute([one])[0].result.metrics
    assert set(values) == {"mmd", "sw1", "kl", "split.mmd", "split.sw1"}
    assert values["sw1"] > 0.3
    assert values["split.sw1"] < 0.2
    assert abs(values["split.mmd"]) < 1e-3
    assert fingerprints(one)["sampler"] != fingerprints(spec("exact"))["sampler"]
    # The truth itself has no model that could be sampled otherwise.
    truth = execute([spec("truth", evaluation=evaluation)])[0].result.metrics
    assert set(truth) == {"mmd", "sw1", "kl"}


def test_every_metric_has_a_value_on_every_reference_row():
    planar = Setting(get_dataset("8gaussians"))
    names = tuple(name for name in sorted(metrics.builtin) if not metrics.get(name).unfit(planar))
    assert len(names) > 20
    evaluation = EvaluationSpec(samples=200, metrics=names)
    for method in sorted(references.builtin):
        result = execute([spec(method, evaluation=evaluation)])[0].result
        assert set(result.metrics) == set(names)
        assert all(math.isfinite(value) for value in result.metrics.values()), method


def test_acceptance_is_reported_where_there_is_one():
    one = spec("exact").model_copy(
        update={"sampler": Plugin(name="mala", options={"steps": 20, "step_size": 0.2})}
    )
    assert 0.5 < execute([one])[0].result.compute["acceptance"] < 1
    assert "acceptance" not in execute([spec("exact")])[0].result.compute


@pytest.mark.parametrize("broken", ["made", "measured", "no number"])
def test_a_metric_that_fails_leaves_the_others_alone(monkeypatch, broken):
    class Broken(Metric):
        """Fails."""

        def __init__(self, dataset, reference):
            super().__init__(dataset, reference)
            if broken == "made":
                raise ZeroDivisionError("a bug")

        def value(self, samples):
            return math.nan if broken == "no number" else 1 / 0

    evaluation = EvaluationSpec(samples=120, metrics=("sw1", "broken"))
    monkeypatch.setattr(truth.metrics, "get", {"sw1": metrics.get("sw1"), "broken": Broken}.get)
    truth._judge.cache_clear()
    result = execute([spec(evaluation=evaluation)])[0].result
    alone = execute([spec(evaluation=EvaluationSpec(samples=120, metrics=("broken",)))])[0].result
    truth._judge.cache_clear()
    monkeypatch.undo()
    whole = execute([spec(evaluation=EvaluationSpec(samples=120, metrics=("sw1",)))])[0].result
    assert (result.state, result.metrics["sw1"]) == ("ok", whole.metrics["sw1"])
    assert math.isnan(result.metrics["broken"])
    assert result.failure.stage == "score"
    assert result.failure.reason.startswith("broken: ")
    assert (alone.state, alone.failure.stage) == ("failed", "score")


def test_what_only_decorates_a_run_never_voids_it(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("a bug")

    one = spec(phase="confirm", evaluation=EvaluationSpec(samples=120, metrics=("sw1",)))
    whole = execute([one], keep=True)[0]
    monkeypatch.setattr(run_module, "_arrows", fail)
    monkeypatch.setattr(run_module, "_energy", fail)
    monkeypatch.setattr(Langevin, "paths", fail)
    monkeypatch.setattr(methods.get("dsm"), "least", fail)
    result, artifacts = execute([one], keep=True)[0]
    assert numbers(execute([one], keep=True)[0]) == numbers(whole)
    assert result.state == "ok"
    assert artifacts.energy is artifacts.score_field is artifacts.paths is None
    assert math.isnan(artifacts.learning.least)
    assert np.array_equal(artifacts.learning.curve, whole.artifacts.learning.curve)
    assert np.array_equal(artifacts.samples, whole.artifacts.samples)
