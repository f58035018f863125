import subprocess
import sys
from collections import Counter

import catalogue
import pytest
from scorebench.datasets import UsageError, datasets, get_dataset
from scorebench.datasets.registry import Registry, options_of
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.progress import follow
from scorebench.studies.specs.spec import StudySpec

NAMES = {
    "25gaussians",
    "2spirals",
    "8gaussians",
    "banana",
    "checkerboard",
    "double_well",
    "funnel",
    "gaussian_ring",
    "gmm40",
    "ladder",
    "many_well",
    "moons",
    "rings",
    "student_mixture",
    "swissroll",
    "two_modes",
}


def test_names_and_summaries():
    assert set(datasets.names()) >= NAMES
    for name in NAMES:
        assert 20 < len(datasets.summary(name)) <= 100


def test_listing_does_not_load_torch():
    code = (
        "import sys, scorebench.datasets as d; [d.datasets.summary(n) for n in d.datasets.names()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_same_dataset_twice_is_one_object():
    assert get_dataset("rings") is get_dataset("rings")


def test_unknown_names_get_the_nearest():
    with pytest.raises(UsageError, match="did you mean '2spirals'"):
        get_dataset("spirals")


def test_unknown_options_are_refused():
    with pytest.raises(UsageError, match="'rings' has no options: remove 'radius'"):
        get_dataset("rings", radius=2)

    def plugin(*, dim: int = 2) -> int:
        return 10 // dim if dim else len(dim)  # type: ignore[arg-type]

    assert options_of(plugin, "dataset", "ring", {"dim": 5}) == 2
    with pytest.raises(UsageError, match="did you mean 'dim'"):
        options_of(plugin, "dataset", "ring", {"dimm": 5})
    with pytest.raises(UsageError, match="cannot be made with dim='ten'"):
        options_of(plugin, "dataset", "ring", {"dim": "ten"})


def test_a_name_is_looked_up_once_for_all_jobs(monkeypatch):
    asked = Counter()
    look_up = catalogue.Registry.get

    def counted(self, name):
        asked[self.namespace, name] += 1
        return look_up(self, name)

    monkeypatch.setattr(catalogue.Registry, "get", counted)
    study = StudySpec(
        name="s", methods=["dsm", "ssm"], datasets=["rings", "8gaussians"], samplers=["langevin"],
        objective="mmd", evaluation={"also": ["langevin"]},
    )  # fmt: skip
    plan = Plan(study, Engine())
    jobs = [job for cell in plan.references for job in follow(plan, cell, {})[1]]
    assert len(jobs) > 10
    assert max(asked.values(), default=0) <= 1


def test_a_name_that_is_registered_again_means_the_last():
    plugins = Registry("test_of_registry")
    for plugin in (int, float):
        plugins.register("number")(plugin)
        assert plugins.get("number") is plugin
