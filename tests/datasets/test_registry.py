import subprocess
import sys

import pytest
from scorebench.datasets import UsageError, datasets, get_dataset
from scorebench.datasets.registry import options_of

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
