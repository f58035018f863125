"""Points from stored models."""

import numpy as np
import pytest
from scorebench.bench.from_spec import stream_of
from scorebench.bench.spec import RunSpec
from scorebench.datasets.errors import UsageError
from scorebench.studies.sample import _read_model, sample
from scorebench.studies.stored_model import StoredModel


def test_the_stored_model_repeats_the_stored_samples(tiny_run):
    """With the run's own stream of noise, the points are those that were scored, to the bit."""
    spec, tensors = _read_model(tiny_run / "models" / "dsm-rings-langevin.safetensors", tiny_run)
    assert isinstance(spec, RunSpec)
    with np.load(tiny_run / "samples" / "dsm-rings-langevin.npz") as stored:
        best = stored["samples"][stored["replicate"] == spec.replicate]
    model = StoredModel(spec, tensors, "dsm-rings-langevin")
    points = model.drawn(spec.evaluation.samples, stream_of(spec, "sampler"))
    assert np.array_equal(points, best)


def test_seeds_decide_the_points(tiny_run):
    first = sample(tiny_run, "dsm", "rings", n=50, seed=3)
    assert first.shape == (50, 2)
    assert first.dtype == np.float32
    assert np.array_equal(first, sample(tiny_run, "dsm", "rings", n=50, seed=3))
    assert not np.array_equal(first, sample(tiny_run, "dsm", "rings", n=50, seed=4))
    assert not np.array_equal(first, sample(tiny_run, "ssm", "rings", n=50, seed=3))


def test_mistakes_are_said(tiny_run, tmp_path):
    for arguments, message in (
        ((tiny_run, "dms", "rings"), "did you mean 'dsm'"),
        ((tmp_path, "dsm", "rings"), "not a run directory"),
    ):
        with pytest.raises(UsageError, match=message):
            sample(*arguments)
    with pytest.raises(UsageError, match="n = 0"):
        sample(tiny_run, "dsm", "rings", n=0)
    (tmp_path / "study.toml").write_text((tiny_run / "study.toml").read_text())
    with pytest.raises(UsageError, match="holds no model of this cell yet"):
        sample(tmp_path, "dsm", "rings")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "dsm-rings-langevin.safetensors").write_text("no")
    with pytest.raises(UsageError, match="is damaged"):
        sample(tmp_path, "dsm", "rings")
