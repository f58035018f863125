"""What is read from the disk is what would be made; nothing else is ever read, whatever happens."""

import os
import subprocess
import sys
import types

import pytest
import torch
from scorebench.bench.metrics import embedding
from scorebench.datasets import cache, get_dataset
from scorebench.datasets.cache import cached
from scorebench.datasets.gaussian_ring import GaussianRing
from scorebench.datasets.steady import steady
from scorebench.datasets.tabulate import ScoreTable


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of its own, that keeps everything."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "MIN_SECONDS", 0.0)
    return tmp_path / "cache"


class Counter:
    """Makes a tensor, and counts how often."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"a": torch.arange(5, dtype=torch.float64) / 3, "b": torch.tensor([True, False])}


def test_made_once_then_read(home):
    make, dataset = Counter(), get_dataset("rings")
    first, second = (cached("x", dataset, 0.1, make=make) for _ in range(2))
    assert make.times == 1
    assert len(list(home.iterdir())) == 1
    assert all(torch.equal(first[name], second[name]) for name in ("a", "b"))
    assert second["b"].dtype == torch.bool
    # Equal datasets are the same thing, in whatever object they come.
    cached("x", type(dataset)(), 0.1, make=make)
    assert make.times == 1


def test_other_things_have_other_names(home):
    make = Counter()
    cached("x", get_dataset("rings"), 0.1, make=make)
    cached("x", get_dataset("rings"), 0.2, make=make)
    cached("y", get_dataset("rings"), 0.1, make=make)
    cached("x", get_dataset("8gaussians"), 0.1, make=make)
    cached("x", GaussianRing(modes=8), 0.1, make=make)
    cached("x", GaussianRing(modes=7), 0.1, make=make)
    cached("x", GaussianRing(modes=7, dim=3), 0.1, make=make)
    assert make.times == len(list(home.iterdir())) == 7


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-9],
    "a bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "another format": lambda data: b"PK\x03\x04" + data,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_made_again(home, how):
    make, dataset = Counter(), get_dataset("rings")
    cached("x", dataset, make=make)
    (file,) = home.iterdir()
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[how](whole))
    assert torch.equal(cached("x", dataset, make=make)["a"], Counter()()["a"])
    assert make.times == 2
    assert file.read_bytes() == whole


def test_what_is_quick_to_make_is_not_stored(home, monkeypatch):
    monkeypatch.setattr(cache, "MIN_SECONDS", 0.05)
    make = Counter()
    cached("x", get_dataset("rings"), make=make)
    assert not home.exists()


def test_no_cache_and_no_place_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MIN_SECONDS", 0.0)
    file = tmp_path / "file"
    file.write_text("not a folder")
    for place in ("", str(file)):
        monkeypatch.setenv(cache.VARIABLE, place)
        make = Counter()
        for _ in range(2):
            assert torch.equal(cached("x", get_dataset("rings"), make=make)["a"], make()["a"])
    assert file.read_text() == "not a folder"


def test_the_user_s_own_folder_is_the_default(monkeypatch):
    monkeypatch.delenv(cache.VARIABLE)
    assert cache.folder().name == "scorebench"


def test_the_oldest_makes_room(home, monkeypatch):
    dataset, make = get_dataset("rings"), Counter()
    for number in range(4):
        cached("x", dataset, float(number), make=make)
    files = sorted(home.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    size = files[0].stat().st_size
    for age, file in enumerate(files):
        os.utime(file, (1000 + age, 1000 + age))
    cached("x", dataset, 0.0, make=make)
    first = max(home.iterdir(), key=lambda path: path.stat().st_mtime)
    monkeypatch.setattr(cache, "MAX_BYTES", 3 * size)
    cached("x", dataset, 9.0, make=make)
    assert first.exists(), "it was read last"
    assert len(list(home.iterdir())) == 3


def test_what_cannot_be_told_apart_is_not_stored(home):
    dataset = GaussianRing()
    dataset.helper = object()
    cached("x", dataset, make=Counter())
    module = types.ModuleType("of_another_package")
    sys.modules[module.__name__] = module

    class Foreign(GaussianRing):
        __module__ = module.__name__

    cached("x", Foreign(), make=Counter())
    assert not home.exists()
    # A file that a study carries stands alone, so its text says all.
    make = Counter()
    for text in ("a = 1", "a = 1", "a = 2"):
        module.__dict__["__source__"] = text
        cache._code.cache_clear()
        cached("x", Foreign(), make=make)
    assert make.times == 2
    del sys.modules[module.__name__]


def test_the_source_of_the_maker_is_part_of_the_name(home, tmp_path):
    dataset = get_dataset("rings")
    for text in ("a = 1", "a = 1", "a = 2"):
        (tmp_path / "beside.py").write_text(text)
        maker = types.ModuleType("maker")
        maker.__file__ = str(tmp_path / "maker.py")
        sys.modules["maker"] = maker
        make = Counter()
        make.__module__ = "maker"
        cache._code.cache_clear()
        cached("x", dataset, make=make)
        del sys.modules["maker"]
    assert len(list(home.iterdir())) == 2


def test_tables_and_constants_are_the_same_to_the_bit(home):
    spirals = get_dataset("2spirals")
    x = spirals.sample(2000, torch.Generator().manual_seed(0)) * 1.3
    made = [ScoreTable(spirals, 0.3)(x) for _ in range(2)]
    assert torch.equal(*made)
    rings = get_dataset("rings")
    embeddings = [embedding.embed(rings, 0.3) for _ in range(2)]
    embedding.kernel_mean.cache_clear()
    again = embedding.embed(rings, 0.3)
    for one in embeddings:
        assert one[2:] == again[2:]
        assert torch.equal(one.mean(x), again.mean(x))
    assert len(list(home.iterdir())) >= 3


def test_another_process_with_more_threads_reads_the_same(home):
    code = (
        "import torch; torch.set_num_threads(2); from scorebench.datasets import get_dataset;"
        "print(repr(get_dataset('2spirals').fisher_information(0.25)))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    values = {
        subprocess.run([sys.executable, "-c", code], env={**environment, cache.VARIABLE: place},
                       capture_output=True, text=True, check=True).stdout
        for place in ("", str(home), str(home))
    }  # fmt: skip
    values.add(f"{get_dataset('2spirals').fisher_information(0.25)!r}\n")
    assert len(values) == 1


def test_steady_arithmetic_is_given_back():
    def tiny():
        return torch.full((1,), 1e-310, dtype=torch.float64).mul(1.0).item()

    before = tiny(), torch.get_num_threads()
    with steady():
        assert (tiny(), torch.get_num_threads()) == (0.0, 1)
        with steady():
            pass
        assert (tiny(), torch.get_num_threads()) == (0.0, 1), "within itself too"
    assert (tiny(), torch.get_num_threads()) == before
    assert before[0] > 0
