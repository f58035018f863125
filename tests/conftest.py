"""What many tests share: a study of real runs that takes seconds."""

import os
from pathlib import Path

import hypothesis
import pytest

# Examples are drawn as slowly as a busy machine lets them be.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


TINY = """\
name = "tiny"
methods = ["dsm", { name = "ssm", n_slices = 1, slice_kind = "gaussian" }]
datasets = ["8gaussians", "rings"]
samplers = [{ name = "langevin", steps = 10 }]
objective = "sw1"

[network]
width = 8

[training]
steps = 30
batch_size = 16
points = 500

[search]
trials = 3
batch = 2
finalists = 2
repeats = 1

[confirm]
seeds = 3

[reference]
floors = 4
seeds = 2

[evaluation]
samples = 120
"""


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Tests keep what takes long to make to themselves, and share it among each other."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["SCOREBENCH_CACHE"] = str(folder / "cache")
    os.environ["SCOREBENCH_STATE"] = str(folder / "state")


@pytest.fixture(scope="session")
def tiny_toml(tmp_path_factory) -> Path:
    """A study file of small but real runs."""
    path = tmp_path_factory.mktemp("studies") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_toml, tmp_path_factory) -> Path:
    """The run directory of the tiny study, finished; not to be written to."""
    import scorebench as sb

    out = tmp_path_factory.mktemp("runs") / "tiny"
    sb.run(tiny_toml, out, workers=1)
    return out
