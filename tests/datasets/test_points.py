"""Points of a file: disjoint parts, what they are told by, and which files are refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset, Density, density_of, has_density
from scorebench.datasets.box import box_of
from scorebench.datasets.errors import UsageError
from scorebench.datasets.points import Points
from scorebench.datasets.testing import checks_of
from scorebench.datasets.testing.sampling import USABLE

PARTS = ("training", "validation", "test")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def write(folder, points, name="x.npy", **extra):
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, points)
    else:
        frame = pd.DataFrame(points, columns=[f"c{i}" for i in range(np.shape(points)[1])])
        frame.assign(**extra).to_csv(path, index=False)
    return str(path)


def normal(n=100, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def rows(dataset):
    return set(map(tuple, dataset.sample(dataset.available, seeded()).tolist()))


@settings(max_examples=30)
@given(
    n=st.integers(20, 80),
    seed=st.integers(0, 2**40),
    share=st.tuples(st.floats(0.2, 0.5), st.floats(0.15, 0.3)),
)
def test_the_parts_are_disjoint_and_hold_every_row(tmp_path_factory, n, seed, share):
    points = normal(n)
    path = write(tmp_path_factory.mktemp("points"), points)
    shares = (share[0], share[1], 1 - sum(share))
    dataset = Points(path, seed=seed, shares=shares)
    parts = [rows(dataset.part(name)) for name in PARTS]
    assert set().union(*parts) == set(map(tuple, points.tolist()))
    assert sum(map(len, parts)) == n
    for part, wanted in zip(parts, shares, strict=True):
        assert abs(len(part) - wanted * n) <= 1
    again = Points(path, seed=seed, shares=shares)
    assert [rows(again.part(name)) for name in PARTS] == parts


def test_another_seed_is_another_split(tmp_path):
    path = write(tmp_path, normal())
    assert rows(Points(path, seed=1)) != rows(Points(path, seed=2))


def test_a_column_splits(tmp_path):
    words = ["train", "Training", "val", " test"] * 5
    points = normal(20, 2)
    dataset = Points(write(tmp_path, points, "x.csv", part=words), split="part")
    assert rows(dataset.part("validation")) == set(map(tuple, points[2::4].tolist()))
    assert rows(dataset.part("test")) == set(map(tuple, points[3::4].tolist()))
    path = write(tmp_path, points, "y.csv", part=["train", "holdout"] * 10)
    with pytest.raises(UsageError, match=r"'holdout' in row 2.*training, validation or test"):
        Points(path, split="part")


def test_draws_are_without_replacement_and_never_more_than_there_are(tmp_path):
    dataset = Points(write(tmp_path, normal(40)))
    assert dataset.available == 20
    assert len(rows(dataset)) == 20
    assert len(set(map(tuple, dataset.sample(7, seeded(1)).tolist()))) == 7
    with pytest.raises(UsageError, match="has 20 points: 21 cannot be drawn"):
        dataset.sample(21, seeded())
    assert len(dataset.upto(21, seeded())) == 20


def test_box_and_scale_follow_from_the_training_part_alone(tmp_path):
    words = ["training"] * 50 + ["validation"] * 20 + ["test"] * 30
    points = normal()
    far = points.copy()
    far[50:] += 1000
    for standardise in (False, True):
        near, moved = (
            Points(write(tmp_path, x, name, part=words), split="part", standardise=standardise)
            for x, name in ((points, "a.csv"), (far, "b.csv"))
        )
        assert box_of(near).extent == box_of(moved).extent
        assert torch.equal(near.points, moved.points)
    assert torch.allclose(near.points.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(near.points.std(0), torch.ones(3, dtype=torch.float64))


def test_it_can_be_drawn_from_only(tmp_path):
    dataset = Points(write(tmp_path, normal(3000)))
    assert not has_density(dataset)
    with pytest.raises(UsageError, match="can only be drawn from"):
        density_of(dataset)
    for check in USABLE:
        check(dataset, None)
    assert set(USABLE) < set(checks_of(dataset)) < set(checks_of(get_dataset("rings")))


def test_a_class_with_a_log_density_is_a_density_whatever_it_derives_from():
    class Drawn(Dataset):
        def draw(self, n, generator):
            return torch.zeros(n, 2, dtype=torch.float64)

    class Old(Dataset):
        draw = Drawn.draw
        weights = torch.ones(1)

        def log_density(self, x, sigma):
            return x.sum(1)

        def assign(self, x):
            return x.new_zeros(len(x)).long()

    class Both(Drawn):
        weights, assign, log_density = Old.weights, Old.assign, Old.log_density

    assert not issubclass(Drawn, Density)
    for kind in (Old, Both):
        assert isinstance(kind(), Density)
        assert kind().log_prob(torch.ones(3, 2)).tolist() == [2, 2, 2]
        assert kind().score(torch.ones(3, 2)).tolist() == [[1, 1]] * 3


def test_an_edited_file_is_read_again_without_a_hash_and_refused_with_one(tmp_path):
    path = write(tmp_path, normal())
    first = get_dataset("points", path=path)
    assert get_dataset("points", path=path) is first
    options = Points.settled({"path": path})
    write(tmp_path, normal(seed=1))
    assert not torch.equal(get_dataset("points", path=path).points, first.points)
    with pytest.raises(UsageError, match="was edited"):
        Points(**options)


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        (normal(5), {}, "5 points, .*1 for test: test needs at least 4"),
        (normal(), {"shares": [0.9, 0.1]}, "three positive numbers that sum to 1"),
        (normal(), {"shares": [0.9, 0.1, 0.1]}, "three positive numbers that sum to 1"),
        (normal(), {"seed": -1}, "seed = -1"),
        (normal(), {"image": [2, 2]}, r"image = \[2, 2\].*the number of coordinates, 3"),
        (1e6 + normal(), {}, "column '0' spreads by .* standardise = true"),
        (1e20 * normal(), {}, "single precision cannot resolve"),
        (1e-20 * normal(), {}, "single precision cannot resolve"),
        (1e300 * normal(), {"standardise": True}, "squares of such numbers"),
        (1e-300 * normal(), {"standardise": True}, "squares of such numbers"),
    ],
)
def test_bad_points_are_refused_in_one_line(tmp_path, points, options, words):
    with pytest.raises(UsageError, match=words) as refused:
        Points(write(tmp_path, points), **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_standardised_points_of_any_scale_are_the_same(tmp_path, scale, offset):
    plain = Points(write(tmp_path, normal()), standardise=True)
    other = Points(write(tmp_path, offset + scale * normal(), "y.npy"), standardise=True)
    # Double precision itself resolves 1e-10 of 1e6, which is 1e-4 of 1e-6.
    lost = 1e-8 + 4 * offset * 2.0**-52 / scale
    assert torch.allclose(plain.points, other.points, atol=lost)


def test_oddities_are_counted_and_told(tmp_path):
    points = normal()
    points[:, 1] = 7
    points[50:60] = points[:10]
    notes = " ".join(Points(write(tmp_path, points, "x.csv")).notes)
    assert "x.csv has 100 points of 3 coordinates: 50 for training, 20 for validation, 30" in notes
    assert "constant columns, which are kept: c1" in notes
    assert "rows that repeat another one: 10;" in notes
    assert "standardise" not in notes
    assert "standardise = true" in " ".join(Points(write(tmp_path, 1e3 * normal())).notes)
    points[3, 0] = np.nan
    dropped = Points(write(tmp_path, points), drop_missing=True)
    assert "missing or infinite number: 1" in " ".join(dropped.notes)
