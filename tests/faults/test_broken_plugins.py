"""Real plug-ins that go wrong while they train, sample or score: rows, and nobody else notices."""

from pathlib import Path

import pytest
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.specs.load import load_study
from scorebench.studies.study import run

from .conftest import LONG

BROKEN = Path(__file__).parent / "broken.py"

STUDY = """
name = "broken"
plugins = [{plugin!r}]
methods = [{methods}]
datasets = ["rings"]
samplers = [{samplers}]
objective = "mmd"
evaluation = {{samples = 50, metrics = ["mmd", "broken_metric"]}}
network = {{width = 8, depth = 1}}
training = {{steps = 3, batch_size = 16, points = 64, learning_rate = 0.001}}
search = {{trials = 0}}
confirm = {{seeds = 1}}
reference = {{floors = 0, seeds = 0}}
"""

LIMIT = "limits.run_seconds=8"
HEALTHY = '{name = "dsm", sigma = 0.1}'
LANGEVIN = '{name = "langevin", steps = 3}'

# State, stage and what the reason says, by stage and kind of the fault.
LATE = ("timeout", "worker", "took longer than 8 s")
LOST = ("failed", "worker", "lost 3 times")
EXPECTED = {
    "train": {
        "nan": ("diverged", "train", "finite"),
        "inf": ("diverged", "train", "finite"),
        "exception": ("failed", "train", "ZeroDivisionError: a bug in two lines"),
        "exit": ("failed", "worker", "sys.exit(3)"),
        "hang": LATE,
        "memory": ("failed", "train", "memory"),
        "killed": LOST,
    },
    "sample": {
        "nan": ("diverged", "sample", "50 of 50 chains"),
        "inf": ("diverged", "sample", "50 of 50 chains"),
        "exception": ("failed", "sample", "ZeroDivisionError: a bug in two lines"),
        "exit": ("failed", "worker", "sys.exit(3)"),
        "hang": LATE,
        "memory": ("failed", "sample", "memory"),
        "killed": LOST,
    },
    "score": {
        "nan": ("ok", "score", "broken_metric: not a number"),
        "inf": ("ok", None, ""),
        "exception": ("ok", "score", "broken_metric: ZeroDivisionError: a bug in two lines"),
        "exit": ("failed", "worker", "sys.exit(3)"),
        "hang": LATE,
        "memory": ("ok", "score", "memory"),
        "killed": LOST,
    },
}


def rows_of(tmp_path, name, methods, samplers, *changes, workers):
    path = tmp_path / f"{name}.toml"
    path.write_text(
        STUDY.format(plugin=str(BROKEN), methods=", ".join(methods), samplers=", ".join(samplers))
    )
    run(load_study(path, changes), tmp_path / name, workers=workers)
    return {row.slot.cell: row.result for row in read_rows(tmp_path / name)}


def check(found, expected, label):
    for kind, (state, stage, reason) in expected.items():
        result = next(r for cell, r in found.items() if label(cell) == kind)
        assert result.state == state, (kind, result)
        assert (result.failure.stage if result.failure else None) == stage, (kind, result)
        if result.failure:
            assert reason in result.failure.reason, (kind, result)
            assert "\n" not in result.failure.reason


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The run that nothing is wrong with, alone."""
    folder = tmp_path_factory.mktemp("calm")
    (result,) = rows_of(folder, "calm", [HEALTHY], [LANGEVIN], workers=1).values()
    assert result.state == "ok"
    return result


def test_methods_that_go_wrong(tmp_path, calm, figure):
    expected = EXPECTED["train"]
    broken = [f'{{name = "broken", label = "b_{k}", kind = "{k}"}}' for k in expected]
    found = rows_of(tmp_path, "train", [*broken, HEALTHY], [LANGEVIN], LIMIT, workers=2)
    assert len(found) == len(broken) + 1
    check(found, expected, lambda cell: cell.method.removeprefix("b_"))
    healthy = next(result for cell, result in found.items() if cell.method == "dsm")
    assert (healthy.key, healthy.metrics) == (calm.key, calm.metrics)
    figure("broken methods", f"{len(broken)} kinds while training, others equal to the bit")


def test_samplers_and_metrics_that_go_wrong(tmp_path, calm, figure):
    expected = {stage: dict(EXPECTED[stage]) for stage in ("sample", "score")}
    if not LONG:
        # Whichever stage it was in, it is the process that is stopped or lost.
        for kinds in expected.values():
            kinds.pop("hang"), kinds.pop("killed")
    broken = [
        f'{{name = "broken_langevin", label = "{s}_{kind}", kind = "{kind}", stage = "{s}"}}'
        for s, kinds in expected.items()
        for kind in kinds
    ]
    found = rows_of(tmp_path, "later", [HEALTHY], [*broken, LANGEVIN], LIMIT, workers=2)
    assert len(found) == len(broken) + 1
    for stage, kinds in expected.items():
        check(found, kinds, lambda cell, s=stage: cell.sampler.removeprefix(f"{s}_"))
    healthy = next(result for cell, result in found.items() if cell.sampler == "langevin")
    assert (healthy.key, healthy.metrics) == (calm.key, calm.metrics)
    figure("broken samplers and metrics", f"{len(broken)} kinds, others equal to the bit")
