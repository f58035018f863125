"""Runs that go wrong in every way: a row with state, stage and reason, and nothing else changes."""

import math
import os
import resource
import signal
import sys
import time

import cloudpickle
import numpy as np
import pytest
from scorebench.bench.spec import Failure, RunResult
from scorebench.studies.results import read_results
from scorebench.studies.study import run

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine, FakeOutcome
from .conftest import LONG

KINDS = ("nan", "inf", "exception", "base exception", "unpicklable", "hang", "spin", "memory",
         "killed", "exit", "diverged")  # fmt: skip
STAGES = ("train", "sample", "score")

cloudpickle.register_pickle_by_value(sys.modules[__name__])


class UnpicklableError(Exception):
    def __init__(self, a, b):
        super().__init__("cannot travel")

    def __reduce__(self):
        raise TypeError("no")


class Faulty(FakeEngine):
    """One configuration of ``gamma`` in four goes wrong, at a stage."""

    def __init__(self, kind, stage):
        super().__init__()
        self.kind = kind
        self.stage = stage

    def _run(self, spec, keep):
        guilty = spec.method.options.get("width") in (5, 6)
        if not guilty:
            return super()._run(spec, keep)
        if self.kind in ("nan", "inf"):
            value = math.nan if self.kind == "nan" else math.inf
            metrics = dict.fromkeys(("fit", "mmd", "sw1", "sw2"), value)
            return FakeOutcome(RunResult(key=self.key(spec), state="ok", metrics=metrics), None)
        if self.kind == "diverged":
            failure = Failure(stage=self.stage, step=3, reason="not finite")
            return FakeOutcome(
                RunResult(key=self.key(spec), state="diverged", failure=failure), None
            )
        return FAULTS[self.kind]()


def _raise(error):
    raise error


def _hog():
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**31, hard))
    return np.ones((2**31,))


FAULTS = {
    "exception": lambda: _raise(ZeroDivisionError("a bug\nin two lines")),
    "base exception": lambda: _raise(SystemExit(3)),
    "unpicklable": lambda: _raise(UnpicklableError(1, 2)),
    "hang": lambda: time.sleep(600),
    "spin": lambda: [None for _ in iter(int, 1)],
    "memory": _hog,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(0),
}

STATES = {"nan": "ok", "inf": "ok", "hang": "timeout", "spin": "timeout", "diverged": "diverged"}


# Real plug-ins go wrong in the same ways in test_broken_plugins.py.
TRIED = KINDS if LONG else ("nan", "exception", "unpicklable", "spin", "killed")


@pytest.mark.parametrize("kind", TRIED)
def test_a_fault_is_a_row(tmp_path, figure, kind):
    limits = {"run_seconds": 0.5} if kind in ("hang", "spin") else {"run_seconds": 60}
    study = make_study(
        methods=["alpha", "gamma"],
        search={"trials": 8, "repeats": 1},
        confirm={"seeds": 1},
        reference={"floors": 1, "seeds": 1},
        limits=limits,
    )
    stage = STAGES[KINDS.index(kind) % 3]
    run(study, tmp_path / "out", workers=2, engine=Faulty(kind, stage))
    run(study, tmp_path / "calm", engine=FakeEngine())
    found = read_results(tmp_path / "out", FakeEngine())
    calm = read_results(tmp_path / "calm", FakeEngine())
    guilty = found[found["params.width"].isin([5, 6])]
    assert len(guilty)
    assert set(guilty.state) == {STATES.get(kind, "failed")}
    if kind not in ("nan", "inf"):
        assert (guilty.failure.str.len() > 10).all()
        assert not guilty.failure.str.contains("\n").any()
        assert guilty.failure.str.match(r"^(worker|train|sample|score)").all()
    # Nobody wins with a fault, and nobody else is touched.
    assert not found[found.phase == "confirm"]["params.width"].isin([5, 6]).any()
    columns = ["phase", "method", "trial", "replicate", "state", "failure", "key", "mmd"]
    one, other = (t[t.method != "gamma"][columns].reset_index(drop=True) for t in (found, calm))
    assert one.equals(other)
    figure(f"runs with fault: {kind}", f"{len(guilty)} rows {STATES.get(kind, 'failed')}")
