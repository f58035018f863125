"""A small study over the fake engine, and how its outcome is compared."""

import shutil

import cloudpickle
import pytest
from scorebench.studies.specs.load import parse
from scorebench.studies.study import run

from . import fake_engine
from .fake_engine import FakeEngine

# Worker processes do not see the test folder on their path.
cloudpickle.register_pickle_by_value(fake_engine)


def make_study(**changes):
    data = {
        "name": "small",
        "seed": 9,
        "methods": [
            "alpha",
            "beta",
            "gamma",
            "delta",
            {"name": "epsilon", "learning_rate": 0.01},
        ],
        "datasets": ["ring"],
        "samplers": ["walk"],
        "objective": "mmd",
        "training": {"steps": 5},
        "search": {"trials": 10, "batch": 4, "startup": 4, "finalists": 2, "repeats": 2},
        "confirm": {"seeds": 3},
        "reference": {"floors": 3, "seeds": 2},
        "evaluation": {"samples": 4},
    }
    for key, value in changes.items():
        if isinstance(value, dict) and key in data:
            data[key] = {**data[key], **value}
        else:
            data[key] = value
    return parse(data, "test")


def contents(directory, *, table_only=False):
    """Everything in a run directory that must not depend on how it came about."""
    working = {".lock", "runs.jsonl", "optuna.journal"}
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in working
        if not table_only or path.suffix == ".csv"
    }


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run directory; not to be changed."""
    directory = tmp_path_factory.mktemp("finished") / "small"
    run(make_study(), directory, engine=FakeEngine())
    return directory


@pytest.fixture
def copied(finished, tmp_path):
    """A finished run directory that may be changed."""
    shutil.copytree(finished, tmp_path / "small")
    return tmp_path / "small"
