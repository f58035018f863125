"""The packaged studies ``best`` and ``best_scores``: how near the truth on part of their steps."""

import numpy as np
import pytest
import torch
from scorebench.bench.metrics.sliced_wasserstein import SW1
from scorebench.bench.run import execute
from scorebench.datasets import get_dataset
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.specs.load import load_study

FLOORS = 40


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("best", 1600), ("best_scores", 1500)])
def test_a_part_of_their_steps_reaches_the_floor_on_eight_gaussians(tmp_path, name, steps):
    study = load_study(name, ["datasets=['8gaussians']", f"training.steps={steps}"])
    plan = Plan(study, Engine())
    (cell,) = plan.tuned
    (job,) = next(plan.steps(cell, {}, tmp_path.joinpath))[:1]
    (outcome,) = execute([job.spec])
    found = outcome.result.metrics
    data, stream = get_dataset("8gaussians"), torch.Generator().manual_seed(20)
    points = [data.sample(10_000, stream) for _ in range(2 * FLOORS)]
    floors = [SW1(data, a).value(b) for a, b in zip(points[::2], points[1::2], strict=True)]
    assert found["sw1"] < np.quantile(floors, 0.95)
    # In units of the noise; with all of its steps the study gets below the floor here too.
    assert found["mmd_z"] < 3
    assert name == "best_scores" or found["kl"] < 0.01
