"""What runs execute is compiled before their time is counted."""

import subprocess
import sys

SCRIPT = """
import gc
from numba.core.dispatcher import Dispatcher
from scorebench.bench.run import execute
from scorebench.bench.spec import EvaluationSpec, NetworkSpec, Plugin, RunSpec, TrainingSpec
from scorebench.bench.warm_up import warm_up

def programs():
    return sum(len(made.signatures) for made in gc.get_objects() if isinstance(made, Dispatcher))

def run(method, options, network):
    return RunSpec(
        phase="search", seed=1, method=Plugin(name=method, options=options),
        dataset=Plugin(name="rings"), sampler=Plugin(name="langevin", options={"steps": 2}),
        network=network, training=TrainingSpec(steps=70, batch_size=8, points=50),
        evaluation=EvaluationSpec(samples=40, metrics=("mmd",)),
    )

for kind in ("energy", "score"):
    network = NetworkSpec(kind=kind, width=8, depth=1, activation="softplus")
    before = programs()
    warm_up(network, ["dsm", "fd_dsm", "kde", "not registered here"])
    warm = programs()
    (first,) = execute([run("ssm", {"n_slices": 1, "slice_kind": "sphere"}, network)])
    (second,) = execute([run("fd_dsm", {"radius": 0.1, "sigma": 0.2}, network)])
    print(kind, first.result.state, second.result.state, warm > before, programs() - warm)
"""


def test_no_run_compiles_anything():
    asked = [sys.executable, "-c", SCRIPT]
    found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=300)
    assert found.stdout.split("\n")[:2] == ["energy ok ok True 0", "score ok ok True 0"]
