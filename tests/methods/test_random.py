"""Member streams do not depend on who stands beside them, and have the right distributions."""

import pytest
import torch
from scorebench.methods.random import MemberRandom


def make(seeds):
    return MemberRandom([torch.Generator().manual_seed(seed) for seed in seeds])


def draw(rng, steps):
    x = torch.zeros(rng.members, 5, 2)
    return [
        torch.cat(
            [
                rng.normal_like(x).flatten(1),
                rng.uniform(3),
                rng.signs(4),
                rng.integers(7, 6).float(),
                rng.slices("sphere", 2, x).flatten(1),
            ],
            dim=1,
        )
        for _ in range(steps)
    ]


def test_members_are_alone_in_their_streams():
    together = draw(make([1, 2, 3]), 150)
    for k, seed in enumerate([1, 2, 3]):
        for a, b in zip(together, draw(make([seed]), 150), strict=True):
            assert torch.equal(a[k], b[0])


def test_members_that_stay_go_on_undisturbed():
    rng = make([1, 2, 3])
    draw(rng, 10)
    rng.keep([0, 2])
    after = draw(rng, 100)
    expected = draw(make([1, 3]), 110)[10:]
    for a, b in zip(after, expected, strict=True):
        assert torch.equal(a, b)


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    draw(make([1]), 3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("numbers", "mean", "variance"),
    [
        (lambda r: r.normal(100_000), 0.0, 1.0),
        (lambda r: r.uniform(100_000), 0.5, 1 / 12),
        (lambda r: r.signs(100_000), 0.0, 1.0),
        (lambda r: r.integers(10, 100_000).float(), 4.5, 99 / 12),
    ],
)
def test_distributions(numbers, mean, variance):
    values = numbers(make([11]))
    assert values.mean().item() == pytest.approx(mean, abs=5 * (variance / 100_000) ** 0.5)
    assert values.var().item() == pytest.approx(variance, rel=0.03)
